"""The table: which module of the libraries takes which names of minift."""

from minift import PUBLIC
from minift.libraries import verbosity

DATASETS = [*(name for module, names in PUBLIC.items() if module.startswith("data.") for name in names), "load_metric"]
ACCELERATE = ["Accelerator", "DataLoaderConfiguration", "notebook_launcher"]
# public names that `transformers` does not have, at least not at its top level
OTHERS = [
    *DATASETS,
    *ACCELERATE,
    "Chunker",
    "ModelOutput",
    "PolynomialDecay",
    "PredictionOutput",
    "Tokenizer",
    "chunk_dataset",
    "freeze_masks",
    "use_fast_path",
]
TRANSFORMERS = [name for names in PUBLIC.values() for name in names if name not in OTHERS]
COLLATORS = [name for name in TRANSFORMERS if "ollator" in name]
LOGGING = [name for name in vars(verbosity) if name == "get_logger" or "verbosity" in name]

# module of the libraries -> where its names are defined, and the names
MODULES: dict[str, tuple[str, list[str]]] = {
    "transformers": ("minift", TRANSFORMERS),
    "transformers.data": ("minift", []),
    "transformers.data.data_collator": ("minift", COLLATORS),
    "transformers.keras_callbacks": ("minift", ["PushToHubCallback"]),
    "transformers.trainer_utils": ("minift", ["EvalPrediction", "PredictionOutput", "SchedulerType", "set_seed"]),
    "transformers.utils": ("minift", []),
    "transformers.utils.logging": ("minift.libraries.verbosity", LOGGING),
    "datasets": ("minift", DATASETS),
    "datasets.utils": ("minift", []),
    "datasets.utils.logging": ("minift.libraries.verbosity", LOGGING),
    "evaluate": ("minift.metrics.metric", ["load"]),
    "evaluate.utils": ("minift", []),
    "evaluate.utils.logging": ("minift.libraries.verbosity", LOGGING),
    "accelerate": ("minift", [*ACCELERATE, "set_seed"]),
    "accelerate.utils": ("minift", ["DataLoaderConfiguration", "set_seed"]),
}
# the same module under a second name
ALIASES = {
    "transformers.logging": "transformers.utils.logging",
    "datasets.logging": "datasets.utils.logging",
    "evaluate.logging": "evaluate.utils.logging",
}

"""The table: which module of the libraries takes which names of minift."""

from minift import __all__ as public

DATASETS = [
    "ClassLabel",
    "Dataset",
    "DatasetDict",
    "Features",
    "List",
    "Sequence",
    "Value",
    "concatenate_datasets",
    "load_dataset",
    "load_from_disk",
    "load_metric",
]
ACCELERATE = [
    "Accelerator",
    "DataLoaderConfiguration",
    "notebook_launcher",
]
# public names of minift that `transformers` does not have, at least not at its top level
NOT_IN_TRANSFORMERS = [
    *DATASETS,
    *ACCELERATE,
    "Chunker",
    "ModelOutput",
    "PolynomialDecay",
    "PredictionOutput",
    "Tokenizer",
    "chunk_dataset",
    "freeze_masks",
]
COLLATORS = [
    "DataCollatorForLanguageModeling",
    "DataCollatorForWholeWordMask",
    "DataCollatorWithPadding",
    "DefaultDataCollator",
    "default_data_collator",
]
LOGGING = [
    "get_logger",
    "get_verbosity",
    "set_verbosity",
    "set_verbosity_debug",
    "set_verbosity_error",
    "set_verbosity_info",
    "set_verbosity_warning",
]

# module of the libraries -> where its names are defined, and the names
MODULES: dict[str, tuple[str, list[str]]] = {
    "transformers": ("minift", [name for name in public if name not in NOT_IN_TRANSFORMERS]),
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

"""Modules that stand in for those of the libraries: `import transformers` gives minift's names."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import huggingface_hub

from minift import PUBLIC
from minift.libraries import checks, verbosity
from minift.libraries.repository import Repository
from minift.model import outputs

OF_DATASETS = ("data.", "libraries.switches")
DATASETS = [
    *(name for module, names in PUBLIC.items() if module.startswith(OF_DATASETS) for name in names),
    "load_metric",
]
LOOP_TOOLS = [*PUBLIC["libraries.loop_tools"], "notebook_launcher"]
ACCELERATE = [
    *(name for module, names in PUBLIC.items() if module.startswith("accelerator.") for name in names),
    *LOOP_TOOLS,
]
LOADERS = ["BatchSamplerShard", "DataLoaderDispatcher", "DataLoaderShard", "IterableDatasetShard", "SkipBatchSampler"]
LOADERS += [*PUBLIC["accelerator.loaders"], *PUBLIC["accelerator.shares"]]
NESTS = ["DistributedOperationException", "broadcast", "broadcast_object_list", "concatenate", "copy_tensor_to_devices"]
NESTS += ["gather", "gather_object", "pad_across_processes", "reduce", "send_to_device"]
OWN = ["Chunker", "Tokenizer", "chunk_dataset", "freeze_masks", "use_fast_path"]  # names that no library has
# in submodules of transformers, in Keras or in evaluate
ELSEWHERE = ["ModelOutput", "PolynomialDecay", "PredictionOutput", "combine"]
OTHERS = [*DATASETS, *ACCELERATE, *OWN, *ELSEWHERE]
TRANSFORMERS = [name for names in PUBLIC.values() for name in names if name not in OTHERS]
FEATURES = [*PUBLIC["data.features"]]
COLLATORS = [name for name in TRANSFORMERS if "ollator" in name]
OUTPUTS = [name for name in vars(outputs) if name.endswith("Output")]
MODELS = [name for module, names in PUBLIC.items() if module.startswith("model.") for name in names]
BERT_MODELS = [name for name in MODELS if name.startswith("Bert")]
BERT_PARTS = ["BertEmbeddings", "BertLayer", "BertPooler"]
AUTO = [name for name in TRANSFORMERS if name.startswith("Auto")]
CALLBACKS = [*PUBLIC["train.callbacks"], *PUBLIC["train.progress"], *PUBLIC["train.state"]]
CHECKS = [name for name, value in vars(checks).items() if callable(value) and value.__module__ == checks.__name__]
CHECKS = [name for name in CHECKS if not name.startswith("_")]
UTILS = [
    *ACCELERATE,
    *NESTS,
    "set_seed",
    "synchronize_rng_states",
    *(one for one in CHECKS if one.endswith("available")),
]
TASKS = ("MASKED_LM", "MULTIPLE_CHOICE", "QUESTION_ANSWERING", "SEQUENCE_CLASSIFICATION", "TOKEN_CLASSIFICATION")
WITH_POOLING = ("WithPooling", "WithPoolingAndCrossAttentions")
TRAINING_ARGS = ["IntervalStrategy", "OptimizerNames", "ParallelMode", "TrainingArguments"]
TRAINER_UTILS = [
    "EvalLoopOutput",
    "EvalPrediction",
    "EvaluationStrategy",
    "HubStrategy",
    "IntervalStrategy",
    "PredictionOutput",
    "SaveStrategy",
    "SchedulerType",
    "TrainOutput",
    "enable_full_determinism",
    "get_last_checkpoint",
    "set_seed",
    "speed_metrics",
]
NOT_OF_LOGGING = ("logging", "lru_cache", "partial")
TRACKING = ["CodeCarbonCallback", "MLflowCallback", "TensorBoardCallback", "WandbCallback"]
LOGGING = [name for name in vars(verbosity) if not name.startswith("_") and name not in NOT_OF_LOGGING]

# module of the libraries -> the modules where its names are looked up, in order, and the names
MODULES: dict[str, tuple[str, list[str]]] = {
    "transformers": ("minift", TRANSFORMERS),
    "transformers.data": ("minift", []),
    "transformers.data.data_collator": ("minift", COLLATORS),
    "transformers.configuration_utils": ("minift", ["PreTrainedConfig", "PretrainedConfig"]),
    "transformers.debug_utils": ("minift", []),
    "transformers.hf_argparser": ("minift", ["HfArgumentParser"]),
    "transformers.integrations": ("minift.train.tracking", TRACKING),
    "transformers.keras_callbacks": ("minift", ["PushToHubCallback"]),
    "transformers.modeling_outputs": ("minift.model.outputs", OUTPUTS),
    "transformers.modeling_utils": ("minift", ["PreTrainedModel"]),
    "transformers.models": ("minift", []),
    "transformers.models.auto": ("minift", AUTO),
    "transformers.models.bert": ("minift", [name for name in TRANSFORMERS if name.startswith("Bert")]),
    "transformers.models.bert.configuration_bert": ("minift", ["BertConfig"]),
    "transformers.models.bert.modeling_bert": ("minift.model.bert minift", [*BERT_PARTS, *BERT_MODELS]),
    "transformers.models.bert.tokenization_bert": ("minift", ["BertTokenizer"]),
    "transformers.models.distilbert": ("minift", [name for name in TRANSFORMERS if name.startswith("DistilBert")]),
    "transformers.models.distilbert.modeling_distilbert": ("minift", [n for n in MODELS if n.startswith("DistilBert")]),
    "transformers.optimization": ("minift", ["AdamW", *PUBLIC["optim.schedule"]]),
    "transformers.pipelines": ("minift", ["pipeline"]),
    "transformers.pipelines.base": ("minift.pipelines.base", ["ChunkPipeline", "Pipeline"]),
    "transformers.pipelines.pt_utils": ("minift.pipelines.key_dataset", ["KeyDataset", "KeyPairDataset"]),
    "transformers.tokenization_utils_base": ("minift", ["BatchEncoding", "PreTrainedTokenizerBase"]),
    "transformers.tokenization_utils_fast": ("minift", ["PreTrainedTokenizerFast"]),
    "transformers.trainer": ("minift", ["Trainer", "TrainerCallback", "TrainerState", "TrainingArguments"]),
    "transformers.trainer_callback": ("minift", CALLBACKS),
    "transformers.trainer_pt_utils": ("minift.train.accelerator_config", ["AcceleratorConfig"]),
    "transformers.trainer_utils": ("minift.libraries.trainer_utils", TRAINER_UTILS),
    "transformers.training_args": ("minift.libraries.trainer_utils", TRAINING_ARGS),
    "transformers.utils": ("minift.libraries.checks", CHECKS),
    "transformers.utils.logging": ("minift.libraries.verbosity", LOGGING),
    "transformers.utils.versions": ("minift.libraries.checks", ["require_version"]),
    "datasets": ("minift", DATASETS),
    "datasets.arrow_dataset": ("minift", ["Dataset", "concatenate_datasets", "interleave_datasets"]),
    "datasets.combine": ("minift", ["concatenate_datasets", "interleave_datasets"]),
    "datasets.dataset_dict": ("minift", ["DatasetDict", "IterableDatasetDict"]),
    "datasets.distributed": ("minift", ["split_dataset_by_node"]),
    "datasets.features": ("minift", FEATURES),
    "datasets.features.features": ("minift", FEATURES),
    "datasets.info": ("minift", ["DatasetInfo"]),
    "datasets.inspect": ("minift", ["get_dataset_config_names", "get_dataset_split_names"]),
    "datasets.iterable_dataset": ("minift", ["IterableDataset"]),
    "datasets.load": ("minift", ["load_dataset", "load_from_disk"]),
    "datasets.splits": ("minift", ["NamedSplit", "Split"]),
    "datasets.utils": ("minift", [name for name in PUBLIC["libraries.switches"] if "bar" in name]),
    "datasets.utils.logging": ("minift.libraries.verbosity", LOGGING),
    "evaluate": ("minift.metrics.combined", ["combine", "load"]),
    "evaluate.utils": ("minift", []),
    "evaluate.utils.logging": ("minift.libraries.verbosity", LOGGING),
    "accelerate": ("minift", [*ACCELERATE, "set_seed"]),
    "accelerate.accelerator": ("minift", ACCELERATE),
    "accelerate.data_loader": ("minift.accelerator.loaders minift.accelerator.shares", LOADERS),
    "accelerate.logging": ("minift", ["get_logger"]),
    "accelerate.state": ("minift", PUBLIC["accelerator.state"]),
    "accelerate.tracking": ("minift", ["GeneralTracker"]),
    "accelerate.utils": ("minift.libraries.loop_tools minift.libraries.checks minift.accelerator.nests minift", UTILS),
    "accelerate.utils.dataclasses": ("minift", [*PUBLIC["accelerator.configuration"], "DistributedType"]),
    "accelerate.utils.memory": ("minift", ["find_executable_batch_size", "release_memory"]),
    "accelerate.utils.operations": ("minift.accelerator.nests", NESTS),
    "accelerate.utils.random": ("minift.libraries.loop_tools", ["set_seed", "synchronize_rng_states"]),
}
NAMES = "minift.libraries.names"
MAPPINGS = ["CONFIG_MAPPING", "MODEL_MAPPING", *(f"MODEL_FOR_{task}_MAPPING" for task in TASKS)]
PIPELINES = ["FeatureExtractionPipeline", "FillMaskPipeline", "Pipeline", "TextClassificationPipeline"]
PIPELINES += ["QuestionAnsweringPipeline", "TokenClassificationPipeline", "ZeroShotClassificationPipeline"]
PIPELINES += ["ChunkPipeline", "PIPELINE_REGISTRY"]
WEIGHTS_FILES = ["SAFE_WEIGHTS_INDEX_NAME", "SAFE_WEIGHTS_NAME", "WEIGHTS_INDEX_NAME", "WEIGHTS_NAME"]
STRATEGIES = ["PaddingStrategy", "TensorType", "TruncationStrategy"]
# module -> further names, of NAMES
MORE = {
    "transformers": [*MAPPINGS, *PIPELINES, *STRATEGIES, "AddedToken", "is_torch_xla_available"],
    "transformers.data.data_collator": [f"{kind}_default_data_collator" for kind in ("numpy", "tf", "torch")],
    "transformers.file_utils": [*STRATEGIES, "ModelOutput"],
    "transformers.modeling_outputs": [f"BaseModelOutput{rest}" for rest in ("", *WITH_POOLING)],
    "transformers.pipelines": PIPELINES,
    "transformers.tokenization_utils_base": [*STRATEGIES, "AddedToken"],
    "transformers.trainer": ["DEFAULT_CALLBACKS", "DEFAULT_PROGRESS_CALLBACK"],
    "transformers.trainer_callback": ["CallbackHandler"],
    "transformers.trainer_utils": ["PREFIX_CHECKPOINT_DIR"],
    "transformers.utils": [*STRATEGIES, "CONFIG_NAME", "ModelOutput", *WEIGHTS_FILES],
    "evaluate": ["EvaluationModule", "Metric"],
    "accelerate.launchers": ["notebook_launcher"],
    "accelerate.optimizer": ["AcceleratedOptimizer"],
    "accelerate.scheduler": ["AcceleratedScheduler"],
    "accelerate.utils": ["wait_for_everyone"],
}
for module, names in MORE.items():
    sources, present = MODULES.get(module, ("", []))
    MODULES[module] = (f"{sources} {NAMES}".strip(), [*present, *names])
# library -> the version that is re-implemented: its `__version__`, which scripts compare
VERSIONS = {"transformers": "5.23.0", "datasets": "5.2.0", "evaluate": "0.4.6", "accelerate": "1.15.0"}
LIBRARIES = tuple(VERSIONS)
ALIASES = {f"{library}.logging": f"{library}.utils.logging" for library in LIBRARIES[:3]}  # second names


class StandIn(ModuleType):
    """A module of the table MODULES; its names are imported from minift when they are first used.

    A missing name raises ImportError instead of AttributeError: for the latter, ``from … import …`` would replace the
    message, which lists what the module has.
    """

    def __init__(self, name: str):
        super().__init__(name, f"minift, standing in for {name}")
        self.__spec__ = ModuleSpec(name, None, is_package=True)
        if name in VERSIONS:
            self.__version__ = VERSIONS[name]
        self.__path__: list[str] = []  # a package, so that Python asks `RefuseTheRest` for missing submodules

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        sources, names = MODULES[self.__name__]
        if name not in names:
            raise ImportError(missing(self, name), name=self.__name__)
        modules = map(import_module, sources.split())
        value = next(getattr(module, name) for module in modules if hasattr(module, name))
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        submodules = [name.rpartition(".") for name in (*MODULES, *ALIASES)]
        return [*MODULES[self.__name__][1], *(name for parent, _, name in submodules if parent == self.__name__)]


class RefuseTheRest:
    """An import hook that Python asks first: submodules that are not in the table are not found anywhere else."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> None:
        parent, _, name = fullname.rpartition(".")
        if parent in MODULES:
            raise ModuleNotFoundError(missing(sys.modules[parent], name), name=fullname)


def missing(module: ModuleType, name: str) -> str:
    """Return the error message for a name that a stand-in does not have."""
    return f"minift has no {module.__name__}.{name}; its {module.__name__} has: {', '.join(dir(module))}"


@contextmanager
def stand_ins() -> Iterator[None]:
    """In the `with` block, imports of the four libraries give minift's names; afterwards all is as before."""
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in LIBRARIES}
    for name in before:
        del sys.modules[name]
    modules = {name: StandIn(name) for name in MODULES}
    modules |= {alias: modules[name] for alias, name in ALIASES.items()}
    for name, module in modules.items():
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(modules[parent], last, module)
    sys.modules.update(modules)
    sys.meta_path.insert(0, RefuseTheRest)
    lacks_repository = not hasattr(huggingface_hub, "Repository")  # which huggingface_hub 1 has dropped
    if lacks_repository:
        huggingface_hub.Repository = Repository
    try:
        yield
    finally:
        if lacks_repository:
            del huggingface_hub.Repository
        sys.meta_path.remove(RefuseTheRest)
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(before)

"""`minift run`: run a script with minift standing in for transformers, datasets, evaluate and accelerate."""

import logging
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_LOGGING = [
    *("get_logger", "get_verbosity", "set_verbosity"),
    *("set_verbosity_debug", "set_verbosity_info", "set_verbosity_warning", "set_verbosity_error"),
]

_COLLATORS = [
    *("DataCollatorForLanguageModeling", "DataCollatorForWholeWordMask", "DataCollatorWithPadding"),
    *("DefaultDataCollator", "default_data_collator"),
]

# module of the libraries -> module of minift -> the names that the first takes from the second
MODULES: dict[str, dict[str, list[str]]] = {
    "transformers": {
        "minift": [
            *("AdamW", "AutoConfig", "AutoModel", "AutoModelForMaskedLM", "AutoModelForSequenceClassification"),
            "AutoTokenizer",
            *("BatchEncoding", "BertConfig", "BertForMaskedLM", "BertForSequenceClassification", "BertModel"),
            *("BertTokenizer", "BertTokenizerFast", *_COLLATORS, "DistilBertConfig", "DistilBertForMaskedLM"),
            *("DistilBertForSequenceClassification", "DistilBertModel", "DistilBertTokenizer"),
            *("DistilBertTokenizerFast", "EarlyStoppingCallback", "EvalPrediction", "PretrainedConfig"),
            *("PreTrainedModel", "SchedulerType", "Trainer", "TrainerCallback", "TrainerControl", "TrainerState"),
            *("TrainingArguments", "get_constant_schedule"),
            *("get_constant_schedule_with_warmup", "get_cosine_schedule_with_warmup"),
            *("get_cosine_with_hard_restarts_schedule_with_warmup", "get_inverse_sqrt_schedule"),
            *("get_linear_schedule_with_warmup", "get_polynomial_decay_schedule_with_warmup", "get_scheduler"),
            *("pipeline", "set_seed"),
            *("PushToHubCallback", "TFAutoModel", "TFAutoModelForMaskedLM", "TFAutoModelForSequenceClassification"),
            *("TFBertForMaskedLM", "TFBertForSequenceClassification", "TFBertModel", "TFDistilBertForMaskedLM"),
            *("TFDistilBertForSequenceClassification", "TFDistilBertModel", "TFPreTrainedModel", "WarmUp"),
            "create_optimizer",
        ],
    },
    "transformers.keras_callbacks": {"minift": ["PushToHubCallback"]},
    "transformers.data": {},
    "transformers.data.data_collator": {"minift": _COLLATORS},
    "transformers.trainer_utils": {"minift": ["EvalPrediction", "PredictionOutput", "SchedulerType", "set_seed"]},
    "transformers.utils": {},
    "transformers.utils.logging": {"minift.libraries.standin": _LOGGING},
    "datasets": {
        "minift": [
            *("ClassLabel", "Dataset", "DatasetDict", "Features", "List", "Sequence", "Value"),
            *("concatenate_datasets", "load_dataset", "load_from_disk", "load_metric"),
        ],
    },
    "datasets.utils": {},
    "datasets.utils.logging": {"minift.libraries.standin": _LOGGING},
    "evaluate": {"minift.metrics.metrics": ["load"]},
    "evaluate.utils": {},
    "evaluate.utils.logging": {"minift.libraries.standin": _LOGGING},
    "accelerate": {
        "minift.accelerator.accelerator": ["Accelerator", "DataLoaderConfiguration"],
        "minift.distributed.launch": ["notebook_launcher"],
        "minift.train.seed": ["set_seed"],
    },
    "accelerate.utils": {
        "minift.accelerator.accelerator": ["DataLoaderConfiguration"],
        "minift.train.seed": ["set_seed"],
    },
}
# the same module under its second name
ALIASES = {
    "transformers.logging": "transformers.utils.logging",
    "datasets.logging": "datasets.utils.logging",
    "evaluate.logging": "evaluate.utils.logging",
}


class StandIn(ModuleType):
    """One of MODULES: its names are imported from minift when they are first used.

    A name that it does not have raises ImportError, not AttributeError, whose message Python's ``from … import …``
    would replace by its own.
    """

    def __init__(self, name: str):
        super().__init__(name, f"minift, standing in for {name}")
        self.__spec__ = ModuleSpec(name, None, is_package=True)
        self.__path__: list[str] = []  # a package, so that Python asks `_Finder` for submodules that are not there
        self._source_of = {public: source for source, names in MODULES[name].items() for public in names}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._source_of:
            raise ImportError(_missing(self.__name__, name), name=self.__name__)
        value = getattr(import_module(self._source_of[name]), name)
        setattr(self, name, value)
        return value

    def __dir__(self) -> list[str]:
        return sorted(_names_of(self.__name__))


def _names_of(module: str) -> list[str]:
    """The names and the submodules of a stand-in."""
    prefix = f"{module}."
    submodules = [name.removeprefix(prefix) for name in (*MODULES, *ALIASES) if name.startswith(prefix)]
    names = [name for names in MODULES[module].values() for name in names]
    return sorted([*names, *(name for name in submodules if "." not in name)])


def _missing(module: str, name: str) -> str:
    return f"minift has no {module}.{name}; its {module} has: {', '.join(_names_of(module))}"


class _Finder:
    """Asked first for every import: no part of the real libraries is to be found."""

    @staticmethod
    def find_spec(fullname: str, path: Any = None, target: Any = None) -> None:
        parent, _, name = fullname.rpartition(".")
        if parent in MODULES:
            raise ModuleNotFoundError(_missing(parent, name), name=fullname)


@contextmanager
def stand_ins() -> Iterator[None]:
    """In the `with` block, imports of the four libraries give minift's names."""
    roots = {name.partition(".")[0] for name in MODULES}
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in roots}
    for name in before:
        del sys.modules[name]
    modules = {name: StandIn(name) for name in MODULES}
    modules |= {alias: modules[name] for alias, name in ALIASES.items()}
    for name, module in modules.items():
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(modules[parent], last, module)
    sys.modules.update(modules)
    sys.meta_path.insert(0, _Finder)
    try:
        yield
    finally:
        sys.meta_path.remove(_Finder)
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def run(script: str, argv: Sequence[str] = ()) -> int:
    """Run the file `script` as ``python SCRIPT ARGS`` would, with minift in place of the libraries.

    `sys.argv`, `__main__`, `sys.path[0]` and the working directory are those that Python would set. An exception
    that the script does not catch is printed with the script's own frames only.

    Returns:
        The exit code: 0, or 1 after an exception. `SystemExit` passes through.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not os.path.isfile(script):
        raise FileNotFoundError(f"{script}: no such script")
    if "WORLD_SIZE" in os.environ:
        from minift.distributed.failure import report_uncaught

        sys.excepthook = report_uncaught
    argv_before, path_before = sys.argv, sys.path[:]
    sys.argv = [script, *argv]
    sys.path[0] = os.path.dirname(os.path.realpath(script))
    try:
        with stand_ins():
            try:
                runpy.run_path(script, run_name="__main__")
            except Exception as error:
                trace = error.__traceback__
                while trace is not None and trace.tb_frame.f_code.co_filename != script:
                    trace = trace.tb_next
                sys.excepthook(type(error), error.with_traceback(trace), trace)
                return 1
    finally:
        sys.argv, sys.path[:] = argv_before, path_before
    return 0


# -- transformers.logging, datasets.logging: the verbosity of minift's own messages


def get_logger(name: str | None = None) -> logging.Logger:
    return logging.getLogger(name or "minift")


def get_verbosity() -> int:
    return get_logger().getEffectiveLevel()


def set_verbosity(verbosity: int) -> None:
    get_logger().setLevel(verbosity)


def set_verbosity_debug() -> None:
    set_verbosity(logging.DEBUG)


def set_verbosity_info() -> None:
    set_verbosity(logging.INFO)


def set_verbosity_warning() -> None:
    set_verbosity(logging.WARNING)


def set_verbosity_error() -> None:
    set_verbosity(logging.ERROR)

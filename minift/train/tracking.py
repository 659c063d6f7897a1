"""Where the numbers of a run go besides the log: a small callback for each service that `report_to` names."""

import json
import logging
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from minift.report.event_file import EventFile
from minift.train.arguments import TrainingArguments
from minift.train.callbacks import TrainerCallback
from minift.train.state import TrainerState

logger = logging.getLogger(__name__)
MLFLOW_PARAMETERS, MLFLOW_LETTERS = 100, 500  # in one call, and in each value


class Tracking(TrainerCallback):
    """Tells a service when a run begins, what it logs and when it ends; only the first process speaks.

    A subclass has `name`, as in `report_to`, and three methods.
    """

    name = ""
    package: str | None = None  # which has to be installed

    def start(self, args: TrainingArguments, state: TrainerState, model: Any) -> None:
        """Begin a run, with its settings."""

    def write(self, logs: dict[str, Any], step: int) -> None:
        """Store an entry of the log; names are as in the log: ``loss``, ``eval_loss``."""

    def finish(self) -> None:
        """End the run."""

    is_open = False

    def on_train_begin(self, args, state, control, model=None, **objects):
        if state.is_world_process_zero and not self.is_open:
            self.client = import_client(self.name, self.package) if self.package else None
            self.start(args, state, model)
            self.is_open = True

    def on_log(self, args, state, control, logs=None, model=None, **objects):
        if state.is_world_process_zero:
            self.on_train_begin(args, state, control, model)  # an evaluation without training
            self.write(logs, state.global_step)

    def on_train_end(self, args, state, control, **objects):
        if self.is_open:
            self.finish()
            self.is_open = False


class TensorBoardCallback(Tracking):
    """Event files, which `tensorboard --logdir` shows: in `logging_dir`, or ``output_dir/runs/TIME_HOST``."""

    name = "tensorboard"

    def start(self, args, state, model):
        now = f"{time.strftime('%b%d_%H-%M-%S')}_{socket.gethostname()}"
        folder = os.environ.get("TENSORBOARD_LOGGING_DIR") or args.logging_dir or Path(args.output_dir, "runs", now)
        self.events = EventFile(Path(folder).expanduser())
        self.events.add_text("args", args.to_json_string())
        if hasattr(getattr(model, "config", None), "to_json_string"):
            self.events.add_text("model_config", model.config.to_json_string())

    def write(self, logs, step):
        texts = {name: value for name, value in by_stage(logs).items() if isinstance(value, str)}
        for name, value in texts.items():
            self.events.add_text(name, value, step)
        numbers = {name: value for name, value in by_stage(logs).items() if name not in texts}
        for name, value in numbers_of(numbers, self.name).items():
            self.events.add_scalar(name, value, step)

    def finish(self):
        self.events.close()


class JsonlCallback(Tracking):
    """``log.jsonl`` in `output_dir`: an object a line, as it is logged; a resumed run goes on in it."""

    name = "jsonl"

    def start(self, args, state, model):
        path = Path(args.output_dir, "log.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "a" if state.global_step else "w", encoding="utf-8")  # noqa: SIM115 - as long as the run

    def write(self, logs, step):
        self.file.write(json.dumps({**logs, "step": step}) + "\n")
        self.file.flush()

    def finish(self):
        self.file.close()


class WandbCallback(Tracking):
    """Weights & Biases, by its own client; the project is ``WANDB_PROJECT``, or huggingface."""

    name = package = "wandb"

    def start(self, args, state, model):
        config = {**model_config(model), **args.to_sanitized_dict()}
        project = os.environ.get("WANDB_PROJECT", "huggingface")
        self.client.init(project=project, name=args.run_name or args.output_dir, config=config)

    def write(self, logs, step):
        self.client.log({**by_stage(logs), "train/global_step": step})

    def finish(self):
        self.client.finish()


class MLflowCallback(Tracking):
    """MLflow, by its own client; the experiment is ``MLFLOW_EXPERIMENT_NAME``."""

    name = package = "mlflow"

    def start(self, args, state, model):
        self.client.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME"))
        self.client.start_run(run_name=args.run_name)
        for parameters in mlflow_parameters({**model_config(model), **args.to_sanitized_dict()}):
            self.client.log_params(parameters)

    def write(self, logs, step):
        numbers = numbers_of(logs, self.name)
        allowed = {re.sub(r"[^0-9A-Za-z_\-. :/]", "_", name): value for name, value in numbers.items()}
        self.client.log_metrics(allowed, step=step)

    def finish(self):
        self.client.end_run()


class CodeCarbonCallback(Tracking):
    """The energy that a run takes, by codecarbon's own tracker."""

    name = package = "codecarbon"

    def start(self, args, state, model):
        self.tracker = self.client.EmissionsTracker(output_dir=args.output_dir)
        self.tracker.start()

    def finish(self):
        self.tracker.stop()


SERVICES = {
    kind.name: kind for kind in (TensorBoardCallback, JsonlCallback, WandbCallback, MLflowCallback, CodeCarbonCallback)
}


def trackers_of(report_to: str | list[str] | None) -> list[Tracking]:
    """Make the callbacks that `report_to` names; "all" are those whose packages are installed, "none" none."""
    names = [report_to] if isinstance(report_to, str) else list(report_to or [])
    if names == ["none"]:
        return []
    if names == ["all"]:
        names = [name for name, kind in SERVICES.items() if kind.package is None or find_spec(kind.package)]
    for name in names:
        if SERVICES[name].package:
            import_client(name, SERVICES[name].package)  # now, and not when the first number comes
    return [SERVICES[name]() for name in names]


def import_client(name: str, package: str) -> Any:
    """Import a service's own package; an ImportError says what to install."""
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(f"report_to={name!r} needs the package {package}: pip install {package}") from error


def by_stage(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Rename entries of the log as the library does: ``loss`` -> ``train/loss``, ``eval_f1`` -> ``eval/f1``."""
    return {stage_of(name): value for name, value in logs.items()}


def stage_of(name: str) -> str:
    for stage in ("eval", "test"):
        if name.startswith(f"{stage}_"):
            return f"{stage}/{name.removeprefix(f'{stage}_')}"
    return f"train/{name}"


def numbers_of(values: Mapping[str, Any], service: str) -> dict[str, int | float]:
    """Return the numbers among the values, also those of tensors with one element; warn of the others."""
    found = {name: v.item() if isinstance(v, torch.Tensor) and v.numel() == 1 else v for name, v in values.items()}
    for name, value in found.items():
        if not isinstance(value, int | float):
            logger.warning("%s: %s is not stored: it is %r, not a number", service, name, value)
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


def mlflow_parameters(values: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the settings of a run as MLflow takes them, some in each call; warn of those that are too long for it."""
    texts = {name: str(value) for name, value in values.items()}
    for name, text in texts.items():
        if len(text) > MLFLOW_LETTERS:
            logger.warning("mlflow: %s is not stored: %d characters, more than %d", name, len(text), MLFLOW_LETTERS)
    kept = iter([(name, text) for name, text in texts.items() if len(text) <= MLFLOW_LETTERS])
    while part := dict(islice(kept, MLFLOW_PARAMETERS)):
        yield part


def model_config(model: Any) -> dict[str, Any]:
    config = getattr(model, "config", None)
    return config.to_dict() if hasattr(config, "to_dict") else {}

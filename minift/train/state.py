"""How far a run has come, and the switches that callbacks set."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from minift.files import read_json_object, write_json
from minift.train.arguments import TrainingArguments


@dataclasses.dataclass
class TrainerState:
    """Everything about a run that is written to ``trainer_state.json``, in the fields transformers gives it."""

    epoch: float = 0
    global_step: int = 0
    max_steps: int = 0
    logging_steps: float = 500
    eval_steps: float | None = 500
    save_steps: float = 500
    train_batch_size: int | None = None
    num_train_epochs: int = 0
    num_input_tokens_seen: int = 0
    total_flos: float = 0
    log_history: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best_metric: float | None = None
    best_global_step: int | None = None
    best_model_checkpoint: str | None = None
    is_local_process_zero: bool = True
    is_world_process_zero: bool = True
    is_hyper_param_search: bool = False
    trial_name: str | None = None
    trial_params: dict[str, Any] | None = None
    stateful_callbacks: dict[str, Any] = dataclasses.field(default_factory=dict)

    def set_intervals(self, args: TrainingArguments, max_steps: int) -> None:
        """Take over the logging, evaluation and saving intervals; below 1 they are a share of all steps."""
        self.max_steps = max_steps
        for name in ("logging_steps", "eval_steps", "save_steps"):
            every = getattr(args, name)
            if every is not None:
                setattr(self, name, math.ceil(max_steps * every) if every < 1 else every)

    def note_best(self, args: TrainingArguments, metrics: Mapping[str, float]) -> bool:
        """Remember this step if `metric_for_best_model` is better than ever before; return whether it is.

        Raises:
            KeyError: the evaluation gave no such metric.
        """
        if args.metric_for_best_model is None:
            return False
        value, best = watched_metric(args, metrics), self.best_metric
        if math.isnan(value) or (best is not None and not (value > best if args.greater_is_better else value < best)):
            return False
        self.best_metric, self.best_global_step = value, self.global_step
        return True

    compute_steps = set_intervals  # transformers' name

    def save_to_json(self, json_path: str) -> None:
        """Write all fields to a file, whole or not at all."""
        write_json(json_path, dataclasses.asdict(self))

    @classmethod
    def load_from_json(cls, json_path: str) -> "TrainerState":
        """Read what `save_to_json`, or transformers, has written."""
        return cls.from_json(read_json_object(json_path))

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "TrainerState":
        """Read the fields that this release knows."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})


@dataclasses.dataclass
class TrainerControl:
    """The switches that a callback may set; the loop obeys and resets them."""

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False

    def state(self) -> dict[str, Any]:
        """The switches, in the form in which transformers keeps those of callbacks."""
        return {"args": dataclasses.asdict(self), "attributes": {}}


def metric_name(args: TrainingArguments) -> str:
    """The name that `metric_for_best_model` has among the metrics of an evaluation."""
    return "eval_" + args.metric_for_best_model.removeprefix("eval_")


def watched_metric(args: TrainingArguments, metrics: Mapping[str, float]) -> float:
    """Look up `metric_for_best_model` among the metrics of an evaluation.

    Raises:
        KeyError: it is not there.
    """
    name = metric_name(args)
    if name not in metrics:
        raise KeyError(f"metric_for_best_model names {name!r}; the evaluation gave {sorted(metrics)}")
    return metrics[name]

"""What happens at which step: the run's state, the switches that callbacks set, and the callbacks everyone gets."""

import dataclasses
import logging
import math
from collections.abc import Mapping
from typing import Any

from tqdm.auto import tqdm

from minift.train.arguments import TrainingArguments

logger = logging.getLogger(__name__)


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
        """Remember this step if `metric_for_best_model` is better than ever before, and say so.

        Raises:
            KeyError: the evaluation gave no such metric.
        """
        if args.metric_for_best_model is None:
            return False
        value, best = _watched(args, metrics), self.best_metric
        if best is not None and not (value > best if args.greater_is_better else value < best):
            return False
        self.best_metric, self.best_global_step = value, self.global_step
        return True

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "TrainerState":
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


# event -> the switches that go off when it begins
RESETS = {
    "on_train_begin": ("should_training_stop",),
    "on_epoch_begin": ("should_epoch_stop",),
    "on_step_begin": ("should_save", "should_evaluate", "should_log"),
    "on_evaluate": ("should_evaluate",),
    "on_save": ("should_save",),
    "on_log": ("should_log",),
}


class TrainerCallback:
    """A listener: override the events you need. Each is called as ``event(args, state, control, **objects)``.

    `objects` are `model`, `processing_class`, `optimizer`, `lr_scheduler` and, where they make sense, `logs`,
    `metrics`, `train_dataloader` and `eval_dataloader`. The events are those of transformers' `TrainerCallback`.
    """

    def _nothing(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **objects: Any) -> None:
        """The default of every event."""

    on_init_end = on_train_begin = on_train_end = on_epoch_begin = on_epoch_end = _nothing
    on_step_begin = on_pre_optimizer_step = on_optimizer_step = on_substep_end = on_step_end = _nothing
    on_evaluate = on_predict = on_prediction_step = on_save = on_log = _nothing

    def state(self) -> dict[str, Any]:
        """What the callback remembers, as JSON: saved with every checkpoint and given back to `load_state`."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        vars(self).update(state)


class CallbackHandler:
    """Holds the callbacks of a Trainer and tells them of every event."""

    def __init__(self, callbacks: list[TrainerCallback | type[TrainerCallback]]):
        self.control, self.callbacks = TrainerControl(), []
        for callback in callbacks:
            self.add_callback(callback)

    def fire(self, event: str, **objects: Any) -> None:
        """Tell every callback of an event, and turn off the switches that it answers."""
        for switch in RESETS.get(event, ()):
            setattr(self.control, switch, False)
        objects |= {"model": self.model, "processing_class": self.processing_class}
        objects |= {"optimizer": self.optimizer, "lr_scheduler": self.lr_scheduler}
        for callback in self.callbacks:
            changed = getattr(callback, event)(self.args, self.state, self.control, **objects)
            self.control = changed if changed is not None else self.control

    def add_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        """Append a callback, or one made from a class."""
        self.callbacks.append(callback() if isinstance(callback, type) else callback)

    def pop_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> TrainerCallback | None:
        """Take a callback, or the first of a class, out of the list; None if it is not there."""
        for found in self.callbacks:
            if found is callback or (isinstance(callback, type) and type(found) is callback):
                self.callbacks.remove(found)
                return found
        return None

    def remove_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        """`pop_callback` without its result."""
        self.pop_callback(callback)


class DefaultFlowCallback(TrainerCallback):
    """Logs, evaluates and saves at the intervals that the arguments name, and stops at the last step."""

    def on_step_end(self, args, state, control, **objects):
        step, last = state.global_step, state.global_step >= state.max_steps
        if args.logging_strategy == "steps" and step % state.logging_steps == 0:
            control.should_log = True
        if args.logging_first_step and step == 1:
            control.should_log = True
        if args.eval_strategy == "steps" and step >= args.eval_delay and (step % state.eval_steps == 0 or last):
            control.should_evaluate = True
        if args.save_strategy == "steps" and (step % state.save_steps == 0 or last):
            control.should_save = True
        if last:
            control.should_training_stop = True

    def on_epoch_end(self, args, state, control, **objects):
        if args.logging_strategy == "epoch":
            control.should_log = True
        if args.eval_strategy == "epoch" and state.epoch >= args.eval_delay:
            control.should_evaluate = True
        if args.save_strategy == "epoch":
            control.should_save = True


class ProgressCallback(TrainerCallback):
    """A progress bar for training, another for evaluation, and a line for each entry of the log."""

    def __init__(self):
        self.training_bar = self.prediction_bar = None

    def state(self):
        return {}

    def on_train_begin(self, args, state, control, **objects):
        self.training_bar = tqdm(total=state.max_steps, initial=state.global_step, dynamic_ncols=True)

    def on_step_end(self, args, state, control, **objects):
        self.training_bar.update(state.global_step - self.training_bar.n)

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **objects):
        if self.prediction_bar is None:
            self.prediction_bar = tqdm(total=len(eval_dataloader), leave=self.training_bar is None, dynamic_ncols=True)
        self.prediction_bar.update()

    def on_evaluate(self, args, state, control, **objects):
        if self.prediction_bar is not None:
            self.prediction_bar.close()
            self.prediction_bar = None

    on_predict = on_evaluate

    def on_log(self, args, state, control, logs=None, **objects):
        if self.training_bar is not None:
            self.training_bar.write(format_log(logs))

    def on_train_end(self, args, state, control, **objects):
        self.training_bar.close()
        self.training_bar = None


class PrinterCallback(TrainerCallback):
    """A line for each entry of the log, for runs without a progress bar."""

    def on_log(self, args, state, control, logs=None, **objects):
        print(format_log(logs), flush=True)


class EarlyStoppingCallback(TrainerCallback):
    """Stops when `metric_for_best_model` has not improved for `early_stopping_patience` evaluations.

    An improvement has to exceed `early_stopping_threshold`.
    """

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float = 0.0):
        self.patience, self.threshold = early_stopping_patience, early_stopping_threshold
        self.waited = 0

    def state(self):
        return {"waited": self.waited}

    def on_train_begin(self, args, state, control, **objects):
        if args.metric_for_best_model is None or args.eval_strategy == "no":
            raise ValueError("EarlyStoppingCallback needs metric_for_best_model and an eval_strategy other than 'no'")

    def on_evaluate(self, args, state, control, metrics=None, **objects):
        value, best = _watched(args, metrics), state.best_metric
        gain = 0.0 if best is None else (value - best if args.greater_is_better else best - value)
        self.waited = 0 if best is None or gain > self.threshold else self.waited + 1
        if self.waited >= self.patience:
            control.should_training_stop = True


def _watched(args: TrainingArguments, metrics: Mapping[str, float]) -> float:
    """The value of `metric_for_best_model`."""
    name = "eval_" + args.metric_for_best_model.removeprefix("eval_")
    if name not in metrics:
        raise KeyError(f"metric_for_best_model names {name!r}; the evaluation gave {sorted(metrics)}")
    return metrics[name]


def format_log(logs: dict[str, Any]) -> str:
    """One entry of the log as text, floats to four digits: ``{'loss': '0.5447', 'epoch': '1.09'}``."""
    short = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in logs.items()}
    return str({name: value for name, value in short.items() if name != "total_flos"})

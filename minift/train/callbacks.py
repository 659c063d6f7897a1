"""Callbacks: what others want to do at certain moments of a run, and who tells them that a moment has come."""

from functools import partialmethod
from typing import Any

from minift.train.arguments import TrainingArguments
from minift.train.state import TrainerControl, TrainerState, metric_name, watched_metric

# event -> the switches that go off when it begins
RESETS = {
    "on_train_begin": ("should_training_stop",),
    "on_epoch_begin": ("should_epoch_stop",),
    "on_step_begin": ("should_save", "should_evaluate", "should_log"),
    "on_evaluate": ("should_evaluate",),
    "on_save": ("should_save",),
    "on_log": ("should_log",),
}

SHOWN = {"on_evaluate": "metrics", "on_predict": "metrics", "on_log": "logs"}  # what else an event has to show


class TrainerCallback:
    """A listener: override the events you need. Each is called as ``event(args, state, control, **objects)``.

    `objects` are `model`, `processing_class`, `optimizer`, `lr_scheduler`, `train_dataloader`, `eval_dataloader` and,
    where they make sense, `logs` and `metrics`. The events are those of transformers' `TrainerCallback`.
    """

    def _nothing(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **objects: Any) -> None:
        """The default of every event."""

    on_init_end = on_train_begin = on_train_end = on_epoch_begin = on_epoch_end = _nothing
    on_step_begin = on_pre_optimizer_step = on_optimizer_step = on_substep_end = on_step_end = _nothing
    on_evaluate = on_predict = on_prediction_step = on_save = on_log = _nothing

    def state(self) -> dict[str, Any]:
        """Return what the callback remembers, as JSON: saved with every checkpoint and given back to `load_state`.

        transformers' form, ``{"args": {…}, "attributes": {…}}``, also stands in ``trainer_state.json``, and is given
        back only with `restore_callback_states_from_checkpoint`.
        """
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned."""
        vars(self).update(state["args"] | state["attributes"] if is_exported(state) else state)


def is_exported(state: dict[str, Any]) -> bool:
    """Whether a callback's state is in the form of transformers' `ExportableState`."""
    return state.keys() == {"args", "attributes"}


class CallbackHandler:
    """The callbacks of a Trainer. ``handler.on_step_end(run)`` tells all of them, in their order."""

    def __init__(self, callbacks: list[TrainerCallback | type[TrainerCallback]], run: Any = None):
        self.run = run  # what an event in the library's form is about
        self.callbacks: list[TrainerCallback] = []
        for callback in callbacks:
            self.add_callback(callback)

    def call_event(self, event: str, run: Any, *state_and_control: Any, **objects: Any) -> TrainerControl:
        """Turn off the switches that an event answers, then tell every callback of it; return the switches.

        The callbacks get to see the parts of `run`, and `objects`: what else this event has to show, such as `logs`.
        Also takes the library's form, which user code has: ``call_event(event, args, state, control, metrics)``.
        """
        if state_and_control:
            run, (_, control, *shown) = self.run, state_and_control
            run.control = control
            objects |= zip([SHOWN.get(event)], shown, strict=False)
        for switch in RESETS.get(event, ()):
            setattr(run.control, switch, False)
        for name in ("model", "processing_class", "optimizer", "lr_scheduler"):
            objects[name] = getattr(run, name)
        objects = {"train_dataloader": run.loader, "eval_dataloader": run.eval_loader} | objects
        for callback in self.callbacks:
            changed = getattr(callback, event)(run.args, run.state, run.control, **objects)
            run.control = changed if changed is not None else run.control
        return run.control

    on_init_end = partialmethod(call_event, "on_init_end")
    on_train_begin = partialmethod(call_event, "on_train_begin")
    on_epoch_begin = partialmethod(call_event, "on_epoch_begin")
    on_step_begin = partialmethod(call_event, "on_step_begin")
    on_pre_optimizer_step = partialmethod(call_event, "on_pre_optimizer_step")
    on_optimizer_step = partialmethod(call_event, "on_optimizer_step")
    on_substep_end = partialmethod(call_event, "on_substep_end")
    on_step_end = partialmethod(call_event, "on_step_end")
    on_log = partialmethod(call_event, "on_log")
    on_prediction_step = partialmethod(call_event, "on_prediction_step")
    on_evaluate = partialmethod(call_event, "on_evaluate")
    on_predict = partialmethod(call_event, "on_predict")
    on_save = partialmethod(call_event, "on_save")
    on_epoch_end = partialmethod(call_event, "on_epoch_end")
    on_train_end = partialmethod(call_event, "on_train_end")

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


class DefaultFlowCallback(TrainerCallback):
    """When a run is logged, evaluated and saved, and when it stops: at the intervals that the arguments name.

    This is the only place that decides it, besides callbacks of the user's own. It is asked after every step and after
    every epoch; the Trainer then does what is switched on.
    """

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
        if metric_name(args) not in metrics:  # of several evaluation sets, this is another one
            return
        value, best = watched_metric(args, metrics), state.best_metric
        gain = 0.0 if best is None else (value - best if args.greater_is_better else best - value)
        self.waited = 0 if best is None or gain > self.threshold else self.waited + 1
        if self.waited >= self.patience:
            control.should_training_stop = True

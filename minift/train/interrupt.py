"""Ctrl-C and SIGTERM: the step that is under way ends, a checkpoint is written, and the run stops."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from minift.distributed.exchange import largest_over_ranks
from minift.train.callbacks import TrainerCallback
from minift.train.checkpoint import get_last_checkpoint
from minift.train.trainer import Trainer

logger = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal, and can go on. `signal` is its number."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.signal = number


class StopOnSignal(TrainerCallback):
    """Stops a run, with a checkpoint, after the step in which a signal has come to any of its ranks."""

    def __init__(self):
        self.received = 0  # the number of the signal

    def receive(self, number: int, frame: Any) -> None:
        if self.received:
            raise KeyboardInterrupt("stopped at once")
        self.received = number
        logger.warning("stopping after this step, with a checkpoint; once more stops at once")

    def on_step_end(self, args, state, control, **objects):
        if args.world_size > 1:  # all ranks stop after the same step
            self.received = int(largest_over_ranks(torch.tensor(float(self.received), device=args.device)))
        if self.received:
            control.should_save = control.should_training_stop = True

    def on_epoch_end(self, args, state, control, **objects):
        if self.received:  # the checkpoint is there; what comes after it would not be resumed
            control.should_log = control.should_evaluate = control.should_save = False


@contextmanager
def stops_on_signals(trainer: Trainer) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end the training in this block after a step; then an `Interrupted` says where it stands.

    In a thread other than the main one, signals do what they did before.
    """
    stop = StopOnSignal()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    trainer.add_callback(stop)
    try:
        yield
    finally:
        trainer.remove_callback(stop)
        for number, handler in before.items():
            signal.signal(number, handler)
    state = trainer.state
    if stop.received and state.global_step < state.max_steps:
        checkpoint = get_last_checkpoint(trainer.args.output_dir)
        raise Interrupted(
            f"stopped after step {state.global_step:,} of {state.max_steps:,}, saved as {checkpoint}", stop.received
        )

"""Ctrl-C and SIGTERM: the step that is under way ends, a checkpoint is written, and the run stops."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from minift.distributed.exchange import largest_over_ranks
from minift.train.callbacks import TrainerCallback
from minift.train.checkpoint import get_last_checkpoint
from minift.train.trainer import Trainer

SAID = b"\nstopping after this step, with a checkpoint; once more stops at once\n"


class Interrupted(KeyboardInterrupt):
    """A run was stopped by a signal, and can go on. `signal` is its number."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.signal = number


class StopOnSignal(TrainerCallback):
    """Stops a run, with a checkpoint, after the step in which a signal has come to any of its ranks."""

    def __init__(self):
        self.received, self.at = 0, 0.0  # the number of the signal, and when it came
        self.stops = 0  # the number of the signal for which all ranks stop

    def receive(self, number: int, frame: Any) -> None:
        """Note a signal. One that comes within a second is the same: torchrun passes on what its processes have got."""
        if self.received and time.monotonic() - self.at > 1:
            raise KeyboardInterrupt("stopped at once")
        if not self.received:
            self.received, self.at = number, time.monotonic()
            # not through the log, which may be in the middle of a line
            os.write(sys.__stderr__.fileno(), SAID)

    def on_step_end(self, args, state, control, **objects):
        self.stops = self.received
        if args.world_size > 1:  # all ranks stop after the same step
            self.stops = int(largest_over_ranks(torch.tensor(float(self.received), device=args.device)))
        if self.stops:
            control.should_save = control.should_training_stop = True

    def on_epoch_end(self, args, state, control, **objects):
        if self.stops:  # the checkpoint is there; what comes after it would not be resumed
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
    if stop.stops and state.global_step < state.max_steps:
        checkpoint = get_last_checkpoint(trainer.args.output_dir)
        place = f"step {state.global_step:,} of {state.max_steps:,}"
        raise Interrupted(f"stopped after {place}, saved as {checkpoint}", stop.stops)

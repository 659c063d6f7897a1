"""Signals: the first ends a run after a step, a later one at once, and what was there before comes back."""

import os
import signal
import threading
from types import SimpleNamespace

import pytest

from minift.train.arguments import TrainingArguments
from minift.train.callbacks import TrainerCallback
from minift.train.checkpoint import checkpoints
from minift.train.interrupt import Interrupted, StopOnSignal, stops_on_signals
from minift.train.state import TrainerControl
from minift.train.trainer import Trainer
from tests.tiny import PadRows, tiny_model, tiny_rows


@pytest.fixture
def trainer_for(tmp_path):
    def make(callbacks=(), **options):
        args = TrainingArguments(str(tmp_path), save_strategy="no", disable_tqdm=True, **options)
        return Trainer(tiny_model(), args, PadRows(), train_dataset=tiny_rows(16), callbacks=list(callbacks))

    return make


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr("minift.train.interrupt.time.monotonic", lambda: now.seconds)
    return now


def test_the_first_asks_for_a_checkpoint_and_a_later_one_stops_at_once(clock):
    stop, control = StopOnSignal(), TrainerControl()
    args = SimpleNamespace(world_size=1)
    stop.on_step_end(args, None, control)
    assert not control.should_training_stop
    stop.receive(signal.SIGINT, None)
    stop.receive(signal.SIGTERM, None)  # torchrun passes on what its processes have got already
    control.should_evaluate = True
    stop.on_step_end(args, None, control)
    stop.on_epoch_end(args, None, control)
    assert (control.should_training_stop, control.should_evaluate, stop.stops) == (True, False, signal.SIGINT)
    clock.seconds += 2
    with pytest.raises(KeyboardInterrupt, match="stopped at once"):
        stop.receive(signal.SIGINT, None)


def test_a_signal_after_the_step_waits_for_the_next_one():
    """All ranks must do the same at the end of an epoch, whenever the signal comes to each."""
    stop, control = StopOnSignal(), TrainerControl()
    stop.on_step_end(SimpleNamespace(world_size=1), None, control)
    stop.receive(signal.SIGINT, None)
    control.should_evaluate = True
    stop.on_epoch_end(None, None, control)
    assert control.should_evaluate


class Send(TrainerCallback):
    """Sends a signal to this process within a step."""

    def __init__(self, number, step):
        self.number, self.step = number, step

    def on_optimizer_step(self, args, state, control, **objects):
        if state.global_step == self.step - 1:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_says_where_it_stopped(trainer_for, tmp_path, number):
    before = signal.getsignal(number)
    trainer = trainer_for(num_train_epochs=3, callbacks=[Send(number, 4)])
    said = r"stopped after step 4 of \d+, saved as .*checkpoint-4"
    with pytest.raises(Interrupted, match=said) as stopped, stops_on_signals(trainer):
        trainer.train()
    assert stopped.value.signal == number
    assert signal.getsignal(number) is before
    assert [folder.name for folder in checkpoints(tmp_path)] == ["checkpoint-4"]


def test_a_signal_in_the_last_step_lets_the_run_end(trainer_for):
    trainer = trainer_for(max_steps=3, callbacks=[Send(signal.SIGINT, 3)])
    with stops_on_signals(trainer):
        assert trainer.train().global_step == 3


def test_in_another_thread_signals_are_left_alone(trainer_for):
    trainer, seen = trainer_for(max_steps=1), []

    def train():
        with stops_on_signals(trainer):
            seen.append(trainer.train().global_step)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen == [1]

"""A run that is stopped and resumed gives the bits of one that is not."""

import shutil

import pytest
import torch

from minift import Dataset, EarlyStoppingCallback, Trainer, TrainingArguments
from minift.train.callbacks import TrainerCallback
from minift.train.checkpoint import checkpoints, get_last_checkpoint, rotate_checkpoints
from tests.tiny import NoisyRows, tiny_model, tiny_rows


def make(folder, collator, callbacks=(), shards=0, **options):
    settings = dict(num_train_epochs=3, logging_steps=2, save_steps=1, eval_strategy="epoch", disable_tqdm=True)
    args = TrainingArguments(str(folder), **(settings | options))
    rows, evaluation = tiny_rows(42), tiny_rows(42)[:9]
    if shards:
        rows = Dataset.from_list(rows).to_iterable_dataset(shards).shuffle(1, buffer_size=9)
        evaluation = Dataset.from_list(evaluation).to_iterable_dataset()
    return Trainer(tiny_model(), args, collator, train_dataset=rows, eval_dataset=evaluation, callbacks=list(callbacks))


def history(trainer):
    timings = ("runtime", "per_second")
    return [{k: v for k, v in entry.items() if not k.endswith(timings)} for entry in trainer.state.log_history]


@pytest.mark.parametrize("seed", [None, 7], ids=["global generator", "the collator's own"])
@pytest.mark.parametrize(
    ("options", "stop"),
    [
        ({}, 1),
        ({}, 6),  # the last step of an epoch: its evaluation comes after the checkpoint
        ({}, 8),
        ({"save_strategy": "epoch"}, 6),
        ({"logging_strategy": "epoch"}, 6),
        ({"gradient_accumulation_steps": 4}, 3),
        ({"group_by_length": True}, 8),
        ({"shards": 3, "max_steps": 14}, 4),
        ({"shards": 3, "max_steps": 14}, 12),  # at the end of an epoch, which is not known yet
        ({"shards": 3, "max_steps": 9, "gradient_accumulation_steps": 4}, 3),
    ],
    ids=str,
)
def test_resumed_run_is_equal_to_the_bit(tmp_path, seed, options, stop):
    whole = make(tmp_path / "whole", NoisyRows(seed), **({"save_steps": stop} | options))
    whole.train()
    assert whole.state.max_steps > stop
    resumed = make(tmp_path / "resumed", NoisyRows(seed), **({"save_strategy": "no"} | options))
    torch.rand(3)  # whatever the generators were at, the checkpoint's state counts
    resumed.train(str(tmp_path / "whole" / f"checkpoint-{stop}"))
    assert history(resumed) == history(whole)
    for (name, got), want in zip(resumed.model.state_dict().items(), whole.model.state_dict().values(), strict=True):
        assert torch.equal(got, want), name


@pytest.mark.parametrize("max_steps", [4, 6], ids=["in an epoch", "at its end"])
def test_a_run_resumed_at_its_end_takes_no_step(tmp_path, max_steps):
    whole = make(tmp_path, NoisyRows(), max_steps=max_steps)
    whole.train()
    resumed = make(tmp_path, NoisyRows(), max_steps=max_steps)
    assert resumed.train(True).global_step == max_steps
    assert [entry for entry in history(resumed) if "loss" in entry] == [e for e in history(whole) if "loss" in e]
    for (name, got), want in zip(resumed.model.state_dict().items(), whole.model.state_dict().values(), strict=True):
        assert torch.equal(got, want), name


def test_resumed_run_with_workers_is_equal_to_the_bit(tmp_path):
    options = dict(dataloader_num_workers=1, num_train_epochs=1, save_steps=3)
    whole = make(tmp_path / "whole", NoisyRows(), **options)
    whole.train()
    resumed = make(tmp_path / "resumed", NoisyRows(), **options)
    resumed.train(str(tmp_path / "whole" / "checkpoint-3"))
    assert history(resumed) == history(whole)


class Interrupt(TrainerCallback):
    """Dies at a step, as a killed process would."""

    def on_step_end(self, args, state, control, **objects):
        if state.global_step == 5:
            raise KeyboardInterrupt


def test_interrupted_run_continues_from_its_newest_checkpoint(tmp_path):
    whole = make(tmp_path / "whole", NoisyRows())
    whole.train()
    first = make(tmp_path / "run", NoisyRows(), callbacks=[Interrupt])
    with pytest.raises(KeyboardInterrupt):
        first.train()
    assert get_last_checkpoint(tmp_path / "run").endswith("checkpoint-4")
    second = make(tmp_path / "run", NoisyRows())
    second.train(resume_from_checkpoint=True)
    assert history(second) == history(whole)


def test_ignore_data_skip_begins_the_epoch_anew(tmp_path):
    make(tmp_path / "run", NoisyRows()).train()
    trainer = make(tmp_path / "again", NoisyRows(), ignore_data_skip=True, max_steps=7)
    trainer.train(str(tmp_path / "run" / "checkpoint-4"))
    assert trainer.state.global_step == 7
    assert trainer.state.epoch == pytest.approx(3 / 6)


def test_callbacks_keep_what_they_remember(tmp_path):
    options = dict(metric_for_best_model="loss", num_train_epochs=2)
    patience = EarlyStoppingCallback(early_stopping_patience=5)
    make(tmp_path / "run", NoisyRows(), callbacks=[patience], **options).train()
    fresh = EarlyStoppingCallback(early_stopping_patience=5)
    trainer = make(tmp_path / "more", NoisyRows(), callbacks=[fresh], num_train_epochs=2, metric_for_best_model="loss")
    trainer.train(get_last_checkpoint(tmp_path / "run"))
    assert fresh.waited == patience.waited


def test_checkpoint_holds_no_pickle(tmp_path):
    make(tmp_path, NoisyRows(), max_steps=1).train()
    names = {path.name for path in (tmp_path / "checkpoint-1").iterdir()}
    assert names == {
        "config.json",
        "model.safetensors",
        "optimizer.safetensors",
        "resume.json",
        "trainer_state.json",
        "training_args.json",
    }


def test_incomplete_checkpoints_are_not_taken(tmp_path):
    make(tmp_path, NoisyRows(), max_steps=2).train()
    (tmp_path / "checkpoint-2" / "trainer_state.json").unlink()
    assert get_last_checkpoint(tmp_path).endswith("checkpoint-1")


def test_resuming_needs_a_checkpoint(tmp_path):
    trainer = make(tmp_path / "empty", NoisyRows())
    with pytest.raises(ValueError, match="no complete checkpoint in .*empty"):
        trainer.train(resume_from_checkpoint=True)
    with pytest.raises(FileNotFoundError, match="nowhere is not a checkpoint: it has no trainer_state.json"):
        trainer.train(str(tmp_path / "nowhere"))


def test_a_checkpoint_that_cannot_be_resumed_from_says_why(tmp_path):
    make(tmp_path, NoisyRows(), max_steps=1, save_only_model=True).train()
    with pytest.raises(FileNotFoundError, match="pickled optimizer state minift does not open"):
        make(tmp_path, NoisyRows()).train(str(tmp_path / "checkpoint-1"))


def test_a_truncated_model_file_is_named(tmp_path):
    make(tmp_path, NoisyRows(), max_steps=1).train()
    file = tmp_path / "checkpoint-1" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"checkpoint-1/model.safetensors does not hold the weights"):
        make(tmp_path, NoisyRows()).train(str(tmp_path / "checkpoint-1"))


def test_a_truncated_optimizer_file_is_named(tmp_path):
    make(tmp_path, NoisyRows(), max_steps=1).train()
    file = tmp_path / "checkpoint-1" / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"checkpoint-1/optimizer.safetensors is damaged"):
        make(tmp_path, NoisyRows()).train(str(tmp_path / "checkpoint-1"))


@pytest.mark.parametrize(
    ("limit", "best", "kept"),
    [
        (None, None, [1, 2, 3, 4]),
        (2, None, [3, 4]),
        (1, None, [4]),
        (1, 2, [2, 4]),
        (2, 2, [2, 4]),
        (3, 2, [2, 3, 4]),
        (2, 4, [3, 4]),
    ],
)
def test_rotation_keeps_the_newest_and_the_best(tmp_path, limit, best, kept):
    for step in range(1, 5):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text("{}")
    rotate_checkpoints(tmp_path, limit, best and str(tmp_path / f"checkpoint-{best}"))
    assert [int(folder.name.split("-")[1]) for folder in checkpoints(tmp_path)] == kept


def test_a_full_disk_leaves_no_half_checkpoint(tmp_path, monkeypatch):
    trainer = make(tmp_path, NoisyRows(), max_steps=1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minift.train.checkpoint.save_optimizer", full)
    with pytest.raises(OSError, match="No space left"):
        trainer.train()
    assert not list(tmp_path.glob("*checkpoint*"))
    shutil.rmtree(tmp_path)

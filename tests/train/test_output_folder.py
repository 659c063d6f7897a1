"""A run in a folder with checkpoints of another one: nothing that either has written is lost without a word."""

import os

import pytest

from minift.train.arguments import TrainingArguments
from minift.train.trainer import Trainer
from tests.tiny import PadRows, tiny_model, tiny_rows


def trainer(folder, steps, **options):
    settings = {"save_steps": 5, "use_cpu": True, "disable_tqdm": True} | options
    args = TrainingArguments(str(folder), max_steps=steps, **settings)
    return Trainer(tiny_model(), args, data_collator=PadRows(), train_dataset=tiny_rows(80))


def names(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith("checkpoint"))


def test_a_limit_would_delete_from_both_runs(tmp_path):
    trainer(tmp_path, 20, save_total_limit=2).train()
    with pytest.raises(ValueError, match="holds checkpoint-20 of another run.*resume_from_checkpoint=True goes on"):
        trainer(tmp_path, 10, save_total_limit=2).train()
    assert names(tmp_path) == ["checkpoint-15", "checkpoint-20"]


def test_overwriting_deletes_the_other_run(tmp_path):
    trainer(tmp_path, 20).train()
    trainer(tmp_path, 10, save_total_limit=1, overwrite_output_dir=True).train()
    assert names(tmp_path) == ["checkpoint-10"]
    again = trainer(tmp_path, 10)
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == 10


def test_without_a_limit_it_is_said(tmp_path, caplog):
    trainer(tmp_path, 20).train()
    trainer(tmp_path, 10).train()
    assert "holds checkpoint-20 of another run, and a new one begins at step 0" in caplog.text
    assert names(tmp_path) == [f"checkpoint-{step}" for step in (10, 15, 20, 5)]


def test_a_run_that_saves_nothing_may_use_the_folder(tmp_path, caplog):
    trainer(tmp_path, 10).train()
    caplog.clear()
    trainer(tmp_path, 5, save_strategy="no", save_total_limit=1).train()
    assert "another run" not in caplog.text


def test_an_object_that_trains_twice_replaces_its_own(tmp_path):
    one = trainer(tmp_path, 10, save_total_limit=1)
    one.train()
    one.train()
    assert names(tmp_path) == ["checkpoint-10"]


def test_resumed_from_an_earlier_one_the_last_written_stays(tmp_path):
    trainer(tmp_path, 20).train()
    one = trainer(tmp_path, 10, save_total_limit=2)
    one.train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert "checkpoint-10" in names(tmp_path)

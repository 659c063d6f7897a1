"""Training on a GPU: each precision learns, and a resumed run goes on."""

import json

import pytest
import torch

from minift import Trainer, TrainingArguments
from tests.ranks.launch import launch
from tests.tiny import PadRows, tiny_model, tiny_rows

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def make(folder, **options):
    settings = dict(num_train_epochs=4, learning_rate=2e-3, logging_steps=5, save_steps=10, disable_tqdm=True)
    args = TrainingArguments(str(folder), **(settings | options))
    return Trainer(tiny_model(), args, PadRows(), train_dataset=tiny_rows(80))


@pytest.mark.parametrize("precision", [{}, {"bf16": True}, {"fp16": True}], ids=str)
def test_the_loss_falls(tmp_path, precision):
    trainer = make(tmp_path, **precision)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert trainer.model.device.type == "cuda"
    assert losses[-1] < 0.8 * losses[0]


def test_a_resumed_run_is_near_the_whole_one(tmp_path):
    whole = make(tmp_path / "whole", fp16=True)
    whole.train()
    resumed = make(tmp_path / "resumed", fp16=True)
    resumed.train(str(tmp_path / "whole" / "checkpoint-20"))
    for got, want in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_by_nccl_are_near_two_ranks_on_the_cpu(tmp_path):
    launch(2, "-m", "tests.ranks.run", str(tmp_path / "gpu"), ON_GPU="1", CUDA_VISIBLE_DEVICES="0,1")
    launch(2, "-m", "tests.ranks.run", str(tmp_path / "cpu"))
    logs = [
        json.loads((tmp_path / where / "trainer_state.json").read_text())["log_history"] for where in ("gpu", "cpu")
    ]
    first, other = ([entry["loss"] for entry in log if "loss" in entry] for log in logs)
    assert len(first) == 14
    assert first == pytest.approx(other, abs=0.3)  # each device draws its own dropout

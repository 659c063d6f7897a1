"""Training on a GPU: each precision learns, and a resumed run goes on."""

import pytest
import torch

from minift import Trainer, TrainingArguments
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

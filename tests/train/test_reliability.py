"""Runs that meet bad luck: gradients that are not finite, steps without labels, killed saves, tokens in messages."""

import pytest
import safetensors.torch
import torch
from torch import nn

from minift import Trainer, TrainingArguments

ROWS = [{"x": [float(i % 3), 1.0], "labels": i % 2} for i in range(12)]
QUIET = {"use_cpu": True, "disable_tqdm": True, "per_device_train_batch_size": 2}


class Line(nn.Module):
    """A classifier; the gradient of step `bad` is NaN under a finite loss."""

    def __init__(self, bad=None):
        super().__init__()
        self.line, self.bad, self.step = nn.Linear(2, 2), bad, 0

    def forward(self, x, labels):
        self.step += 1
        loss = nn.functional.cross_entropy(self.line(x), labels, ignore_index=-100)
        if self.step == self.bad:
            loss = loss + torch.sqrt((self.line.weight[0, :1] * 0).sum())  # value 0, gradient NaN
        return {"loss": loss}


def test_a_gradient_that_is_not_finite_is_not_taken(tmp_path):
    args = TrainingArguments(str(tmp_path), **QUIET, save_steps=2, save_total_limit=1)
    with pytest.raises(ValueError, match="the gradient is nan at step 4, which is not taken; the last .*checkpoint-2"):
        Trainer(Line(bad=4), args, train_dataset=ROWS).train()
    weights = safetensors.torch.load_file(tmp_path / "checkpoint-2" / "model.safetensors")
    assert all(torch.isfinite(weight).all() for weight in weights.values())


def test_a_step_without_a_label_changes_nothing(tmp_path):
    unlabelled = [{"x": [1.0, 2.0], "labels": -100}] * 4
    model = Line()
    before = model.line.weight.detach().clone()
    Trainer(model, TrainingArguments(str(tmp_path), **QUIET, max_steps=2), train_dataset=unlabelled).train()
    assert torch.equal(model.line.weight, before)


def test_what_a_killed_save_left_is_swept(tmp_path):
    (tmp_path / ".checkpoint-3-killed").mkdir()
    Trainer(Line(), TrainingArguments(str(tmp_path), **QUIET, max_steps=2), train_dataset=ROWS).train()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2"]


def test_a_token_is_not_shown():
    args = TrainingArguments("out", hub_token="hf_secret")
    assert "hf_secret" not in repr(args) + str(args) + args.to_json_string()
    with pytest.raises(TypeError, match="hub_token must be .*, not list") as caught:
        TrainingArguments("out", hub_token=["hf_secret"])
    assert "hf_secret" not in str(caught.value)

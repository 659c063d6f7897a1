"""The optimizers of torch beside AdamW: what `optim` and `optim_args` make, and what they refuse."""

import pytest
import torch

from minift.train.arguments import TrainingArguments
from minift.train.setup import make_optimizer
from tests.tiny import tiny_model


@pytest.mark.parametrize(
    ("name", "text", "kind", "expected"),
    [
        ("sgd", "momentum=0.9, nesterov=True", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
        ("sgd", None, torch.optim.SGD, {"momentum": 0, "nesterov": False}),
        ("adagrad", "lr_decay=0.1,eps=1e-6", torch.optim.Adagrad, {"lr_decay": 0.1, "eps": 1e-6}),
        ("rmsprop", "alpha=0.5", torch.optim.RMSprop, {"alpha": 0.5, "momentum": 0}),
    ],
)
def test_what_is_made(tmp_path, name, text, kind, expected):
    args = TrainingArguments(str(tmp_path), optim=name, optim_args=text, learning_rate=0.5, weight_decay=0.1)
    optimizer = make_optimizer(tiny_model(), args)
    assert type(optimizer) is kind
    for group, decay in zip(optimizer.param_groups, (0.1, 0.0), strict=True):
        assert {key: group[key] for key in expected} == expected
        assert (group["lr"], group["weight_decay"]) == (0.5, decay)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("adamw_torch", "eps=1", "optim='adamw_torch' reads none"),
        ("sgd", "betas=0.9", "there is no 'betas'; sgd has: momentum, dampening"),
        ("sgd", "momentum=high", "expected momentum=NUMBER, not 'momentum=high'"),
        ("adafactor", None, "optim must be one of"),
    ],
)
def test_what_is_refused(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=message):
        make_optimizer(tiny_model(), TrainingArguments(str(tmp_path), optim=name, optim_args=text))

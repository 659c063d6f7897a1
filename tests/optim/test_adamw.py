"""AdamW against its formula, block by block, its state, its groups and its errors."""

import copy
import math

import pytest
import torch
from torch import nn

from minift.optim.adamw import AdamW, parameter_groups


def one_parameter(value=1.0, gradient=0.5) -> nn.Parameter:
    parameter = nn.Parameter(torch.tensor([value], dtype=torch.float64))
    parameter.grad = torch.tensor([gradient], dtype=torch.float64)
    return parameter


@pytest.mark.parametrize("correct_bias", [True, False])
def test_two_steps_by_hand(correct_bias):
    parameter = one_parameter()
    optimizer = AdamW([parameter], 0.1, (0.8, 0.9), eps=0.01, weight_decay=0.2, correct_bias=correct_bias)
    theta, m, v = 1.0, 0.0, 0.0
    for step, g in enumerate([0.5, -2.0], start=1):
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g * g
        bias1, bias2 = (1 - 0.8**step, 1 - 0.9**step) if correct_bias else (1, 1)
        theta = theta * (1 - 0.1 * 0.2) - 0.1 * (m / bias1) / (math.sqrt(v / bias2) + 0.01)
        parameter.grad.fill_(g)
        optimizer.step()
        assert parameter.item() == pytest.approx(theta, abs=1e-14)


def test_a_deep_copy_steps_as_the_original_does():
    parameter = nn.Parameter(torch.ones(3))
    optimizer = AdamW([parameter], lr=0.01)
    copied = copy.deepcopy(optimizer)
    for each in (optimizer, copied):
        each.param_groups[0]["params"][0].grad = torch.full((3,), 0.5)
        each.step()
    assert copied.param_groups[0]["params"][0].equal(parameter)


def test_parameters_without_gradient_are_left_alone():
    used, unused = one_parameter(), nn.Parameter(torch.ones(2))
    optimizer = AdamW([used, unused], weight_decay=0.5)
    optimizer.step()
    assert unused.tolist() == [1, 1]
    assert list(optimizer.state) == [used]


def test_closure_runs_with_gradients_and_its_loss_is_returned():
    parameter = nn.Parameter(torch.ones(1))
    optimizer = AdamW([parameter])

    def closure():
        loss = (parameter**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 1.0
    assert parameter.item() == pytest.approx(1 - 1e-3)


def test_resuming_from_a_state_dict_changes_no_bit():
    straight = one_parameter()
    optimizer = AdamW([straight], weight_decay=0.1)
    optimizer.step()
    resumed = copy.deepcopy(straight)
    resumed.grad = straight.grad.clone()
    other = AdamW([resumed], lr=9.0)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    optimizer.step()
    other.step()
    assert torch.equal(resumed, straight)
    assert set(optimizer.state_dict()["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(2, 2)
        self.LayerNorm = nn.LayerNorm(2)
        self.inner = nn.ModuleDict({"ffn_norm": nn.Linear(2, 2), "scale": nn.LayerNorm(2), "abnormal": nn.Linear(2, 2)})
        self.layernorm = nn.Linear(2, 2, bias=False)  # by its name, not its type
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def test_parameter_groups():
    model = Model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, plain = parameter_groups(model, 0.3)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    assert [names[id(p)] for p in decayed["params"]] == ["dense.weight", "inner.abnormal.weight"]
    assert [names[id(p)] for p in plain["params"]] == [
        "dense.bias",
        "LayerNorm.weight",
        "LayerNorm.bias",
        "inner.ffn_norm.weight",
        "inner.ffn_norm.bias",
        "inner.scale.weight",
        "inner.scale.bias",
        "inner.abnormal.bias",
        "layernorm.weight",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, "lr must be at least 0, not -1.0"),
        ({"lr": float("nan")}, "lr must be at least 0"),
        ({"lr": torch.tensor(0.1)}, "lr must be at least 0"),
        ({"eps": -1e-8}, "eps must be"),
        ({"weight_decay": -0.1}, "weight_decay must be"),
        ({"betas": (0.9, 1.0)}, r"each of betas must be a probability in \[0, 1\), not 1.0"),
        ({"betas": (-0.1, 0.9)}, "betas must be"),
        ({"betas": (0.9,)}, "betas must be"),
        ({"betas": 0.9}, "betas must be two numbers"),
        ({"amsgrad": True}, "does not support amsgrad=True"),
        ({"maximize": True}, "maximize"),
        ({"foreach": True}, "foreach"),
        ({"capturable": True}, "capturable"),
        ({"differentiable": True}, "differentiable"),
        ({"fused": True}, "fused"),
    ],
)
def test_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        AdamW([one_parameter()], **settings)


def test_a_group_is_checked_like_the_defaults():
    with pytest.raises(ValueError, match="lr must be"):
        AdamW([{"params": [one_parameter()], "lr": -1.0}])


def test_loading_amsgrad_state_is_refused():
    torch_optimizer = torch.optim.AdamW([one_parameter()], amsgrad=True)
    with pytest.raises(ValueError, match="does not support amsgrad=True"):
        AdamW([one_parameter()]).load_state_dict(torch_optimizer.state_dict())


def test_sparse_gradients_are_refused():
    embedding = nn.Embedding(4, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="dense real gradients"):
        AdamW(embedding.parameters()).step()

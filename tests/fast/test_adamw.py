"""AdamW in blocks and compiled against the plain one."""

import copy
import math

import pytest
import torch
from torch import nn

from minift.fast import adamw
from minift.fast.adamw import COMPILED_FROM, AdamW
from minift.optim.adamw import AdamW as PlainAdamW


def weights(optimizer_class, size: int) -> torch.Tensor:
    """After three steps, one of them with gradients of zero and subnormal mean squares."""
    generator = torch.Generator().manual_seed(0)
    parameter = nn.Parameter(torch.randn(size, 3, generator=generator))
    optimizer = optimizer_class([parameter], lr=0.01, weight_decay=0.1)
    for scale in (0.0, 1e-22, 1.0):
        parameter.grad = torch.randn(parameter.shape, generator=generator) * scale
        optimizer.step()
    return parameter


@pytest.mark.parametrize("size", [7, 64, 65, 200])
def test_blocks_change_no_bit(monkeypatch, size):
    plain, calls = weights(PlainAdamW, size), []
    update = adamw.update
    monkeypatch.setattr(adamw, "update", lambda *args: (calls.append(1), update(*args)))
    assert torch.equal(weights(AdamW, size), plain)
    assert len(calls) == 3
    monkeypatch.setattr(adamw, "BLOCK_SIZE", 64)
    assert torch.equal(weights(AdamW, size), plain)
    assert len(calls) == 3 + 3 * math.ceil(size * 3 / 64)


@pytest.mark.long
def test_compiled_steps_are_equal_but_for_rounding():
    def weights(compiled: bool) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        sizes = [(COMPILED_FROM + 3,), (5, 7), (9,), (200, 150)]
        parameters = [nn.Parameter(torch.randn(size, generator=generator)) for size in sizes]
        optimizer = AdamW(parameters, lr=0.01, eps=1e-3, weight_decay=0.1, compiled=compiled)
        for step in range(4):
            optimizer.param_groups[0]["lr"] = 0.01 / (step + 1)
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            if step == 1:
                parameters[1].grad = None  # from here on, its step has another number than its neighbour's
            optimizer.step()
        return parameters

    for found, expected in zip(weights(compiled=True), weights(compiled=False), strict=True):
        if len(found) < 10:  # small ones, updated together
            assert torch.equal(found, expected)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_a_deep_copy_steps_as_the_original_does():
    for compiled in (False, True):
        parameter = torch.nn.Parameter(torch.ones(1 << 14))
        optimizer = AdamW([parameter], lr=0.01, compiled=compiled)
        copied = copy.deepcopy(optimizer)
        for each in (optimizer, copied):
            each.param_groups[0]["params"][0].grad = torch.full((1 << 14,), 0.5)
            each.step()
        assert copied.compiled_update is optimizer.compiled_update
        assert copied.param_groups[0]["params"][0].equal(parameter)

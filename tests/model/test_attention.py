"""Attention: the fused kernel against the written-out one, and that against arithmetic by hand."""

import pytest
import torch

from minift.model.attention import (
    attention_probabilities,
    eager_attention,
    key_mask,
    merge_heads,
    sdpa_attention,
    split_heads,
)
from tests.model.small import NAMES, assert_same, batch, build, results


def random_input(B=3, H=2, T=7, D=5):
    torch.manual_seed(0)
    q, k, v = (torch.randn(B, H, T, D) * 2 for _ in range(3))
    lengths = torch.tensor([7, 4, 1])
    mask = torch.arange(T)[None] < lengths[:, None]
    return q, k, v, mask


@pytest.mark.parametrize("masked", [False, True])
def test_two_implementations(masked):
    q, k, v, mask = random_input()
    mask = key_mask(mask.long(), torch.empty(3, 7, 10)) if masked else None
    found = sdpa_attention(q, k, v, mask, 0.0)
    expected, probabilities = eager_attention(q, k, v, mask, 0.0), attention_probabilities(q, k, mask, 0.0)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(3, 2, 7), atol=1e-6, rtol=0)


def test_by_hand():
    q, k, v, mask = random_input()
    mask = key_mask(mask.long(), torch.empty(3, 7, 10))
    found, probabilities = eager_attention(q, k, v, mask, 0.0), attention_probabilities(q, k, mask, 0.0)
    b, h, i = 1, 1, 2
    weights = [torch.exp((q[b, h, i] * k[b, h, j]).sum() / 5**0.5) for j in range(4)]
    expected = sum(w * v[b, h, j] for j, w in enumerate(weights)) / sum(weights)
    torch.testing.assert_close(found[b, h, i], expected, atol=1e-6, rtol=0)
    assert not probabilities[1, :, :, 4:].any()


def test_dropout_leaves_the_expectation():
    q, k, v, _ = random_input()
    expected = eager_attention(q, k, v, None, 0.0)
    for attend in (eager_attention, sdpa_attention):
        mean = sum(attend(q, k, v, None, 0.5) for _ in range(3000)) / 3000
        torch.testing.assert_close(mean, expected, atol=0.3, rtol=0)
        assert not torch.equal(attend(q, k, v, None, 0.5), expected)


def test_heads_split_and_merged():
    x = torch.arange(2 * 3 * 8).view(2, 3, 8)
    heads = split_heads(x, 4)
    assert heads.shape == (2, 4, 3, 2)
    assert heads[1, 2, 0].tolist() == x[1, 0, 4:6].tolist()
    assert torch.equal(merge_heads(heads), x)


def test_mask():
    x = torch.empty(2, 3, 8)
    assert key_mask(None, x) is None
    assert key_mask(torch.ones(2, 3, dtype=torch.long), x) is None
    mask = key_mask(torch.tensor([[1, 1, 0], [1, 1, 1]]), x)
    assert mask.shape == (2, 1, 3, 3)
    assert mask[0, 0].tolist() == [[True, True, False]] * 3
    with pytest.raises(ValueError, match=r"attention_mask has shape \(2, 4\), but the input has \(2, 3\)"):
        key_mask(torch.ones(2, 4), x)


@pytest.mark.parametrize("name", NAMES)
def test_models_agree(name):
    sdpa, eager = (build(name, attn_implementation=kind).double() for kind in ("sdpa", "eager"))
    assert_same(results(sdpa, batch(name)), results(eager, batch(name)), atol=1e-12)

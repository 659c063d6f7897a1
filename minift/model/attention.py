"""Scaled dot-product attention (arXiv 1706.03762): written out to be read, as torch's kernel, and the mask of both."""

# Axes here and in the models: B batch, T tokens, H heads, D head size, E hidden (E = H * D), V vocabulary.

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

Attention = Callable[[Tensor, Tensor, Tensor, Any, float], Tensor]


def is_exported() -> bool:
    """Tell whether `torch.export` runs the model, which has shapes then, but no values to ask about."""
    return getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)()


def attention_probabilities(q: Tensor, k: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Compute softmax(q kᵀ / √D): how much each query looks at each key, (B, H, T, T).

    Args:
        q, k: (B, H, T, D).
        mask: (B, 1, T, T), True where a query may look at a key, or numbers to add; None: everywhere.
        dropout: the rate at which probabilities are dropped; 0 outside training.
    """
    scores = (q @ k.transpose(2, 3)) * q.size(-1) ** -0.5  # (B, H, T, T)
    if mask is not None and mask.is_floating_point():
        scores = scores + mask
    elif mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return F.dropout(scores.softmax(dim=-1), dropout)  # (B, H, T, T)


def eager_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Average the values v (B, H, T, D) with the attention probabilities as weights: (B, H, T, D)."""
    return attention_probabilities(q, k, mask, dropout) @ v


def sdpa_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Compute the same in one fused call, which never holds the (B, H, T, T) probabilities in memory."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)  # (B, H, T, D)


ATTENTION: dict[str, Attention] = {"eager": eager_attention, "sdpa": sdpa_attention}


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, E) -> (B, H, T, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, E)."""
    return x.transpose(1, 2).flatten(2)


def key_mask(attention_mask: Tensor | None, x: Tensor) -> Tensor | None:
    """Say which keys each query may look at: the tokens, not the padding.

    Args:
        attention_mask: (B, T), 1 for a token and 0 for padding; None: no padding. Or for each query (B, T, T) or
            (B, 1, T, T): 1 where it may look at a key, or numbers of a floating-point type, which are added to scores.
        x: the embeddings (B, T, E).

    Returns:
        (B, 1, T, T) booleans, or None when there is no padding: the kernel is faster without a mask, and the last
        bit of its result depends on whether it got one. On a GPU this question synchronises the device once.

    Raises:
        ValueError: the mask has another shape.
    """
    if attention_mask is None:
        return None
    B, T = x.shape[:2]
    if attention_mask.shape in ((B, T, T), (B, 1, T, T)):
        mask = attention_mask.to(x.device).reshape(B, 1, T, T)
        return mask.to(x.dtype) if mask.is_floating_point() else mask.bool()
    if attention_mask.shape != (B, T):
        raise ValueError(f"attention_mask has shape {tuple(attention_mask.shape)}, but the input has {(B, T)}")
    attention_mask = attention_mask.to(device=x.device, dtype=torch.bool)
    if not is_exported() and attention_mask.all():
        return None
    return attention_mask[:, None, None, :].expand(B, 1, T, T)

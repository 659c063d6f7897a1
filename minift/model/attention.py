"""Scaled dot-product attention (arXiv 1706.03762): the readable reference, torch's kernel, and the mask of both."""

# Axes here and in the models: B batch, T tokens, H heads, D head size, E hidden (E = H * D), V vocabulary.

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minift.fast.packing import Packing
from minift.model.config import PretrainedConfig
from minift.model.outputs import EncoderOutput

Attention = Callable[[Tensor, Tensor, Tensor, Tensor | None, float], tuple[Tensor, Tensor | None]]


def eager_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> tuple[Tensor, Tensor]:
    """softmax(q kᵀ / √D) v, every step written out.

    Args:
        q, k, v: (B, H, T, D).
        mask: (B, 1, T, T), True where a token may look; None: everywhere.
        dropout: rate at which probabilities are dropped; 0 outside training.

    Returns:
        The attended values (B, H, T, D) and the probabilities (B, H, T, T), rows of the latter summing to 1.
    """
    scores = (q @ k.transpose(2, 3)) * q.size(-1) ** -0.5  # (B, H, T, T)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    probabilities = F.dropout(scores.softmax(dim=-1), dropout)  # (B, H, T, T)
    return probabilities @ v, probabilities  # (B, H, T, D)


def sdpa_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> tuple[Tensor, None]:
    """The same in one fused call, which never holds the (B, H, T, T) probabilities and so cannot return them."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout), None  # (B, H, T, D)


ATTENTION: dict[str, Attention] = {"eager": eager_attention, "sdpa": sdpa_attention}


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, E) -> (B, H, T, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, T, D) -> (B, T, E)."""
    return x.transpose(1, 2).flatten(2)


def key_mask(attention_mask: Tensor | None, x: Tensor) -> Tensor | None:
    """Which keys each query may look at.

    Args:
        attention_mask: (B, T), 1 for a token and 0 for padding; None: no padding.
        x: the embeddings (B, T, E).

    Returns:
        (B, 1, T, T) booleans, or None when there is no padding: the kernel is faster without a mask, and the last
        bit of its result depends on whether it got one. On a GPU the question costs one wait for the device.

    Raises:
        ValueError: the mask is not (B, T).
    """
    if attention_mask is None:
        return None
    B, T = x.shape[:2]
    if attention_mask.shape != (B, T):
        raise ValueError(f"attention_mask has shape {tuple(attention_mask.shape)}, but the input has {(B, T)}")
    attention_mask = attention_mask.to(device=x.device, dtype=torch.bool)
    if attention_mask.all():
        return None
    return attention_mask[:, None, None, :].expand(B, 1, T, T)


def run_layers(
    layers: nn.ModuleList,
    x: Tensor,
    attention_mask: Tensor | None,
    config: PretrainedConfig,
    output_attentions: bool | None,
    output_hidden_states: bool | None,
    packing: Packing | None = None,
    first_only: bool = False,
) -> EncoderOutput:
    """Send the embeddings (B, T, E) through the layers; the options None take the configuration's value.

    With a `packing` they are (1, N, E), and for `first_only`, unless hidden states are asked for, the last layer
    computes nothing but the first token of each text: `last_hidden_state` is then (B, 1, E).
    """
    output_attentions = config.output_attentions if output_attentions is None else output_attentions
    output_hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
    first_only = first_only and packing is not None and not output_hidden_states
    if packing is None:
        attend = ATTENTION["eager" if output_attentions else config.attn_implementation]  # only eager returns them
        mask = key_mask(attention_mask, x)  # (B, 1, T, T) or None
    else:
        attend, mask = partial(packing.attention, config.fast_dropout), None
    hidden_states, attentions = [x], []
    for layer in layers:
        queries = packing.first(x) if first_only and layer is layers[-1] else None  # (1, B, E)
        x, probabilities = layer(x, mask, attend, queries)  # (B, T, E), (B, H, T, T)
        if output_hidden_states:
            hidden_states.append(x)
        if output_attentions:
            attentions.append(probabilities)
    if packing is not None:
        hidden_states = [packing.unpack(h) for h in hidden_states] if output_hidden_states else []
        x = x.transpose(0, 1) if first_only else packing.unpack(x)  # (B, 1, E) or (B, T, E)
    return EncoderOutput(
        last_hidden_state=x,
        hidden_states=tuple(hidden_states) if output_hidden_states else None,
        attentions=tuple(attentions) if output_attentions else None,
    )

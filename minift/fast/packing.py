"""Batches without padding: the real tokens of all texts in one long row, and attention that stays within each text.

The models need no second form for it. A batch (B, T) of which N tokens are real becomes a batch (1, N): embeddings,
linear layers, LayerNorm, activation and dropout work on tokens one by one and do not notice. Attention alone has to
know where a text begins, and the layers are handed their attention as a function anyway.
"""

import math
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minift.fast.dropout import draw_keep
from minift.model.config import PretrainedConfig


class Packing:
    """Where the N real tokens of a batch (B, T) lie.

    Args:
        inputs: ids (B, T) or embeddings (B, T, E).
        attention_mask: (B, T), nonzero for a token and 0 for padding; None: no padding.

    Raises:
        ValueError: the mask is not (B, T), or a row does not begin with a token, as when padding is on the left.
    """

    def __init__(self, inputs: Tensor, attention_mask: Tensor | None) -> None:
        shape = inputs.shape[:2]
        mask = torch.ones(shape, device=inputs.device) if attention_mask is None else attention_mask
        if mask.shape != shape:
            raise ValueError(f"attention_mask has shape {tuple(mask.shape)}, but the input has {tuple(shape)}")
        mask = mask.to(device=inputs.device, dtype=torch.bool)
        if not mask[:, 0].all():
            row = mask[:, 0].logical_not().nonzero()[0].item()
            raise ValueError(f"padding_free needs a token at the start of every row; row {row} begins with padding")
        self.shape = mask.shape
        self.tokens = mask.flatten().nonzero().squeeze(1)  # (N,), places in the flattened batch
        self.lengths: list[int] = mask.sum(dim=1).tolist()  # (B,)
        self.starts = torch.tensor([0, *accumulate(self.lengths[:-1])], device=mask.device)  # (B,), places among the N

    def pack_inputs(
        self, ids: Tensor | None, embeds: Tensor | None, positions: Tensor | None, types: Tensor | None = None
    ) -> tuple[Tensor | None, ...]:
        """A model's inputs, each (B, T, …), or (1, T, …) that stands for all rows, or None, to (1, N, …) or None.

        Positions count from the start of each row where none are given.
        """
        if positions is None:
            positions = torch.arange(self.shape[1], device=self.tokens.device)[None]  # (1, T)
        return tuple(None if x is None else self.pack(x) for x in (ids, embeds, positions, types))

    def pack(self, x: Tensor) -> Tensor:
        """(B, T, …) or (1, T, …) -> (1, N, …)."""
        return x.expand(*self.shape, *x.shape[2:]).flatten(0, 1).index_select(0, self.tokens)[None]

    def unpack(self, x: Tensor) -> Tensor:
        """(1, N, …) -> (B, T, …), with zeros where there is padding."""
        B, T = self.shape
        return x.new_zeros(B * T, *x.shape[2:]).index_copy(0, self.tokens, x[0]).unflatten(0, (B, T))

    def first(self, x: Tensor) -> Tensor:
        """(1, N, E) -> (1, B, E), the first token of each text."""
        return x.index_select(1, self.starts)

    @torch.compiler.disable  # compiled code would be bound to the lengths of one batch
    def attention(self, fast_dropout: bool, q: Tensor, k: Tensor, v: Tensor, mask: None, dropout: float) -> Any:
        """Attention within each text; an `Attention` once `fast_dropout` is given.

        Args:
            fast_dropout: how a CPU draws the dropped probabilities.
            q: (1, H, N, D), or (1, H, B, D): the first token of each text only.
            k, v: (1, H, N, D).

        Returns:
            (1, H, N, D) or (1, H, B, D), and None.
        """
        queries = self.lengths if q.size(2) == k.size(2) else [1] * len(self.lengths)
        if q.device.type == "cpu":
            return TextByText.apply(q[0], k[0], v[0], queries, self.lengths, dropout, fast_dropout)[None], None
        return jagged_attention(q[0], k[0], v[0], queries, self.lengths, dropout)[None], None


@torch.compiler.disable
def packing_of(
    config: PretrainedConfig, inputs: Tensor, attention_mask: Tensor | None, output_attentions: bool | None
) -> Packing | None:
    """The packing of a batch, if the model is `padding_free`; None also when attention probabilities are asked for.

    Those are returned in their padded form (B, H, T, T), which only the padded computation has.
    """
    output_attentions = config.output_attentions if output_attentions is None else output_attentions
    return Packing(inputs, attention_mask) if config.padding_free and not output_attentions else None


def jagged_attention(q: Tensor, k: Tensor, v: Tensor, queries: list[int], keys: list[int], dropout: float) -> Tensor:
    """The GPU's variable-length kernel, which torch chooses for nested tensors of the jagged layout.

    Args:
        q, k, v: (H, N, D), the texts one after the other.
        queries, keys: (B,), how many tokens of q, and of k and v, belong to each text.
        dropout: rate at which probabilities are dropped.

    Returns:
        (H, N, D), N being that of q.
    """

    def nested(x: Tensor, lengths: list[int]) -> Tensor:
        offsets = torch.tensor([0, *accumulate(lengths)], device=x.device)
        x = x.transpose(0, 1).contiguous()  # (N, H, D)
        jagged = torch.nested.nested_tensor_from_jagged(x, offsets, min_seqlen=min(lengths), max_seqlen=max(lengths))
        return jagged.transpose(1, 2)  # (B, H, t, D), t differing from text to text

    attended = F.scaled_dot_product_attention(nested(q, queries), nested(k, keys), nested(v, keys), dropout_p=dropout)
    return attended.transpose(1, 2).values().transpose(0, 1)


class TextByText(torch.autograd.Function):
    """Attention of one text after the other on the CPU, with the backward pass written out.

    The (H, t, t) probabilities of one text stay in the cache between the operations that make and use them; those of a
    whole batch do not. No padding, no mask. Under bfloat16 autocast it computes in float32: bfloat16 products of such
    sizes, which are seldom multiples of its vectors, are no faster.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        queries: list[int],
        keys: list[int],
        dropout: float,
        fast_dropout: bool,
    ) -> Tensor:
        """q (H, M, D) and k, v (H, N, D), of which `queries` and `keys` belong to each text, to (H, M, D)."""
        out, scale = torch.empty_like(q), q.size(-1) ** -0.5
        shapes = [(len(q), m, n) for m, n in zip(queries, keys, strict=True)]
        keep = [None] * len(shapes)
        if dropout:
            sizes = [math.prod(shape) for shape in shapes]
            drawn = draw_keep(sum(sizes), dropout, q, fast_dropout).split(sizes)
            keep = [factors.view(shape) for factors, shape in zip(drawn, shapes, strict=True)]
        probabilities = []
        texts = (*_texts(queries, q, out), *_texts(keys, k, v), keep)
        for qi, oi, ki, vi, keep_i in zip(*texts, strict=True):
            p = (torch.bmm(qi, ki.transpose(1, 2)) * scale).softmax(-1)  # (H, m, n)
            oi.copy_(torch.bmm(_dropped(p, keep_i), vi))  # (H, m, D)
            probabilities.append(p)
        ctx.save_for_backward(q, k, v)
        ctx.scale, ctx.queries, ctx.keys, ctx.keep, ctx.probabilities = scale, queries, keys, keep, probabilities
        return out

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of q, k and v from that of the output (H, M, D)."""
        q, k, v = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        of_queries, of_keys = _texts(ctx.queries, q, dq, grad), _texts(ctx.keys, k, v, dk, dv)
        texts = (*of_queries, *of_keys, ctx.probabilities, ctx.keep)
        for qi, dqi, gi, ki, vi, dki, dvi, p, keep in zip(*texts, strict=True):
            dvi.copy_(torch.bmm(_dropped(p, keep).transpose(1, 2), gi))  # (H, n, D)
            dp = _dropped(torch.bmm(gi, vi.transpose(1, 2)), keep)  # (H, m, n)
            dpp = dp * p
            ds = dpp.addcmul_(p, dpp.sum(-1, keepdim=True), value=-1).mul_(ctx.scale)  # (H, m, n)
            dqi.copy_(torch.bmm(ds, ki))  # (H, m, D)
            dki.copy_(torch.bmm(ds.transpose(1, 2), qi))  # (H, n, D)
        return dq, dk, dv, None, None, None, None


def _texts(lengths: list[int], *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """Each tensor (H, N, D) cut into its texts (H, t, D)."""
    return [tensor.split(lengths, dim=1) for tensor in tensors]


def _dropped(p: Tensor, keep: Tensor | None) -> Tensor:
    return p if keep is None else p * keep

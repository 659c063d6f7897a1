"""Attention that stays within each of several texts which lie end to end: in the place of `model.attention`."""

import math
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minift.fast.dropout import draw_keep
from minift.fast.packing import Packing


@torch.compiler.disable  # compiled code would be bound to the lengths of one batch
def attend_within_texts(
    q: Tensor, k: Tensor, v: Tensor, mask: Packing, dropout: float, fast_dropout: bool = False
) -> Tensor:
    """Attend within each text: an `Attention` whose mask is a `Packing`.

    q, and what is returned, is (1, H, N, D), or (1, H, B, D) for the first token of each text only; k and v are
    (1, H, N, D). On a CPU, `fast_dropout` says how the dropped probabilities are drawn, see `draw_keep`.
    """
    queries = mask.lengths if q.size(2) == k.size(2) else [1] * len(mask.lengths)
    if q.device.type == "cpu":
        return TextByText.apply(q[0], k[0], v[0], queries, mask.lengths, dropout, fast_dropout)[None]
    return jagged_attention(q[0], k[0], v[0], queries, mask.lengths, dropout)[None]


def jagged_attention(q: Tensor, k: Tensor, v: Tensor, queries: list[int], keys: list[int], dropout: float) -> Tensor:
    """Call the GPU's variable-length kernel, which torch chooses for nested tensors of the jagged layout.

    q, k, v and what is returned are (H, N, D), the texts one after the other; `queries` and `keys` (B,) say how many
    tokens of q, and of k and v, belong to each text.
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

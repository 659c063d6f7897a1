"""Batches without padding: in the place of a model's `encode`.

The real tokens of all texts lie in one long row. A batch (B, T) of which N tokens are real becomes a batch (1, N):
embeddings, linear layers, LayerNorm, activation and dropout work on each token by itself and do not notice. Attention
alone has to know where a text begins. It gets a `Packing` as its mask, and `attend_within_texts` in its place.
"""

from itertools import accumulate

import torch
from torch import Tensor, nn

from minift.model.attention import merge_heads, split_heads
from minift.model.outputs import EncoderOutput
from minift.model.watch import watch


class Packing:
    """Where the N real tokens of a batch (B, T) lie.

    Args:
        inputs: ids (B, T) or embeddings (B, T, E).
        attention_mask: (B, T), nonzero for a token and 0 for padding; None: no padding.

    Raises:
        ValueError: the mask is not (B, T), or a row does not begin with a token, as when padding is on the left.
    """

    @torch.compiler.disable
    def __init__(self, inputs: Tensor, attention_mask: Tensor | None) -> None:
        shape = inputs.shape[:2]
        mask = torch.ones(shape, device=inputs.device) if attention_mask is None else attention_mask
        if mask.dim() > 2:
            raise ValueError("padding_free takes a mask (B, T), not one for each query")
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

    def pack(self, x: Tensor | None) -> Tensor | None:
        """(B, T, …), or (1, T, …) that stands for all rows -> (1, N, …)."""
        if x is None:
            return None
        return x.expand(*self.shape, *x.shape[2:]).flatten(0, 1).index_select(0, self.tokens)[None]

    def unpack(self, x: Tensor) -> Tensor:
        """(1, N, …) -> (B, T, …), with zeros where there is padding."""
        B, T = self.shape
        return x.new_zeros(B * T, *x.shape[2:]).index_copy(0, self.tokens, x[0]).unflatten(0, (B, T))

    def first(self, x: Tensor) -> Tensor:
        """(1, N, E) -> (1, B, E), the first token of each text."""
        return x.index_select(1, self.starts)


def encode_packed(
    model: nn.Module,
    first_only: bool,
    inputs: dict[str, Tensor | None],
    attention_mask: Tensor | None,
    attentions: bool,
    hidden_states: bool,
) -> EncoderOutput:
    """Do what the model's own `encode` does, on the real tokens only.

    Args:
        model: a `BertModel` or `DistilBertModel` whose layers attend by `attend_within_texts`.
        first_only: of the output, only the first token of each text is read. Unless `hidden_states` are asked for,
            the last layer then computes no other, and `last_hidden_state` is (B, 1, E).
        inputs, attention_mask, attentions, hidden_states: as for the model's own `encode`. Attention probabilities
            (B, H, T, T) exist in the padded computation only, which takes over where they are asked for.
    """
    if attentions:
        return type(model).encode(model, inputs, attention_mask, attentions, hidden_states)
    ids, embeds, positions = (inputs[name] for name in ("input_ids", "inputs_embeds", "position_ids"))
    packing = Packing(ids if embeds is None else embeds, attention_mask)
    if positions is None:
        positions = torch.arange(packing.shape[1], device=packing.tokens.device)[None]  # (1, T)
    packed = {name: packing.pack(tensor) for name, tensor in {**inputs, "position_ids": positions}.items()}

    x = model.embeddings(**packed)  # (1, N, E)
    *layers, last = model.layers
    with watch(model.layers, hidden_states, attentions) as seen:
        for layer in layers:
            x = layer(x, packing)  # (1, N, E)
        if first_only and not hidden_states:
            x = first_tokens(last, x, packing).transpose(0, 1)  # (B, 1, E)
        else:
            x = packing.unpack(last(x, packing))  # (B, T, E)
    seen = {name: tuple(map(packing.unpack, states)) for name, states in seen.items()}
    return EncoderOutput(last_hidden_state=x, **seen)


def first_tokens(layer: nn.Module, x: Tensor, packing: Packing) -> Tensor:
    """Compute what a layer makes of the first token of each text: (1, N, E) -> (1, B, E)."""
    query, key, value = layer.projections()
    first = packing.first(x)  # (1, B, E)
    q = split_heads(query(first), layer.heads)  # (1, H, B, D)
    k = split_heads(key(x), layer.heads)  # (1, H, N, D)
    v = split_heads(value(x), layer.heads)  # (1, H, N, D)
    attended = layer.attend(q, k, v, packing, layer.attention_dropout if layer.training else 0.0)  # (1, H, B, D)
    return layer.feed_forward(layer.add_attended(first, merge_heads(attended)))  # (1, B, E)

"""Another number of tokens: the table of word embeddings is cut or extended, and the layer that scores the vocabulary.

Re-implements `resize_token_embeddings` of transformers/modeling_utils.py, with its draws in their order.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, constraints

from minift.ranges import POSITIVE_INTEGER

NEAR = 1e-9  # how far new rows lie from the mean of the old ones, in units of their covariance


def new_size(old: int, asked: int | None, multiple: int | None) -> int:
    """Return the number of tokens that was asked for, or the present one, rounded up to a multiple."""
    size = old if asked is None else asked
    POSITIVE_INTEGER.check("new_num_tokens", size)
    if multiple is not None:
        POSITIVE_INTEGER.check("pad_to_multiple_of", multiple)
        size = -(-size // multiple) * multiple
    return size


@torch.no_grad()
def resize_table(table: nn.Embedding, size: int, draw: Callable[[nn.Module], None] | None) -> None:
    """Give `table` (V, E) `size` rows: new ones are near the mean of the old ones, or (not None) what `draw` makes."""
    old = table.weight.data
    new = nn.Embedding(size, old.shape[1], device=old.device, dtype=old.dtype)
    extend(new, "weight", old, draw)
    table.weight.data = new.weight.data
    table.num_embeddings = size
    if table.padding_idx is not None and table.padding_idx >= size:
        table.padding_idx = None


@torch.no_grad()
def resized_layer(layer: nn.Linear, size: int, draw: Callable[[nn.Module], None] | None) -> nn.Linear:
    """Make a layer like `layer` (E -> V) for `size` tokens, as `resize_table` does."""
    old = layer.weight.data
    new = nn.Linear(old.shape[1], size, layer.bias is not None, old.device, old.dtype)
    extend(new, "weight", old, draw)
    if layer.bias is not None:
        bias, kept = layer.bias.data, min(size, len(old))
        if size > kept and draw is None:
            new.bias.data[kept:].normal_(mean=bias.float().mean(), std=NEAR * bias.std().float())
        new.bias.data[:kept] = bias[:kept]
    return new.requires_grad_(layer.weight.requires_grad)


def extend(new: nn.Module, name: str, old: Tensor, draw: Callable[[nn.Module], None] | None) -> None:
    """Fill the weight (V', E) of a new module: the rows of `old` (V, E), and new ones if there are more."""
    weight, kept = getattr(new, name).data, min(len(old), len(getattr(new, name)))
    if len(weight) > kept:
        if draw is None:
            weight[kept:] = near_the_mean(old, len(weight) - kept)
        else:
            draw(new)
    weight[:kept] = old[:kept]


def near_the_mean(rows: Tensor, count: int) -> Tensor:
    """Draw `count` rows from a normal distribution with the mean of `rows` (V, E) and NEAR times their covariance.

    So a new token is at first about as likely as the mean of all (https://nlp.stanford.edu/~johnhew/vocab-expansion.html).
    """
    mean = rows.float().mean(0)  # (E,)
    centred = rows.float() - mean
    covariance = NEAR * (centred.T @ centred / len(rows))  # (E, E)
    if not constraints.positive_definite.check(covariance).all():
        return mean.expand(count, -1).to(rows.dtype)
    return MultivariateNormal(mean, covariance_matrix=covariance).sample((count,)).to(rows.dtype)

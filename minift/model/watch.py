"""Hidden states and attention probabilities of every layer, for those who ask for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from minift.model.attention import attention_probabilities


@contextmanager
def watch(layers: nn.ModuleList, hidden_states: bool, attentions: bool) -> Iterator[dict[str, Any]]:
    """Within the block, note what goes into and out of each layer, and its attention probabilities.

    Yields a dict that is full after the block: "hidden_states", a tuple of the embeddings and the output of each layer,
    (B, T, E) each; "attentions", a tuple of (B, H, T, T) for each layer. What is not asked for is absent. While
    probabilities are noted, the layers attend by the written-out form, the only one that has them.
    """
    seen: dict[str, Any] = {}
    before = [layer.attend for layer in layers]
    hooks = []
    if hidden_states:
        states = seen["hidden_states"] = []
        hooks = [layer.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0])) for layer in layers]
        hooks.append(layers[-1].register_forward_hook(lambda _, inputs, output: states.append(output)))
    if attentions:
        seen["attentions"] = []
        for layer in layers:
            layer.attend = partial(_attend_and_note, seen["attentions"])
    try:
        yield seen
        seen.update({name: tuple(tensors) for name, tensors in seen.items()})
    finally:
        for hook in hooks:
            hook.remove()
        for layer, attend in zip(layers, before, strict=True):
            layer.attend = attend


def _attend_and_note(seen: list[Tensor], q: Tensor, k: Tensor, v: Tensor, mask: Any, dropout: float) -> Tensor:
    seen.append(attention_probabilities(q, k, mask, dropout))  # (B, H, T, T)
    return seen[-1] @ v  # (B, H, T, D)

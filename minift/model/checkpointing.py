"""Gradient checkpointing (arXiv 1604.06174): a layer keeps its input; the backward pass computes the rest again."""

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def checkpoint_layers(layers: Iterable[nn.Module], options: dict[str, Any] | None = None) -> None:
    """Let each layer compute its inside again in the backward pass; dropout draws the same masks.

    `options` are those of `torch.utils.checkpoint.checkpoint`; ``use_reentrant`` is False without them.
    """
    for layer in layers:
        layer.forward = _Checkpointed(layer, {"use_reentrant": False} | (options or {}))


def keep_activations(layers: Iterable[nn.Module]) -> None:
    """Undo `checkpoint_layers`."""
    for layer in layers:
        vars(layer).pop("forward", None)


class _Checkpointed:
    """The forward of a layer; in training it keeps the input only."""

    def __init__(self, layer: nn.Module, options: dict[str, Any]) -> None:
        self.layer, self.options = layer, options

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        forward = type(self.layer).forward
        if not self.layer.training:
            return forward(self.layer, *inputs, **named)
        return checkpoint(forward, self.layer, *inputs, **self.options, **named)

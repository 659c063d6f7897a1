"""Exchanges of tensors in any nest of dicts, lists and tuples, for one process or several (*collective*).

Re-implements accelerate/utils/operations.py. A nest with anything but tensors in it raises a TypeError.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minift.distributed import exchange
from minift.distributed.world import world
from minift.tensors import map_nest


def map_tensors(function: Callable[[Tensor], Any], nest: Any) -> Any:
    """Call `function` on every tensor in a nest."""

    def checked(value: Any) -> Any:
        if not isinstance(value, Tensor):
            raise TypeError(f"expected tensors, in dicts, lists or tuples, not {type(value).__name__}")
        return function(value)

    return map_nest(checked, nest)


def gather(tensor: Any) -> Any:
    """Join the tensors of all processes at the first axis, whose lengths may differ; scalars become a vector."""
    if world().size == 1:
        return tensor
    return map_tensors(lambda one: torch.cat(exchange.gather(torch.atleast_1d(one))), tensor)


def gather_rows(input_data: Any, rows: int | None) -> Any:
    """As `gather`, cut to so many rows, if not None; also for a list of anything that JSON can hold."""
    if world().size == 1:
        return input_data
    try:
        return map_tensors(lambda one: one[:rows], gather(input_data))
    except TypeError:
        return [value for part in exchange.gather_objects(input_data) for value in part][:rows]


def reduce(tensor: Any, reduction: str = "sum", scale: float = 1.0) -> Any:
    """Compute the sum or mean of tensors over all processes ("none": neither); `scale` is for TPUs, without effect."""
    if reduction not in ("sum", "mean", "none"):
        raise ValueError(f"reduction must be 'sum', 'mean' or 'none', not {reduction!r}")
    if world().size == 1 or reduction == "none":
        return tensor
    return map_tensors(exchange.mean_over_ranks if reduction == "mean" else exchange.total_over_ranks, tensor)


def pad_across_processes(tensor: Any, dim: int = 0, pad_index: int = 0, pad_first: bool = False) -> Any:
    """Pad axis `dim` of tensors with `pad_index`, at its end or beginning, to the longest of all processes."""

    def padded(one: Tensor) -> Tensor:
        if not -one.dim() <= dim < one.dim():
            return one
        missing = max(exchange.gather_objects(one.shape[dim])) - one.shape[dim]
        axes_after = one.dim() - 1 - dim % one.dim()
        return F.pad(one, [0, 0] * axes_after + ([missing, 0] if pad_first else [0, missing]), value=pad_index)

    return map_tensors(padded, tensor) if world().size > 1 else tensor

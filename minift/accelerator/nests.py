"""Exchanges of tensors in any nest of dicts, lists and tuples, for one process or several (*collective*).

Re-implements accelerate/utils/operations.py. A nest with anything but tensors in it raises a TypeError.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from minift.distributed import exchange
from minift.distributed.dispatch import concatenate as concatenate  # also one of accelerate's own
from minift.distributed.world import world
from minift.tensors import map_nest


class DistributedOperationException(ValueError):
    """The processes pass tensors that do not fit together."""


def map_tensors(function: Callable[[Tensor], Any], nest: Any) -> Any:
    """Call `function` on every tensor in a nest."""

    def checked(value: Any) -> Any:
        if not isinstance(value, Tensor):
            raise TypeError(f"expected tensors, in dicts, lists or tuples, not {type(value).__name__}")
        return function(value)

    return map_nest(checked, nest)


def send_to_device(tensor: Any, device: torch.device | str, **unused: Any) -> Any:
    """Move what has a method `to` in a nest, such as tensors, to `device`; the rest stays."""
    if hasattr(tensor, "to"):
        return tensor.to(device)
    return map_nest(lambda one: one.to(device) if hasattr(one, "to") else one, tensor)


def check_shapes(operation: str, nest: Any, described: Callable[[Tensor], Any] = lambda one: list(one.shape)) -> None:
    """Raise a `DistributedOperationException` if the tensors of the processes do not have the same shapes."""
    shapes: list[Any] = []
    map_tensors(lambda one: shapes.append(described(one)), nest)
    everywhere = exchange.gather_objects(shapes)
    for rank, others in enumerate(everywhere):
        if others != everywhere[0]:
            raise DistributedOperationException(
                f"{operation} needs tensors of the same shapes on all processes: process 0 has {everywhere[0]}, "
                f"process {rank} has {others}"
            )


def broadcast(tensor: Any, from_process: int = 0) -> Any:
    """Return the tensors of one process; the others pass tensors of the same shapes, which are filled."""
    if world().size == 1:
        return tensor
    check_shapes("broadcast", tensor)
    return map_tensors(lambda one: exchange.broadcast(one.contiguous(), from_process), tensor)


def gather_object(object: Any) -> list[Any]:
    """Join the lists of all processes; their values are tensors, numpy arrays or what JSON can hold."""
    return object if world().size == 1 else [value for part in exchange.gather_nests(object) for value in part]


def broadcast_object_list(object_list: list[Any], from_process: int = 0) -> list[Any]:
    """Replace the values of a list by those of one process, see `gather_object`; return the list."""
    if world().size > 1:
        object_list[:] = exchange.gather_nests(object_list if world().rank == from_process else None)[from_process]
    return object_list


def copy_tensor_to_devices(tensor: Tensor | None = None) -> Tensor:
    """Return the tensor of the first process; the others pass None."""
    return broadcast_object_list([tensor])[0]


def gather(tensor: Any) -> Any:
    """Join the tensors of all processes at the first axis, whose lengths may differ; scalars become a vector."""
    if world().size == 1:
        return tensor
    return map_tensors(lambda one: torch.cat(exchange.gather(torch.atleast_1d(one))), tensor)


def gather_rows(input_data: Any, rows: int | None, as_objects: bool = False) -> Any:
    """As `gather`, cut to so many rows, if not None; also for a list of anything that JSON can hold."""
    if world().size == 1:
        return input_data
    try:
        if not as_objects:
            return map_tensors(lambda one: one[:rows], gather(input_data))
    except TypeError:
        pass
    return gather_object(input_data)[:rows]


def reduce(tensor: Any, reduction: str = "mean", scale: float = 1.0) -> Any:
    """Compute the "mean", "sum" or "max" of tensors over all processes ("none": none of them).

    `scale` is for TPUs, without effect.
    """
    over = {"sum": exchange.total_over_ranks, "mean": exchange.mean_over_ranks, "max": exchange.largest_over_ranks}
    if reduction not in (*over, "none"):
        raise ValueError(f"reduction must be 'sum', 'mean', 'max' or 'none', not {reduction!r}")
    if world().size == 1 or reduction == "none":
        return tensor
    check_shapes("reduce", tensor)
    return map_tensors(over[reduction], tensor)


def pad_across_processes(tensor: Any, dim: int = 0, pad_index: int = 0, pad_first: bool = False) -> Any:
    """Pad axis `dim` of tensors with `pad_index`, at its end or beginning, to the longest of all processes."""

    def padded(one: Tensor) -> Tensor:
        if not -one.dim() <= dim < one.dim():
            return one
        missing = max(exchange.gather_objects(one.shape[dim])) - one.shape[dim]
        axes_after = one.dim() - 1 - dim % one.dim()
        return F.pad(one, [0, 0] * axes_after + ([missing, 0] if pad_first else [0, missing]), value=pad_index)

    if world().size == 1:
        return tensor
    check_shapes("pad_across_processes", tensor, Tensor.dim)
    return map_tensors(padded, tensor)

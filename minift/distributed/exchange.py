"""The few ways in which the processes of a run exchange something; for one process, each does next to nothing.

Tensors travel by gloo on the CPU and by nccl between GPUs, everything else as JSON or raw bytes, so that nothing
received can run code. All functions are collective: every process must call them, in the same order.
"""

import ast
import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import torch.distributed as dist
from torch import Tensor, nn

from minift.data.processes import share_files
from minift.distributed.process import lost_peers
from minift.distributed.world import world
from minift.tensors import map_nest


def all_reduce(tensor: Tensor) -> None:
    """Replace `tensor` by its sum over all ranks."""
    wait_for(start_all_reduce(tensor))


def start_all_reduce(tensor: Tensor) -> Any:
    """Start to replace `tensor` by its sum over all ranks; the sum is there after `wait_for` the result.

    On the CPU the sum of a number is the same to the bit, whatever else is sent with it. nccl promises no order.
    """
    with lost_peers():
        if world().size == 2 or tensor.device.type != "cpu" or not tensor.is_floating_point():
            return dist.all_reduce(tensor, async_op=True)
        return SumInOrder(tensor)


def wait_for(work: Any) -> None:
    with lost_peers():
        work.wait()


class SumInOrder:
    """The sum of a tensor of floats over more than two ranks, added up in the order of the ranks.

    gloo's own all-reduce starts each part of a tensor at another rank, so that the last bit of a sum depends on its
    place in the tensor. Here each of the N ranks adds up 1/N of the elements and sends the sums to the others, for the
    same number of bytes. Two ranks do not need it: a + b is b + a.
    """

    def __init__(self, tensor: Tensor):
        self.tensor, size = tensor, world().size
        self.padded = tensor.new_zeros(-(-tensor.numel() // size) * size)  # N equal shares
        self.padded[: tensor.numel()] = tensor.reshape(-1)
        self.shares = torch.empty_like(self.padded)  # this rank's share of rank 0's tensor, of rank 1's, …
        self.work = dist.all_to_all_single(self.shares, self.padded, async_op=True)

    def wait(self) -> None:
        self.work.wait()
        first, *others = self.shares.chunk(world().size)
        for other in others:
            first += other
        dist.all_gather_into_tensor(self.padded, first)
        self.tensor.copy_(self.padded[: self.tensor.numel()].view_as(self.tensor))


def sum_over_ranks(*numbers: float) -> list[float]:
    """Sum each number over all ranks; exact for integers below 2**53."""
    if world().size == 1:
        return list(numbers)
    totals = torch.tensor(numbers, dtype=torch.float64)
    all_reduce(totals)
    return totals.tolist()


def total_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over all ranks, as a new tensor."""
    total = tensor.detach().clone()
    all_reduce(total)
    return total


def mean_over_ranks(tensor: Tensor) -> Tensor:
    return tensor if world().size == 1 else total_over_ranks(tensor) / world().size


def largest_over_ranks(tensor: Tensor) -> Tensor:
    return torch.stack(gather(tensor)).amax(0)


def barrier() -> None:
    """Wait until every rank has come here."""
    sum_over_ranks(0)


def gather(tensor: Tensor, shapes: Sequence[Sequence[int]] | None = None) -> list[Tensor]:
    """Return the tensors of all ranks, in their order, of one dtype. To know all `shapes` saves two more messages."""
    if world().size == 1:
        return [tensor]
    if shapes is None:
        described = gather_objects([list(tensor.shape), str(tensor.dtype)])
        shapes, dtypes = zip(*described, strict=True)
        if len(set(dtypes)) > 1:
            raise ValueError(f"gather needs one dtype on all ranks, not {', '.join(dtypes)}")
    sizes = [math.prod(shape) for shape in shapes]
    padded = tensor.new_zeros(max(sizes))
    padded[: tensor.numel()] = tensor.detach().reshape(-1)
    parts = [torch.empty_like(padded) for _ in sizes]
    with lost_peers():
        dist.all_gather(parts, padded)
    return [part[:size].view(shape) for part, size, shape in zip(parts, sizes, shapes, strict=True)]


def broadcast(tensor: Tensor, source: int = 0) -> Tensor:
    """Fill `tensor` with the tensor of rank `source`, and return it."""
    if world().size > 1:
        with lost_peers():
            dist.broadcast(tensor, source)
    return tensor


@torch.no_grad()
def broadcast_module(module: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0; their names, shapes and dtypes must be the same."""
    if world().size == 1:
        return
    tensors = [*module.named_parameters(), *module.named_buffers()]
    described = gather_objects([[name, list(tensor.shape), str(tensor.dtype)] for name, tensor in tensors])
    for rank, others in enumerate(described):
        for first, its in zip_longest(described[0], others):
            if its != first:
                raise ValueError(f"the model of rank {rank} is not that of rank 0: {its} instead of {first}")
    for _, tensor in tensors:
        broadcast(tensor.detach())


# -- other objects


def gather_bytes(data: bytes) -> list[bytes]:
    lengths = gather(torch.tensor([len(data)]), [(1,)] * world().size)
    parts = gather(torch.frombuffer(bytearray(data), dtype=torch.uint8), [length.tolist() for length in lengths])
    return [part.numpy().tobytes() for part in parts]


def gather_objects(value: Any) -> list[Any]:
    """Return the values of all ranks, in the order of the ranks. They travel as JSON, which turns tuples into lists."""
    if world().size == 1:
        return [value]
    return [json.loads(part) for part in gather_bytes(json.dumps(value).encode())]


def broadcast_object(value: Any) -> Any:
    """Return the value of rank 0; what the other ranks pass does not matter."""
    return gather_objects(value if world().is_main else None)[0]


def gather_nests(value: Any) -> list[Any]:
    """As `gather_objects`, for nests of dicts, lists and tuples that also hold numpy arrays or tensors on the CPU.

    A nest travels as one safetensors file: its arrays, and as JSON its form and what else is in it. The form is a
    Python literal with None for each value, such as ``{'rows': None, 'logits': (None, None)}``; so tuples stay tuples.
    """
    if world().size == 1:
        return [value]
    values: list[Any] = []
    form = map_nest(values.append, value)
    arrays = {f"a{i}": np.ascontiguousarray(one) for i, one in enumerate(values) if isinstance(one, np.ndarray)}
    arrays |= {f"t{i}": one.detach().cpu().contiguous().numpy() for i, one in enumerate(values) if torch.is_tensor(one)}
    others = [None if isinstance(one, np.ndarray | Tensor) else one for one in values]
    arrays["rest"] = np.frombuffer(json.dumps([repr(form), others]).encode(), np.uint8)
    return [_unpack(part) for part in gather_bytes(safetensors.numpy.save(arrays))]


def _unpack(data: bytes) -> Any:
    arrays = safetensors.numpy.load(data)
    form, values = json.loads(arrays.pop("rest").tobytes())
    for name, array in arrays.items():
        values[int(name[1:])] = torch.from_numpy(array) if name[0] == "t" else array
    in_order = iter(values)
    return map_nest(lambda _: next(in_order), ast.literal_eval(form))


# -- results of `Dataset.map`


@contextmanager
def main_process_first(local: bool = True) -> Iterator[None]:
    """Run the `with` block in the first process (of each machine, if `local`), then in the others.

    What `Dataset.map` makes in the block goes to a folder that lasts until all processes have left the block. The
    others, which must call `map` in the same order, map these files into memory.
    """
    place = world()
    if place.size == 1:
        yield
        return
    first = place.rank - place.local_rank if local else 0
    with tempfile.TemporaryDirectory(prefix="minift-shared-", ignore_cleanup_errors=True) as folder:
        if place.rank == first:
            with share_files(folder, writes=True):
                yield
        folders = gather_objects(folder)  # returns when the processes that go first have left the block
        if place.rank != first:
            with share_files(folders[first], writes=False):
                yield
        barrier()

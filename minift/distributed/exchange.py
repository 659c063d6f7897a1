"""Several processes of one run: who this one is, and the few ways in which they exchange something.

torchrun starts the processes ("ranks") and describes them in the environment; without that description every function
here does what one process needs, which is next to nothing, and no process group is made. Tensors travel by gloo on the
CPU and by nccl between GPUs. Everything else travels as JSON or raw bytes, so that nothing received can run code.

Every function marked *collective* has to be called by all ranks, in the same order.
"""

import atexit
import json
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import safetensors.numpy
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from minift.data.shared_files import share_files

LAUNCHER_SECONDS = 5  # that a launcher on this machine may take to stop the other ranks after one has failed
EXIT_SECONDS = 10  # that a failed rank may take to end


class PeerLostError(RuntimeError):
    """Another rank ended while this one was waiting for it. What happened is in that rank's message."""


@dataclass(frozen=True)
class World:
    """The place of this process among all of them.

    Attributes:
        rank, size: the number of this process, from 0, of how many.
        local_rank, local_size: the same among the processes on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that logs, saves and shows progress."""
        return self.rank == 0

    def device(self, cpu: bool = False) -> torch.device:
        """The GPU with the number of the local rank if there is one and `cpu` is off, otherwise the CPU.

        Raises:
            ValueError: this machine has GPUs, but fewer than processes.
        """
        if cpu or not torch.cuda.is_available():
            return torch.device("cpu")
        if self.size == 1:
            return torch.device("cuda")
        if torch.cuda.device_count() < self.local_size:
            raise ValueError(
                f"{self.local_size} processes on a machine with {torch.cuda.device_count()} GPUs: start one for each, "
                "or keep them on the CPU (use_cpu)"
            )
        return torch.device("cuda", self.local_rank)


def world() -> World:
    """The place of this process; the first call in one of several processes joins the others (*collective*).

    Raises:
        ValueError: WORLD_SIZE says that there are several, but torchrun's other variables are missing.
    """
    size = int(os.environ.get("WORLD_SIZE", 1))
    if size == 1:
        return World()
    try:
        rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    except KeyError as error:
        raise ValueError(f"WORLD_SIZE is {size} but {error.args[0]} is not set: start the run with torchrun") from None
    place = World(rank, size, local_rank, int(os.environ.get("LOCAL_WORLD_SIZE", size)))
    if not dist.is_initialized():
        _join(place)
    return place


def _join(place: World) -> None:
    one_gpu_each = torch.cuda.device_count() >= place.local_size
    if one_gpu_each:
        torch.cuda.set_device(place.local_rank)
    # torchrun's store outlives a restart, and with it the addresses of the processes that have gone.
    store, rank, size = next(rendezvous("env://"))
    store = dist.PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    # Objects and small counts stay on the CPU, also where gradients travel by nccl.
    backend = "cpu:gloo,cuda:nccl" if one_gpu_each else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    atexit.register(_shut_down)
    sys.excepthook = report_uncaught
    if not place.is_main:
        logging.getLogger("minift").setLevel(logging.ERROR)


def _shut_down() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


# -- what to do when a rank fails


def report_failure(error: BaseException) -> bool:
    """Whether this rank should print `error`: of several ranks that fail together, one speaks.

    Rank 0 speaks at once. Another rank waits until its launcher would have stopped it, had rank 0 failed, too. A rank
    that has lost a peer says no more than that, and only if it is not stopped: a peer on another machine has another
    launcher.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return True
    rank = int(os.environ.get("RANK", 0))
    # A connection that waits for a dead peer must not keep this process: the system ends it, whatever it does.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LAUNCHER_SECONDS + EXIT_SECONDS)
    lost = isinstance(error, PeerLostError)
    if lost or rank != 0:
        time.sleep(LAUNCHER_SECONDS)
    if lost:
        print(f"rank {rank}: stopped, because another rank ended; its message says why", file=sys.stderr)
    return not lost


def report_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The `sys.excepthook` of a rank."""
    if not issubclass(kind, Exception) or report_failure(error):
        sys.__excepthook__(kind, error, trace)


@contextmanager
def peers() -> Iterator[None]:
    """Around a collective call or the wait for one: tells the loss of a peer from other errors."""
    try:
        yield
    except RuntimeError as error:  # gloo and nccl raise subclasses of it, and sometimes itself
        raise PeerLostError(f"rank {dist.get_rank()} lost the connection to another rank: {error}") from error


# -- exchanging tensors (all collective)


def all_reduce(tensor: Tensor, asynchronously: bool = False) -> Any:
    """Replace `tensor` by its sum over all ranks; asynchronously, it is there after `wait_for` the result.

    On the CPU a sum is the same to the bit whatever it is sent along with, see `SumInOrder`; nccl promises no order.
    """
    with peers():
        if world().size == 2 or tensor.device.type != "cpu" or not tensor.is_floating_point():
            return dist.all_reduce(tensor, async_op=asynchronously)
        work = SumInOrder(tensor)
        return work if asynchronously else work.wait()


class SumInOrder:
    """The sum over more than two ranks of a tensor of floats, added up in the order of the ranks.

    gloo's own all-reduce begins each part of a tensor at another rank, so that the last bit of a sum depends on where
    in the tensor it stands. Here every rank adds up its share of the elements, of all ranks, and hands the sums out:
    the two halves of a ring all-reduce, and as many bytes. Two ranks have no need of it: a + b is b + a.
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


def wait_for(work: Any) -> None:
    """Wait until an asynchronous `all_reduce` is done."""
    with peers():
        work.wait()


def sum_over_ranks(*numbers: float) -> list[float]:
    """The sum of each number over all ranks, exact for integers below 2**53."""
    if world().size == 1:
        return list(numbers)
    totals = torch.tensor(numbers, dtype=torch.float64)
    all_reduce(totals)
    return totals.tolist()


def mean_over_ranks(tensor: Tensor) -> Tensor:
    """The mean of a tensor over all ranks, as a new tensor."""
    if world().size == 1:
        return tensor
    total = tensor.detach().clone()
    all_reduce(total)
    return total / world().size


def gather(tensor: Tensor, shapes: Sequence[Sequence[int]] | None = None) -> list[Tensor]:
    """The tensors of all ranks, in the order of the ranks; their shapes may differ, their dtypes may not.

    Args:
        tensor: this rank's.
        shapes: of the tensors of all ranks, where each rank knows them: saves asking for them, and for the dtypes.

    Raises:
        ValueError: the dtypes differ.
    """
    if world().size == 1:
        return [tensor]
    if shapes is None:
        described = gather_objects([list(tensor.shape), str(tensor.dtype)])
        shapes, dtypes = zip(*described, strict=True)
        if len(set(dtypes)) > 1:
            raise ValueError(f"gather needs one dtype on all ranks, not {', '.join(dtypes)}")
    sizes = [int(np.prod(shape)) for shape in shapes]
    padded = tensor.new_zeros(max(sizes))
    padded[: tensor.numel()] = tensor.detach().reshape(-1)
    parts = [torch.empty_like(padded) for _ in sizes]
    with peers():
        dist.all_gather(parts, padded)
    return [part[:size].view(shape) for part, size, shape in zip(parts, sizes, shapes, strict=True)]


def broadcast(tensor: Tensor, source: int = 0) -> Tensor:
    """Fill `tensor` with that of the rank `source`, and return it."""
    if world().size > 1:
        with peers():
            dist.broadcast(tensor, source)
    return tensor


@torch.no_grad()
def broadcast_module(module: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0.

    Raises:
        ValueError: the ranks' modules differ in the names or the shapes of their tensors.
    """
    if world().size == 1:
        return
    tensors = [*module.named_parameters(), *module.named_buffers()]
    described = gather_objects([[name, list(tensor.shape), str(tensor.dtype)] for name, tensor in tensors])
    for rank, other in enumerate(described):
        if other != described[0]:
            different = next((pair for pair in zip(described[0], other, strict=False) if pair[0] != pair[1]), None)
            raise ValueError(f"the model of rank {rank} is not that of rank 0: {different or 'their sizes differ'}")
    for _, tensor in tensors:
        broadcast(tensor.detach())


# -- exchanging anything else (all collective)


def gather_bytes(data: bytes) -> list[bytes]:
    """The bytes of all ranks, in the order of the ranks."""
    if world().size == 1:
        return [data]
    mine = torch.tensor([len(data)])
    lengths = [torch.empty_like(mine) for _ in range(world().size)]
    with peers():
        dist.all_gather(lengths, mine)
        padded = torch.zeros(int(max(lengths)), dtype=torch.uint8)
        padded[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else padded[:0]
        parts = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(parts, padded)
    return [part[:length].numpy().tobytes() for part, length in zip(parts, lengths, strict=True)]


def gather_objects(value: Any) -> list[Any]:
    """The values of all ranks, in the order of the ranks; they travel as JSON, which makes lists of tuples.

    Raises:
        TypeError: JSON cannot hold the value.
    """
    if world().size == 1:
        return [value]
    return [json.loads(part) for part in gather_bytes(json.dumps(value).encode())]


def gather_nests(value: Any) -> list[Any]:
    """As `gather_objects`, for values that also hold numpy arrays and tuples, in any nest of dicts and tuples."""
    if world().size == 1:
        return [value]
    arrays: dict[str, np.ndarray] = {}
    nest = json.dumps(_take_out(value, arrays)).encode()
    arrays["nest"] = np.frombuffer(nest, np.uint8)
    gathered = [safetensors.numpy.load(part) for part in gather_bytes(safetensors.numpy.save(arrays))]
    return [_put_back(json.loads(part["nest"].tobytes()), part) for part in gathered]


def _take_out(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """What JSON can hold of `value`; its arrays go to `arrays`, and their names into their places."""
    if isinstance(value, np.ndarray):
        arrays[f"array {len(arrays)}"] = np.ascontiguousarray(value)
        return {"array": f"array {len(arrays) - 1}"}
    if isinstance(value, tuple):
        return {"tuple": [_take_out(item, arrays) for item in value]}
    if isinstance(value, dict):
        return {"dict": {name: _take_out(item, arrays) for name, item in value.items()}}
    return value


def _put_back(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return arrays[content]
    if kind == "tuple":
        return tuple(_put_back(item, arrays) for item in content)
    return {name: _put_back(item, arrays) for name, item in content.items()}


def broadcast_object(value: Any) -> Any:
    """The value that rank 0 has; what the other ranks pass does not matter."""
    return gather_objects(value if world().is_main else None)[0]


def barrier() -> None:
    """Return when every rank has come here."""
    sum_over_ranks(0)


@contextmanager
def main_process_first(local: bool = True) -> Iterator[None]:
    """The first process (of each machine, if `local`) runs the `with` block before the others.

    What its calls of `Dataset.map` make goes to a folder that lasts until all are through. The other processes, which
    have to make the same calls in the same order, find the results there and map them into memory.
    """
    place = world()
    if place.size == 1:
        yield
        return
    goes_first = (place.local_rank if local else place.rank) == 0
    with tempfile.TemporaryDirectory(prefix="minift-shared-", ignore_cleanup_errors=True) as folder:
        if goes_first:
            with share_files(folder, writes=True):
                yield
        folders = gather_objects(folder)  # returns when those who go first are through
        first = place.rank - place.local_rank if local else 0
        if not goes_first:
            with share_files(folders[first], writes=False):
                yield
        barrier()

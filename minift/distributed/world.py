"""Which of the processes ("ranks") that torchrun has started this one is, and how it joins the others."""

import atexit
import logging
import os
import sys
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from minift.distributed.process import process_count, report_uncaught


@dataclass(frozen=True)
class World:
    """The place of this process among all processes of the run; `local_` is among those on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that logs, saves and shows progress."""
        return self.rank == 0

    def device(self, cpu: bool = False) -> torch.device:
        """Choose the GPU whose number is the local rank, or the CPU if `cpu` is set or there is no GPU."""
        if cpu or not torch.cuda.is_available():
            return torch.device("cpu")
        if self.size == 1:
            return torch.device("cuda")
        if torch.cuda.device_count() < self.local_size:
            raise ValueError(
                f"{self.local_size} processes on a machine with {torch.cuda.device_count()} GPUs: start one process "
                "for each GPU, or keep them on the CPU (use_cpu)"
            )
        return torch.device("cuda", self.local_rank)


def world() -> World:
    """Return the place of this process. The first call in one of several processes joins the others (*collective*)."""
    size = process_count()
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
    # When torchrun restarts a failed run, its store still holds the addresses of the former processes: the prefix
    # keeps the two apart.
    store, rank, size = next(rendezvous("env://"))
    store = dist.PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", store)
    # Objects and small counts stay on the CPU, even if gradients travel between GPUs by nccl.
    backend = "cpu:gloo,cuda:nccl" if one_gpu_each else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    atexit.register(_leave)
    sys.excepthook = report_uncaught
    if not place.is_main:
        logging.getLogger("minift").setLevel(logging.ERROR)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()

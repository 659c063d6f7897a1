"""Batches for the loop: collated one ahead of the step that uses them, and resumable to the bit."""

import math
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader

from minift.batches.column_batches import column_batches
from minift.batches.look_ahead import look_ahead
from minift.batches.sampler import BatchSampler
from minift.distributed.dispatch import dispatch
from minift.distributed.world import world
from minift.tensors import map_nest
from minift.train.seed import rng_state, set_rng_state


def to_device(batch: Any, device: torch.device) -> Any:
    """Move every tensor in a nest of dicts, lists and tuples to `device`."""
    return map_nest(lambda value: value.to(device) if isinstance(value, torch.Tensor) else value, batch)


class Loader:
    """Runs torch's DataLoader one batch ahead, as accelerate's `DataLoaderShard` does.

    Because of the look-ahead, resuming needs more than the state of the generators at the checkpoint: the batch that
    waits was drawn earlier, and has to be drawn again from the state that it was drawn from. `position` holds that:
    the batches handed out, and the state of the generators (the global ones, and the collator's own if it has a
    `state_dict`) when the epoch began and when the waiting batch was about to be collated.

    `dataset` is sized and indexable, `collate` makes of rows a batch, a nest of tensors, which go to `device`;
    `num_workers` and `options` are arguments of torch's DataLoader.
    """

    def __init__(
        self,
        dataset: Any,
        batches: BatchSampler,
        collate: Callable[[list], Any],
        device: torch.device,
        num_workers: int = 0,
        **options: Any,
    ):
        self.dataset, self.batches, self.collate, self.device = dataset, batches, collate, device
        self.batch_size = batches.batch_size
        self.in_process = num_workers == 0
        rows = column_batches(dataset, collate)
        self.loader = DataLoader(rows, batch_sampler=batches, collate_fn=collate, num_workers=num_workers, **options)
        self.position: dict[str, Any] = {}

    is_sized = True

    @property
    def total_batch_size(self) -> int:
        """Rows in a batch of all processes together."""
        return self.batch_size * world().size

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return self.epoch()

    def epoch(self, epoch: int = 0, resume: dict[str, Any] | None = None) -> Iterator[Any]:
        """Yield the batches of an epoch, or those that are left of it after `resume`, a former `position`."""
        done = resume["batches"] if resume else 0
        # Worker processes have generators of their own, which only collating every batch again brings forward.
        skipped = done if self.in_process else 0
        # The batch that waited is drawn from the state that it was drawn from, the others go on from today's.
        states = iter([resume["batch_rng"], rng_state(self.collate)] if resume else [])

        def before_each() -> None:
            state = next(states, None)
            if state is not None:
                set_rng_state(state, self.collate)
            self.position["batch_rng"] = rng_state(self.collate)

        if resume:
            set_rng_state(resume["epoch_rng"], self.collate)
        self.begin(epoch, skipped)
        self.position = {"batches": done, "epoch_rng": rng_state(self.collate)}
        iterator = iter(self.loader)  # draws the base seed of the workers from torch's global generator
        batches = self.read(iterator, done - skipped, before_each)

        for batch, _ in batches:
            self.position["batches"] += 1
            yield to_device(batch, self.device)
        before_each()  # if no batch was left, today's state is still to be taken

    def begin(self, epoch: int, first_batch: int) -> None:
        """Let the next iteration give the batches of `epoch` from `first_batch` on."""
        self.batches.begin(epoch, first_batch)

    def read(
        self, batches: Iterator[Any], passed_over: int, before_each: Callable[[], Any]
    ) -> Iterator[tuple[Any, bool]]:
        """Pass over the first batches, and collate one ahead; yields each batch and whether it is the last."""
        self.batches.rows()  # draws the order, if it comes from torch's global generator, too
        deque(islice(batches, passed_over), maxlen=0)
        return look_ahead(batches, before_each)


class StreamLoader(Loader):
    """The `Loader` of a set that can only be iterated over; without a length, it begins anew until `max_batches`.

    Of several ranks, the first reads N batches at a time and sends them to all, as `dispatch` says; in an evaluation,
    each reads all and takes every N-th. To resume, the rows of the interrupted epoch are read again.
    """

    batches = None

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        collate: Callable[[list], Any],
        device: torch.device,
        training: bool,
        max_batches: int,
        **options: Any,
    ):
        self.dataset, self.collate, self.device, self.training = dataset, collate, device, training
        self.max_batches, self.in_process, self.batch_size = max_batches, False, batch_size
        self.is_sized = hasattr(dataset, "__len__")
        self.loader = DataLoader(dataset, batch_size, collate_fn=collate, **options)
        self.position: dict[str, Any] = {}

    def __len__(self) -> int:
        """The number of batches in an epoch or, where that is not known, in the whole run."""
        if not self.is_sized and self.max_batches <= 0:
            raise TypeError("a stream has no length")
        if not self.is_sized:
            return self.max_batches
        return math.ceil(len(self.loader) / world().size)

    def begin(self, epoch: int, first_batch: int) -> None:
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    def read(
        self, batches: Iterator[Any], passed_over: int, before_each: Callable[[], Any]
    ) -> Iterator[tuple[Any, bool]]:
        if not self.training:
            return look_ahead(islice(batches, world().rank, None, world().size))
        if world().size > 1:
            parts = dispatch(batches, world().size, False, before_each, passed_over)
            return ((batch, is_last) for batch, is_last, _ in parts)
        deque(islice(batches, passed_over), maxlen=0)
        return look_ahead(batches, before_each)


class PlainLoader:
    """Gives the batches of a loader of the user's own, as `Loader` gives those of ours; nothing is collated ahead.

    A loader without a length is read until `max_steps`, again and again if need be. A run resumes in it by drawing the
    batches of the interrupted epoch once more: to the bit, if the loader gives the same batches again.
    """

    def __init__(self, loader: Any, max_batches: int, device: torch.device):
        self.loader, self.max_batches, self.device = loader, max_batches, device
        self.dataset = getattr(loader, "dataset", loader)
        self.position: dict[str, Any] = {}
        try:
            self.length, self.is_sized = len(loader), True
        except TypeError:
            self.length, self.is_sized = max_batches, False
        if self.length <= 0:
            raise ValueError("a training loader without a length needs max_steps")

    def __len__(self) -> int:
        return self.length

    def epoch(self, epoch: int = 0, resume: dict[str, Any] | None = None) -> Iterator[Any]:
        """Yield the batches of an epoch, or those that are left of it after `resume`, a former `position`."""
        for part in (self.dataset, getattr(self.loader, "sampler", None), getattr(self.loader, "batch_sampler", None)):
            if hasattr(part, "set_epoch"):
                part.set_epoch(epoch)
        now = rng_state()
        if resume:
            set_rng_state(resume["epoch_rng"])
        self.position = {"batches": resume["batches"] if resume else 0, "epoch_rng": rng_state()}
        batches = iter(self.loader)
        for _ in range(self.position["batches"]):
            next(batches, None)
        if resume:
            set_rng_state(now)  # nothing waits, so the run goes on with the draws of the checkpoint
        for batch in batches:
            self.position["batches"] += 1
            yield to_device(batch, self.device)

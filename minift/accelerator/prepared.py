"""The state of an Accelerator's loop, and the forms of DataLoaders, optimizers and schedules in it.

Re-implements accelerate/data_loader.py, optimizer.py and scheduler.py.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import BatchSampler as TorchBatchSampler
from torch.utils.data import DataLoader, IterableDataset, RandomSampler

from minift.batches.look_ahead import look_ahead
from minift.batches.sampler import BatchSampler
from minift.distributed.exchange import broadcast, broadcast_object
from minift.distributed.gradients import Averaging
from minift.distributed.world import world
from minift.train.loader import to_device

# the arguments of a DataLoader that say which rows are in which batch
WHICH_ROWS = {"dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "drop_last"}


@dataclass(eq=False, repr=False)
class Loop:
    """What has been prepared, and where the loop is: the `Accelerator` is one, and the prepared parts refer to it."""

    scaler: torch.amp.GradScaler  # of losses and gradients under fp16; otherwise it hands them on as they are
    models: dict[nn.Module, Averaging] = field(default_factory=dict)  # each with what averages its gradients
    optimizers: list[torch.optim.Optimizer] = field(default_factory=list)  # as they were given, as are the schedulers
    schedulers: list[LRScheduler] = field(default_factory=list)
    loaders: list["PreparedLoader"] = field(default_factory=list)
    running: list["PreparedLoader"] = field(default_factory=list)  # in the middle of an epoch, the innermost last
    batches: int = 0  # since the last update
    sync_gradients: bool = True  # whether this batch ends an update
    optimizer_step_was_skipped: bool = False  # the last one, because the gradients of fp16 overflowed

    def at_end(self) -> bool:
        """Whether the batch in use is the last of its epoch."""
        return bool(self.running) and self.running[-1].end_of_dataloader

    def finish_gradients(self, all_models: bool = False) -> None:
        """Finish the averages that backward has begun, or those of `all_models` (*collective*)."""
        for averaging in self.models.values():
            if all_models or averaging.has_begun:
                averaging.finish()


class PreparedLoader:
    """Runs a DataLoader one batch ahead, as `look_ahead` says, and moves its batches to `device`, if not None.

    The start of an epoch draws from torch's global generator what the DataLoader itself draws: the base seed of its
    workers and, with `shuffle=True` in a single process, the seed of the permutation. Several processes, in which its
    sampler must yield the same rows, share these out as `share_out` says.
    """

    loader = None  # while the object is being copied

    def __init__(self, loader: DataLoader, loop: Loop, device: torch.device | None, split: bool, even: bool):
        self.loader, self.loop, self.device = loader, loop, device
        self.generator = None  # of the order that several processes share
        self.end_of_dataloader = False  # whether the batch in use is the last
        self.remainder = 0  # rows in the last batches of all processes together, if these are not full
        if world().size > 1:
            self.loader, self.generator = share_out(loader, split, even)
            batches = self.loader.batch_sampler
            if not batches.drop_last:
                self.remainder = len(loader.sampler) % (batches.batch_size * world().size)

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __iter__(self) -> Iterator[Any]:
        if world().size > 1:
            self.loader.batch_sampler.begin(epoch=0)  # draw a new order
        if self.generator is not None:  # all ranks draw the permutation that rank 0 draws
            self.generator.set_state(broadcast(self.generator.get_state()))
        self.loop.running.append(self)
        try:
            for batch, is_last in look_ahead(self.loader):
                self.end_of_dataloader = is_last
                yield self.to_device(batch)
        finally:  # also when the loop is left before its end
            self.loop.running.remove(self)

    def to_device(self, batch: Any) -> Any:
        """Move a batch; one that has a method `to`, such as a BatchEncoding, keeps its class."""
        if self.device is None:
            return batch
        return batch.to(self.device) if hasattr(batch, "to") else to_device(batch, self.device)


def share_out(loader: DataLoader, split: bool, even: bool) -> tuple[DataLoader, torch.Generator | None]:
    """Make the DataLoader of this rank; return it with the generator of its order, which needs one state on all ranks.

    The ranks share each batch if `split`, otherwise they take whole batches in turn; with `even` all get equally many
    full ones, see `BatchSampler`. A shuffling loader without a generator gets one, seeded from the global one.
    """
    place, batches = world(), loader.batch_sampler
    size = getattr(batches, "batch_size", None)
    if size is None or isinstance(loader.dataset, IterableDataset):
        raise ValueError("several processes can share out a DataLoader with a batch_size over an indexable dataset")
    if split and size % place.size:
        raise ValueError(f"split_batches: {place.size} processes cannot share out a batch_size of {size}")
    sampler = batches.sampler
    if isinstance(sampler, RandomSampler) and sampler.generator is None:
        sampler.generator = torch.Generator().manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
    own_size, drop_last = size // place.size if split else size, getattr(batches, "drop_last", False)
    own = BatchSampler(SampledOrder(batches), own_size, drop_last, place.rank, place.size, even)
    options = {name: getattr(loader, name) for name in inspect.signature(DataLoader).parameters.keys() - WHICH_ROWS}
    return DataLoader(loader.dataset, batch_sampler=own, **options), getattr(sampler, "generator", None)


class SampledOrder:
    """The rows that a DataLoader's sampler draws, as an order for `BatchSampler`; the epoch's number plays no part.

    A sampler that draws from torch's global generator, whose state differs from rank to rank, is asked on each of
    them, and all take the rows of rank 0.
    """

    def __init__(self, batches: TorchBatchSampler):
        self.batches = batches

    length = property(lambda self: len(self.batches.sampler))

    def order(self, epoch: int) -> list[int]:
        rows = [row for batch in self.batches for row in batch]
        return rows if getattr(self.batches.sampler, "generator", None) is not None else broadcast_object(rows)


class PreparedOptimizer(torch.optim.Optimizer):
    """An optimizer whose `step` and `zero_grad` do nothing in the middle of an accumulated update."""

    def __init__(self, optimizer: torch.optim.Optimizer, loop: Loop):
        self.optimizer, self.loop = optimizer, loop  # and no parameters or state of its own

    state = property(lambda self: self.optimizer.state)
    param_groups = property(lambda self: self.optimizer.param_groups)
    defaults = property(lambda self: self.optimizer.defaults)
    add_param_group = property(lambda self: self.optimizer.add_param_group)
    state_dict = property(lambda self: self.optimizer.state_dict)
    load_state_dict = property(lambda self: self.optimizer.load_state_dict)

    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Update the parameters, unless more batches are to come or the gradients of fp16 overflowed."""
        loop, scaler = self.loop, self.loop.scaler
        if loop.sync_gradients:
            loop.finish_gradients()
            scale = scaler.get_scale()
            scaler.step(self.optimizer, closure)
            scaler.update()
            loop.optimizer_step_was_skipped = scaler.get_scale() < scale

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.loop.sync_gradients:
            self.optimizer.zero_grad(set_to_none=set_to_none)


class PreparedScheduler:
    """A schedule that steps when the optimizers have stepped: `times`, as N processes may use up N batches at once."""

    scheduler = None  # while the object is being copied

    def __init__(self, scheduler: LRScheduler, loop: Loop, times: int):
        self.scheduler, self.loop, self.times = scheduler, loop, times

    def step(self, *args: Any) -> None:
        if self.loop.sync_gradients and not self.loop.optimizer_step_was_skipped:
            for _ in range(self.times):
                self.scheduler.step(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scheduler, name)

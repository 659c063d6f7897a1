"""The forms in which an `Accelerator` gives loaders, optimizers and schedules back to a loop.

Re-implements accelerate/data_loader.py, optimizer.py and scheduler.py.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, IterableDataset, RandomSampler

from minift.batches.sampler import count_batches, rank_rows
from minift.distributed.exchange import broadcast, world
from minift.train.loader import to_device

if TYPE_CHECKING:
    from minift.accelerator.accelerator import Accelerator

_END = object()


class RankBatches:
    """This rank's batches of those that a DataLoader makes, see `minift.batches.sampler.rank_rows`.

    Args:
        loader: what its sampler yields has to be the same on every rank.
        split: the ranks share each batch out; otherwise they take whole batches in turn.
        even: fill the last batches up with rows from the beginning, so that all ranks get the same number.

    Raises:
        ValueError: the batches cannot be shared out: the loader has no batch size, or one that the ranks do not divide.
    """

    def __init__(self, loader: DataLoader, split: bool, even: bool):
        self.batches, self.even = loader.batch_sampler, even
        size = getattr(self.batches, "batch_size", None)
        if size is None or isinstance(loader.dataset, IterableDataset):
            raise ValueError("several processes can share out a DataLoader with a batch_size over an indexable dataset")
        if split and size % world().size:
            raise ValueError(f"split_batches: {world().size} processes cannot share out a batch_size of {size}")
        self.batch_size = size // world().size if split else size  # of this rank
        self.drop_last = getattr(self.batches, "drop_last", False)

    @property
    def total_batch_size(self) -> int:
        return self.batch_size * world().size

    def _count(self, length: int) -> int:
        return count_batches(length, self.batch_size, world().rank, world().size, self.drop_last, self.even)

    def __len__(self) -> int:
        return self._count(len(self.batches.sampler))

    def __iter__(self) -> Iterator[list[int]]:
        rows = [row for batch in self.batches for row in batch]
        for number in range(self._count(len(rows))):
            yield rank_rows(rows, number, self.batch_size, world().rank, world().size, self.even)


def share_out(loader: DataLoader, split: bool, even: bool) -> tuple[DataLoader, torch.Generator | None]:
    """The DataLoader of this rank, and the generator of its order, which is to have one state on all ranks.

    A shuffling loader without a generator gets one, seeded by a draw from the global generator.
    """
    batches = RankBatches(loader, split, even)
    sampler = batches.batches.sampler
    if isinstance(sampler, RandomSampler) and sampler.generator is None:
        sampler.generator = torch.Generator()
        sampler.generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
    options = {name: getattr(loader, name) for name in _KEPT}
    return DataLoader(loader.dataset, batch_sampler=batches, **options), getattr(sampler, "generator", None)


# what a rank's DataLoader takes over: all that does not say which rows are in which batch
_KEPT = (
    *("num_workers", "collate_fn", "pin_memory", "timeout", "worker_init_fn", "multiprocessing_context"),
    *("generator", "prefetch_factor", "persistent_workers", "pin_memory_device"),
)


class PreparedLoader:
    """Runs a DataLoader one batch ahead and moves its batches to the device; of several ranks, each gets its own.

    The look-ahead is part of the arithmetic, as in `minift.train.loader.Loader`: batch k+1 is collated before batch k
    is used. Starting an epoch draws what the DataLoader itself draws from torch's global generator: the base seed of
    its workers, and with `shuffle=True`, if there is one rank, the seed of the permutation.

    Attributes:
        end_of_dataloader: whether the batch in use is the last.
        remainder: rows of the set that are in the last batches of all ranks, if those are not full; otherwise 0.
    """

    def __init__(self, loader: DataLoader, accelerator: "Accelerator"):
        self.loader, self.accelerator, self.generator, self.remainder = loader, accelerator, None, 0
        if world().size > 1:
            self.loader, self.generator = share_out(loader, accelerator.split_batches, accelerator.even_batches)
            if not self.loader.batch_sampler.drop_last:
                self.remainder = len(loader.sampler) % self.loader.batch_sampler.total_batch_size
        self.end_of_dataloader = False

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # not there yet while the object is being copied
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __iter__(self) -> Iterator[Any]:
        if self.generator is not None:  # all ranks draw the permutation that rank 0 draws
            self.generator.set_state(broadcast(self.generator.get_state()))
        iterator = iter(self.loader)
        self.end_of_dataloader = False
        self.accelerator._running.append(self)
        try:
            waiting = next(iterator, _END)
            while waiting is not _END:
                batch, waiting = waiting, next(iterator, _END)
                self.end_of_dataloader = waiting is _END
                yield self._to_device(batch)
        finally:  # also when the loop is left before its end
            self.accelerator._running.remove(self)

    def _to_device(self, batch: Any) -> Any:
        if not self.accelerator.device_placement:
            return batch
        device = self.accelerator.device
        return batch.to(device) if hasattr(batch, "to") else to_device(batch, device)


class PreparedOptimizer(torch.optim.Optimizer):
    """An optimizer whose `step` and `zero_grad` do nothing in the middle of an accumulated update."""

    def __init__(self, optimizer: torch.optim.Optimizer, accelerator: "Accelerator"):
        self.optimizer, self.accelerator = optimizer, accelerator  # and no parameters or state of its own

    state = property(lambda self: self.optimizer.state)
    param_groups = property(lambda self: self.optimizer.param_groups)
    defaults = property(lambda self: self.optimizer.defaults)

    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Update the parameters, unless more batches are to come or the gradients of fp16 overflowed."""
        if not self.accelerator.sync_gradients:
            return
        self.accelerator.finish_gradients()
        scaler = self.accelerator.scaler
        if not scaler.is_enabled():
            self.optimizer.step(closure)
            return
        scale = scaler.get_scale()
        scaler.step(self.optimizer)
        scaler.update()
        self.accelerator.optimizer_step_was_skipped = scaler.get_scale() < scale

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.accelerator.sync_gradients:
            self.optimizer.zero_grad(set_to_none=set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.optimizer.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state_dict)


class PreparedScheduler:
    """A schedule that steps when the optimizers have: once for every rank, since as many batches have been used.

    With `split_batches` once only: the batches of all ranks together are then one of those that the loop counts.
    """

    def __init__(self, scheduler: LRScheduler, accelerator: "Accelerator"):
        self.scheduler, self.accelerator = scheduler, accelerator

    def step(self, *args: Any) -> None:
        if self.accelerator.sync_gradients and not self.accelerator.optimizer_step_was_skipped:
            for _ in range(1 if self.accelerator.split_batches else world().size):
                self.scheduler.step(*args)

    def __getattr__(self, name: str) -> Any:
        if name == "scheduler":
            raise AttributeError(name)
        return getattr(self.scheduler, name)

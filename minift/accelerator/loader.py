"""`PreparedLoader`: a DataLoader whose batches come to the device; of several processes, each gets its own batches.

Re-implements accelerate/data_loader.py.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import BatchSampler as TorchBatchSampler
from torch.utils.data import DataLoader, IterableDataset, RandomSampler

from minift.batches.look_ahead import look_ahead
from minift.batches.sampler import BatchSampler
from minift.distributed.exchange import broadcast
from minift.distributed.world import world
from minift.train.loader import to_device

# the arguments of a DataLoader that say which rows are in which batch
WHICH_ROWS = {"dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "drop_last"}


class PreparedLoader:
    """Runs a DataLoader one batch ahead, as `look_ahead` says, and moves its batches to the device.

    The start of an epoch draws from torch's global generator what the DataLoader itself draws: the base seed of its
    workers and, with `shuffle=True` in a single process, the seed of the permutation.

    Args:
        loader: its sampler must yield the same rows in every process.
        device: where the batches go; None leaves them where they are.
        split, even: how several processes share the batches, see `share_out`.
        running: the loaders in the middle of an epoch. This one adds itself while it is one of them.

    Attributes:
        end_of_dataloader: whether the batch in use is the last.
        remainder: rows of the data set in the last batches of all processes, if these are not full; otherwise 0.
    """

    def __init__(
        self, loader: DataLoader, device: torch.device | None, split: bool, even: bool, running: "list[PreparedLoader]"
    ):
        self.loader, self.device, self.running = loader, device, running
        self.generator = None  # of the order that several processes share
        self.end_of_dataloader, self.remainder = False, 0
        if world().size > 1:
            self.loader, self.generator = share_out(loader, split, even)
            batches = self.loader.batch_sampler
            if not batches.drop_last:
                self.remainder = len(loader.sampler) % (batches.batch_size * world().size)

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # not there yet while the object is being copied
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __iter__(self) -> Iterator[Any]:
        if world().size > 1:
            self.loader.batch_sampler.begin(epoch=0)  # draw a new order
        if self.generator is not None:  # all ranks draw the permutation that rank 0 draws
            self.generator.set_state(broadcast(self.generator.get_state()))
        self.running.append(self)
        try:
            for batch, is_last in look_ahead(self.loader):
                self.end_of_dataloader = is_last
                yield self.to_device(batch)
        finally:  # also when the loop is left before its end
            self.running.remove(self)

    def to_device(self, batch: Any) -> Any:
        """Move a batch; one that has a method `to`, such as a BatchEncoding, keeps its class."""
        if self.device is None:
            return batch
        return batch.to(self.device) if hasattr(batch, "to") else to_device(batch, self.device)


def share_out(loader: DataLoader, split: bool, even: bool) -> tuple[DataLoader, torch.Generator | None]:
    """Make the DataLoader of this rank; return it with the generator of its order, which needs one state on all ranks.

    A shuffling loader without a generator gets one, seeded by a draw from torch's global generator.

    Args:
        split: the ranks share each batch of the loader; otherwise they take whole batches in turn.
        even: give all ranks equally many full batches, see `minift.batches.sampler.BatchSampler`.

    Raises:
        ValueError: the loader has no batch size, or one that cannot be divided by the number of ranks.
    """
    place, batches = world(), loader.batch_sampler
    size = getattr(batches, "batch_size", None)
    if size is None or isinstance(loader.dataset, IterableDataset):
        raise ValueError("several processes can share out a DataLoader with a batch_size over an indexable dataset")
    if split and size % place.size:
        raise ValueError(f"split_batches: {place.size} processes cannot share out a batch_size of {size}")
    sampler = batches.sampler
    if isinstance(sampler, RandomSampler) and sampler.generator is None:
        sampler.generator = torch.Generator()
        sampler.generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
    own_size, drop_last = size // place.size if split else size, getattr(batches, "drop_last", False)
    own = BatchSampler(SampledOrder(batches), own_size, drop_last, place.rank, place.size, even)
    names = inspect.signature(DataLoader).parameters.keys() - WHICH_ROWS
    options = {name: getattr(loader, name) for name in names}
    return DataLoader(loader.dataset, batch_sampler=own, **options), getattr(sampler, "generator", None)


class SampledOrder:
    """The rows that a DataLoader's sampler draws, as an order for `BatchSampler`; the epoch's number plays no part."""

    def __init__(self, batches: TorchBatchSampler):
        self.batches = batches

    @property
    def length(self) -> int:
        return len(self.batches.sampler)

    def order(self, epoch: int) -> list[int]:
        return [row for batch in self.batches for row in batch]

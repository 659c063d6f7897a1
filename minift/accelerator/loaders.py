"""DataLoaders as the loop uses them: one batch ahead, on the device, shared out over processes.

Re-implements accelerate/data_loader.py.
"""

import inspect
import math
from collections.abc import Iterator
from copy import copy
from itertools import islice
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler

from minift.accelerator.nests import send_to_device
from minift.accelerator.shares import BatchSamplerShard, IterableDatasetShard, SeedableRandomSampler
from minift.accelerator.state import GradientState, PartialState
from minift.batches.look_ahead import look_ahead
from minift.data.stream import IterableDataset as Stream
from minift.distributed.dispatch import dispatch
from minift.distributed.exchange import broadcast

# the arguments of a DataLoader that say which rows are in which batch
WHICH_ROWS = {"dataset", "batch_size", "shuffle", "sampler", "batch_sampler", "drop_last"}


class PreparedLoader:
    """Runs a DataLoader one batch ahead, as `look_ahead` says, and moves its batches to `device`, if not None.

    The start of an epoch draws from torch's global generator what the DataLoader itself draws: the base seed of its
    workers and, with `shuffle=True` in a single process, the seed of the permutation.

    Args:
        generator: draws the order; it gets the state that it has in process 0 at the start of each epoch.
        skipped: batches that are left out at the beginning of each epoch.
        stateful: remember how the epoch began, for `state_dict`.
    """

    loader = None  # while the object is being copied

    def __init__(
        self,
        loader: DataLoader,
        device: torch.device | None,
        generator: torch.Generator | None = None,
        skipped: int = 0,
        stateful: bool = False,
    ):
        self.loader, self.device, self.generator, self.skipped = loader, device, generator, skipped
        self.stateful, self.iteration, self.handed_out = stateful, 0, 0
        self.drop_last = loader.drop_last
        self.began: list[int] | None = None  # the state of `generator` at the start of the epoch
        self.resumed: dict[str, Any] | None = None
        self.end_of_dataloader = False  # whether the batch in use is the last
        self.remainder = -1  # rows in the last batches of all processes together, if not full; -1: not known

    def __len__(self) -> int:
        is_stream = isinstance(self.loader.dataset, IterableDataset)
        return len(self.loader) - (0 if is_stream else self.skipped)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)

    def __iter__(self) -> Iterator[Any]:
        if self.generator is not None:  # all processes draw the permutation that process 0 draws
            self.generator.set_state(broadcast(self.generator.get_state()))
        resumed, self.resumed = self.resumed or {}, None
        if self.generator is not None and self.stateful:
            if resumed:
                self.generator.set_state(torch.tensor(resumed["began"], dtype=torch.uint8))
            self.began = self.generator.get_state().tolist()
        self.end_of_dataloader, self.remainder = False, self.rows_in_last()
        running = GradientState().running
        running.append(self)
        try:
            self.handed_out = 0
            for batch, is_last in self.batches():
                self.handed_out += 1
                self.end_of_dataloader = is_last
                if self.handed_out > max(self.skipped, resumed.get("handed_out", 0)):
                    yield self.to_device(batch)
            self.iteration, self.handed_out = self.iteration + 1, 0
        finally:  # also when the loop is left before its end
            running.remove(self)

    def batches(self) -> Iterator[tuple[Any, bool]]:
        """Yield the batches of this process in one epoch, each with whether it is the last."""
        self.set_epoch(self.iteration)
        return look_ahead(self.loader)

    def rows_in_last(self) -> int:
        """Count the rows that do not fill the last batch of all processes; -1 if there is no telling."""
        try:
            return -1 if self.drops_last() else self.total_dataset_length % self.total_batch_size
        except (TypeError, AttributeError):  # rows or batches without a length
            return -1

    def drops_last(self) -> bool:
        return bool(getattr(self.batch_sampler, "drop_last", False))

    @property
    def total_batch_size(self) -> int:
        """Rows in the batches of all processes together."""
        batches = self.sampler if isinstance(self.sampler, BatchSampler) else self.batch_sampler
        return batches.batch_size * (
            1 if getattr(batches, "split_batches", False) else getattr(batches, "num_processes", 1)
        )

    @property
    def total_dataset_length(self) -> int:
        return len(self.loader.dataset)

    def set_epoch(self, epoch: int) -> None:
        """Tell samplers, or else the dataset, which epoch comes next."""
        self.iteration, batches = epoch, self.batch_sampler
        inner = getattr(getattr(batches, "batch_sampler", None), "sampler", None)
        for one in (batches, getattr(batches, "sampler", None), inner if hasattr(inner, "set_epoch") else self.dataset):
            if hasattr(one, "set_epoch"):
                one.set_epoch(epoch)

    def to_device(self, batch: Any) -> Any:
        """Move a batch; one that has a method `to`, such as a BatchEncoding, keeps its class."""
        return batch if self.device is None else send_to_device(batch, self.device)

    def skipping(self, batches: int) -> "PreparedLoader":
        """Make a loader without the first batches; those of a sized dataset are not even read."""
        if isinstance(self.dataset, IterableDataset):
            made = self.over(self.loader, skipped=batches)
        else:
            made = self.over(without_first(self.loader, batches))
        made.iteration, made.drop_last = self.iteration, self.drop_last
        return made

    def over(self, loader: DataLoader, skipped: int = 0) -> "PreparedLoader":
        return PreparedLoader(loader, self.device, self.generator, skipped, self.stateful)

    # -- going on in the middle of an epoch

    def state_dict(self) -> dict[str, Any]:
        """Return where the loop is: the epoch, the batches handed out, how the order began. JSON can hold it."""
        if not self.stateful:
            raise ValueError("state_dict needs DataLoaderConfiguration(use_stateful_dataloader=True)")
        return {"iteration": self.iteration, "handed_out": self.handed_out, "began": self.began}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next loop begin after the batches that were handed out at `state_dict`; its `len` stays whole."""
        self.iteration, self.resumed = state_dict["iteration"], state_dict


class DispatchedLoader(PreparedLoader):
    """Process 0 reads the batches and sends them to all; each takes its part. For rows that only one can read.

    A batch is N batches of `loader`, or with `split` one. The last one is filled up with rows of the first so that all
    parts are equally long; `drop_last` leaves it out.
    """

    def __init__(
        self, loader: DataLoader, device: torch.device, split: bool = False, skipped: int = 0, stateful: bool = False
    ):
        super().__init__(loader, device, None, skipped, stateful)
        self.split_batches, self.num_processes = split, PartialState().num_processes

    def over(self, loader: DataLoader, skipped: int = 0) -> PreparedLoader:
        return DispatchedLoader(loader, self.device, self.split_batches, skipped, self.stateful)

    def __len__(self) -> int:
        batches = len(self.loader)
        if self.split_batches:
            return batches
        return (math.floor if self.drops_last() else math.ceil)(batches / self.num_processes)

    def drops_last(self) -> bool:
        return self.drop_last

    def rows_in_last(self) -> int:
        return -1  # until it is there

    @property
    def total_batch_size(self) -> int:
        return self.loader.batch_size * (1 if self.split_batches else self.num_processes)

    def batches(self) -> Iterator[tuple[Any, bool]]:
        self.set_epoch(self.iteration)
        iterator = iter(self.loader)  # all processes draw what an epoch draws
        together = 1 if self.split_batches else self.num_processes
        for batch, is_last, rows in dispatch(iterator, together, self.drops_last()):
            if is_last:
                self.remainder = rows
            yield batch, is_last


# -- making them


def prepare_data_loader(
    dataloader: DataLoader,
    device: torch.device | None = None,
    num_processes: int | None = None,
    process_index: int | None = None,
    split_batches: bool = False,
    put_on_device: bool = False,
    dispatch_batches: bool | None = None,
    even_batches: bool = True,
    use_seedable_sampler: bool = False,
    data_seed: int | None = None,
    use_stateful_dataloader: bool = False,
    **unsupported: Any,
) -> PreparedLoader:
    """Make the DataLoader of this process; the arguments are those of `DataLoaderConfiguration`.

    By default process 0 reads and dispatches the batches of a stream, while each process reads its own rows of an
    indexable dataset. A shuffling loader without a generator gets one, seeded from the global one.
    """
    if unsupported:
        raise TypeError(f"prepare_data_loader does not support {', '.join(map(repr, unsupported))}")
    state, is_stream = PartialState(), isinstance(dataloader.dataset, IterableDataset)
    count = state.num_processes if num_processes is None else num_processes
    rank = state.process_index if process_index is None else process_index
    place = device if put_on_device else None
    if dispatch_batches is None:
        dispatch_batches = is_stream and put_on_device
    if dispatch_batches and not put_on_device:
        raise ValueError("dispatch_batches=True needs put_on_device=True: the batches are sent to the device")
    if split_batches and dataloader.batch_size is not None and dataloader.batch_size % count:
        raise ValueError(f"split_batches: {count} processes cannot share out a batch_size of {dataloader.batch_size}")
    sampler = None if is_stream else sampler_of(dataloader)
    if isinstance(sampler, RandomSampler) and use_seedable_sampler:
        options = {"replacement": sampler.replacement, "num_samples": sampler.num_samples, "data_seed": data_seed}
        sampler = SeedableRandomSampler(sampler.data_source, generator=sampler.generator, **options)
        set_sampler(dataloader, sampler)
    if dispatch_batches and count > 1:
        alone = copy(dataloader)
        alone.generator = None  # what draws the order has its own
        return DispatchedLoader(alone, device, split_batches, stateful=use_stateful_dataloader)
    generator = None
    if count > 1 and is_stream:
        dataloader = shared_stream(dataloader, count, rank, split_batches)
    elif count > 1:
        generator = None if use_seedable_sampler else own_generator(sampler)
        batches = dataloader.sampler if dataloader.batch_sampler is None else dataloader.batch_sampler
        if not isinstance(batches, BatchSampler) and dataloader.batch_sampler is None:
            raise ValueError(
                f"{count} processes cannot share out a DataLoader whose batch_size is None: it has no batches"
            )
        own = BatchSamplerShard(batches, count, rank, split_batches, even_batches)
        dataloader = with_batches(dataloader, own)
    elif use_stateful_dataloader and not is_stream:
        generator = own_generator(sampler)
    return PreparedLoader(dataloader, place, generator, stateful=use_stateful_dataloader)


def own_generator(sampler: Any) -> torch.Generator | None:
    """Return the generator of a sampler; one that shuffles without a generator gets one, seeded from the global one."""
    if hasattr(sampler, "generator") and sampler.generator is None:
        sampler.generator = torch.Generator().manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
    return getattr(sampler, "generator", None)


def sampler_of(loader: DataLoader) -> Any:
    """Return what draws the order of rows, below the sampler of batches."""
    batches = loader.sampler if isinstance(loader.sampler, BatchSampler) else loader.batch_sampler
    return getattr(batches, "sampler", None)


def set_sampler(loader: DataLoader, sampler: Any) -> None:
    batches = loader.sampler if isinstance(loader.sampler, BatchSampler) else loader.batch_sampler
    batches.sampler = sampler


def remade(loader: DataLoader, dataset: Any, **which_rows: Any) -> DataLoader:
    """Make a DataLoader of other rows with the other arguments of `loader`."""
    options = {name: getattr(loader, name) for name in inspect.signature(DataLoader).parameters.keys() - WHICH_ROWS}
    return DataLoader(dataset, **which_rows, **options)


def with_batches(loader: DataLoader, batches: Any) -> DataLoader:
    """Replace the sampler of batches, which stands as `sampler` if the dataset itself makes a batch of several rows."""
    if loader.batch_sampler is None:
        return remade(loader, loader.dataset, sampler=batches, batch_size=None)
    return remade(loader, loader.dataset, batch_sampler=batches)


def shared_stream(loader: DataLoader, count: int, rank: int, split: bool) -> DataLoader:
    """Load this process's part of a stream: its own shards if there are enough, or else 1/N of the rows."""
    size = loader.batch_size // count if split else loader.batch_size
    if isinstance(loader.dataset, Stream) and not split and loader.dataset.num_shards >= count:
        rows = loader.dataset.shard(count, rank)
    else:
        rows = IterableDatasetShard(loader.dataset, loader.batch_size, loader.drop_last, count, rank, split)
    return remade(loader, rows, batch_size=size, drop_last=loader.drop_last)


class SkipBatchSampler(BatchSampler):
    """The batches of another sampler from number `skip_batches` on."""

    def __init__(self, batch_sampler: Any, skip_batches: int = 0):
        self.batch_sampler, self.skip_batches = batch_sampler, skip_batches

    drop_last = property(lambda self: getattr(self.batch_sampler, "drop_last", False))
    batch_size = property(lambda self: getattr(self.batch_sampler, "batch_size", None))
    num_processes = property(lambda self: getattr(self.batch_sampler, "num_processes", 1))
    split_batches = property(lambda self: getattr(self.batch_sampler, "split_batches", False))

    def __iter__(self) -> Iterator[list[int]]:
        return islice(iter(self.batch_sampler), self.skip_batches, None)

    def __len__(self) -> int:
        return len(self.batch_sampler) - self.skip_batches


def without_first(loader: DataLoader, batches: int) -> DataLoader:
    sampler = loader.sampler if loader.batch_sampler is None else loader.batch_sampler
    return with_batches(loader, SkipBatchSampler(sampler, batches))


def skip_first_batches(dataloader: DataLoader | PreparedLoader, num_batches: int = 0) -> DataLoader | PreparedLoader:
    """Make a loader like `dataloader` without its first batches, to go on in the middle of an epoch."""
    if isinstance(dataloader, PreparedLoader):
        return dataloader.skipping(num_batches)
    if isinstance(dataloader.dataset, IterableDataset):
        return PreparedLoader(dataloader, None, skipped=num_batches)
    return without_first(dataloader, num_batches)


DataLoaderShard, DataLoaderDispatcher = PreparedLoader, DispatchedLoader  # accelerate's names

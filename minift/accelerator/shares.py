"""Which rows each of several processes gets. Re-implements the samplers of accelerate/data_loader.py."""

import math
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from typing import Any

import torch
from torch.utils.data import BatchSampler, IterableDataset, RandomSampler, SequentialSampler

from minift.distributed.exchange import broadcast_object


class SeedableRandomSampler(RandomSampler):
    """Shuffles epoch e with the seed ``initial_seed + e``, which is the same on all processes after `set_seed`.

    Args:
        data_seed: the initial seed; by default the one of torch's global generator.
    """

    def __init__(self, *args: Any, data_seed: int | None = None, **options: Any):
        super().__init__(*args, **options)
        self.initial_seed = torch.random.initial_seed() if data_seed is None else data_seed
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        if self.generator is None:
            self.generator = torch.Generator()
        self.generator.manual_seed(self.initial_seed + self.epoch)
        yield from super().__iter__()
        self.set_epoch(self.epoch + 1)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


class BatchSamplerShard(BatchSampler):
    """The batches of one process: every N-th batch of `batch_sampler`, or with `split_batches` 1/N of each.

    With `even_batches` all processes get the same number of full batches: what is missing at the end is filled with
    rows from the beginning. Without it each row comes once; the last batches are shorter, or missing. If
    `batch_sampler` has `drop_last`, only full batches for all are given out.

    A sampler that draws from a global generator, whose state differs from process to process, is read on all of them,
    and all take the rows of process 0.
    """

    def __init__(
        self,
        batch_sampler: Any,
        num_processes: int = 2,
        process_index: int = 0,
        split_batches: bool = False,
        even_batches: bool = True,
    ):
        self.batch_sampler, self.num_processes, self.process_index = batch_sampler, num_processes, process_index
        self.split_batches, self.even_batches = split_batches, even_batches
        self.batch_size = getattr(batch_sampler, "batch_size", None)
        self.drop_last = getattr(batch_sampler, "drop_last", False)
        if self.batch_size is None and (even_batches or split_batches):
            raise ValueError(
                f"{type(batch_sampler).__name__} has no batch_size: several processes can share it out with "
                "even_batches=False and split_batches=False only"
            )
        if split_batches and self.batch_size % num_processes:
            raise ValueError(f"split_batches: {num_processes} processes cannot share a batch_size of {self.batch_size}")

    def batches(self) -> Iterable[list[int]]:
        """Return the batches of one epoch, the same on all processes."""
        sampler = getattr(self.batch_sampler, "sampler", None)
        if isinstance(sampler, SequentialSampler) or getattr(sampler, "generator", None) is not None:
            return self.batch_sampler
        return broadcast_object([[int(row) for row in batch] for batch in self.batch_sampler])

    def __len__(self) -> int:
        whole, more = divmod(len(self.batch_sampler), self.num_processes)
        if self.split_batches:
            return len(self.batch_sampler)
        if self.drop_last or not more:
            return whole
        return whole + (self.even_batches or self.process_index < more)

    def __iter__(self) -> Iterator[list[int]]:
        count = 1 if self.split_batches else self.num_processes  # batches that are given out together
        first: list[int] = []  # the rows of the first such group, which fill up the last one
        batches = iter(self.batches())
        short = False
        while group := list(islice(batches, count)):
            if short:
                raise ValueError(
                    f"{type(self.batch_sampler).__name__} gives a batch of less than its batch_size "
                    f"({self.batch_size} rows) before the last one: the processes cannot share that out evenly"
                )
            short = len(group) < count or self.batch_size not in (None, *map(len, group[-1:]))
            rows = [row for batch in group for row in batch]
            first = first or rows
            if short and self.drop_last:
                continue
            if short and self.even_batches:
                size = self.batch_size * count // self.num_processes  # rows of one process
                rows = [*rows, *islice(cycle(first), size * self.num_processes - len(rows))]
                yield rows[self.process_index * size : (self.process_index + 1) * size]
            elif not self.split_batches:
                yield from group[self.process_index : self.process_index + 1]
            elif share := part(group[0], self.process_index, self.batch_size // self.num_processes):
                yield share


class IterableDatasetShard(IterableDataset):
    """The rows of one process of a stream that all processes read.

    Of each N · `batch_size` rows (`batch_size` with `split_batches`) a process takes 1/N; the last ones are filled with
    rows from the beginning, or dropped.
    """

    def __init__(
        self,
        dataset: IterableDataset,
        batch_size: int = 1,
        drop_last: bool = False,
        num_processes: int = 1,
        process_index: int = 0,
        split_batches: bool = False,
    ):
        self.dataset, self.batch_size, self.drop_last, self.epoch = dataset, batch_size, drop_last, 0
        self.num_processes, self.process_index, self.split_batches = num_processes, process_index, split_batches
        if split_batches and batch_size % num_processes:
            raise ValueError(f"split_batches: {num_processes} processes cannot share out a batch_size of {batch_size}")

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)

    @property
    def together(self) -> int:
        return self.batch_size * (1 if self.split_batches else self.num_processes)

    def __len__(self) -> int:
        groups = len(self.dataset) / self.together
        return (math.floor(groups) if self.drop_last else math.ceil(groups)) * self.together // self.num_processes

    def __iter__(self) -> Iterator[Any]:
        generator = getattr(self.dataset, "generator", None)
        if not hasattr(self.dataset, "set_epoch") and isinstance(generator, torch.Generator):
            generator.manual_seed(self.epoch)  # so that all processes read the same rows
        rows, first = iter(self.dataset), []
        while group := list(islice(rows, self.together)):
            first = first or group
            if len(group) == self.together or not self.drop_last:
                group += islice(cycle(first), self.together - len(group))
                yield from part(group, self.process_index, self.together // self.num_processes)


def part(rows: list[Any], number: int, size: int) -> list[Any]:
    """Return part `number` of `rows`, of `size` rows each."""
    return rows[number * size : (number + 1) * size]

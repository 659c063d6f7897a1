"""Which rows are in which batch: the order of an epoch, cut into batches, shared by the ranks."""

import math
from collections.abc import Iterator, Sequence

import numpy as np


def randperm(length: int, seed: int) -> list[int]:
    """Compute ``torch.randperm(length)`` for a generator of this seed, without torch.

    A Fisher-Yates shuffle (Knuth, TAOCP 2, algorithm P): row i changes places with one of the rows from i on; the
    remainder of the next 32 bits of MT19937 picks it (torch: aten/src/ATen/native/TensorFactories.cpp,
    ``randperm_cpu``). 2**32 / 20 rows or more, which torch shuffles in another way, are a ValueError.
    """
    if length >= (2**32 - 1) // 20:
        raise ValueError(f"cannot shuffle {length:,} rows: the limit is {(2**32 - 1) // 20:,}")
    remaining = np.arange(length, 1, -1)  # the number of rows from row i on
    draws = np.random.RandomState(seed % 2**32).randint(0, 2**32, len(remaining), dtype=np.uint32)
    partners = np.arange(len(remaining)) + draws % remaining
    rows = list(range(length))
    for row, partner in enumerate(partners.tolist()):
        rows[row], rows[partner] = rows[partner], rows[row]
    return rows


class RandomOrder:
    """A permutation of n rows that depends only on the seed and the epoch: a run can resume in any epoch.

    Epoch e is ``torch.randperm(n)`` of a generator seeded with ``seed + e`` (accelerate's `SeedableRandomSampler`).
    """

    def __init__(self, length: int, seed: int):
        self.length, self.seed = length, seed

    def order(self, epoch: int) -> list[int]:
        import torch

        return torch.randperm(self.length, generator=torch.Generator().manual_seed(self.seed + epoch)).tolist()


class SequentialOrder:
    """The rows in the order of the dataset, in every epoch."""

    def __init__(self, length: int):
        self.length = length

    def order(self, epoch: int) -> Sequence[int]:
        return range(self.length)


class LengthGroupedOrder:
    """A random order in which neighbours have similar lengths, so that batches need little padding.

    torch's global generator permutes the rows; they are cut into groups of up to 50 batches, and sorted from long to
    short in each group. The longest row of all comes first: if memory does not suffice, this shows at once
    (transformers' `get_length_grouped_indices`).
    """

    def __init__(self, lengths: Sequence[int], batch_size: int):
        self.lengths, self.length, self.batch_size = list(lengths), len(lengths), batch_size

    def order(self, epoch: int) -> list[int]:
        import torch

        rows = torch.randperm(self.length).tolist()
        size = self.batch_size * max(1, min(self.length // (self.batch_size * 4), 50))
        groups = [
            sorted(rows[start : start + size], key=self.lengths.__getitem__, reverse=True)
            for start in range(0, self.length, size)
        ]
        longest = max(range(len(groups)), key=lambda group: self.lengths[groups[group][0]])
        groups[0][0], groups[longest][0] = groups[longest][0], groups[0][0]
        return [row for group in groups for row in group]


class LengthSortedOrder:
    """From the longest row to the shortest: batches need almost no padding. The loop puts results back in order."""

    def __init__(self, lengths: Sequence[int]):
        self.lengths, self.length = lengths, len(lengths)

    def order(self, epoch: int) -> list[int]:
        return sorted(range(self.length), key=self.lengths.__getitem__, reverse=True)


class BatchSampler:
    """Cut the order of an epoch into batches of row numbers; an epoch can be entered at any batch.

    The order is the same on all ranks, which take its batches in turn: rank r of N gets batch r, r + N, r + 2N, … With
    `even`, all ranks get the same number of full batches: missing rows at the end are taken from the beginning of the
    order. Without it, each row is in exactly one batch: the last batches are shorter, or missing; so they are on a
    single rank, always. `drop_last` leaves out what does not fill a batch on every rank. These are the batches of
    accelerate's `BatchSamplerShard` (data_loader.py).
    """

    def __init__(
        self,
        order: RandomOrder | SequentialOrder | LengthGroupedOrder | LengthSortedOrder,
        batch_size: int,
        drop_last: bool,
        rank: int = 0,
        world_size: int = 1,
        even: bool = False,
    ):
        if batch_size < 1:
            raise ValueError(f"the batch size must be at least 1, not {batch_size}")
        self.order, self.batch_size, self.drop_last = order, batch_size, drop_last
        self.rank, self.world_size, self.even = rank, world_size, even and world_size > 1
        self.first_row = rank * batch_size  # of this rank's first batch
        self.begin(epoch=0)

    def begin(self, epoch: int, first_batch: int = 0) -> None:
        """Let the next iteration yield the batches of `epoch` from `first_batch` on."""
        self.epoch, self.first_batch, self._rows = epoch, first_batch, None

    def rows(self) -> Sequence[int]:
        """The order of the epoch, which is drawn late: after the DataLoader's own draw."""
        if self._rows is None:
            self._rows = self.order.order(self.epoch)
        return self._rows

    def __len__(self) -> int:
        """Count the batches of this rank in a whole epoch."""
        length, together = self.order.length, self.batch_size * self.world_size
        if self.drop_last:
            return length // together
        return math.ceil(length / together) if self.even else max(0, math.ceil((length - self.first_row) / together))

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self.first_batch, len(self)):
            rows, start = self.rows(), batch * self.batch_size * self.world_size + self.first_row
            if self.even:
                yield [rows[place % len(rows)] for place in range(start, start + self.batch_size)]
            else:
                yield list(rows[start : start + self.batch_size])

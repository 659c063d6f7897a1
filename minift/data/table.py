"""The rows of an Arrow table by number, read without joining the table's chunks."""

import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

FEW = 8  # up to this many rows of a record batch, a slice of each row costs less than one `take`


class Rows:
    """The rows of an Arrow table, by number.

    pyarrow's own `take` first joins all chunks of a column: every batch of a shuffled dataset would copy the whole
    column. Here only the record batches that hold the wanted rows are touched.

    Args:
        table: the data.
        files: the memory-mapped files in which its columns lie.
    """

    def __init__(self, table: pa.Table, files: Sequence[mmap.mmap] = ()):
        self.table, self.files = table, tuple(files)
        self.batches = table.to_batches()
        self._starts = np.cumsum([0] + [batch.num_rows for batch in self.batches])

    def __reduce__(self) -> tuple[Any, ...]:
        return Rows, (self.table,)  # to another process travel the rows, not the file

    def slice(self, start: int, stop: int) -> pa.Table:
        """The rows from `start` to before `stop`; nothing is copied."""
        return self.table.slice(start, max(0, stop - start))

    def find(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers (N,) to the record batch of each row, and its place in that batch; both (N,)."""
        batch = np.searchsorted(self._starts, numbers, side="right") - 1
        return batch, numbers - self._starts[batch]

    def take(self, numbers: np.ndarray) -> pa.Table:
        """The rows with these numbers (int64, from 0, in any order, also repeated) as a new table."""
        if len(numbers) == 0:
            return self.table.slice(0, 0)
        if len(numbers) > 1 and len(numbers) == numbers[-1] - numbers[0] + 1 and (np.diff(numbers) == 1).all():
            return self.slice(int(numbers[0]), int(numbers[-1]) + 1)
        batch, place = self.find(numbers)
        order = np.argsort(batch, kind="stable")
        ends = np.flatnonzero(np.diff(batch[order])) + 1  # where another record batch begins
        if len(numbers) <= FEW * (len(ends) + 1):
            slices = [self.batches[b].slice(p, 1) for b, p in zip(batch.tolist(), place.tolist(), strict=True)]
            return pa.Table.from_batches(slices, self.table.schema).combine_chunks()
        groups = np.split(order, ends)
        pieces = [self.batches[batch[group[0]]].take(pa.array(place[group])) for group in groups]
        table = pa.Table.from_batches(pieces, self.table.schema)
        if len(pieces) == 1:
            return table
        back = np.argsort(order)  # the pieces are sorted by record batch: back to the order that was asked for
        return table.combine_chunks().take(pa.array(back))

    def release_pages(self) -> None:
        """Give back the memory of the pages that have been read; the system reads them again where they are used.

        A pass over a dataset calls this now and then: what it holds does not grow with the rows that it has seen.
        """
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            for file in self.files:
                file.madvise(mmap.MADV_DONTNEED)


def join_rows(parts: Sequence[Rows]) -> Rows:
    """The rows of several tables of the same columns, one table after the other; nothing is copied."""
    return Rows(pa.concat_tables([part.table for part in parts]), [file for part in parts for file in part.files])

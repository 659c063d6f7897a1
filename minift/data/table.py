"""Arrow files in memory maps, and the rows of an Arrow table by number, without joining the table's chunks."""

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from minift.data.damage import check_table

END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
FILE_MAGIC = b"ARROW1"
FEW = 8  # up to this many rows of a record batch, a slice of each row costs less than one `take`


class Rows:
    """The rows of an Arrow table, by number; `files` are the memory maps in which its columns lie.

    pyarrow's own `take` first joins all chunks of a column: every batch of a shuffled dataset would copy the whole
    column. Here only the record batches that hold the wanted rows are touched.
    """

    def __init__(self, table: pa.Table, files: Sequence[mmap.mmap] = ()):
        self.table, self.files = table, tuple(files)
        self.batches = table.to_batches()
        self._starts = np.cumsum([0] + [batch.num_rows for batch in self.batches])

    def __reduce__(self) -> tuple[Any, ...]:
        return Rows, (self.table,)  # to another process travel the rows, not the file

    def slice(self, start: int, stop: int) -> pa.Table:
        """Take the rows from `start` to before `stop`; nothing is copied."""
        return self.table.slice(start, max(0, stop - start))

    def find(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn row numbers (N,) into the record batch of each row, and its place in that batch; both (N,)."""
        batch = np.searchsorted(self._starts, numbers, side="right") - 1
        return batch, numbers - self._starts[batch]

    def take(self, numbers: np.ndarray) -> pa.Table:
        """Take the rows with these numbers (int64, from 0, in any order, also repeated) as a new table."""
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

        A pass over a dataset calls this now and then, so that its memory does not grow with the rows that it has seen.
        """
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            for file in self.files:
                file.madvise(mmap.MADV_DONTNEED)


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Put the rows of tables with the same columns one after the other; nothing is copied."""
    return Rows(pa.concat_tables([part.table for part in parts]), [file for part in parts for file in part.files])


def read_arrow(path: str | Path) -> Rows:
    """Map an Arrow stream or Arrow file into memory: its rows stay on the disk until they are used.

    Raises a FileNotFoundError, or a ValueError if the file is not Arrow, or its end is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such Arrow file")
    try:
        with open(path, "rb") as handle:
            mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        source = pa.py_buffer(mapped)
        if mapped[: len(FILE_MAGIC)] == FILE_MAGIC:
            table = pa.ipc.open_file(source).read_all()
        elif mapped[-len(END_OF_STREAM) :] != END_OF_STREAM:  # pyarrow would take a stream that was cut for a whole one
            raise ValueError("its end is missing")
        else:
            table = pa.ipc.open_stream(source).read_all()
        check_table(table)
    except (pa.ArrowException, ValueError, OSError, MemoryError, OverflowError) as error:
        raise ValueError(f"{path} is not a complete Arrow file: {error}") from error
    return Rows(table, [mapped])

"""Arrow tables on disk: read without loading, and gathered row by row without joining their chunks."""

import mmap
from pathlib import Path
from weakref import WeakSet

import numpy as np
import pyarrow as pa

_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
_FILE_MAGIC = b"ARROW1"
FEW = 8  # rows of a record batch up to which a slice each costs less than one `take` of them
_mapped: WeakSet[mmap.mmap] = WeakSet()  # every file that is mapped now


def read_arrow(path: str | Path, in_memory: bool = False) -> pa.Table:
    """The table of an Arrow stream or Arrow file, memory-mapped: its rows stay on the disk until they are used.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not Arrow, or its end is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such Arrow file")
    try:
        source = pa.py_buffer(path.read_bytes() if in_memory else _map(path))
        with open(path, "rb") as handle:
            head = handle.read(len(_FILE_MAGIC))
            handle.seek(max(0, path.stat().st_size - len(_END_OF_STREAM)))
            tail = handle.read()
        if head == _FILE_MAGIC:
            return pa.ipc.open_file(source).read_all()
        if tail != _END_OF_STREAM:  # pyarrow takes a stream that was cut between two batches for a whole one
            raise ValueError("its end is missing")
        return pa.ipc.open_stream(source).read_all()
    except (pa.ArrowException, ValueError, OSError) as error:
        raise ValueError(f"{path} is not a complete Arrow file: {error}") from error


def _map(path: Path) -> mmap.mmap:
    with open(path, "rb") as handle:
        mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
    _mapped.add(mapped)
    return mapped


def release_pages() -> None:
    """Give back the memory of all mapped pages that have been read; the system reads them again where they are used.

    A pass over a data set calls this now and then, so that what it holds does not grow with the rows it has seen.
    """
    if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        for mapped in list(_mapped):
            mapped.madvise(mmap.MADV_DONTNEED)


class Rows:
    """Random access to a table's rows.

    pyarrow's own `take` first joins all chunks of a column: every batch of a shuffled dataset would copy the whole
    column. Here only the record batches that hold the wanted rows are touched.
    """

    def __init__(self, table: pa.Table):
        self.table = table
        self.batches = table.to_batches()
        self._starts = np.cumsum([0] + [batch.num_rows for batch in self.batches])

    def slice(self, start: int, stop: int) -> pa.Table:
        return self.table.slice(start, max(0, stop - start))

    def take(self, rows: np.ndarray) -> pa.Table:
        """The rows with these numbers (int64, from 0, in any order, also repeated) as a new table."""
        if len(rows) == 0:
            return self.table.slice(0, 0)
        if len(rows) > 1 and len(rows) == rows[-1] - rows[0] + 1 and (np.diff(rows) == 1).all():
            return self.slice(int(rows[0]), int(rows[-1]) + 1)
        home = np.searchsorted(self._starts, rows, side="right") - 1  # the record batch of each row
        order = np.argsort(home, kind="stable")
        ends = np.flatnonzero(np.diff(home[order])) + 1  # of the groups of one record batch, all but the last
        if len(rows) <= FEW * (len(ends) + 1):
            places = zip(home.tolist(), (rows - self._starts[home]).tolist(), strict=True)
            slices = [self.batches[batch].slice(row, 1) for batch, row in places]
            return pa.Table.from_batches(slices, self.table.schema).combine_chunks()
        pieces = []
        for group in np.split(order, ends):
            batch = home[group[0]]
            pieces.append(self.batches[batch].take(pa.array(rows[group] - self._starts[batch])))
        table = pa.Table.from_batches(pieces, self.table.schema)
        if len(pieces) == 1:
            return table
        back = np.empty(len(rows), dtype=np.int64)
        back[order] = np.arange(len(rows))
        return table.combine_chunks().take(pa.array(back))

"""`map` and `filter`: call a function on rows or batches, and stream what it returns to an Arrow file."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from minift.data.arrow_file import ArrowWriter, read_arrow
from minift.data.features import Features
from minift.data.lazy_batch import LazyBatch, LazyRow
from minift.data.processes import in_processes
from minift.data.reader import TableReader
from minift.data.shared_files import shared_folder
from minift.data.table import Rows
from minift.files import atomic_path

RELEASE_EVERY = 8  # batches after which the memory of the rows that have been read is given back
NONE_AND_VALUES = "the map function returned None for some rows and values for others"


@dataclass(frozen=True)
class Call:
    """A function, and how it is called on rows: the arguments of `map` and `filter` that say so."""

    function: Callable | None  # None returns the rows as they are
    batched: bool
    batch_size: int | None  # rows that are read together; None or 0: all
    with_indices: bool
    with_rank: bool
    input_columns: list[str] | None
    fn_kwargs: dict[str, Any]
    drop_last_batch: bool = False

    def __call__(self, given: Any, index: int | list[int], rank: int | None) -> Any:
        """Call the function on a row or a batch; `index` is the number of the row or the list of numbers."""
        if self.function is None:
            return given
        arguments = [given] if self.input_columns is None else [given[name] for name in self.input_columns]
        if self.with_indices:
            arguments.append(index)
        if self.with_rank:
            arguments.append(rank)
        return self.function(*arguments, **self.fn_kwargs)


@dataclass(frozen=True)
class Part:
    """The rows that one process works on."""

    rows: range
    rank: int | None = None  # the number of the process; None without processes

    def __str__(self) -> str:
        return f"rows {self.rows.start} to {self.rows.stop - 1}"


@dataclass(frozen=True)
class Called:
    """One batch after the call: the rows as Arrow, what the function was given, and what it returned.

    `given` and `returned` are lists of rows if the function was called on rows.
    """

    rows: range
    table: pa.Table
    given: Any
    returned: Any


def map_to_file(
    reader: TableReader,
    call: Call,
    remove: Sequence[str],
    features: Features | None,
    path: str | Path | None,
    num_proc: int | None,
    desc: str | None,
) -> Rows | None:
    """Write what the function makes of the rows to an Arrow file and map it; None if the function returns None.

    Args:
        remove: columns that the result does not keep.
        features: the result's columns and types; None infers them.
        path: the file, which is replaced when the work is complete. None: a temporary file, which has no name once it
            is mapped, so that nothing is left behind. In a `share_files` block, the next file of the shared folder.
        num_proc: the number of processes.
    """
    shared = shared_folder() if path is None else None
    if shared is not None:
        path = shared.next_file()
        if not shared.writes:
            return read_arrow(path) if path.is_file() else None  # no file: the function returned None
    with tempfile.TemporaryDirectory(prefix="minift-map-", ignore_cleanup_errors=True) as folder:

        def write(part: Part) -> bool:
            calls = _calls(reader, call, part, desc or "Map")
            return _write(file_of(part), calls, remove, features, reader.features)

        def file_of(part: Part) -> Path:
            return Path(folder, f"{part.rank or 0}.arrow")

        parts = _parts(len(reader), num_proc)
        made = _run(write, parts)
        if not any(made):
            return None
        if not all(made):
            raise TypeError(NONE_AND_VALUES)
        file = file_of(parts[0]) if len(parts) == 1 else _join(map(file_of, parts), Path(folder, "whole.arrow"))
        if path is None:
            return read_arrow(file)
        with atomic_path(path) as fresh:
            shutil.move(file, fresh)
        return read_arrow(path)


def kept_rows(reader: TableReader, call: Call, num_proc: int | None, desc: str | None) -> np.ndarray:
    """The numbers (int64) of the rows for which the function returns a true value."""

    def keep(part: Part) -> np.ndarray:
        kept = [np.zeros(0, dtype=np.int64)]
        for called in _calls(reader, call, part, desc or "Filter"):
            mask = np.asarray([bool(answer) for answer in called.returned])
            if len(mask) != len(called.rows):
                raise ValueError(
                    f"filter: the function returned {len(mask)} values for a batch of {len(called.rows)} rows"
                )
            kept.append(np.flatnonzero(mask) + called.rows.start)
        return np.concatenate(kept)

    return np.concatenate(_run(keep, _parts(len(reader), num_proc)))


def _parts(num_rows: int, num_proc: int | None) -> list[Part]:
    """All rows, or contiguous parts of them for `num_proc` processes; the first parts may have one row more."""
    if num_proc is None:
        return [Part(range(num_rows))]
    if num_proc < 1:
        raise ValueError(f"num_proc={num_proc}: expected at least 1, or None")
    count = min(num_proc, num_rows)
    size, longer = divmod(num_rows, count)
    starts = [rank * size + min(rank, longer) for rank in range(count + 1)]
    return [Part(range(start, stop), rank) for rank, (start, stop) in enumerate(pairwise(starts))]


def _run(work: Callable[[Part], Any], parts: list[Part]) -> list[Any]:
    return [work(parts[0])] if len(parts) == 1 else in_processes(work, parts, str)


def _calls(reader: TableReader, call: Call, part: Part, desc: str) -> Iterator[Called]:
    """Call the function on one batch after the other, or on each row of it, with a progress bar."""
    size = call.batch_size if call.batch_size and call.batch_size > 0 else max(1, len(part.rows))
    count = len(part.rows) // size * size if call.batched and call.drop_last_batch else len(part.rows)
    with tqdm(total=count, desc=desc, unit=" examples", disable=True if part.rank else None) as bar:
        for start in range(0, count, size):
            rows = part.rows[start : min(start + size, count)]
            table = reader.arrow_rows(rows)
            if call.batched:
                given = LazyBatch(table) if reader.format.kind is None else reader.format.of_all_columns().batch(table)
                returned = call(given, list(rows), part.rank)
            else:
                given = _lazy_rows(table) if reader.format.kind is None else reader.format.of_all_columns().rows(table)
                returned = [call(row, index, part.rank) for row, index in zip(given, rows, strict=True)]
            yield Called(rows, table, given, returned)
            bar.update(len(rows))
            if start // size % RELEASE_EVERY == 0:
                reader.rows.release_pages()
    reader.rows.release_pages()


def _lazy_rows(table: pa.Table) -> list[LazyRow]:
    batch = LazyBatch(table)
    return [LazyRow(batch, i) for i in range(table.num_rows)]


def _write(
    file: Path, calls: Iterator[Called], remove: Sequence[str], features: Features | None, known: Features
) -> bool:
    """Write one record batch for each call; return False if the function always returned None."""
    seen = set()
    with ArrowWriter(file, features, known) as writer:
        for called in calls:
            columns = _updated(called, remove)
            seen.add(columns is not None)
            if len(seen) > 1:
                raise TypeError(NONE_AND_VALUES)
            if columns is not None:
                writer.write(columns)
    return seen != {False}


def _updated(called: Called, remove: Sequence[str]) -> dict[str, Any] | None:
    """The columns of a batch after the call: those that are kept, updated by those that were returned.

    `remove` takes away columns of the input; of the output, only if that is the input, changed in place.
    """
    given, output = called.given, called.returned
    if isinstance(given, list):  # the function was called on rows
        if all(row is None for row in output):
            return None
        changed = _columns_of_rows(given, called.rows) if isinstance(given[0], LazyRow) else {}
        returned = _columns_of_rows(output, called.rows)
        given, output = given[0], output[0]
    else:
        if output is None:
            return None
        if hasattr(output, "to_dict") and hasattr(output, "columns"):  # a pandas frame
            output = pa.Table.from_pandas(output, preserve_index=False)
        if isinstance(output, pa.Table):
            return {name: output[name] for name in output.column_names}
        changed = _touched(given) if isinstance(given, LazyBatch) else {}
        returned = _checked_columns(output)
    names = list(given) if isinstance(given, LazyBatch) else called.table.column_names
    kept = {name: changed[name] if name in changed else called.table[name] for name in names if name not in remove}
    if isinstance(output, LazyBatch):
        returned = {name: values for name, values in returned.items() if name not in remove}
    return kept | returned


def _touched(values: Mapping) -> dict[str, Any]:
    return values.touched() if isinstance(values, LazyBatch) else dict(values)


def _checked_columns(output: Any) -> dict[str, Any]:
    """What a function returned for a batch: a dict of columns."""
    if not isinstance(output, Mapping):
        raise TypeError(f"the map function returned {type(output).__name__}: expected a dict of columns, or None")
    columns = _touched(output)
    for name, values in columns.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise TypeError(f"map(batched=True): column {name!r} came back as {type(values).__name__}; expected a list")
    return columns


def _columns_of_rows(dicts: list[Any], rows: range) -> dict[str, list]:
    """A dict for each row to a list for each name; of lazy rows, only the names that were touched in any of them."""
    for row, values in zip(rows, dicts, strict=True):
        if not isinstance(values, Mapping):
            raise TypeError(f"row {row}: the map function returned {type(values).__name__}; expected a dict")
        if values.keys() != dicts[0].keys():
            raise ValueError(f"row {row}: the map function returned {list(values)}; earlier rows: {list(dicts[0])}")
    touched = dict.fromkeys(name for values in dicts for name in _touched(values))
    return {name: [values[name] for values in dicts] for name in touched}


def _join(files: Iterable[Path], whole: Path) -> Path:
    """Write one file of all parts, with the features of the first part that has rows: the others know no types."""
    parts = [read_arrow(file) for file in files]
    typed = next((part for part in parts if part.table.num_rows), parts[0])
    with ArrowWriter(whole, Features.from_arrow_schema(typed.table.schema)) as writer:
        for part in parts:
            for batch in part.batches:
                writer.write({name: batch[name] for name in batch.schema.names})
            part.release_pages()
    return whole

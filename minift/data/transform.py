"""`map` and `filter`: call a function on rows or batches, and stream what it returns to an Arrow file."""

import inspect
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from minift.data.cast import common_features
from minift.data.features import Features
from minift.data.lazy import LazyBatch, LazyRow
from minift.data.processes import in_parts, next_shared_file
from minift.data.reader import TableReader
from minift.data.table import Rows, read_arrow
from minift.data.to_arrow import ArrowWriter
from minift.files import atomic_path

RELEASE_EVERY = 8  # batches after which the memory of the rows that have been read is given back
NO_BARS = "HF_DATASETS_DISABLE_PROGRESS_BARS"  # the environment variable of `disable_progress_bars`
Batch = tuple[range, pa.Table, Any, Any]  # row numbers, rows, what the function was given, and what it returned


@dataclass(frozen=True)
class Call:
    """A function and how it is called: the arguments of `map` and `filter` that say so."""

    function: Callable | None  # None returns the rows as they are
    batched: bool
    batch_size: int | None  # rows that are read together; None or 0: all
    with_indices: bool
    with_rank: bool
    input_columns: list[str] | None
    fn_kwargs: dict[str, Any] | None
    num_proc: int | None  # processes that share the rows
    desc: str  # the title of the progress bar
    drop_last_batch: bool = False

    def __post_init__(self) -> None:
        if inspect.iscoroutinefunction(self.function):
            raise TypeError(f"{self.desc}: async functions are not supported; pass one that returns its result")

    def __call__(self, given: Any, index: int | list[int], rank: int | None) -> Any:
        """Call the function on a row or on a batch; `index` is the row's number, or a list of numbers."""
        if self.function is None:
            return given
        arguments = [given] if self.input_columns is None else [given[name] for name in self.input_columns]
        if self.with_indices:
            arguments.append(index)
        if self.with_rank:
            arguments.append(rank)
        return self.function(*arguments, **(self.fn_kwargs or {}))


def map_to_file(
    reader: TableReader,
    call: Call,
    remove: Sequence[str],
    features: Features | None,
    path: str | Path | None,
    keep_types: bool = True,
) -> Rows | None:
    """Write what the function makes of the rows to an Arrow file and map it; None if the function returns None.

    The file is `path`, which is replaced when the work is complete. Without it, it is the next file of a `share_files`
    block, or a temporary file, which has no name once it is mapped, so that nothing is left behind.
    """
    shared = next_shared_file() if path is None else None
    if shared is not None:
        path, writes = shared
        if not writes:
            return read_arrow(path) if path.is_file() else None  # no file: the function returned None
    known = reader.features if keep_types else None
    with tempfile.TemporaryDirectory(prefix="minift-map-", ignore_cleanup_errors=True) as folder:

        def write(rows: range, rank: int | None) -> set[bool]:
            made = set()  # for each batch, whether the function returned values
            with ArrowWriter(Path(folder, f"{rank or 0}.arrow"), features, known) as writer:
                for batch in _batches(reader, call, rows, rank):
                    columns = _updated(*batch, remove)
                    made.add(columns is not None)
                    if len(made) > 1:
                        break
                    if columns is not None:
                        writer.write(columns)
            return made

        parts = in_parts(write, len(reader), call.num_proc)
        made = set().union(*parts)
        if made == {False}:
            return None
        if len(made) > 1:
            raise TypeError("the map function returned None for some rows and values for others")
        file = _join([Path(folder, f"{rank}.arrow") for rank in range(len(parts))])
        if path is None:
            return read_arrow(file)
        with atomic_path(path) as fresh:
            shutil.move(file, fresh)
        return read_arrow(path)


def kept_rows(reader: TableReader, call: Call) -> np.ndarray:
    """Find the numbers (int64) of the rows for which the function returns a true value."""

    def keep(rows: range, rank: int | None) -> np.ndarray:
        kept = [np.zeros(0, dtype=np.int64)]
        for numbers, _, _, answers in _batches(reader, call, rows, rank):
            mask = np.asarray([bool(answer) for answer in answers])
            if len(mask) != len(numbers):
                raise ValueError(f"filter: the function returned {len(mask)} values for a batch of {len(numbers)} rows")
            kept.append(np.flatnonzero(mask) + numbers.start)
        return np.concatenate(kept)

    return np.concatenate(in_parts(keep, len(reader), call.num_proc))


def _batches(reader: TableReader, call: Call, rows: range, rank: int | None) -> Iterator[Batch]:
    """Call the function on one batch after the other, or on each row of it, with a progress bar."""
    size = call.batch_size if call.batch_size and call.batch_size > 0 else max(1, len(rows))
    count = len(rows) // size * size if call.batched and call.drop_last_batch else len(rows)
    is_python, format_ = (
        reader.formatter.kind is None,
        replace(reader.formatter, columns=None, output_all_columns=False),
    )
    hidden = True if rank or NO_BARS in os.environ else None
    with tqdm(total=count, desc=call.desc, unit=" examples", leave=False, disable=hidden) as bar:
        for start in range(0, count, size):
            numbers = rows[start : min(start + size, count)]
            table = reader.arrow_rows(numbers)
            if call.batched:
                given = LazyBatch(table) if is_python else format_.batch(table)
                returned = call(given, list(numbers), rank)
            else:
                batch = LazyBatch(table)
                given = [LazyRow(batch, i) for i in range(len(numbers))] if is_python else format_.rows(table)
                returned = [call(row, number, rank) for row, number in zip(given, numbers, strict=True)]
            yield numbers, table, given, returned
            bar.update(len(numbers))
            if start // size % RELEASE_EVERY == 0:
                reader.rows.release_pages()
    reader.rows.release_pages()


def _updated(
    numbers: range, table: pa.Table, given: Any, returned: Any, remove: Sequence[str]
) -> dict[str, Any] | None:
    """The columns of a batch after the call: those that are kept, updated by those that were returned.

    `remove` takes away columns of the input; of the output, only if that is the input, changed in place.
    """
    if isinstance(given, list):  # the function was called on rows
        if all(row is None for row in returned):
            return None
        if _is_table(returned[0]):
            rows = pa.concat_tables([_as_table(row) for row in returned])
            if len(rows) != len(given):
                raise ValueError(f"map: the function returned {len(rows)} rows for {len(given)}; use batched=True")
            return {name: rows[name] for name in rows.column_names}
        changed = _columns_of_rows(given, numbers) if isinstance(given[0], LazyRow) else {}
        columns = _columns_of_rows(returned, numbers, given)
        given, returned = given[0], returned[0]
    else:
        if returned is None:
            return None
        if _is_table(returned):
            table = _as_table(returned)
            return {name: table[name] for name in table.column_names}
        changed = _touched(given) if isinstance(given, LazyBatch) else {}
        columns = _checked(returned)
    names = list(given) if isinstance(given, LazyBatch) else table.column_names
    kept = {name: changed[name] if name in changed else table[name] for name in names if name not in remove}
    if isinstance(returned, LazyBatch):
        columns = {name: values for name, values in columns.items() if name not in remove}
    return kept | columns


def _is_table(returned: Any) -> bool:
    """Tell whether a function returned an Arrow table or a pandas frame: it then replaces all columns."""
    return isinstance(returned, pa.Table) or (hasattr(returned, "to_dict") and hasattr(returned, "columns"))


def _as_table(returned: Any) -> pa.Table:
    return returned if isinstance(returned, pa.Table) else pa.Table.from_pandas(returned, preserve_index=False)


def _touched(values: Mapping) -> dict[str, Any]:
    return values.touched() if isinstance(values, LazyBatch) else dict(values)


def _checked(returned: Any) -> dict[str, Any]:
    """The columns that a function returned for a batch."""
    if not isinstance(returned, Mapping):
        raise TypeError(f"the map function returned {type(returned).__name__}: expected a dict of columns, or None")
    columns = _touched(returned)
    for name, values in columns.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise TypeError(f"map(batched=True): column {name!r} came back as {type(values).__name__}; expected a list")
    return columns


def _columns_of_rows(dicts: list[Any], numbers: range, given: list[Any] = ()) -> dict[str, list]:
    """A dict for each row to a list for each name; of lazy rows, only the names that were touched in any of them.

    A name that a dict lacks keeps the value of the row that the function was `given`.
    """
    for number, values in zip(numbers, dicts, strict=True):
        if not isinstance(values, Mapping):
            raise TypeError(f"row {number}: the map function returned {type(values).__name__}; expected a dict")
    columns = {}
    for name in dict.fromkeys(name for values in dicts for name in _touched(values)):
        lacking = [i for i, values in enumerate(dicts) if name not in values]
        if any(not given or name not in given[i] for i in lacking):
            raise ValueError(
                f"row {numbers[lacking[0]]}: the map function returned {list(dicts[lacking[0]])}; other rows have "
                f"{name!r}, too: return None for it"
            )
        columns[name] = [values[name] if name in values else given[i][name] for i, values in enumerate(dicts)]
    return columns


def _join(files: list[Path]) -> Path:
    """Write one file of all parts; a column that is None in one part has the type of the others."""
    if len(files) == 1:
        return files[0]
    parts = [read_arrow(file) for file in files]
    with_rows = [part for part in parts if part.table.num_rows] or parts[:1]
    features = common_features([Features.from_arrow_schema(part.table.schema) for part in with_rows])
    whole = files[0].with_name("whole.arrow")
    with ArrowWriter(whole, features) as writer:
        for part in parts:
            for batch in part.batches:
                writer.write({name: batch[name] for name in batch.schema.names})
            part.release_pages()
    return whole

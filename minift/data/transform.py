"""`map` and `filter`: call a function on rows or batches, and stream what it returns to an Arrow file."""

import multiprocessing
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from tqdm.auto import tqdm

from minift.data.features import Features
from minift.data.formats import Format
from minift.data.shared_files import next_file
from minift.data.table import read_arrow, release_pages
from minift.data.writer import ArrowWriter
from minift.files import atomic_path

if TYPE_CHECKING:
    from minift.data.dataset import Dataset

RELEASE_EVERY = 8  # batches between two calls of `release_pages`
UNTOUCHED = object()  # stands in a lazy batch for a column that nobody has read or set


class LazyBatch(MutableMapping):
    """A batch as a dict of lists that decodes a column when it is first asked for.

    A function that reads one column of ten pays for one, and a column that nobody has touched goes to the result as
    the Arrow data that it still is.
    """

    __slots__ = ("data", "table")

    def __init__(self, table: pa.Table):
        self.table = table
        self.data: dict[str, Any] = dict.fromkeys(table.column_names, UNTOUCHED)

    def __getitem__(self, name: str) -> Any:
        value = self.data[name]
        if value is UNTOUCHED:
            value = self.data[name] = self._decode(name)
        return value

    def _decode(self, name: str) -> Any:
        return Format().column(self.table[name])

    def __setitem__(self, name: str, value: Any) -> None:
        self.data[name] = value

    def __delitem__(self, name: str) -> None:
        del self.data[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return repr(dict(self))

    def copy(self) -> dict[str, Any]:
        return dict(self)


class LazyRow(LazyBatch):
    """One row of a batch; its neighbours share what has been decoded."""

    __slots__ = ("_batch", "_index")

    def __init__(self, batch: LazyBatch, names: list[str], index: int):
        self.table, self._batch, self._index = batch.table, batch, index
        self.data = dict.fromkeys(names, UNTOUCHED)

    def _decode(self, name: str) -> Any:
        return self._batch[name][self._index]


@dataclass(frozen=True)
class Call:
    """How a function is called on a dataset: the arguments of `Dataset.map` that say so."""

    function: Callable
    batched: bool
    batch_size: int | None
    with_indices: bool
    with_rank: bool
    input_columns: list[str] | None
    fn_kwargs: dict[str, Any]
    drop_last_batch: bool = False
    remove_columns: list[str] = field(default_factory=list)
    features: Features | None = None
    rank: int | None = None
    offset: int = 0  # the number of this shard's first row in the whole dataset

    def batches(self, dataset: "Dataset", desc: str) -> Iterator[tuple[range, pa.Table]]:
        """The row numbers and the rows of one batch after the other, with a progress bar."""
        size = self.batch_size if self.batch_size and self.batch_size > 0 else max(1, len(dataset))
        stop = len(dataset) // size * size if self.batched and self.drop_last_batch else len(dataset)
        with tqdm(total=stop, desc=desc, unit=" examples", disable=True if self.rank else None) as bar:
            for start in range(0, stop, size):
                rows = range(start, min(start + size, stop))
                yield rows, dataset.arrow_rows(rows)
                bar.update(len(rows))
                if start // size % RELEASE_EVERY == 0:
                    release_pages()

    def on_batch(self, rows: range, table: pa.Table, format_: Format) -> tuple[Any, Any]:
        """Call the function on a batch: what it was given, and what it returned."""
        given = LazyBatch(table) if format_.kind is None else _of_all_columns(format_).batch(table)
        return given, self._call(given, [row + self.offset for row in rows])

    def on_rows(self, rows: range, table: pa.Table, format_: Format) -> tuple[list, list]:
        """Call the function on each row of a batch: what it was given, and what it returned."""
        if format_.kind is None:
            batch, names = LazyBatch(table), table.column_names
            given = [LazyRow(batch, names, i) for i in range(len(rows))]
        else:
            given = _of_all_columns(format_).rows(table)
        return given, [self._call(row, number + self.offset) for row, number in zip(given, rows, strict=True)]

    def _call(self, given: Any, index: int | list[int]) -> Any:
        arguments = [given] if self.input_columns is None else [given[name] for name in self.input_columns]
        if self.with_indices:
            arguments.append(index)
        if self.with_rank:
            arguments.append(self.rank)
        return self.function(*arguments, **self.fn_kwargs)


def _of_all_columns(format_: Format) -> Format:
    """A function sees every column in the dataset's format, whichever columns the format names."""
    return replace(format_, columns=None, output_all_columns=False)


def map_to_file(
    dataset: "Dataset", call: Call, *, num_proc: int | None, path: str | Path | None, in_memory: bool, desc: str | None
) -> tuple[pa.Table, Features] | None:
    """Write what the function makes of `dataset` to an Arrow file and map it; None where the function returns None.

    The file is `path`, which is replaced when the work is complete, or a temporary file that has no name once it is
    mapped, so that nothing is left behind whichever way the process ends. Of several processes, see `handover`, the
    file may also be one that another has made.
    """
    shared = next_file() if path is None else None
    if shared is not None:
        path, is_to_make = shared
        if not is_to_make:
            table = read_arrow(path, in_memory) if path.is_file() else None  # no file: the function returned None
            return None if table is None else (table, Features.from_arrow_schema(table.schema))
    with tempfile.TemporaryDirectory(prefix="minift-map-", ignore_cleanup_errors=True) as folder:
        shards = [Path(folder, f"{rank}.arrow") for rank in range(num_proc or 1)]
        made = _run(_write_shard, dataset, call, num_proc, shards, desc or "Map")
        if all(features is None for features in made):
            return None
        if None in made:
            raise TypeError("the map function returned None for some rows and values for others")
        whole, features = shards[0], made[0]
        if len(shards) > 1:
            whole, features = _join(shards, made, Path(folder, "whole.arrow"))
        if path is None:
            return read_arrow(whole, in_memory), features
        with atomic_path(path) as fresh:
            shutil.move(whole, fresh)
        return read_arrow(path, in_memory), features


def _join(shards: list[Path], made: list[Features], whole: Path) -> tuple[Path, Features]:
    """One file of all shards, with the features of the first one that has rows: one without knows no types."""
    tables = [read_arrow(shard) for shard in shards]
    features = next((f for f, table in zip(made, tables, strict=True) if table.num_rows), made[0])
    with ArrowWriter(whole, features) as writer:
        for table in tables:
            for batch in table.to_batches():
                writer.write({name: batch[name] for name in batch.schema.names})
    return whole, features


def kept_rows(dataset: "Dataset", call: Call, *, num_proc: int | None, desc: str | None) -> np.ndarray:
    """The numbers of the rows for which the function returns a true value."""
    return np.concatenate(_run(_filter_shard, dataset, call, num_proc, [None] * (num_proc or 1), desc or "Filter"))


def _write_shard(dataset: "Dataset", call: Call, path: Path, desc: str) -> Features | None:
    returned_values = set()
    with ArrowWriter(path, call.features, known=dataset.features) as writer:
        for rows, table in call.batches(dataset, desc):
            if call.batched:
                columns = _update_batch(call, table, *call.on_batch(rows, table, dataset.format))
            else:
                columns = _update_rows(call, table, *call.on_rows(rows, table, dataset.format), rows)
            returned_values.add(columns is not None)
            if len(returned_values) > 1:
                raise TypeError("the map function returned None for some rows and values for others")
            if columns is not None:
                writer.write(columns)
    return None if returned_values == {False} else writer.features


def _update_batch(call: Call, table: pa.Table, given: Any, output: Any) -> dict[str, Any] | None:
    """The columns of a batch after the call: those that are kept, updated by those that were returned."""
    if output is None:
        return None
    if hasattr(output, "to_dict") and hasattr(output, "columns"):  # a pandas frame
        output = pa.Table.from_pandas(output, preserve_index=False)
    if isinstance(output, pa.Table):
        return {name: output[name] for name in output.column_names}
    if not isinstance(output, Mapping):
        raise TypeError(f"the map function returned {type(output).__name__}: expected a dict of columns, or None")
    returned = _touched(output)
    for name, values in returned.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise TypeError(f"map(batched=True): column {name!r} came back as {type(values).__name__}; expected a list")
    if not isinstance(given, LazyBatch):
        return _merged(call, table, table.column_names, {}, output, returned)
    return _merged(call, table, list(given), _touched(given), output, returned)


def _update_rows(call: Call, table: pa.Table, given: list, outputs: list, rows: range) -> dict[str, Any] | None:
    """The same after a call for each row of a batch."""
    if all(output is None for output in outputs):
        return None
    for row, output in zip(rows, outputs, strict=True):
        if not isinstance(output, Mapping):
            raise TypeError(f"row {row}: the map function returned {type(output).__name__}; expected a dict")
    returned = _as_columns(outputs, rows)
    if not isinstance(given[0], LazyBatch):
        return _merged(call, table, table.column_names, {}, outputs[0], returned)
    return _merged(call, table, list(given[0]), _as_columns(given, rows), outputs[0], returned)


def _merged(
    call: Call, table: pa.Table, names: list[str], changed: dict[str, Any], output: Mapping, returned: dict[str, Any]
) -> dict[str, Any]:
    """The columns `names`, as they were `changed` in place or still in Arrow, and those that were returned.

    `remove_columns` takes away columns of the input; of the output, only where that is the input, changed in place.
    """
    kept = {
        name: changed[name] if name in changed else table[name] for name in names if name not in call.remove_columns
    }
    if isinstance(output, LazyBatch):
        returned = {name: values for name, values in returned.items() if name not in call.remove_columns}
    return kept | returned


def _touched(batch: Mapping) -> dict[str, Any]:
    """What a dict holds; of a lazy one, only what the function has read or set, and so may have changed."""
    if isinstance(batch, LazyBatch):
        return {name: value for name, value in batch.data.items() if value is not UNTOUCHED}
    return dict(batch)


def _as_columns(dicts: list[Mapping], rows: range) -> dict[str, list]:
    """A dict for each row -> a list for each name that `_touched` gives for any of them."""
    for row, values in zip(rows, dicts, strict=True):
        if values.keys() != dicts[0].keys():
            raise ValueError(f"row {row}: the map function returned {list(values)}; earlier rows: {list(dicts[0])}")
    touched = dict.fromkeys(name for values in dicts for name in _touched(values))
    return {name: [values[name] for values in dicts] for name in touched}


def _filter_shard(dataset: "Dataset", call: Call, path: None, desc: str) -> np.ndarray:
    kept = [np.zeros(0, dtype=np.int64)]
    for rows, table in call.batches(dataset, desc):
        answers = (call.on_batch if call.batched else call.on_rows)(rows, table, dataset.format)[1]
        mask = np.asarray([bool(answer) for answer in answers])
        if len(mask) != len(rows):
            raise ValueError(f"filter: the function returned {len(mask)} values for a batch of {len(rows)} rows")
        kept.append(np.flatnonzero(mask) + rows.start + call.offset)
    return np.concatenate(kept)


# What the worker processes do: they are forked and find it here, so that lambdas and closures need no pickling.
_forked: tuple | None = None


def _run(work: Callable, dataset: "Dataset", call: Call, num_proc: int | None, paths: list, desc: str) -> list:
    """Do `work` on the dataset, or on `num_proc` contiguous parts of it in a process each; results in order."""
    if num_proc is not None and num_proc < 1:
        raise ValueError(f"num_proc={num_proc}: expected at least 1, or None")
    if num_proc is None or num_proc == 1:
        return [work(dataset, replace(call, rank=None if num_proc is None else 0), paths[0], desc)]
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError("num_proc needs a system that can fork a process; leave it out")
    global _forked
    _forked = (work, dataset, call, num_proc, paths, desc)
    try:
        with ProcessPoolExecutor(num_proc, mp_context=multiprocessing.get_context("fork")) as pool:
            return list(pool.map(_run_shard, range(num_proc)))
    finally:
        _forked = None


def _run_shard(rank: int) -> Any:
    work, dataset, call, num_proc, paths, desc = _forked
    rows = np.array_split(np.arange(len(dataset)), num_proc)[rank]
    start = int(rows[0]) if len(rows) else 0
    return work(dataset.select(rows), replace(call, rank=rank, offset=start), paths[rank], desc)

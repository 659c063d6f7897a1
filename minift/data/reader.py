"""Read rows, batches and columns from an Arrow table, through an order of its rows and in a format."""

import operator
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minift.data.column import Column
from minift.data.features import Features
from minift.data.formats import Format
from minift.data.from_arrow import is_list, one_array
from minift.data.info import DatasetInfo, NamedSplit
from minift.data.table import Rows


def _told(name: str) -> property:
    """Make the property of a dataset that reads a field of its `info`."""
    return property(lambda self: getattr(self.about, name))


class TableReader:
    """A table of rows, an order in which to read them, and a format in which they are handed out.

    `indices` (int64) are numbers of the table's rows, in the order of reading; None is every row once. `features` are
    the columns' types; None reads them from the table's schema. `split` is the name of the split.
    """

    def __init__(
        self,
        table: pa.Table | Rows,
        features: Features | None = None,
        *,
        indices: np.ndarray | None = None,
        split: str | None = None,
        format: Format | None = None,
        info: DatasetInfo | None = None,
    ):
        self.rows = table if isinstance(table, Rows) else Rows(table)
        self.features = Features.from_arrow_schema(self.data.schema) if features is None else features
        self.indices, self.split, self.formatter = indices, split and NamedSplit(split), format or Format()
        self.about = info or DatasetInfo()  # texts; `info` adds the features

    def changed(self, table: pa.Table | None = None, **changes: Any) -> Self:
        """Copy this view, with some attributes changed; the columns of `table` lie in the same files."""
        new = copy(self)
        if table is not None:
            new.rows = Rows(table, self.rows.files)
        if "features" in changes:
            new.formatter = self.formatter.follow(self.column_names, list(changes["features"]))
        vars(new).update(changes)
        return new

    def as_python(self) -> Self:
        """The same rows, handed out as Python values."""
        return self.changed(formatter=Format())

    # -- what it holds

    @property
    def data(self) -> pa.Table:
        """The Arrow table below; `select`, `shuffle` and `sort` leave it as it was."""
        return self.rows.table

    @property
    def column_names(self) -> list[str]:
        return list(self.features)

    @property
    def num_rows(self) -> int:
        return self.data.num_rows if self.indices is None else len(self.indices)

    @property
    def num_columns(self) -> int:
        return len(self.features)

    @property
    def shape(self) -> tuple[int, int]:
        return self.num_rows, self.num_columns

    @property
    def info(self) -> DatasetInfo:
        return replace(self.about, features=self.features)

    description, citation, homepage, license = map(_told, ("description", "citation", "homepage", "license"))
    builder_name, config_name, version = map(_told, ("builder_name", "config_name", "version"))
    download_size, dataset_size, size_in_bytes = map(_told, ("download_size", "dataset_size", "size_in_bytes"))

    @property
    def format(self) -> dict[str, Any]:
        """The arguments of `set_format`: ``set_format(**dataset.format)`` changes nothing."""
        return self.formatter.arguments(self.column_names)

    def __len__(self) -> int:
        return self.num_rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to close: a file is unmapped when its last reader is gone."""

    def __repr__(self) -> str:
        return f"Dataset({{\n    features: {self.column_names},\n    num_rows: {self.num_rows}\n}})"

    def check_columns(self, names: Iterable[str], error: type[Exception] = ValueError) -> None:
        """Raise `error` if one of these columns is missing."""
        unknown = [name for name in names if name not in self.features]
        if unknown:
            raise error(f"no column {unknown[0]!r}: the dataset has {self.column_names}")

    # -- reading

    def __getitem__(self, key: Any) -> Any:
        """Read a row (int), several rows as a dict of columns (slice, range, list, array), or a column (name)."""
        if isinstance(key, str):
            return self._column(key)
        if isinstance(key, bool | np.bool_):
            raise TypeError(f"{key!r} is not a row number; filter() chooses rows by a condition")
        if isinstance(key, slice | Iterable):
            return self.formatter.batch(self.arrow_rows(key))
        try:
            row = operator.index(key)
        except TypeError:
            raise TypeError(f"{key!r} is not a key: expected a row number, a slice, row numbers or a column") from None
        return self.formatter.row(self.arrow_rows([row]))

    def __getitems__(self, keys: list[int]) -> list[Any]:
        """Read the rows with these numbers together: a torch DataLoader asks for this."""
        batch = self[keys]
        if not isinstance(batch, dict):
            return self.formatter.rows(self.arrow_rows(keys))
        return [{name: values[i] for name, values in batch.items()} for i in range(len(keys))]

    def __iter__(self) -> Iterator[Any]:
        for rows in self.arrow_batches(1000):
            yield from self.formatter.rows(rows)

    def iter(self, batch_size: int, drop_last_batch: bool = False) -> Iterator[Any]:
        """Read batches of rows, each as a slice gives it."""
        if batch_size < 1:
            raise ValueError(f"iter: batch_size={batch_size} must be at least 1")
        for rows in self.arrow_batches(batch_size):
            if rows.num_rows == batch_size or not drop_last_batch:
                yield self.formatter.batch(rows)

    def arrow_batches(self, batch_size: int) -> Iterator[pa.Table]:
        """Read batches of rows as Arrow tables; the last may be shorter."""
        for start in range(0, len(self), batch_size):
            yield self.arrow_rows(range(start, min(start + batch_size, len(self))))

    def arrow_rows(self, key: slice | range | Iterable[int] = slice(None)) -> pa.Table:
        """Read the rows that `key` names, in its order, as Arrow; an IndexError names a row outside the dataset."""
        key = range(*key.indices(len(self))) if isinstance(key, slice) else key
        if isinstance(key, range) and key.step == 1 and 0 <= key.start <= key.stop <= len(self):
            if self.indices is None:
                return self.rows.slice(key.start, key.stop)
            return self.rows.take(self.indices[key.start : key.stop])
        return self.rows.take(self._numbers_in_table(key))

    def _numbers_in_table(self, key: Iterable[int]) -> np.ndarray:
        """Turn row numbers of this dataset, also negative ones, into row numbers of the table."""
        numbers = np.asarray(key if isinstance(key, np.ndarray | range | list) else list(key))
        if numbers.size == 0:
            return np.zeros(0, dtype=np.int64)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise TypeError(f"row numbers must be integers (filter() chooses rows by a condition): got {key!r}")
        outside = numbers[(numbers >= len(self)) | (numbers < -len(self))]
        if outside.size:
            raise IndexError(f"row {outside[0]} is out of range: the dataset has {len(self)} rows")
        numbers = np.where(numbers < 0, numbers + len(self), numbers).astype(np.int64)
        return numbers if self.indices is None else self.indices[numbers]

    # -- columns

    def arrow_column(self, name: str) -> pa.ChunkedArray:
        """Read a column, in the order of the rows, as Arrow."""
        self.check_columns([name], KeyError)
        column = self.data.column(name)
        return column if self.indices is None else Rows(pa.table({name: column})).take(self.indices).column(0)

    def offsets_and_values(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Read a column of lists as `offsets` (rows + 1, int64) and `values` (the lists end to end).

        Row ``i`` is ``values[offsets[i]:offsets[i + 1]]``. Where the rows lie in one piece, nothing is copied.
        """
        column = self.arrow_column(name)
        if not is_list(column.type):
            raise TypeError(f"column {name!r} holds {self.features[name]!r}; expected lists")
        lengths = np.asarray(pc.list_value_length(column).fill_null(0), dtype=np.int64)
        return np.concatenate([[0], np.cumsum(lengths)]), np.asarray(one_array(pc.list_flatten(column)))

    def _column(self, name: str) -> Any:
        self.check_columns([name], KeyError)
        if self.formatter.kind in ("arrow", "pandas"):
            return self.formatter.batch(self.arrow_rows())[name]
        if self.formatter.kind == "custom":  # a transform may need all columns
            return Column(self, name)
        alone = self.changed(self.data.select([name]), features=Features({name: self.features[name]}))
        if self.formatter.columns is not None and name not in self.formatter.columns:
            alone.formatter = Format()  # a column that the format leaves out is read as Python values
        return Column(alone, name)

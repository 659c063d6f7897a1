"""Reading rows, batches and columns from an Arrow table, through an order of its rows and in a format."""

import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minift.data.column import Column
from minift.data.features import Features
from minift.data.formats import Format
from minift.data.table import Rows


class TableReader:
    """A table of rows, and optionally the order in which to read them.

    Args:
        table: the data.
        features: the columns' types; None reads them from the table's schema.
        indices: int64 numbers of the table's rows, in the order of reading; None is every row once.
        split: the name of the split that the rows are.
        format: what the rows are handed out as.
    """

    def __init__(
        self,
        table: pa.Table,
        features: Features | None = None,
        *,
        indices: np.ndarray | None = None,
        split: str | None = None,
        format: Format | None = None,
    ):
        self.features = Features.from_arrow_schema(table.schema) if features is None else features
        self.split = split
        self.format = format or Format()
        self._rows = Rows(table)
        self._indices = indices

    def _with(self, **changes: Any) -> Self:
        """A copy that shares the data, with some of the constructor's arguments changed."""
        state = dict(
            table=self._rows.table, features=self.features, indices=self._indices, split=self.split, format=self.format
        )
        if "table" in changes or "features" in changes:
            state["format"] = self.format.follow(self.column_names, list(changes.get("features", self.features)))
        return type(self)(**(state | changes))

    # -- what it holds ---------------------------------------------------------------------------------------------

    @property
    def column_names(self) -> list[str]:
        return list(self.features)

    @property
    def num_rows(self) -> int:
        return self._rows.table.num_rows if self._indices is None else len(self._indices)

    @property
    def num_columns(self) -> int:
        return len(self.features)

    @property
    def shape(self) -> tuple[int, int]:
        return self.num_rows, self.num_columns

    @property
    def data(self) -> pa.Table:
        """The Arrow table below; `select`, `shuffle` and `sort` leave it as it was."""
        return self._rows.table

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        return f"Dataset({{\n    features: {self.column_names},\n    num_rows: {self.num_rows}\n}})"

    # -- reading rows ----------------------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> Any:
        """A row (int), several rows as a dict of columns (slice, range, list, array), or a column (name)."""
        if isinstance(key, str):
            self.check_columns([key], KeyError)
            whole = self.format.kind in ("arrow", "pandas")
            return self.format.batch(self.arrow_rows(slice(None)))[key] if whole else Column(self._of_column(key), key)
        if isinstance(key, slice | Iterable):
            return self.format.batch(self.arrow_rows(key))
        try:
            row = operator.index(key)
        except TypeError:
            raise TypeError(f"{key!r} is no key: expected a row number, a slice, row numbers or a column") from None
        return self.format.row(self.arrow_rows([row]))

    def __getitems__(self, keys: list[int]) -> list[Any]:
        """The rows with these numbers, converted together: what a torch DataLoader asks for."""
        batch = self.format.batch(self.arrow_rows(keys))
        if not isinstance(batch, dict):
            return self.format.rows(self.arrow_rows(keys))
        return [{name: values[i] for name, values in batch.items()} for i in range(len(keys))]

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), 1000):
            yield from self.format.rows(self.arrow_rows(range(start, min(start + 1000, len(self)))))

    def iter(self, batch_size: int, drop_last_batch: bool = False) -> Iterator[Any]:
        """Batches of rows, each as a slice gives it."""
        if batch_size < 1:
            raise ValueError(f"iter: batch_size={batch_size} must be at least 1")
        stop = len(self) // batch_size * batch_size if drop_last_batch else len(self)
        for start in range(0, stop, batch_size):
            yield self.format.batch(self.arrow_rows(range(start, min(start + batch_size, stop))))

    def arrow_rows(self, key: slice | range | Iterable[int]) -> pa.Table:
        """The rows that `key` names, in its order, as an Arrow table of this dataset's columns.

        Raises:
            IndexError: a row number is outside the dataset.
        """
        key = range(*key.indices(len(self))) if isinstance(key, slice) else key
        if isinstance(key, range) and key.step == 1 and 0 <= key.start <= key.stop <= len(self):
            if self._indices is None:
                return self._rows.slice(key.start, key.stop)
            return self._rows.take(self._indices[key.start : key.stop])
        numbers = self._row_numbers(key)
        return self._rows.take(numbers if self._indices is None else self._indices[numbers])

    def _row_numbers(self, key: Iterable[int]) -> np.ndarray:
        numbers = np.asarray(key if isinstance(key, np.ndarray | range | list) else list(key))
        if numbers.size == 0:
            return np.zeros(0, dtype=np.int64)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise TypeError(f"row numbers must be integers: got {key!r}")
        outside = numbers[(numbers >= len(self)) | (numbers < -len(self))]
        if outside.size:
            raise IndexError(f"row {outside[0]} is out of range: the dataset has {len(self)} rows")
        return np.where(numbers < 0, numbers + len(self), numbers).astype(np.int64)

    def check_columns(self, names: Iterable[str], error: type[Exception] = ValueError) -> None:
        """Raise `error`, naming them, where this dataset does not have all of these columns."""
        unknown = [name for name in names if name not in self.features]
        if unknown:
            raise error(f"no column {unknown[0]!r}: the dataset has {self.column_names}")

    def _of_column(self, name: str) -> Self:
        """Only this column, in this format (a transform may need all of them)."""
        if self.format.kind == "custom":
            return self
        left_out = self.format.columns is not None and name not in self.format.columns
        changes = {"format": Format()} if left_out else {}
        features = Features({name: self.features[name]})
        return self._with(table=self._rows.table.select([name]), features=features, **changes)

    def column_arrow(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """A column of lists as `offsets` (rows + 1, int64) and `values` (the lists end to end), without copying
        where the rows lie in one piece: row ``i`` is ``values[offsets[i]:offsets[i + 1]]``."""
        self.check_columns([name], KeyError)
        column = self._of_column(name).arrow_rows(slice(None)).column(name)
        if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
            raise TypeError(f"column {name!r} holds {self.features[name]!r}; expected lists")
        lengths = np.asarray(pc.list_value_length(column).fill_null(0), dtype=np.int64)
        values = pc.list_flatten(column)
        flat = values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()
        return np.concatenate([[0], np.cumsum(lengths)]), np.asarray(flat)

    def to_tf_dataset(
        self,
        batch_size: int | None = None,
        columns: str | list[str] | None = None,
        shuffle: bool = False,
        collate_fn: Callable | None = None,
        drop_remainder: bool = False,
        collate_fn_args: dict[str, Any] | None = None,
        label_cols: str | list[str] | None = None,
        prefetch: bool = True,
        num_workers: int = 0,
        num_test_batches: int = 20,
        *,
        seed: int | None = None,
    ) -> Any:
        """The rows as a `tf.data.Dataset` of batches, for Keras' `fit`: see `minift.tf.batches.to_tf_dataset`."""
        from minift.tf.batches import to_tf_dataset

        collated = dict(collate_fn=collate_fn, collate_fn_args=collate_fn_args, num_test_batches=num_test_batches)
        wanted = dict(columns=columns, label_cols=label_cols, shuffle=shuffle, seed=seed)
        served = dict(batch_size=batch_size, drop_remainder=drop_remainder, prefetch=prefetch, num_workers=num_workers)
        return to_tf_dataset(self, **collated, **wanted, **served)

    # -- formats ---------------------------------------------------------------------------------------------------

    def set_format(
        self,
        type: str | None = None,
        columns: str | list[str] | None = None,
        output_all_columns: bool = False,
        dtype: Any = None,
    ) -> None:
        """From now on, hand out `columns` (None: all) as ``numpy``, ``torch``, ``tf``, ``arrow`` or ``pandas``."""
        columns = [columns] if isinstance(columns, str) else columns
        self.check_columns(columns or [])
        self.format = Format(type, None if columns is None else tuple(columns), output_all_columns, dtype)

    def with_format(
        self,
        type: str | None = None,
        columns: str | list[str] | None = None,
        output_all_columns: bool = False,
        dtype: Any = None,
    ) -> Self:
        """A dataset of the same rows with `set_format` applied."""
        new = self._with()
        new.set_format(type, columns, output_all_columns, dtype)
        return new

    def reset_format(self) -> None:
        """From now on, hand out Python values."""
        self.set_format()

    @contextmanager
    def formatted_as(self, type: str | None = None, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Another format for the length of a `with` block."""
        before = self.format
        self.set_format(type, *args, **kwargs)
        try:
            yield
        finally:
            self.format = before

    def set_transform(
        self, transform: Callable[[dict], dict], columns: list[str] | None = None, output_all_columns: bool = False
    ) -> None:
        """From now on, rows are what `transform` makes of a batch (a dict of lists), when they are read."""
        self.check_columns(columns or [])
        columns = None if columns is None else tuple(columns)
        self.format = Format("custom", columns, output_all_columns, transform=transform)

    def with_transform(
        self, transform: Callable[[dict], dict], columns: list[str] | None = None, output_all_columns: bool = False
    ) -> Self:
        """A dataset of the same rows with `set_transform` applied."""
        new = self._with()
        new.set_transform(transform, columns, output_all_columns)
        return new

"""Arrow rows to Python, numpy, torch or TensorFlow values, with the dtypes that `datasets` gives."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minift.tensors import TENSOR_KINDS, as_tensor

_KINDS = {None: None, "python": None, "arrow": "arrow", "pandas": "pandas", "custom": "custom", **TENSOR_KINDS}


@dataclass(frozen=True)
class Format:
    """What a dataset's rows are handed out as.

    `columns` (None: all) are converted; the others are left out, or stay Python values where `output_all_columns`.
    A `transform` gets each batch as a dict of lists, and what it returns is the batch.
    """

    kind: str | None = None
    columns: tuple[str, ...] | None = None
    output_all_columns: bool = False
    dtype: Any = None
    transform: Callable[[dict], dict] | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            names = sorted(str(kind) for kind in _KINDS if kind != "custom")
            raise ValueError(f"unknown format {self.kind!r}: expected one of {names}")
        object.__setattr__(self, "kind", _KINDS[self.kind])

    def follow(self, before: list[str], after: list[str]) -> "Format":
        """The format of a dataset whose columns change: columns that were left out still are, new ones are not."""
        if self.columns is None:
            return self
        left_out = set(before) - set(self.columns)
        return replace(self, columns=tuple(name for name in after if name not in left_out))

    def batch(self, table: pa.Table) -> Any:
        """The table as a dict of columns (or as an Arrow table, or a pandas frame)."""
        chosen = table if self.columns is None else table.select([c for c in table.column_names if c in self.columns])
        if self.kind == "arrow":
            return chosen
        if self.kind == "pandas":
            return chosen.to_pandas()
        if self.kind == "custom":
            batch = self.transform(python_batch(chosen))
        else:
            batch = {name: self.column(chosen[name]) for name in chosen.column_names}
        if self.output_all_columns:
            batch |= python_batch(table.drop_columns(chosen.column_names))
        return batch

    def column(self, column: pa.ChunkedArray) -> Any:
        """One column's values: a list, or an array or tensor where the rows have one shape."""
        return to_python(column) if self.kind is None else self._convert(to_numpy(column))

    def row(self, table: pa.Table) -> Any:
        """The only row of `table` as a dict of values (or as a table or frame of one row)."""
        if self.kind in ("arrow", "pandas"):
            return self.batch(table)
        if self.kind in (None, "custom"):
            return {name: values[0] for name, values in self.batch(table).items()}
        row = {}
        for name in table.column_names:
            if self.columns is None or name in self.columns:
                row[name] = self._convert(to_numpy(table[name])[0])
        if self.output_all_columns:
            others = table.drop_columns(list(row))
            row |= {name: values[0] for name, values in python_batch(others).items()}
        return row

    def rows(self, table: pa.Table) -> list[Any]:
        """The rows of `table`, each as `row` gives it."""
        if self.kind in (None, "custom"):
            batch = self.batch(table)
            return [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        return [self.row(table.slice(i, 1)) for i in range(table.num_rows)]

    def _convert(self, value: Any) -> Any:
        """numpy to the framework: integers as int64, floats as float32; ragged rows stay apart; text stays text."""
        if isinstance(value, dict):
            return {name: self._convert(inner) for name, inner in value.items()}
        if isinstance(value, np.ndarray) and value.dtype == object:
            return self._stack([self._convert(item) for item in value])
        if value is None or isinstance(value, str | bytes) or np.asarray(value).dtype.kind in "USMm":
            return self._keep(value)
        if self.kind == "np" and isinstance(value, np.generic):
            return value if self.dtype is None else np.asarray(value, self.dtype)
        array = np.asarray(value)
        wanted = {"i": np.int64, "u": np.int64, "f": np.float32}.get(array.dtype.kind)
        tensor = as_tensor(np.array(array, dtype=wanted), self.kind)
        return tensor if self.dtype is None else _as_dtype(tensor, self.dtype, self.kind)

    def _keep(self, value: Any) -> Any:
        """Text, dates and missing values: TensorFlow has string tensors, torch has none."""
        if self.kind == "tf" and value is not None and np.asarray(value).dtype.kind in "US":
            return as_tensor(np.asarray(value, dtype=object), "tf")
        return value.tolist() if self.kind == "pt" and isinstance(value, np.ndarray | np.str_) else value

    def _stack(self, items: list[Any]) -> Any:
        """One tensor where all items have one shape and dtype."""
        shapes = {(getattr(item, "shape", None), str(getattr(item, "dtype", None))) for item in items}
        alike = len(shapes) == 1 and getattr(items[0], "shape", None) is not None
        if self.kind == "np":
            if alike:
                return np.stack(items)
            stacked = np.empty(len(items), dtype=object)
            stacked[:] = items
            return stacked
        if self.kind == "pt" and alike:
            import torch

            return torch.stack(items)
        if self.kind == "tf" and items and all(getattr(item, "shape", None) is not None for item in items):
            import tensorflow as tf

            if alike:
                return tf.stack(items)
            if all(item.ndim == 1 and item.dtype == items[0].dtype for item in items):
                return tf.ragged.stack(items)
        return items


def python_batch(table: pa.Table) -> dict[str, list]:
    """A dict of lists of Python values."""
    return {name: to_python(table[name]) for name in table.column_names}


def to_python(column: pa.Array | pa.ChunkedArray) -> list:
    """Python values; numbers, text and lists of numbers go through numpy, several times faster than `to_pylist`."""
    if isinstance(column, pa.ChunkedArray):
        return [value for chunk in column.chunks for value in to_python(chunk)]
    type_ = column.type
    if _is_list(type_) and column.null_count == 0:
        flat = to_python(column.flatten())
        ends = np.cumsum(pc.list_value_length(column).to_numpy(zero_copy_only=False)).tolist()
        return [flat[start:end] for start, end in pairwise([0, *ends])]
    if pa.types.is_string(type_) or (column.null_count == 0 and (_is_number(type_) or pa.types.is_boolean(type_))):
        return column.to_numpy(zero_copy_only=False).tolist()
    return column.to_pylist()


def to_numpy(column: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """An array of the rows: stacked where they have one shape, else an object array with a row each.

    Missing integers become NaN (the column turns to float64), as in `datasets`' formatting.NumpyArrowExtractor.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # pyarrow may still answer with several chunks, or none
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if not _is_list(column.type):
        values = column.to_numpy(zero_copy_only=False)
        return np.array(values.tolist()) if values.dtype == object and _all_text(values) else values
    if column.null_count:
        return _objects([None if row is None else np.asarray(row) for row in column.to_pylist()])
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    flat = to_numpy(column.flatten())
    if len(set(lengths.tolist())) == 1:
        return flat.reshape(len(lengths), lengths[0], *flat.shape[1:])
    return _objects(np.split(flat, np.cumsum(lengths)[:-1]) if len(lengths) else [])


def _objects(rows: list) -> np.ndarray:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


def _all_text(values: np.ndarray) -> bool:
    return len(values) > 0 and all(isinstance(value, str) for value in values)


def _is_list(type_: pa.DataType) -> bool:
    return pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_)


def _is_number(type_: pa.DataType) -> bool:
    return pa.types.is_integer(type_) or pa.types.is_floating(type_)


def _as_dtype(tensor: Any, dtype: Any, kind: str) -> Any:
    if kind == "tf":
        import tensorflow as tf

        return tf.cast(tensor, dtype)
    return tensor.to(dtype) if kind == "pt" else tensor.astype(dtype)

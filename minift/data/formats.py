"""What rows are handed out as: Python values, numpy arrays, tensors of torch or TensorFlow, Arrow or pandas."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from minift.data.from_arrow import object_array, python_batch, to_numpy, to_python
from minift.tensors import TENSOR_KINDS, as_tensor, import_tensorflow

# every spelling -> ours; None is Python values
KINDS = {
    None: None,
    "python": None,
    "arrow": "arrow",
    "pyarrow": "arrow",
    "pa": "arrow",
    "pandas": "pandas",
    "custom": "custom",
    **TENSOR_KINDS,
}
NAMES = {"np": "numpy", "pt": "torch", "tf": "tensorflow"}  # ours -> that of `datasets`


@dataclass(frozen=True)
class Format:
    """What a dataset's rows are handed out as; tensors have the dtypes that `datasets` gives them."""

    kind: str | None = None  # np, pt, tf, arrow, pandas; None for Python values; custom for a `transform`
    columns: tuple[str, ...] | None = None  # those that are converted; None: all
    output_all_columns: bool = False  # hand out the other columns too, as Python values
    dtype: Any = None  # of the tensors, in the place of int64 and float32
    transform: Callable[[dict], dict] | None = None  # gets each batch; what it returns is handed out

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            names = sorted(str(kind) for kind in KINDS if kind != "custom")
            raise ValueError(f"unknown format {self.kind!r}: expected one of {names}")
        object.__setattr__(self, "kind", KINDS[self.kind])

    def arguments(self, column_names: list[str]) -> dict[str, Any]:
        """The arguments of `set_format` that make this format, with the names that `datasets` has for its kinds."""
        kwargs = {} if self.dtype is None else {"dtype": self.dtype}
        kwargs |= {} if self.transform is None else {"transform": self.transform}
        columns = column_names if self.columns is None else list(self.columns)
        kind = NAMES.get(self.kind, self.kind)
        return {
            "type": kind,
            "format_kwargs": kwargs,
            "columns": columns,
            "output_all_columns": self.output_all_columns,
        }

    def follow(self, before: list[str], after: list[str]) -> "Format":
        """Adapt to a change of the columns: columns that were left out still are, new columns are not."""
        if self.columns is None:
            return self
        left_out = set(before) - set(self.columns)
        return replace(self, columns=tuple(name for name in after if name not in left_out))

    def batch(self, table: pa.Table) -> Any:
        """Convert a table to a dict of columns (or keep it as an Arrow table, or make it a pandas frame)."""
        chosen = self._chosen(table)
        if self.kind == "arrow":
            return chosen
        if self.kind == "pandas":
            return chosen.to_pandas()
        if self.kind == "custom":
            batch = self.transform(python_batch(chosen))
        else:
            read = to_python if self.kind is None else lambda column: self._convert(to_numpy(column))
            batch = {name: read(chosen[name]) for name in chosen.column_names}
        if self.output_all_columns:
            batch |= python_batch(table.drop_columns(chosen.column_names))
        return batch

    def row(self, table: pa.Table) -> Any:
        """Convert a table of one row to a dict of values (or to a table or frame of one row)."""
        if self.kind in ("arrow", "pandas"):
            return self.batch(table)
        if self.kind in (None, "custom"):
            return {name: values[0] for name, values in self.batch(table).items()}
        chosen = self._chosen(table)
        row = {name: self._convert(to_numpy(chosen[name])[0]) for name in chosen.column_names}
        if self.output_all_columns:
            others = python_batch(table.drop_columns(chosen.column_names))
            row |= {name: values[0] for name, values in others.items()}
        return row

    def rows(self, table: pa.Table) -> list[Any]:
        """Convert a table to a list of rows, each as `row` gives it."""
        if self.kind in (None, "custom"):
            batch = self.batch(table)
            return [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        return [self.row(table.slice(i, 1)) for i in range(table.num_rows)]

    def _chosen(self, table: pa.Table) -> pa.Table:
        return table if self.columns is None else table.select([c for c in table.column_names if c in self.columns])

    def _convert(self, value: Any) -> Any:
        """numpy to the framework: integers as int64, floats as float32; text stays text."""
        if isinstance(value, dict):
            return {name: self._convert(inner) for name, inner in value.items()}
        if isinstance(value, np.ndarray) and value.dtype == object:
            return self._stack([self._convert(item) for item in value])
        if value is None or isinstance(value, str | bytes) or np.asarray(value).dtype.kind in "USMm":
            is_date = self.kind == "np" and isinstance(value, np.datetime64 | np.timedelta64)
            return np.asarray(value) if is_date else self._keep(value)
        if self.kind == "np" and isinstance(value, np.number):
            return value if self.dtype is None else np.asarray(value, self.dtype)
        array = np.asarray(value)
        wanted = {"i": np.int64, "u": np.int64, "f": np.float32}.get(array.dtype.kind)
        tensor = as_tensor(np.array(array, dtype=wanted), self.kind)
        if self.dtype is None:
            return tensor
        if self.kind == "tf":
            return import_tensorflow().cast(tensor, self.dtype)
        return tensor.to(self.dtype) if self.kind == "pt" else tensor.astype(self.dtype)

    def _keep(self, value: Any) -> Any:
        """Text, dates and missing values: TensorFlow has string tensors, torch has none."""
        if self.kind == "tf" and value is not None and np.asarray(value).dtype.kind in "US":
            return as_tensor(np.asarray(value, dtype=object), "tf")
        return value.tolist() if self.kind == "pt" and isinstance(value, np.ndarray | np.str_ | np.bytes_) else value

    def _stack(self, items: list[Any]) -> Any:
        """Make one tensor of rows of one shape and dtype; rows of different lengths stay apart."""
        are_tensors = all(getattr(item, "shape", None) is not None for item in items)
        alike = are_tensors and len({(item.shape, str(item.dtype)) for item in items}) == 1
        if self.kind == "np":
            return np.stack(items) if alike else object_array(items)
        if self.kind == "pt" and alike:
            import torch

            return torch.stack(items)
        if self.kind == "tf" and alike:
            return import_tensorflow().stack(items)
        are_flat = items and are_tensors and all(item.ndim == 1 and item.dtype == items[0].dtype for item in items)
        return import_tensorflow().ragged.stack(items) if self.kind == "tf" and are_flat else items

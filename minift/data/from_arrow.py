"""Arrow columns to Python values and to numpy arrays; and what their types tell."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types


def is_list(type_: pa.DataType) -> bool:
    """Tell whether the rows are lists: of any length, with 64-bit offsets, or all of one length."""
    return types.is_list(type_) or types.is_large_list(type_) or types.is_fixed_size_list(type_)


def is_list_of(type_: pa.DataType, is_kind: Callable[[pa.DataType], bool]) -> bool:
    """Tell whether the rows are lists of one kind of values: ``is_list_of(type_, is_number)``."""
    return is_list(type_) and is_kind(type_.value_type)


def is_number(type_: pa.DataType) -> bool:
    """Tell whether the rows are integers, floats or booleans."""
    return types.is_integer(type_) or types.is_floating(type_) or types.is_boolean(type_)


def is_text(type_: pa.DataType) -> bool:
    return types.is_string(type_) or types.is_large_string(type_)


def python_batch(table: pa.Table) -> dict[str, list]:
    """Convert a table to a dict of lists of Python values."""
    return {name: to_python(table[name]) for name in table.column_names}


def to_python(column: pa.Array | pa.ChunkedArray) -> list:
    """Convert to Python values; numbers, text and lists of numbers go through numpy, faster than `to_pylist`."""
    if isinstance(column, pa.ChunkedArray):
        return [value for chunk in column.chunks for value in to_python(chunk)]
    if is_list(column.type) and column.null_count == 0:
        flat = to_python(column.flatten())
        ends = np.cumsum(pc.list_value_length(column).to_numpy(zero_copy_only=False)).tolist()
        return [flat[start:end] for start, end in pairwise([0, *ends])]
    try:
        if is_text(column.type) or (is_number(column.type) and column.null_count == 0):
            return column.to_numpy(zero_copy_only=False).tolist()
        return column.to_pylist()
    except (pa.ArrowException, OverflowError) as error:
        raise unreadable(column, error) from error


def unreadable(column: pa.Array, error: Exception) -> ValueError:
    """The error of a value that Arrow holds but Python cannot: text that is not UTF-8, a date after the year 9999."""
    return ValueError(f"a value of type {column.type} cannot be read, its file may be damaged: {error}")


def to_numpy(column: pa.Array | pa.ChunkedArray, in_lists: bool = False) -> np.ndarray:
    """Convert to one array where the rows have one shape, else to an object array that holds a row each.

    Text and bytes are arrays of numpy's own kinds (U, S), but objects where they stand `in_lists`. Integers with
    missing values become floats with NaN, as in `datasets` (formatting.NumpyArrowExtractor).
    """
    column = one_array(column)
    if not is_list(column.type):
        try:
            values = column.to_numpy(zero_copy_only=False)
        except pa.ArrowException as error:
            raise unreadable(column, error) from error
        if in_lists or values.dtype != object or len(values) == 0:
            return values
        alike = any(all(isinstance(value, kind) for value in values) for kind in (str, bytes))
        return np.array(values.tolist()) if alike else values
    if column.null_count:
        return object_array([None if row is None else np.asarray(row) for row in column.to_pylist()])
    lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    flat = to_numpy(column.flatten(), in_lists=True)
    if len(set(lengths.tolist())) == 1:
        return flat.reshape(len(lengths), lengths[0], *flat.shape[1:])
    return object_array(np.split(flat, np.cumsum(lengths)[:-1]) if len(lengths) else [])


def one_array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Join the chunks of a column; a single chunk is not copied."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def object_array(rows: list) -> np.ndarray:
    """Make an array that holds one Python object a row, also where all rows have one length."""
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array

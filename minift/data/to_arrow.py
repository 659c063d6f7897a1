"""Python, numpy and tensor values to Arrow columns."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minift.data.arrow_types import is_text
from minift.data.features import ClassLabel, Feature, Features, arrow_type

# A tokenizer's numbers need fewer bits than Python's integers; `datasets` narrows the same columns by name.
NARROW = {
    "input_ids": pa.int32(),
    "attention_mask": pa.int8(),
    "token_type_ids": pa.int8(),
    "special_tokens_mask": pa.int8(),
}


def to_arrow(
    values: Any, name: str, feature: Feature | None = None, keep_if_it_fits: bool = False
) -> pa.Array | pa.ChunkedArray:
    """Convert a column's values to an Arrow array.

    Args:
        values: a list, an array, a tensor or an Arrow array; rows may be lists, arrays or tensors.
        name: the column's name, for messages and for the columns that `NARROW` lists.
        feature: the type to convert to; None infers it.
        keep_if_it_fits: values that do not convert to `feature` keep their own type.

    Raises:
        ValueError: the values have no common type or do not fit `feature`; the message names the column.
    """
    try:
        is_arrow = isinstance(values, pa.Array | pa.ChunkedArray)
        expected = None if feature is None or isinstance(feature, ClassLabel) else arrow_type(feature)
        array = values if is_arrow else _infer(values, expected)
        if feature is None:
            return array if is_arrow else _narrowed(array, name)
        if keep_if_it_fits:
            return array if is_arrow else _cast_if_it_fits(array, feature)
        if pa.types.is_null(arrow_type(feature)) and array.null_count < len(array):
            raise ValueError("all earlier rows were None, which settled its type; give its type with features=")
        return cast_array(array, feature)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ValueError(f"column {name!r}: {error}") from error


def cast_array(array: pa.Array | pa.ChunkedArray, feature: Feature) -> pa.Array | pa.ChunkedArray:
    """Convert to the Arrow type of `feature`: names of classes become integers, numbers must fit.

    Raises:
        ValueError: a value does not fit (pyarrow's ArrowInvalid is a ValueError).
    """
    if isinstance(feature, ClassLabel):
        if is_text(array.type):
            labels = [None if name is None else feature.str2int(name) for name in array.to_pylist()]
            return pa.array(labels, pa.int64())
        if pa.types.is_integer(array.type):
            bounds = pc.min_max(array).as_py()
            if bounds["max"] is not None and (bounds["max"] >= feature.num_classes or bounds["min"] < -1):
                raise ValueError(f"labels from {bounds['min']} to {bounds['max']} do not fit {feature!r}")
    target = arrow_type(feature)
    return array if array.type == target else array.cast(target)


def cast_table(table: pa.Table, features: Features) -> pa.Table:
    """Convert every column to its feature, in the order of `features`.

    Raises:
        ValueError: a value does not fit; the message names its row and column.
    """
    columns = []
    for name, feature in features.items():
        try:
            columns.append(to_arrow(table[name], name, feature))
        except ValueError as error:
            raise ValueError(f"row {_first_misfit(table[name], feature)}, {error}") from error
    return pa.table(columns, schema=features.arrow_schema)


def _first_misfit(array: pa.Array | pa.ChunkedArray, feature: Feature) -> int:
    """Find the first value that `cast_array` refuses, by halving; the array must hold one."""
    fits, fails = 0, len(array)  # the first `fits` values convert, the first `fails` do not
    while fails - fits > 1:
        middle = (fits + fails) // 2
        try:
            cast_array(array.slice(0, middle), feature)
            fits = middle
        except (pa.ArrowException, ValueError, TypeError):
            fails = middle
    return fits


def _cast_if_it_fits(array: pa.Array, feature: Feature) -> pa.Array:
    if not is_text(array.type) and not pa.types.is_null(array.type) and is_text(arrow_type(feature)):
        return array  # a number would become text, which nobody meant
    try:
        return cast_array(array, feature)
    except (pa.ArrowException, TypeError):
        return array


def _narrowed(array: pa.Array, name: str) -> pa.Array:
    narrow = NARROW.get(name)
    if narrow is None:
        return array
    wide, target = pa.int64(), narrow
    for _ in range(3):  # numbers, lists of them, lists of lists
        if array.type == wide:
            try:
                return array.cast(target)
            except pa.ArrowInvalid:  # a value that needs all 64 bits
                return array
        wide, target = pa.list_(wide), pa.list_(target)
    return array


def _infer(values: Any, expected: pa.DataType | None) -> pa.Array:
    """Make an Arrow array of the `expected` type where Python values fit it, else of the type that they have."""
    values = _as_numpy(values)
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _nested(values)
    if isinstance(values, list) and _begins_plain(values):  # the usual case: no need to look at each value
        try:
            return pa.array(values, expected)
        except (pa.ArrowException, TypeError):  # another type, or tensors further down
            pass
    values = [_as_numpy(value) for value in values]
    first = next((value for value in values if value is not None), None)
    if isinstance(first, np.ndarray) and _are_rows_of(values, first):
        ends = np.cumsum([0] + [len(row) for row in values])
        return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), _nested(np.concatenate(values)))
    if not isinstance(first, int | float | str):
        values = [_plain(value) for value in values]
    if expected is not None:
        try:
            return pa.array(values, expected)  # with a type, pyarrow does not pass over all values to infer it
        except (pa.ArrowException, TypeError):
            pass
    return pa.array(values)


def _begins_plain(values: list) -> bool:
    """Tell whether the first value is a Python number or text, or a nest of lists that begins with one."""
    first = next((value for value in values if value is not None), None)
    return type(first) in (int, float, str, bool) or (type(first) is list and _begins_plain(first))


def _are_rows_of(values: list, first: np.ndarray) -> bool:
    """Tell whether all values are arrays of one dtype and of one shape after the first axis."""
    return first.ndim > 0 and all(
        isinstance(v, np.ndarray) and v.dtype == first.dtype and v.dtype != object and v.shape[1:] == first.shape[1:]
        for v in values
    )


def _nested(array: np.ndarray) -> pa.Array:
    """Make nested lists over one flat array, of an array of any rank."""
    result = pa.array(array.reshape(-1))
    for size in array.shape[:0:-1]:
        result = pa.ListArray.from_arrays(pa.array(np.arange(0, len(result) + 1, size or 1), pa.int32()), result)
    return result


def _as_numpy(value: Any) -> Any:
    """Turn a tensor of torch or TensorFlow into an array, or into a number if it holds one; keep all else."""
    if isinstance(value, str | bytes | int | float | list | tuple | dict | np.ndarray | None):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "numpy"):
        value = np.asarray(value.numpy())
        return value[()] if value.ndim == 0 else value
    return value


def _plain(value: Any) -> Any:
    """Convert to what pyarrow takes: no tensors, no arrays of more than one axis, no mappings other than dicts."""
    value = _as_numpy(value)
    if isinstance(value, np.ndarray) and (value.ndim > 1 or value.dtype == object):
        return [_plain(row) for row in value]
    if isinstance(value, list | tuple):
        first = next((item for item in value if item is not None), None)  # word ids begin with None
        return value if first is None or isinstance(first, int | float | str) else [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value

"""Arrow columns to the types of features: a value is kept as it is, or the cast is refused."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minift.data.features import ClassLabel, Feature, Features, List, Value, arrow_type
from minift.data.from_arrow import is_list, is_text

REFUSED = (pa.ArrowException, ValueError, TypeError)  # what `cast_array` raises where a value does not fit
Column = pa.Array | pa.ChunkedArray


def cast_array(array: Column, feature: Feature, to_text: bool = True) -> Column:
    """Convert to the Arrow type of `feature`, through lists and structs; class names become integers.

    A struct may lack keys, whose values are then None; it may not have others. Numbers and dates become text only if
    `to_text`. Re-implements `cast_array_to_feature` (datasets, table.py). A value that does not fit is an error:
    ArrowInvalid, ValueError or TypeError.
    """
    target = arrow_type(feature)
    feature = List(feature[0]) if isinstance(feature, list | tuple) else feature
    if isinstance(array, pa.ChunkedArray):
        return pa.chunked_array([cast_array(chunk, feature, to_text) for chunk in array.chunks], target)
    if array.type == target and not _has_classes(feature):
        return array
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    if isinstance(feature, ClassLabel):
        return _class_numbers(array, feature)
    if isinstance(feature, dict) and pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        if set(names) <= feature.keys():
            inner = dict.fromkeys(feature, pa.nulls(len(array))) | dict(zip(names, array.flatten(), strict=True))
            parts = [cast_array(inner[name], part, to_text) for name, part in feature.items()]
            return pa.StructArray.from_arrays(parts, names=list(feature), mask=array.is_null()) if parts else array
    elif isinstance(feature, List) and is_list(array.type):
        missing = np.asarray(array.is_null())
        lengths = np.where(missing, 0, np.asarray(pc.fill_null(pc.list_value_length(array), 0)))
        ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]), mask=np.append(missing, False))
        lists = pa.LargeListArray.from_arrays(
            ends.cast(pa.int64()), cast_array(array.flatten(), feature.feature, to_text)
        )
        return lists.cast(target)
    elif isinstance(feature, Value) and not pa.types.is_nested(array.type):
        of_text = is_text(array.type) or pa.types.is_dictionary(array.type) or pa.types.is_binary(array.type)
        if not pa.types.is_null(target) and (to_text or of_text or not is_text(target)):
            return array.cast(target)
    raise TypeError(f"{array.type} is not {feature!r}")


def _class_numbers(array: pa.Array, feature: ClassLabel) -> pa.Array:
    """Turn names into the numbers of their classes, and check numbers; -1 is an unknown label."""
    if is_text(array.type):
        return pa.array([None if name is None else feature.str2int(name) for name in array.to_pylist()], pa.int64())
    numbers = array.cast(pa.int64())
    bounds = pc.min_max(numbers).as_py()
    if bounds["max"] is not None and (bounds["max"] >= feature.num_classes or bounds["min"] < -1):
        raise ValueError(f"labels from {bounds['min']} to {bounds['max']} do not fit {feature!r}")
    return numbers


def _has_classes(feature: Feature) -> bool:
    if isinstance(feature, dict):
        return any(_has_classes(inner) for inner in feature.values())
    return _has_classes(feature.feature) if isinstance(feature, List) else isinstance(feature, ClassLabel)


def cast_table(table: pa.Table, features: Features) -> pa.Table:
    """Convert every column to its feature, in their order; a ValueError names the row and column that do not fit."""
    columns = []
    for name, feature in features.items():
        try:
            columns.append(cast_array(table[name], feature))
        except REFUSED as error:
            raise ValueError(f"row {_first_misfit(table[name], feature)}, column {name!r}: {error}") from error
    return pa.table(columns, schema=features.arrow_schema)


def _first_misfit(array: Column, feature: Feature) -> int:
    """Find the first value that `cast_array` refuses, by halving; the array must hold one."""
    fits, fails = 0, len(array)  # the first `fits` values convert, the first `fails` do not
    while fails - fits > 1:
        middle = (fits + fails) // 2
        try:
            cast_array(array.slice(0, middle), feature)
            fits = middle
        except REFUSED:
            fails = middle
    return fits


def common_features(parts: list[Features]) -> Features:
    """Find the columns and types that tables share when their rows are put one after the other.

    A column that only some have is added; a type that is not known yet (null, lists of null) gives way to one that is.
    Re-implements `_align_features` (datasets, features/features.py). Types that differ, also class labels with other
    names, are a ValueError that names the column.
    """
    common = Features()
    for features in parts:
        for name, feature in features.items():
            try:
                common[name] = _common(common[name], feature) if name in common else feature
            except TypeError as error:
                raise ValueError(f"column {name!r} has two types: {error}; cast one of them first") from None
    return common


def _common(one: Any, other: Any) -> Any:
    for known, added in ((one, other), (other, one)):
        if known == added or added == Value("null"):
            return known
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: _common(one.get(name, other.get(name)), other.get(name, one.get(name))) for name in one | other}
    if isinstance(one, List) and isinstance(other, List) and (one.length, one.large) == (other.length, other.large):
        return List(_common(one.feature, other.feature), one.length, one.large)
    raise TypeError(f"{one!r} and {other!r}")

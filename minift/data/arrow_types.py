"""What the type of an Arrow column tells: the tests that every room asks."""

from collections.abc import Callable

import pyarrow as pa
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

"""Whether the inner numbers of mapped Arrow data lead outside of it: a damaged file must not end the interpreter.

Arrow trusts the offsets of texts and lists, and the indices of dictionaries: with wrong ones it reads any memory. They
are read once, four or eight bytes a value; the texts themselves stay on the disk.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import types


def check_table(table: pa.Table) -> None:
    """Raise a ValueError that names the first column whose data is damaged."""
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            for chunk in column.chunks:
                chunk.validate()  # sizes of buffers
                check_array(chunk)
        except (pa.ArrowException, ValueError) as error:
            raise ValueError(f"column {name!r} is damaged: {error}") from None


def check_array(array: pa.Array) -> None:
    """Look at the offsets and indices of an array and of those inside it."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        check_array(array.storage)
    elif types.is_dictionary(kind):
        within(array.indices, len(array.dictionary))
        check_array(array.dictionary)
    elif types.is_struct(kind):
        for place in range(kind.num_fields):
            check_array(array.field(place))
    elif types.is_fixed_size_list(kind):
        check_array(array.values)
    elif types.is_list(kind) or types.is_large_list(kind) or types.is_map(kind):
        check_offsets(array, len(array.values))
        check_array(array.values)
    elif types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind) or types.is_large_binary(kind):
        data = array.buffers()[2]
        check_offsets(array, 0 if data is None else data.size)
    elif not (
        types.is_primitive(kind) or types.is_fixed_size_binary(kind) or types.is_decimal(kind) or types.is_null(kind)
    ):
        array.validate(full=True)  # views, unions and what else there may be


def check_offsets(array: Any, size: int) -> None:
    """Raise a ValueError unless the offsets of `array` never fall, and stay between 0 and `size`."""
    buffer = array.buffers()[1]
    if buffer is None or len(array) == 0:
        return
    wide = types.is_large_string(array.type) or types.is_large_binary(array.type) or types.is_large_list(array.type)
    offsets = np.frombuffer(buffer, np.int64 if wide else np.int32)[array.offset : array.offset + len(array) + 1]
    if len(offsets) <= len(array) or offsets[0] < 0 or offsets[-1] > size or (offsets[1:] < offsets[:-1]).any():
        raise ValueError(f"its offsets lead outside of its {size:,} bytes or values")


def within(indices: pa.Array, count: int) -> None:
    """Raise a ValueError unless the indices that are not null are from 0 to `count` - 1."""
    known = indices.drop_null()
    values = known.to_numpy(zero_copy_only=False)
    if len(values) and not 0 <= values.min() <= values.max() < count:
        raise ValueError(f"its indices lead outside of its {count:,} dictionary values")

"""Python, numpy and tensor values to Arrow columns, and columns to an Arrow stream file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from minift.data.features import ClassLabel, Feature, Features, Value, arrow_type, cast_array

# What a tokenizer makes fits in fewer bits than Python's integers; `datasets` narrows the same columns by name.
_NARROW = {
    "input_ids": pa.int32(),
    "attention_mask": pa.int8(),
    "token_type_ids": pa.int8(),
    "special_tokens_mask": pa.int8(),
}


class ArrowWriter:
    """Writes batches, one record batch each, to a stream file; the first batch settles the columns and their types.

    Used in a `with` block, at whose end the file is whole and `features` says what its columns are.

    Args:
        path: the file to write.
        features: the exact columns and types, or None to infer them.
        known: features of the columns before: a column of the same name keeps its type where the values fit.

    Re-implements `datasets.arrow_writer.ArrowWriter` for the types of `features.py`.
    """

    def __init__(self, path: str | Path, features: Features | None = None, known: Features | None = None):
        self.features = features
        self._known = known or Features()
        self._names: list[str] = []
        self._sink = pa.OSFile(str(path), "wb")
        self._stream: pa.RecordBatchStreamWriter | None = None

    def write(self, batch: Mapping[str, Any]) -> None:
        """Append one batch: column name -> values, all of one length."""
        lengths = {name: len(values) for name, values in batch.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"the columns of a batch differ in length: {lengths}; return as many rows as the function is given, or "
                "take the columns that are kept away with remove_columns="
            )
        order = self._known if self.features is None else self.features
        self._names = [name for name in order if name in batch] + [name for name in batch if name not in order]
        if not any(lengths.values()):
            return  # no row: nothing can be told about the types
        if self.features is not None and set(batch) != set(self.features):
            raise ValueError(f"a batch has the columns {sorted(batch)}; expected {sorted(self.features)}")
        arrays = [self._array(name, batch[name]) for name in self._names]
        if self._stream is None:
            self._open([array.type for array in arrays])
        self._stream.write_table(pa.table(arrays, schema=self._schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Finish the file (one without rows has columns, too); after an error, leave it as it is."""
        if error is None:
            if self._stream is None:
                self._names = self._names or list(self._known if self.features is None else self.features)
                self._open([arrow_type(self._known.get(name, Value("null"))) for name in self._names])
            self._stream.close()
        self._sink.close()

    def _open(self, types: list[pa.DataType]) -> None:
        if self.features is None:
            self.features = Features.from_arrow_schema(pa.schema(zip(self._names, types, strict=True)))
            for name, type_ in zip(self._names, types, strict=True):
                if name in self._known and arrow_type(self._known[name]) == type_:
                    self.features[name] = self._known[name]  # integers that were class labels still are
        self._schema = self.features.arrow_schema
        self._stream = pa.ipc.new_stream(self._sink, self._schema)

    def _array(self, name: str, values: Any) -> pa.Array | pa.ChunkedArray:
        if self.features is not None:
            return to_arrow(values, name, self.features[name])
        return to_arrow(values, name, self._known.get(name), keep_if_it_fits=True)


def to_arrow(
    values: Any, name: str, feature: Feature | None = None, keep_if_it_fits: bool = False
) -> pa.Array | pa.ChunkedArray:
    """A column's values as an Arrow array.

    Args:
        values: a list, an array, a tensor or an Arrow array; rows may be lists, arrays or tensors.
        name: the column's name, for messages and for the columns that `_NARROW` lists.
        feature: the type to convert to; None infers it.
        keep_if_it_fits: `feature` is a wish: values that do not convert to it keep their own type.

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


def _cast_if_it_fits(array: pa.Array, feature: Feature) -> pa.Array:
    is_text = pa.types.is_string(array.type) or pa.types.is_null(array.type)
    if not is_text and pa.types.is_string(arrow_type(feature)):
        return array  # a number would convert to text, which is not what was meant
    try:
        return cast_array(array, feature)
    except (pa.ArrowException, TypeError):
        return array


def _narrowed(array: pa.Array, name: str) -> pa.Array:
    narrow = _NARROW.get(name)
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
    """An Arrow array of the type that the values have, or of `expected` where they are Python values that fit it."""
    values = _as_numpy(values)
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _nested(values)
    if isinstance(values, list) and _begins_plain(values):  # as most do: spares a look at each value
        try:
            return pa.array(values, expected)
        except (pa.ArrowException, TypeError):  # another type, or tensors further down
            pass
    values = [_as_numpy(value) for value in values]
    first = next((value for value in values if value is not None), None)
    if isinstance(first, np.ndarray) and _are_rows_of(values, first):
        joined = np.concatenate(values)
        return pa.ListArray.from_arrays(_offsets(values), _nested(joined))
    if not isinstance(first, int | float | str):
        values = [_plain(value) for value in values]
    if expected is not None:
        try:
            return pa.array(values, expected)  # spares the pass over all values that infers their type
        except (pa.ArrowException, TypeError):
            pass
    return pa.array(values)


def _begins_plain(values: list) -> bool:
    """Whether the first value is a Python number or text, or a list that begins with one, or with a list of them."""
    first = next((value for value in values if value is not None), None)
    return type(first) in (int, float, str, bool) or (type(first) is list and _begins_plain(first))


def _are_rows_of(values: list, first: np.ndarray) -> bool:
    """Whether all are arrays that can be laid end to end: one dtype, one shape after the first axis."""
    return first.ndim > 0 and all(
        isinstance(v, np.ndarray) and v.dtype == first.dtype and v.dtype != object and v.shape[1:] == first.shape[1:]
        for v in values
    )


def _offsets(rows: Sequence) -> pa.Array:
    return pa.array(np.cumsum([0] + [len(row) for row in rows]), pa.int32())


def _nested(array: np.ndarray) -> pa.Array:
    """An array of any rank as nested lists over one flat array."""
    result = pa.array(array.reshape(-1))
    for size in array.shape[:0:-1]:
        result = pa.ListArray.from_arrays(pa.array(np.arange(0, len(result) + 1, size or 1), pa.int32()), result)
    return result


def _as_numpy(value: Any) -> Any:
    """Tensors of torch and TensorFlow as arrays (of one item: as a number); everything else as it is."""
    if isinstance(value, str | bytes | int | float | list | tuple | dict | np.ndarray | None):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "numpy"):
        value = np.asarray(value.numpy())
        return value[()] if value.ndim == 0 else value
    return value


def _plain(value: Any) -> Any:
    """What pyarrow can take: no tensors, no arrays of more than one axis, no mappings other than dicts."""
    value = _as_numpy(value)
    if isinstance(value, np.ndarray) and (value.ndim > 1 or value.dtype == object):
        return [_plain(row) for row in value]
    if isinstance(value, list | tuple):
        first = next((item for item in value if item is not None), None)  # word ids begin with None
        return value if first is None or isinstance(first, int | float | str) else [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value

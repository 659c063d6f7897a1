"""Python, numpy and tensor values to Arrow columns, and batches of them to an Arrow file."""

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from minift.data.cast import cast_array
from minift.data.features import Feature, Features, List, Value, arrow_type

# A tokenizer's numbers need fewer bits than Python's integers; `datasets` narrows the same columns by name.
NARROW = {
    "input_ids": pa.int32(),
    "attention_mask": pa.int8(),
    "token_type_ids": pa.int8(),
    "special_tokens_mask": pa.int8(),
}


class ArrowWriter:
    """Write batches, one record batch each, to a stream file; the first batch decides the columns and their types.

    Used in a `with` block, after which the file is complete and `features` describes its columns. Given `features` are
    exact; None infers them, and a column that `known` describes too keeps its type where the values fit. Re-implements
    `datasets.arrow_writer.ArrowWriter` for the types of `features.py`.
    """

    def __init__(self, path: str | Path, features: Features | None = None, known: Features | None = None):
        self.features = features
        self._known = known or Features()
        self._names: list[str] | None = None
        self._sink = pa.OSFile(str(path), "wb")
        self._stream: pa.RecordBatchStreamWriter | None = None

    def write(self, batch: Mapping[str, Any]) -> None:
        """Append one batch: column name -> values, all of one length."""
        lengths = {name: len(values) for name, values in batch.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(
                f"the columns of a batch differ in length: {lengths}; return as many rows as the function gets, or "
                "remove the columns that are kept with remove_columns="
            )
        order = self._known if self.features is None else self.features
        self._names = [name for name in order if name in batch] + [name for name in batch if name not in order]
        if not any(lengths.values()):
            return  # without a row, the types are unknown
        if self.features is not None and set(batch) != set(self.features):
            raise ValueError(f"a batch has the columns {sorted(batch)}; expected {sorted(self.features)}")
        infer = self.features is None
        arrays = {name: to_arrow(batch[name], name, order.get(name), keep_if_it_fits=infer) for name in self._names}
        if self._stream is None:
            self._open({name: array.type for name, array in arrays.items()})
        self._stream.write_table(pa.table(arrays, schema=self.features.arrow_schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Finish the file, which has columns even without rows; after an error, leave it as it is."""
        if error is None:
            if self._stream is None:
                if self._names is None:
                    self._names = list(self._known if self.features is None else self.features)
                self._open({name: arrow_type(self._known.get(name, Value("null"))) for name in self._names})
            self._stream.close()
        self._sink.close()

    def _open(self, types: dict[str, pa.DataType]) -> None:
        if self.features is None:
            self.features = Features.from_arrow_schema(pa.schema(types))
            same = [name for name in types if name in self._known and arrow_type(self._known[name]) == types[name]]
            self.features.update({name: self._known[name] for name in same})  # class labels still are class labels
        self._stream = pa.ipc.new_stream(self._sink, self.features.arrow_schema)


def to_arrow(
    values: Any, name: str, feature: Feature | None = None, keep_if_it_fits: bool = False
) -> pa.Array | pa.ChunkedArray:
    """Convert a column (a list, an array, a tensor, Arrow; or rows that are such) to an Arrow array.

    `feature` is the type to convert to; None infers it, and narrows the columns that `NARROW` lists. With
    `keep_if_it_fits`, values that do not convert to `feature` keep their own type. A ValueError names a column whose
    values have no common type or do not fit.
    """
    try:
        array = values if isinstance(values, pa.Array | pa.ChunkedArray) else _infer(values)
        if feature is None:
            return _narrowed(array, name)
        if keep_if_it_fits:
            with suppress(pa.ArrowException, TypeError):
                return cast_array(array, feature, to_text=False)
            return array
        if pa.types.is_null(arrow_type(feature)) and array.null_count < len(array):
            raise ValueError("all earlier rows were None, which settled its type; give its type with features=")
        return cast_array(array, feature)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise ValueError(f"column {name!r}: {error}") from error


def texts_where_asked(values: Any, feature: Feature) -> Any:
    """Turn values into text where a feature asks for text, by Python's `str` as `datasets` does: ``True``, ``2.0``."""
    if "string" not in str(arrow_type(feature)):
        return values
    if isinstance(feature, List):
        return [row if row is None else texts_where_asked(row, feature.feature) for row in values]
    if isinstance(feature, dict):
        spell = {name: partial(texts_where_asked, feature=inner) for name, inner in feature.items()}
        return [
            row and {key: spell[key]([part])[0] if key in spell else part for key, part in row.items()}
            for row in values
        ]
    return [value if value is None else str(value) for value in values]


def _narrowed(array: pa.Array, name: str) -> pa.Array:
    if name in NARROW:
        wide, narrow = pa.int64(), NARROW[name]
        for _ in range(3):  # numbers, lists of them, lists of lists
            if array.type == wide:
                with suppress(pa.ArrowInvalid):  # a value needs all 64 bits
                    return array.cast(narrow)
            wide, narrow = pa.list_(wide), pa.list_(narrow)
    return array


def _infer(values: Any) -> pa.Array:
    """Make an Arrow array of the type that the values themselves have."""
    values = _as_numpy(values)
    if isinstance(values, np.ndarray) and values.dtype != object:
        return _nested(values)
    if isinstance(values, list) and _begins_plain(values):  # the usual case: no need to look at each value
        with suppress(pa.ArrowException, TypeError):  # another type, or tensors further down
            return pa.array(values)
    values = [_as_numpy(value) for value in values]
    first = next((value for value in values if value is not None), None)
    if isinstance(first, np.ndarray) and first.ndim > 0 and first.dtype != object:
        kind = first.dtype, first.shape[1:]
        if all(isinstance(row, np.ndarray) and (row.dtype, row.shape[1:]) == kind for row in values):
            ends = np.cumsum([0] + [len(row) for row in values])
            return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), _nested(np.concatenate(values)))
    if not isinstance(first, int | float | str):
        values = [_plain(value) for value in values]
    return pa.array(values)


def _begins_plain(values: list) -> bool:
    """Tell whether the first value is a Python number or text, or a nest of lists that begins with one."""
    first = next((value for value in values if value is not None), None)
    return type(first) in (int, float, str, bool) or (type(first) is list and _begins_plain(first))


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

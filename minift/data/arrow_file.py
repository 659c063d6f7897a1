"""Arrow files: memory-mapped when they are read, streamed batch by batch when they are written."""

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from minift.data.features import Features, Value, arrow_type
from minift.data.table import Rows
from minift.data.to_arrow import to_arrow

END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
FILE_MAGIC = b"ARROW1"


def read_arrow(path: str | Path) -> Rows:
    """Map an Arrow stream or Arrow file into memory: its rows stay on the disk until they are used.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not Arrow, or its end is missing.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such Arrow file")
    try:
        with open(path, "rb") as handle:
            mapped = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        source = pa.py_buffer(mapped)
        if mapped[: len(FILE_MAGIC)] == FILE_MAGIC:
            return Rows(pa.ipc.open_file(source).read_all(), [mapped])
        if mapped[-len(END_OF_STREAM) :] != END_OF_STREAM:  # pyarrow would take a stream that was cut for a whole one
            raise ValueError("its end is missing")
        return Rows(pa.ipc.open_stream(source).read_all(), [mapped])
    except (pa.ArrowException, ValueError, OSError) as error:
        raise ValueError(f"{path} is not a complete Arrow file: {error}") from error


class ArrowWriter:
    """Writes batches, one record batch each, to a stream file; the first batch decides the columns and their types.

    Used in a `with` block, after which the file is complete and `features` describes its columns.

    Args:
        path: the file to write.
        features: the exact columns and types; None infers them.
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
        arrays = [to_arrow(batch[name], name, order.get(name), keep_if_it_fits=infer) for name in self._names]
        if self._stream is None:
            self._open([array.type for array in arrays])
        self._stream.write_table(pa.table(arrays, schema=self.features.arrow_schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Finish the file, which has columns even without rows; after an error, leave it as it is."""
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
        self._stream = pa.ipc.new_stream(self._sink, self.features.arrow_schema)

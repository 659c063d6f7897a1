"""What `map` and `filter` pass to a function: batches and rows whose columns are decoded when they are read."""

from collections.abc import Iterator, MutableMapping
from typing import Any

import pyarrow as pa

from minift.data.from_arrow import to_python

UNTOUCHED = object()  # stands for a column that nobody has read or set


class LazyBatch(MutableMapping):
    """A batch as a dict of lists that decodes a column when it is first read.

    A function that reads one column of ten pays for one; a column that nobody has touched goes to the result as the
    Arrow data that it still is.
    """

    __slots__ = ("_values", "table")

    def __init__(self, table: pa.Table):
        self.table = table
        self._values: dict[str, Any] = dict.fromkeys(table.column_names, UNTOUCHED)

    def __getitem__(self, name: str) -> Any:
        value = self._values[name]
        if value is UNTOUCHED:
            value = self._values[name] = self._decode(name)
        return value

    def _decode(self, name: str) -> Any:
        return to_python(self.table[name])

    def touched(self) -> dict[str, Any]:
        """The columns that have been read or set: the function may have changed their values."""
        return {name: value for name, value in self._values.items() if value is not UNTOUCHED}

    def to_arrow(self) -> pa.Table:
        """All columns as Arrow; those that are untouched need no conversion."""
        touched = self.touched()
        return pa.table({name: pa.array(touched[name]) if name in touched else self.table[name] for name in self})

    def __setitem__(self, name: str, value: Any) -> None:
        self._values[name] = value

    def __delitem__(self, name: str) -> None:
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(dict(self))

    def copy(self) -> dict[str, Any]:
        return dict(self)


class LazyRow(LazyBatch):
    """One row of a batch; the rows of a batch share what is decoded."""

    __slots__ = ("_batch", "_index")

    def __init__(self, batch: LazyBatch, index: int):
        self.table, self._batch, self._index = batch.table, batch, index
        self._values = dict.fromkeys(batch, UNTOUCHED)

    def _decode(self, name: str) -> Any:
        return self._batch[name][self._index]

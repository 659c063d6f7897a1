"""What `map` gives to a function: rows and batches whose columns are decoded when they are first read."""

from collections import UserDict
from typing import Any

import pyarrow as pa

from minift.data.from_arrow import to_python

UNTOUCHED = object()  # stands for a column that nobody has read or set


class LazyBatch(UserDict):
    """A batch as a dict of lists that decodes a column when it is first read.

    A function that reads one column of ten pays for one; a column that nobody has touched goes to the result as the
    Arrow data that it still is.
    """

    def __init__(self, table: pa.Table):
        self.table = table
        self.data = dict.fromkeys(table.column_names, UNTOUCHED)

    def __getitem__(self, name: str) -> Any:
        value = self.data[name]
        if value is UNTOUCHED:
            value = self.data[name] = self._decode(name)
        return value

    def _decode(self, name: str) -> Any:
        return to_python(self.table[name])

    def touched(self) -> dict[str, Any]:
        """The columns that have been read or set: the function may have changed their values."""
        return {name: value for name, value in self.data.items() if value is not UNTOUCHED}

    def to_arrow(self) -> pa.Table:
        """All columns as Arrow; only those that are touched are converted."""
        touched = self.touched()
        return pa.table({name: pa.array(touched[name]) if name in touched else self.table[name] for name in self})

    def copy(self) -> dict[str, Any]:
        return dict(self)

    def __or__(self, other: Any) -> dict[str, Any]:
        return dict(self) | dict(other)

    def __ror__(self, other: Any) -> dict[str, Any]:
        return dict(other) | dict(self)

    def __repr__(self) -> str:
        return repr(dict(self))


class LazyRow(LazyBatch):
    """One row of a batch; the rows of a batch share what is decoded."""

    def __init__(self, batch: LazyBatch, index: int):
        self.batch, self.index = batch, index
        self.data = dict.fromkeys(batch.data, UNTOUCHED)

    def _decode(self, name: str) -> Any:
        return self.batch[name][self.index]

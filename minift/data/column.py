"""One column of a dataset as a sequence that reads its rows when they are asked for."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minift.data.from_arrow import object_array


class Column(Sequence):
    """``dataset["text"]``: indexes, slices, iterates and compares as the list of the column's values.

    Args:
        rows: a dataset that has the column; it reads the rows.
        name: the column.
    """

    def __init__(self, rows: Any, name: str):
        self._rows, self._name = rows, name

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Any:
        return self._rows[key][self._name]

    def __iter__(self) -> Iterator[Any]:
        for batch in self._rows.iter(1000):
            yield from batch[self._name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = list(self)
        try:
            return np.array(values, dtype=dtype)
        except ValueError:  # rows of different lengths
            return object_array(values)

    def __repr__(self) -> str:
        head = repr(list(self[:5]))
        return f"Column({head[:-1]}, ...])" if len(self) > 5 else f"Column({head})"

"""A column of a dataset, read when it is asked for."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minift.data.from_arrow import object_array


class Column(Sequence):
    """``dataset["text"]``: indexes, slices, iterates and compares as the list of the column's values.

    It reads the rows of a dataset when they are asked for.
    """

    def __init__(self, rows: Any, name: str):
        self._rows, self._name = rows, name

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):  # a field of a struct
            return Column(self, key)
        values = self._rows[key]
        one = isinstance(values, Mapping)
        return values[self._name] if one else [value and value[self._name] for value in values]

    def __getattr__(self, name: str) -> Any:
        """What the column's values have as one tensor or array: ``.to(device)``, ``.shape``, as before datasets 4."""
        values = [] if name.startswith("_") else self[:]
        if isinstance(values, list):
            raise AttributeError(f"a column has no attribute {name!r}")
        return getattr(values, name)

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self._rows, Column):
            yield from (value and value[self._name] for value in self._rows)
            return
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

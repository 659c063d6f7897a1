"""One column of a dataset as a sequence that reads its rows when they are asked for."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from minift.data.dataset import Dataset


class Column(Sequence):
    """``dataset["text"]``: indexes, slices, iterates and compares as the list of the column's values."""

    def __init__(self, dataset: "Dataset", name: str):
        self._dataset, self._name = dataset, name

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, key: Any) -> Any:
        return self._dataset[key][self._name]

    def __iter__(self) -> Iterator[Any]:
        for batch in self._dataset.iter(1000):
            yield from batch[self._name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = list(self)
        try:
            return np.array(values, dtype=dtype)
        except ValueError:  # rows of several lengths
            array = np.empty(len(values), dtype=object)
            array[:] = values
            return array

    def __repr__(self) -> str:
        head = repr(list(self[:5]))
        return f"Column({head[:-1]}, ...])" if len(self) > 5 else f"Column({head})"

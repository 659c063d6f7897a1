"""Rows of different lengths, end to end in one array: a column of lists before it is padded."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class Ragged(Sequence):
    """A sequence of B rows of integers.

    Args:
        values: the rows end to end, of any integer dtype.
        lengths: int64 (B,); their sum is ``len(values)``.
        valid: bool, False where a value is missing; None: no value is missing.
    """

    def __init__(self, values: np.ndarray, lengths: np.ndarray, valid: np.ndarray | None = None):
        self.values, self.lengths, self.valid = values, lengths, valid

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> np.ndarray:
        row = range(len(self))[row]
        start = int(self.lengths[:row].sum())
        return self._or_none()[start : start + self.lengths[row]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Make one array (B, T); a ValueError if the rows differ in length."""
        if len(set(self.lengths.tolist())) > 1:
            raise ValueError("rows of different lengths make no array")
        return np.array(self._or_none().reshape(len(self), -1), dtype=dtype)

    def _or_none(self) -> np.ndarray:
        """The values, and None where one is missing."""
        return self.values if self.valid is None else np.where(self.valid, self.values.astype(object), None)


def row_lengths(rows: Sequence[Any]) -> np.ndarray:
    """int64 (B,): how many values each row has."""
    return rows.lengths if isinstance(rows, Ragged) else np.array([len(row) for row in rows], dtype=np.int64)

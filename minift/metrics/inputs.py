"""Predictions and references as users pass them -> a checked numpy array."""

from typing import Any

import numpy as np


def label_rows(predictions: Any, references: Any) -> np.ndarray:
    """Return class labels as (2, B) int64: a row of predictions, a row of references."""
    return _two_rows(predictions, references, "biu", "integer labels", "for scores of classes, their argmax(-1)")


def number_rows(predictions: Any, references: Any) -> np.ndarray:
    """Return numbers as (2, B) float64: a row of predictions, a row of references."""
    return _two_rows(predictions, references, "biufV", "real numbers", "from a model with one output, [:, 0]")


def _two_rows(predictions: Any, references: Any, kinds: str, expected: str, hint: str) -> np.ndarray:
    """Raise a ValueError for another shape than (B,), other kinds of values, or two different lengths."""
    rows = []
    for side, array in (("predictions", to_array(predictions)), ("references", to_array(references))):
        if array.ndim != 1:
            raise ValueError(f"{side} has shape {array.shape}, expected (N,): {hint}")
        if array.size and array.dtype.kind not in kinds:  # V: bfloat16, which numpy itself does not have
            raise ValueError(f"{side} has dtype {array.dtype}, expected {expected}")
        rows.append(array.astype(np.float64 if "f" in kinds else np.int64))
    if len(rows[0]) != len(rows[1]):
        raise ValueError(f"{len(rows[0])} predictions but {len(rows[1])} references")
    return np.stack(rows)


def to_array(values: Any) -> np.ndarray:
    """Return a numpy array of a list, an array, or a tensor of any framework on any device."""
    if hasattr(values, "detach"):  # a torch tensor; torch itself is not imported
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()  # numpy has no bfloat16
    return np.asarray(values)


def check_not_empty(count: int) -> int:
    """Return `count`, the number of examples, or raise a ValueError if it is 0."""
    if count == 0:
        raise ValueError("there is nothing to score: no predictions and references were added")
    return count

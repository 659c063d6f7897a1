"""Predictions and references as users pass them -> a checked numpy array."""

from typing import Any

import numpy as np


def label_rows(predictions: Any, references: Any) -> np.ndarray:
    """Return class labels as (2, B) int64: a row of predictions, a row of references."""
    return _two_rows(predictions, references, "biu", "integer labels", "for scores of classes, their argmax(-1)")


def number_rows(predictions: Any, references: Any, ndim: int = 1) -> np.ndarray:
    """Return numbers as (2, B) float64: a row of predictions, a row of references; with ``ndim=2``, (2, B, D)."""
    return _two_rows(predictions, references, "biufV", "real numbers", "from a model with one output, [:, 0]", ndim)


def weight_rows(sample_weight: Any, count: int) -> np.ndarray:
    """Return the weights of B rows as float64 (B,): ones if there are none."""
    if sample_weight is None:
        return np.ones(count)
    weights = to_array(sample_weight).astype(np.float64)
    if weights.shape != (count,):
        raise ValueError(f"sample_weight has shape {weights.shape}, expected ({count},): a weight for each row")
    return weights


def _two_rows(predictions: Any, references: Any, kinds: str, expected: str, hint: str, ndim: int = 1) -> np.ndarray:
    """Raise a ValueError for another shape than (B,), other kinds of values, or two different lengths.

    Labels may be written as floats (``1.0``) or text (``"1"``), if they are whole numbers.
    """
    rows = []
    for side, array in (("predictions", to_array(predictions)), ("references", to_array(references))):
        if array.ndim != ndim:
            raise ValueError(f"{side} has shape {array.shape}, expected {'(N,)' if ndim == 1 else '(N, D)'}: {hint}")
        if "f" not in kinds and array.dtype.kind in "fUO":
            array = _whole_numbers(array, side)
        if array.size and array.dtype.kind not in kinds:  # V: bfloat16, which numpy itself does not have
            raise ValueError(f"{side} has dtype {array.dtype}, expected {expected}")
        rows.append(array.astype(np.float64 if "f" in kinds else np.int64))
    if len(rows[0]) != len(rows[1]):
        raise ValueError(f"{len(rows[0])} predictions but {len(rows[1])} references")
    if rows[0].shape != rows[1].shape:
        raise ValueError(f"predictions have shape {rows[0].shape}, references {rows[1].shape}")
    return np.stack(rows)


def _whole_numbers(array: np.ndarray, side: str) -> np.ndarray:
    """Read labels that are written as floats or as text; a ValueError names the first that is no whole number."""
    for row, value in enumerate(array.ravel().tolist()):
        try:
            whole = float(value).is_integer()
        except (TypeError, ValueError):
            whole = False
        if not whole:
            raise ValueError(f"{side}[{row}] is {value!r}, expected integer labels")
    return array.astype(np.float64).astype(np.int64)


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

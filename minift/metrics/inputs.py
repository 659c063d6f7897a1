"""Predictions and references as users pass them -> checked numpy arrays."""

from typing import Any

import numpy as np


def to_labels(side: str, values: Any, num_labels: int | None) -> np.ndarray:
    """Return `values` as class labels (N,) int64.

    Args:
        side: "predictions" or "references", for the error message.
        values: a list, array or tensor of integers.
        num_labels: if given, every label must be in [0, num_labels).

    Raises:
        ValueError: another shape or dtype, or a label out of range; the message names the row.
    """
    array = to_array(values)
    if array.ndim != 1:
        raise ValueError(f"{side} has shape {array.shape}, expected (N,): for scores of classes, their argmax(-1)")
    if array.size and array.dtype.kind not in "biu":
        raise ValueError(f"{side} has dtype {array.dtype}, expected integer labels")
    array = array.astype(np.int64)
    outside = (array < 0) | (array >= num_labels) if num_labels else np.zeros(len(array), dtype=bool)
    if outside.any():
        row = int(outside.argmax())
        raise ValueError(f"{side}[{row}] is {array[row]}, expected a label from 0 to {num_labels - 1}")
    return array


def to_numbers(side: str, values: Any) -> np.ndarray:
    """Return `values` as numbers (N,) float64.

    Raises:
        ValueError: another shape, or values that are not real numbers.
    """
    array = to_array(values)
    if array.ndim != 1:
        raise ValueError(f"{side} has shape {array.shape}, expected (N,); from a model with one output, [:, 0]")
    if array.dtype.kind in "OUSc":
        raise ValueError(f"{side} has dtype {array.dtype}, expected real numbers")
    return array.astype(np.float64)


def to_array(values: Any) -> np.ndarray:
    """Return a numpy array of a list, an array, or a tensor of any framework on any device."""
    if hasattr(values, "detach"):  # a torch tensor; torch itself is not imported
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()  # numpy has no bfloat16
    return np.asarray(values)


def check_same_length(predictions: np.ndarray, references: np.ndarray) -> None:
    """Raise a ValueError if the two sides have different lengths."""
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions but {len(references)} references")


def check_not_empty(count: int) -> int:
    """Return `count`, the number of examples, or raise a ValueError if it is 0."""
    if count == 0:
        raise ValueError("there is nothing to score: no predictions and references were added")
    return count

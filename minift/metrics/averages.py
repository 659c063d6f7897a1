"""Precision, recall and F1 from counts, and their averages over labels."""

import warnings
from typing import Any

import numpy as np

AVERAGES = ("binary", "micro", "macro", "weighted", "samples", None)


def score_of(name: str, right: np.ndarray, predicted: np.ndarray, actual: np.ndarray, zero_division: Any) -> np.ndarray:
    """Return the score of each label (L,) from the numbers of right predictions, predictions and references (L,).

    precision P = right / predicted; recall R = right / actual; F1 = 2·P·R / (P + R) = 2·right / (predicted + actual).
    Where that divides by 0, it is `zero_division`: 0, 1, NaN, or "warn" for 0 and a warning.
    """
    if not (zero_division == "warn" or zero_division in (0, 1) or np.isnan(zero_division)):
        raise ValueError(f'zero_division={zero_division!r}: expected "warn", 0, 1 or nan')
    factor, whole = {
        "precision": (1, predicted),
        "recall": (1, actual),
        "f1": (2, predicted + actual),
    }[name]
    undefined = whole == 0
    if undefined.any() and zero_division == "warn":
        warnings.warn(f"{name} is undefined for a label that never occurs: counted as 0", stacklevel=5)
    scores = factor * right / np.where(undefined, 1, whole)
    scores[undefined] = 0.0 if zero_division == "warn" else zero_division
    return scores


def average(scores: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the weighted mean of the scores that are not NaN; the plain one if all weights are 0."""
    defined = ~np.isnan(scores)
    if not defined.any():
        return float("nan")
    if weights is None or not weights[defined].sum():
        return float(np.average(scores[defined]))
    return float(np.average(scores[defined], weights=weights[defined]))


def averaged(
    name: str,
    right: np.ndarray,
    predicted: np.ndarray,
    actual: np.ndarray,
    how: str | None,
    zero_division: Any = "warn",
) -> Any:
    """Average the score called `name` over labels: "macro", "micro" (of the summed counts), "weighted" (by `actual`).

    None returns the score of each label (L,). Re-implements sklearn.metrics.precision_recall_fscore_support.
    """
    if how == "micro":
        right, predicted, actual = (count.sum(keepdims=True) for count in (right, predicted, actual))
    scores = score_of(name, right, predicted, actual, zero_division)
    if how is None:
        return scores
    if how not in AVERAGES:
        raise ValueError(f"unknown average {how!r}; there are: binary, macro, micro, weighted, samples and None")
    return average(scores, actual if how == "weighted" else None)

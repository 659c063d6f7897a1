"""Scores of numbers: Pearson's and Spearman's correlation, and the mean squared error."""

import math
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from minift.metrics.inputs import check_not_empty, number_rows


class Values:
    """Keep all predictions and references in float64, for correlations that are scipy's to the last bit."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def update(self, predictions: ArrayLike, references: ArrayLike) -> Self:
        """Add a batch: numbers (B,) on both sides. Returns itself."""
        self.batches.append(number_rows(predictions, references))
        return self

    @property
    def rows(self) -> np.ndarray:
        """All predictions and references, (2, N)."""
        return np.concatenate(self.batches, axis=1) if self.batches else np.empty((2, 0))

    def pearson(self) -> float:
        """Return Pearson's r, as scipy.stats.pearsonr: NaN if a side is constant or holds NaN or infinity."""
        rows = self.rows
        if rows.shape[1] < 2:
            raise ValueError(f"a correlation needs at least 2 examples, not {rows.shape[1]}")
        if (rows == rows[:, :1]).all(axis=1).any():
            return math.nan  # a constant has no correlation; rounding errors must not produce one
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            deviations = rows - rows.mean(axis=1, keepdims=True)
            largest = np.abs(deviations).max(axis=1, keepdims=True)  # divided by it, no square is too small or large
            x, y = deviations / (largest * np.linalg.norm(deviations / largest, axis=1, keepdims=True))
            r = float(np.clip(np.vecdot(x, y), -1.0, 1.0))
        return round(r, 0) if rows.shape[1] == 2 and not math.isnan(r) else r

    def spearman(self) -> float:
        """Return Spearman's ρ, as scipy.stats.spearmanr: NaN for one example, or if a side is constant or holds NaN."""
        rows = self.rows
        if check_not_empty(rows.shape[1]) == 1 or np.isnan(rows).any() or (rows == rows[:, :1]).all(axis=1).any():
            return math.nan
        return float(np.corrcoef([_ranks(rows[0]), _ranks(rows[1])])[1, 0])


class SquaredErrors:
    """Add up squared errors, for their mean."""

    def __init__(self) -> None:
        self.count, self.sum = 0, 0.0

    def update(self, predictions: ArrayLike, references: ArrayLike) -> Self:
        """Add a batch: numbers (B,) on both sides. Returns itself."""
        rows = number_rows(predictions, references)  # (2, B)
        self.count += rows.shape[1]
        self.sum += float(((rows[0] - rows[1]) ** 2).sum())
        return self

    def mse(self) -> float:
        """Return the mean squared error; NaN if a value is NaN."""
        return self.sum / check_not_empty(self.count)


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]

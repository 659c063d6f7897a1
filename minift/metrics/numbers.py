"""Scores of numbers: Pearson's and Spearman's correlation, and the mean squared error."""

import math
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from minift.metrics.inputs import check_not_empty, number_rows


class Moments:
    """Keep means, sums of products of deviations and squared errors: Pearson and MSE without the values.

    Batches are merged as in Chan, Golub & LeVeque (1979), so that large means cost no digits.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = np.zeros(2)  # of predictions, of references
        self.products = np.zeros((2, 2))
        self.lowest = np.full(2, np.inf)
        self.highest = np.full(2, -np.inf)
        self.squared_error = 0.0

    def update(self, predictions: ArrayLike, references: ArrayLike) -> Self:
        """Add a batch: numbers (B,) on both sides. Returns itself."""
        rows = number_rows(predictions, references)  # (2, B)
        if (count := rows.shape[1]) == 0:
            return self
        with np.errstate(invalid="ignore", over="ignore"):  # infinity and NaN give NaN in the end
            mean = rows.mean(axis=1)
            deviations = rows - mean[:, None]
            shift, total = mean - self.mean, self.count + count
            self.products += deviations @ deviations.T + np.outer(shift, shift) * (self.count * count / total)
            self.mean += shift * (count / total)
            self.squared_error += float(((rows[0] - rows[1]) ** 2).sum())
        self.lowest = np.minimum(self.lowest, rows.min(axis=1))
        self.highest = np.maximum(self.highest, rows.max(axis=1))
        self.count = total
        return self

    def pearson(self) -> float:
        """Return Pearson's r, as scipy.stats.pearsonr: NaN if a side is constant or holds NaN or infinity."""
        if self.count < 2:
            raise ValueError(f"a correlation needs at least 2 examples, not {self.count}")
        if (self.lowest == self.highest).any():
            return math.nan  # a constant has no correlation; rounding errors must not produce one
        with np.errstate(invalid="ignore", divide="ignore"):
            deviation = np.sqrt(np.diag(self.products))
            return float(np.clip(self.products[0, 1] / deviation[0] / deviation[1], -1.0, 1.0))

    def mse(self) -> float:
        """Return the mean squared error; NaN if a value is NaN."""
        return self.squared_error / check_not_empty(self.count)


class Values:
    """Keep all predictions and references in float64: ranks need every one of them."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def update(self, predictions: ArrayLike, references: ArrayLike) -> Self:
        """Add a batch: numbers (B,) on both sides. Returns itself."""
        self.batches.append(number_rows(predictions, references))
        return self

    def spearman(self) -> float:
        """Return Spearman's ρ, as scipy.stats.spearmanr: NaN for one example, or if a side is constant or holds NaN."""
        rows = np.concatenate(self.batches, axis=1) if self.batches else np.empty((2, 0))
        if check_not_empty(rows.shape[1]) == 1 or np.isnan(rows).any():
            return math.nan
        return Moments().update(_ranks(rows[0]), _ranks(rows[1])).pearson()


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]

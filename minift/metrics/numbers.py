"""Scores of numbers: Pearson's and Spearman's correlation, mean squared and mean absolute error."""

import math
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from minift.metrics.inputs import check_not_empty, number_rows, weight_rows


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

    def pearson(self, return_pvalue: bool = False) -> Any:
        """Return Pearson's r, as scipy.stats.pearsonr: NaN if a side is constant or holds NaN or infinity."""
        rows = self.rows
        if rows.shape[1] < 2:
            raise ValueError(f"a correlation needs at least 2 examples, not {rows.shape[1]}")
        r = _pearson(rows)
        if not return_pvalue:
            return r
        p = 1.0 if rows.shape[1] == 2 and not math.isnan(r) else _p_value(r, rows.shape[1])
        return {"pearsonr": r, "p-value": p}

    def spearman(self, return_pvalue: bool = False) -> Any:
        """Return Spearman's ρ, as scipy.stats.spearmanr: NaN for one example, or if a side is constant or holds NaN."""
        rows = self.rows
        r = math.nan
        if check_not_empty(rows.shape[1]) > 1 and not (np.isnan(rows).any() or _is_constant(rows)):
            r = float(np.corrcoef([_ranks(rows[0]), _ranks(rows[1])])[1, 0])
        return {"spearmanr": r, "spearmanr_pvalue": _p_value(r, rows.shape[1])} if return_pvalue else r


class Errors:
    """Add up weighted squared and absolute errors, for their means; with ``ndim=2``, of each of D outputs."""

    def __init__(self, ndim: int = 1) -> None:
        self.ndim, self.weight, self.squares, self.sizes = ndim, 0.0, np.zeros(1), np.zeros(1)

    def update(self, predictions: ArrayLike, references: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Add a batch: numbers (B,) or (B, D) on both sides, and weights (B,). Returns itself."""
        rows = number_rows(predictions, references, self.ndim)
        differences = rows[0] - rows[1]
        differences = differences[:, None] if self.ndim == 1 else differences  # (B, D)
        weights = weight_rows(sample_weight, len(differences))
        self.weight += float(weights.sum())
        self.squares = self.squares + weights @ differences**2
        self.sizes = self.sizes + weights @ np.abs(differences)
        return self

    def mse(self, squared: bool = True, multioutput: Any = "uniform_average") -> Any:
        """Return the mean squared error, or its root; NaN if a value is NaN."""
        means = self.squares / check_not_empty(self.weight)
        return self._over_outputs(means if squared else np.sqrt(means), multioutput)

    def mae(self, multioutput: Any = "uniform_average") -> Any:
        """Return the mean absolute error."""
        return self._over_outputs(self.sizes / check_not_empty(self.weight), multioutput)

    def _over_outputs(self, means: np.ndarray, multioutput: Any) -> Any:
        """Average over the outputs ("uniform_average" or weights), or return all of them ("raw_values")."""
        if isinstance(multioutput, str) and multioutput == "raw_values":
            return means
        if isinstance(multioutput, str) and multioutput != "uniform_average":
            raise ValueError(f"multioutput={multioutput!r}: expected uniform_average, raw_values or weights")
        return float(np.average(means, weights=None if isinstance(multioutput, str) else multioutput))


def _pearson(rows: np.ndarray) -> float:
    if _is_constant(rows):
        return math.nan  # a constant has no correlation; rounding errors must not produce one
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        deviations = rows - rows.mean(axis=1, keepdims=True)
        largest = np.abs(deviations).max(axis=1, keepdims=True)  # divided by it, no square is too small or large
        x, y = deviations / (largest * np.linalg.norm(deviations / largest, axis=1, keepdims=True))
        r = float(np.clip(np.vecdot(x, y), -1.0, 1.0))
    return round(r, 0) if rows.shape[1] == 2 and not math.isnan(r) else r


def _is_constant(rows: np.ndarray) -> bool:
    return bool((rows == rows[:, :1]).all(axis=1).any())


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


def _p_value(r: float, count: int) -> float:
    """How likely a correlation of at least this size is where there is none: Student's t with `count` - 2 degrees."""
    if math.isnan(r) or count < 3:
        return math.nan
    return _incomplete_beta((count - 2) / 2, 0.5, (1 - r) * (1 + r))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by Lentz's continued fraction (Numerical Recipes, 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # there the fraction converges slowly; the function is symmetric
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 1000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d), 1 + term / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return front * fraction

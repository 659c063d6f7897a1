"""Scores of rows that have any number of labels: each row is 0 or 1 for each of L labels."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from minift.metrics.averages import average as mean
from minift.metrics.averages import averaged, score_of
from minift.metrics.classes import Confusion
from minift.metrics.inputs import check_not_empty, to_array, weight_rows


class Indicators:
    """Keep all rows, (N, L) on both sides, and their weights."""

    def __init__(self) -> None:
        self.batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def update(self, predictions: ArrayLike, references: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Add a batch: 0 and 1, (B, L) on both sides, and weights (B,)."""
        rows = [to_array(predictions), to_array(references)]
        if rows[0].ndim != 2 or rows[0].shape != rows[1].shape:
            raise ValueError(f"multilabel: shapes {rows[0].shape} and {rows[1].shape}; expected (N, L) on both sides")
        if not all(np.isin(side, (0, 1)).all() for side in rows):
            raise ValueError("multilabel: expected 0 or 1 for each label of a row")
        predicted, actual = (side.astype(np.int64) for side in rows)
        self.batches.append((predicted, actual, weight_rows(sample_weight, len(actual))))
        return self

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all predictions (N, L), references (N, L) and weights (N,)."""
        check_not_empty(len(self.batches))
        predicted, actual, weights = (np.concatenate(parts) for parts in zip(*self.batches, strict=True))
        check_not_empty(len(actual))
        return predicted, actual, weights

    def accuracy(self, normalize: bool = True) -> float:
        """Return the share, or the number, of the rows of which all labels are right."""
        predicted, actual, weights = self.rows()
        right = (predicted == actual).all(axis=1)
        return float(np.average(right, weights=weights) if normalize else (right * weights).sum())

    def f1(self, average: str | None = "binary", pos_label: int = 1, labels: list[int] | None = None) -> Any:
        return self.score("f1", average, labels, 0)

    def precision(
        self,
        average: str | None = "binary",
        pos_label: int = 1,
        labels: list[int] | None = None,
        zero_division: Any = "warn",
    ) -> Any:
        return self.score("precision", average, labels, zero_division)

    def recall(
        self,
        average: str | None = "binary",
        pos_label: int = 1,
        labels: list[int] | None = None,
        zero_division: Any = "warn",
    ) -> Any:
        return self.score("recall", average, labels, zero_division)

    def score(self, name: str, average: str | None, labels: list[int] | None, zero_division: Any) -> Any:
        """Return a score over labels, see `averaged`, or with ``average="samples"`` the mean of each row's."""
        if average == "binary":
            raise ValueError("average='binary' is for one label a row: choose 'macro', 'micro', 'weighted', 'samples'")
        predicted, actual, weights = self.rows()
        if labels is not None:
            predicted, actual = predicted[:, labels], actual[:, labels]
        axis, by = (1, 1) if average == "samples" else (0, weights[:, None])
        counts = [(part * by).sum(axis=axis) for part in (predicted * actual, predicted, actual)]
        if average == "samples":
            return mean(score_of(name, *counts, zero_division), weights)
        return averaged(name, *counts, average, zero_division)

    def matthews(self, average: str | None = None) -> Any:
        """Return Matthews' correlation of each label, or (`average` "macro") their mean."""
        if average not in (None, "macro"):
            raise ValueError(f"unknown average {average!r}; there are: macro and None")
        predicted, actual, weights = self.rows()
        columns = zip(predicted.T, actual.T, strict=True)
        scores = [Confusion().update(*column, sample_weight=weights).matthews() for column in columns]
        return float(np.mean(scores)) if average == "macro" else scores

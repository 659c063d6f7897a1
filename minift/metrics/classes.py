"""Scores of classes: accuracy, precision, recall, F1 and Matthews' correlation, all from one table of counts."""

import math
from collections import Counter
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from minift.metrics.averages import averaged
from minift.metrics.inputs import check_not_empty, label_rows, weight_rows


class Confusion:
    """Count how often each (reference, prediction) pair of labels occurs: all that these scores need.

    If `num_labels` is given, a label outside [0, num_labels) is a ValueError that names the row.
    """

    def __init__(self, num_labels: int | None = None) -> None:
        self.num_labels = num_labels
        self.counts: Counter[tuple[int, int]] = Counter()

    def update(self, predictions: ArrayLike, references: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Add a batch: labels (B,) on both sides; with `sample_weight` (B,), a row counts as much as its weight."""
        rows = label_rows(predictions, references)  # (2, B)
        if self.num_labels and (outside := (rows < 0) | (rows >= self.num_labels)).any():
            side, row = np.argwhere(outside)[0]
            name = ("predictions", "references")[side]
            raise ValueError(f"{name}[{row}] is {rows[side, row]}, expected a label from 0 to {self.num_labels - 1}")
        labels, which = np.unique(rows, return_inverse=True)
        predicted, actual = which.reshape(rows.shape)  # the labels' places in `labels`
        pairs, place = np.unique(actual * len(labels) + predicted, return_inverse=True)  # a number for each pair
        weights = None if sample_weight is None else weight_rows(sample_weight, rows.shape[1])
        counts = np.bincount(place, weights, len(pairs))  # whole numbers without weights
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
            self.counts[int(labels[pair // len(labels)]), int(labels[pair % len(labels)])] += count
        return self

    def accuracy(self, normalize: bool = True) -> float:
        """Return the share of predictions that equal their reference; with `normalize=False` their number."""
        right, _, _ = self._by_label()
        return right.total() / self.counts.total() if normalize else float(right.total())

    def f1(self, **options: Any) -> Any:
        """Return the harmonic mean of precision and recall, as sklearn.metrics.f1_score; options of `score`."""
        return self.score("f1", **options, zero_division=0)

    def precision(self, zero_division: Any = "warn", **options: Any) -> Any:
        """Return the share of the predictions of a label that are right, as sklearn.metrics.precision_score."""
        return self.score("precision", **options, zero_division=zero_division)

    def recall(self, zero_division: Any = "warn", **options: Any) -> Any:
        """Return the share of the references of a label that are predicted, as sklearn.metrics.recall_score."""
        return self.score("recall", **options, zero_division=zero_division)

    def score(
        self,
        name: str,
        average: str | None = "binary",
        pos_label: int = 1,
        labels: list[int] | None = None,
        zero_division: Any = "warn",
    ) -> Any:
        """Return precision, recall or F1.

        Args:
            average: "binary" (of `pos_label`), "macro" (mean over labels), "micro" (of the summed counts), "weighted"
                (mean weighted by the references' counts), or None for an array with one score for each label.
            pos_label: the label that "binary" scores.
            labels: the labels to average over, in the order of the array; None takes all that occur.
            zero_division: the score where it is undefined: "warn" (0, with a warning), 0, 1 or NaN.
        """
        counters = self._by_label()
        seen = sorted(set().union(*counters))
        if average == "samples":
            raise ValueError("average='samples' is for rows of several labels: load the metric with 'multilabel'")
        if average == "binary":
            if len(seen) > 2:
                raise ValueError(f"average='binary' with labels {seen}: choose 'macro', 'micro', 'weighted' or None")
            if len(seen) == 2 and pos_label not in seen:
                raise ValueError(f"pos_label={pos_label!r} is not among the labels {seen}")
            labels = [pos_label]
        labels = seen if labels is None else list(labels)
        right, actual, predicted = (np.array([float(counter[label]) for label in labels]) for counter in counters)
        return averaged(name, right, predicted, actual, average, zero_division)

    def matthews(self) -> float:
        """Return Matthews' correlation for any number of classes (Gorodkin, 2004); 0 if one side is constant."""
        right, actual, predicted = self._by_label()
        total = self.counts.total()
        # whole numbers, of any size: nothing overflows or rounds before the one division
        covariance = right.total() * total - sum(actual[label] * predicted[label] for label in actual)
        variances = math.prod(total**2 - sum(count**2 for count in side.values()) for side in (actual, predicted))
        return covariance / math.sqrt(variances) if variances else 0.0

    def _by_label(self) -> tuple[Counter[int], Counter[int], Counter[int]]:
        """Return how often each label is predicted rightly, is a reference, and is a prediction."""
        check_not_empty(self.counts.total())
        right, actual, predicted = Counter(), Counter(), Counter()
        for (reference, prediction), count in self.counts.items():
            right[reference] += count * (reference == prediction)
            actual[reference] += count
            predicted[prediction] += count
        return right, actual, predicted

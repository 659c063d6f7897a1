"""The area under the ROC curve: how well scores put the references of a class before the others."""

from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from minift.metrics.inputs import check_not_empty, to_array, weight_rows


class Curve:
    """Keep all scores and references; both are needed in order."""

    def __init__(self, config: str | None = None) -> None:
        self.config = config  # None, "multiclass" or "multilabel"
        self.batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def update(self, predictions: ArrayLike, references: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Add a batch: scores (B,), or (B, C) for classes or labels; references (B,), or (B, L) of labels."""
        scores, actual = to_array(predictions).astype(np.float64), to_array(references)
        dims = {None: (1, 1), "multiclass": (2, 1), "multilabel": (2, 2)}[self.config]
        if (scores.ndim, actual.ndim) != dims or len(scores) != len(actual):
            raise ValueError(
                f"roc_auc: shapes {scores.shape} of scores and {actual.shape} of references; expected {dims[0]} and "
                f"{dims[1]} axes of one length (the configurations multiclass and multilabel: a score for each class)"
            )
        self.batches.append((scores, actual, weight_rows(sample_weight, len(actual))))
        return self

    def roc_auc(
        self,
        average: str | None = "macro",
        max_fpr: float | None = None,
        multi_class: str = "raise",
        labels: list | None = None,
    ) -> Any:
        """Return the area, as sklearn.metrics.roc_auc_score.

        Args:
            average: over classes or labels: "macro", "weighted" (by frequency), "micro", of labels also "samples"; None
                returns each.
            max_fpr: the area of the curve up to this rate of false positives, on a scale from 0.5 to 1 (two classes).
            multi_class: "ovr" (each class against all others) or "ovo" (each against each other).
            labels: the classes, in the order of the scores; None takes those that occur, sorted.
        """
        check_not_empty(len(self.batches))
        scores, actual, weights = (np.concatenate(parts) for parts in zip(*self.batches, strict=True))
        if self.config is None:
            classes = np.unique(actual)
            if len(classes) > 2:
                raise ValueError(f"roc_auc: the references have {len(classes)} classes; load it with 'multiclass'")
            return area(scores, actual == classes[-1], weights, max_fpr) if len(classes) == 2 else float("nan")
        if self.config == "multilabel":
            return _over_labels(scores, actual.astype(bool), weights, average, max_fpr)
        if max_fpr not in (None, 1):
            raise ValueError("roc_auc: max_fpr is for two classes")
        classes = np.unique(actual) if labels is None else np.asarray(labels)
        if len(classes) != scores.shape[1]:
            raise ValueError(f"roc_auc: {len(classes)} classes in the references, scores for {scores.shape[1]}")
        if not np.allclose(1, scores.sum(axis=1)):
            raise ValueError("roc_auc: the scores of a row must be probabilities: their sum is not 1")
        if multi_class == "ovr":
            return _over_labels(scores, actual[:, None] == classes, weights, average, None)
        if multi_class == "ovo":
            return _each_against_each(scores, np.searchsorted(classes, actual), average)
        raise ValueError(f"roc_auc: multi_class={multi_class!r} for several classes: choose 'ovr' or 'ovo'")


def area(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray, max_fpr: float | None = None) -> float:
    """Return the area under the curve of true over false positives, by trapezoids; NaN if one of the two is missing."""
    order = np.argsort(-scores, kind="stable")
    scores, positive, weights = scores[order], positive[order], weights[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of each run of equal scores
    true = np.append(0, np.cumsum(positive * weights)[last])
    false = np.append(0, np.cumsum(~positive * weights)[last])
    if true[-1] <= 0 or false[-1] <= 0:
        return float("nan")
    x, y = false / false[-1], true / true[-1]
    if max_fpr in (None, 1):
        return float(np.trapezoid(y, x))
    if not 0 < max_fpr <= 1:
        raise ValueError(f"roc_auc: max_fpr={max_fpr} must be above 0 and at most 1")
    stop = np.searchsorted(x, max_fpr, "right")
    y_end = np.interp(max_fpr, x[stop - 1 : stop + 1], y[stop - 1 : stop + 1])
    part = np.trapezoid(np.append(y[:stop], y_end), np.append(x[:stop], max_fpr))
    least = max_fpr**2 / 2  # the area of chance (McClish, 1989)
    return float(0.5 * (1 + (part - least) / (max_fpr - least)))


def _over_labels(
    scores: np.ndarray, positive: np.ndarray, weights: np.ndarray, average: str | None, max_fpr: float | None
) -> Any:
    if average == "micro":
        return area(scores.ravel(), positive.ravel(), np.repeat(weights, scores.shape[1]), max_fpr)
    if average == "samples":
        ones = np.ones(scores.shape[1])
        areas = [area(*row, ones, max_fpr) for row in zip(scores, positive, strict=True)]
        return _mean(np.array(areas), weights)
    areas = np.array([area(*column, weights, max_fpr) for column in zip(scores.T, positive.T, strict=True)])
    if average is None:
        return areas
    if average not in ("macro", "weighted"):
        raise ValueError(f"unknown average {average!r}; there are: macro, micro, weighted, samples and None")
    return _mean(areas, weights @ positive) if average == "weighted" else float(areas.mean())


def _mean(areas: np.ndarray, weights: np.ndarray) -> float:
    """Average the areas; one without weight counts for nothing, even where it is NaN."""
    return float(np.average(np.where(weights == 0, 0, areas), weights=weights)) if weights.sum() else 0.0


def _each_against_each(scores: np.ndarray, actual: np.ndarray, average: str | None) -> float:
    """Average over all pairs of classes (Hand and Till, 2001): each ranks the rows of the two by its own scores."""
    if average not in ("macro", "weighted"):
        raise ValueError(f"roc_auc: average={average!r} is not supported with multi_class='ovo'")
    areas, shares = [], []
    for one, other in combinations(range(scores.shape[1]), 2):
        both = np.isin(actual, (one, other))
        ones = np.ones(int(both.sum()))
        sides = [area(scores[both, side], actual[both] == side, ones) for side in (one, other)]
        areas.append(sum(sides) / 2)
        shares.append(both.mean())
    return float(np.average(areas, weights=shares if average == "weighted" else None))

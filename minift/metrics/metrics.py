"""Metrics by hand: streaming counts and sums, the scores they give, and the metrics of every GLUE task.

Predictions and references are lists, numpy arrays or tensors of shape (N,): integer labels for accuracy, F1 and
Matthews, numbers for Pearson, Spearman and the squared error. `load(...)` gives objects that accumulate batches; what
they keep does not grow with N, except for Spearman, which ranks all values.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class GlueTask:
    """One configuration of GLUE (Wang et al., 2019, https://arxiv.org/abs/1804.07461)."""

    text_columns: tuple[str, ...]
    metrics: tuple[str, ...]  # as evaluate's "glue" names them in its results
    num_labels: int = 2  # 1: a score, not a class
    eval_splits: tuple[str, ...] = ("validation",)


_NLI = ("premise", "hypothesis")
_SENTENCES = ("sentence1", "sentence2")

GLUE = {
    "cola": GlueTask(("sentence",), ("matthews_correlation",)),
    "sst2": GlueTask(("sentence",), ("accuracy",)),
    "mrpc": GlueTask(_SENTENCES, ("accuracy", "f1")),
    "stsb": GlueTask(_SENTENCES, ("pearson", "spearmanr"), num_labels=1),
    "qqp": GlueTask(("question1", "question2"), ("accuracy", "f1")),
    "mnli": GlueTask(_NLI, ("accuracy",), 3, ("validation_matched", "validation_mismatched")),
    "mnli_matched": GlueTask(_NLI, ("accuracy",), 3),
    "mnli_mismatched": GlueTask(_NLI, ("accuracy",), 3),
    "qnli": GlueTask(("question", "sentence"), ("accuracy",)),
    "rte": GlueTask(_SENTENCES, ("accuracy",)),
    "wnli": GlueTask(_SENTENCES, ("accuracy",)),
    "hans": GlueTask(_NLI, ("accuracy",)),
    "ax": GlueTask(_NLI, ("matthews_correlation",), 3, ("test",)),  # the Hub's copy hides its labels: -1
}


# -- what is accumulated, and the scores it gives


class Confusion:
    """How often each (reference, prediction) pair of labels occurred: all that accuracy, F1 and Matthews need."""

    def __init__(self, num_labels: int | None = None) -> None:
        self.num_labels = num_labels
        self.counts: Counter[tuple[int, int]] = Counter()

    def update(self, predictions: ArrayLike, references: ArrayLike) -> "Confusion":
        predictions = _labels("predictions", predictions, self.num_labels)
        references = _labels("references", references, self.num_labels)
        _same_length(predictions, references)
        labels, which = np.unique(np.concatenate([references, predictions]), return_inverse=True)
        pairs = which[: len(references)] * len(labels) + which[len(references) :]  # a number for each pair of labels
        for pair, count in zip(*np.unique(pairs, return_counts=True), strict=True):
            self.counts[int(labels[pair // len(labels)]), int(labels[pair % len(labels)])] += int(count)
        return self

    def accuracy(self, normalize: bool = True) -> float:
        total = _not_empty(self.counts.total())
        return self._right() / total if normalize else float(self._right())

    def f1(self, average: str | None = "binary", pos_label: int = 1, labels: list[int] | None = None) -> Any:
        _not_empty(self.counts.total())
        seen = sorted({label for pair in self.counts for label in pair})
        if average == "binary":
            if len(seen) > 2:
                raise ValueError(f"average='binary' with labels {seen}: choose 'macro', 'micro', 'weighted' or None")
            if len(seen) == 2 and pos_label not in seen:
                raise ValueError(f"pos_label={pos_label!r} is not among the labels {seen}")
            labels = [pos_label]
        labels = seen if labels is None else list(labels)
        right = np.array([self.counts[label, label] for label in labels])
        actual, predicted = self._marginals(labels)
        if average == "micro":
            right, actual, predicted = (count.sum(keepdims=True) for count in (right, actual, predicted))
        # F1 = 2·P·R / (P + R) with P = right / predicted and R = right / actual; 0 for a label that never occurs
        scores = 2 * right / np.maximum(actual + predicted, 1)
        if average is None:
            return scores
        if average == "weighted":
            return float((scores * actual).sum() / max(1, actual.sum()))
        if average in ("binary", "micro", "macro"):
            return float(scores.mean())
        raise ValueError(f"unknown average {average!r}; there are: binary, macro, micro, weighted and None")

    def matthews(self) -> float:
        total = _not_empty(self.counts.total())
        actual, predicted = self._marginals(sorted({label for pair in self.counts for label in pair}))
        # whole numbers of any size, so that nothing overflows or rounds before the one division
        actual, predicted = actual.astype(object), predicted.astype(object)
        covariance = self._right() * total - actual @ predicted
        variances = (total**2 - actual @ actual) * (total**2 - predicted @ predicted)
        return covariance / math.sqrt(variances) if variances else 0.0

    def _right(self) -> int:
        return sum(count for (reference, prediction), count in self.counts.items() if reference == prediction)

    def _marginals(self, labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """How often each of `labels` is a reference, and how often a prediction."""
        actual, predicted = Counter(), Counter()
        for (reference, prediction), count in self.counts.items():
            actual[reference] += count
            predicted[prediction] += count
        return np.array([actual[label] for label in labels]), np.array([predicted[label] for label in labels])


class Moments:
    """Means, sums of products of deviations from them, and squared errors: Pearson and MSE without the values.

    Batches are merged as in Chan, Golub & LeVeque (1979), which loses no digits to large means.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = np.zeros(2)  # of predictions, of references
        self.products = np.zeros((2, 2))
        self.lowest, self.highest = np.full(2, np.inf), np.full(2, -np.inf)
        self.squared_error = 0.0

    def update(self, predictions: ArrayLike, references: ArrayLike) -> "Moments":
        rows = _values(predictions, references)  # (2, N)
        count = rows.shape[1]
        if count == 0:
            return self
        with np.errstate(invalid="ignore", over="ignore"):  # infinities and NaN end as NaN
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
        if self.count < 2:
            raise ValueError(f"a correlation needs at least 2 examples, not {self.count}")
        if (self.lowest == self.highest).any():
            return math.nan  # no correlation with a constant; rounding must not make one up
        with np.errstate(invalid="ignore", divide="ignore"):
            deviation = np.sqrt(np.diag(self.products))
            return float(np.clip(self.products[0, 1] / deviation[0] / deviation[1], -1.0, 1.0))

    def mse(self) -> float:
        return self.squared_error / _not_empty(self.count)


class Values:
    """All predictions and references, in float64: ranks need every one of them."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []

    def update(self, predictions: ArrayLike, references: ArrayLike) -> "Values":
        self.batches.append(_values(predictions, references))
        return self

    def spearman(self) -> float:
        rows = np.concatenate(self.batches, axis=1) if self.batches else np.empty((2, 0))
        if _not_empty(rows.shape[1]) == 1 or np.isnan(rows).any():
            return math.nan
        return Moments().update(_ranks(rows[0]), _ranks(rows[1])).pearson()


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values share the mean of the ranks they take up."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[which]


# -- the scores of whole arrays


def accuracy(predictions: ArrayLike, references: ArrayLike, normalize: bool = True) -> float:
    """The share of predictions equal to their reference, or with `normalize=False` their number."""
    return Confusion().update(predictions, references).accuracy(normalize)


def f1(
    predictions: ArrayLike,
    references: ArrayLike,
    average: str | None = "binary",
    pos_label: int = 1,
    labels: list[int] | None = None,
) -> Any:
    """The harmonic mean of precision and recall, as sklearn.metrics.f1_score: 0 where it is undefined.

    Args:
        average: "binary" (of `pos_label`), "macro" (mean over labels), "micro" (over pooled counts), "weighted" (mean
            weighted by the references' counts), or None for an array with one score for each label.
        labels: the labels to average over, in the order of the array; all that occur if None.
    """
    return Confusion().update(predictions, references).f1(average, pos_label, labels)


def matthews(predictions: ArrayLike, references: ArrayLike) -> float:
    """Matthews' correlation of any number of classes (Gorodkin, 2004); 0 if either side is constant."""
    return Confusion().update(predictions, references).matthews()


def pearson(predictions: ArrayLike, references: ArrayLike) -> float:
    """Pearson's r, as scipy.stats.pearsonr: NaN if a side is constant or holds NaN or infinity."""
    return Moments().update(predictions, references).pearson()


def spearman(predictions: ArrayLike, references: ArrayLike) -> float:
    """Spearman's ρ, Pearson's r of the ranks, as scipy.stats.spearmanr: NaN if a side is constant or holds NaN."""
    return Values().update(predictions, references).spearman()


def mse(predictions: ArrayLike, references: ArrayLike) -> float:
    """The mean squared error; NaN if a value is NaN."""
    return Moments().update(predictions, references).mse()


def weighted_mean(losses: list[tuple[float, int]]) -> float:
    """The mean of (loss, number of labels) over all labels; a batch without labels, whose loss is NaN, has no part."""
    counted = [(loss, count) for loss, count in losses if count]
    return sum(loss * count for loss, count in counted) / max(sum(count for _, count in counted), 1)


def perplexity(mean_loss: float) -> float:
    """exp of the mean loss per token, in nats; infinity where that overflows."""
    try:
        return math.exp(mean_loss)
    except OverflowError:
        return math.inf


# -- evaluate's interface

# key of the result -> what must be accumulated for it, and the score
_SCORES: dict[str, tuple[type, Callable[..., Any]]] = {
    "accuracy": (Confusion, Confusion.accuracy),
    "f1": (Confusion, Confusion.f1),
    "matthews_correlation": (Confusion, Confusion.matthews),
    "pearson": (Moments, Moments.pearson),
    "pearsonr": (Moments, Moments.pearson),
    "spearmanr": (Values, Values.spearman),
    "mse": (Moments, Moments.mse),
}
_METRICS = ("accuracy", "f1", "matthews_correlation", "pearsonr", "spearmanr", "mse")


class Metric:
    """Scores of the examples added so far: `add` one, `add_batch` many, `compute` the scores and start afresh."""

    def __init__(self, name: str, keys: tuple[str, ...], num_labels: int | None = None) -> None:
        self.name = name
        self._keys = keys
        self._num_labels = num_labels
        self._reset()

    def add(self, *, prediction: Any, reference: Any) -> None:
        """Add one example."""
        self.add_batch(predictions=_array(prediction)[None], references=_array(reference)[None])

    def add_batch(self, *, predictions: ArrayLike, references: ArrayLike) -> None:
        """Add a batch, both sides of shape (B,).

        Raises:
            ValueError: sides of different lengths or of another shape, labels that are not integers or that the task
                does not have. Nothing of such a batch is added.
        """
        for statistic in self._statistics.values():
            statistic.update(predictions, references)

    def compute(
        self, *, predictions: ArrayLike | None = None, references: ArrayLike | None = None, **options: Any
    ) -> dict[str, Any]:
        """The scores of all that was added, and of a last batch if one is given; whatever happens, forget it all.

        Args:
            options: arguments of the score, such as `average=` of F1.

        Raises:
            ValueError: nothing was added, or the batch is bad as in `add_batch`.
            TypeError: an option that the score does not have.
        """
        try:
            if (predictions is None) != (references is None):
                raise ValueError("compute() takes predictions and references together, or neither")
            if predictions is not None:
                self.add_batch(predictions=predictions, references=references)
            return {key: score(self._statistics[kind], **options) for key, (kind, score) in self._scores()}
        finally:
            self._reset()

    def _scores(self) -> list[tuple[str, tuple[type, Callable[..., Any]]]]:
        return [(key, _SCORES[key]) for key in self._keys]

    def _reset(self) -> None:
        kinds = dict.fromkeys(kind for _, (kind, _) in self._scores())
        self._statistics = {kind: kind(self._num_labels) if kind is Confusion else kind() for kind in kinds}


def load(path: str, config_name: str | None = None) -> Metric:
    """The metric called `path`, as `evaluate.load`: one metric by its name, or "glue" with the name of a task.

    Raises:
        ValueError: there is no such metric, or no such task; the message lists what there is.
    """
    if path == "glue":
        if config_name not in GLUE:
            raise ValueError(f"unknown GLUE configuration {config_name!r}; there are: {', '.join(GLUE)}")
        task = GLUE[config_name]
        return Metric(path, task.metrics, None if task.num_labels == 1 else task.num_labels)
    if path not in _METRICS:
        raise ValueError(f"unknown metric {path!r}; there are: {', '.join(_METRICS)}, and glue with a configuration")
    if config_name is not None:
        raise ValueError(f"the metric {path!r} has no configurations, but config_name={config_name!r} was given")
    return Metric(path, (path,))


load_metric = load  # the name in `datasets` before `evaluate` was split off


# -- input


def _array(values: Any) -> np.ndarray:
    """A numpy array of what may be a list, an array or a tensor of any framework on any device."""
    if hasattr(values, "detach"):  # torch, without importing it; numpy has no bfloat16
        values = values.detach().cpu()
        values = (values.double() if values.is_floating_point() else values).numpy()
    return np.asarray(values)


def _labels(side: str, values: Any, num_labels: int | None) -> np.ndarray:
    """`values` as labels (N,) int64, each in [0, num_labels) if that is given."""
    array = _array(values)
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


def _values(predictions: Any, references: Any) -> np.ndarray:
    """Both sides as numbers, (2, N) float64."""
    sides = []
    for side, values in (("predictions", predictions), ("references", references)):
        array = _array(values)
        if array.ndim != 1:
            raise ValueError(f"{side} has shape {array.shape}, expected (N,); from a model with one output, [:, 0]")
        if array.dtype.kind in "OUSc":
            raise ValueError(f"{side} has dtype {array.dtype}, expected real numbers")
        sides.append(array.astype(np.float64))
    _same_length(*sides)
    return np.stack(sides)


def _same_length(predictions: np.ndarray, references: np.ndarray) -> None:
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} predictions but {len(references)} references")


def _not_empty(count: int) -> int:
    if count == 0:
        raise ValueError("there is nothing to score: no predictions and references were added")
    return count

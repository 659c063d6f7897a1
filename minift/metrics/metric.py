"""evaluate's interface: `load` a metric by its name, add batches, compute the scores."""

from collections.abc import Callable
from typing import Any

from numpy.typing import ArrayLike

from minift.metrics.classes import Confusion
from minift.metrics.glue import GLUE
from minift.metrics.inputs import to_array
from minift.metrics.numbers import SquaredErrors, Values

# key of the result -> what must be accumulated for it, and the score
SCORES: dict[str, tuple[type, Callable[..., Any]]] = {
    "accuracy": (Confusion, Confusion.accuracy),
    "f1": (Confusion, Confusion.f1),
    "matthews_correlation": (Confusion, Confusion.matthews),
    "pearson": (Values, Values.pearson),  # GLUE's name for pearsonr
    "pearsonr": (Values, Values.pearson),
    "spearmanr": (Values, Values.spearman),
    "mse": (SquaredErrors, SquaredErrors.mse),
}
METRICS = [name for name in SCORES if name != "pearson"]


class Metric:
    """Score the examples added so far: `add` one, `add_batch` several, `compute` the scores and start again.

    Re-implements evaluate/module.py (``EvaluationModule``), which keeps all values in an Arrow file, on counts and sums
    where they suffice.
    """

    def __init__(self, name: str, keys: tuple[str, ...], num_labels: int | None = None) -> None:
        self.name, self.keys, self.num_labels = name, keys, num_labels
        self.reset()

    def add(self, *, prediction: Any, reference: Any) -> None:
        self.add_batch(predictions=to_array(prediction)[None], references=to_array(reference)[None])

    def add_batch(self, *, predictions: ArrayLike, references: ArrayLike) -> None:
        """Add a batch: lists, numpy arrays or tensors of shape (B,) on both sides.

        Other shapes, different lengths, and labels that are not integers or not classes of the task are a ValueError;
        nothing of such a batch is added.
        """
        for statistic in self.statistics.values():
            statistic.update(predictions, references)

    def compute(
        self, *, predictions: ArrayLike | None = None, references: ArrayLike | None = None, **options: Any
    ) -> dict[str, Any]:
        """Return the scores of all examples added, and of a last batch if it is given; then forget them all.

        The options are arguments of the score, such as `average=` of F1; an unknown one is a TypeError. If nothing was
        added, it is a ValueError. Also after an error all examples are forgotten.
        """
        try:
            if (predictions is None) != (references is None):
                raise ValueError("compute() takes predictions and references together, or neither")
            if predictions is not None:
                self.add_batch(predictions=predictions, references=references)
            scores = {key: SCORES[key] for key in self.keys}
            return {key: score(self.statistics[kind], **options) for key, (kind, score) in scores.items()}
        finally:
            self.reset()

    def reset(self) -> None:
        kinds = dict.fromkeys(SCORES[key][0] for key in self.keys)
        self.statistics = {kind: kind(self.num_labels) if kind is Confusion else kind() for kind in kinds}


def load(path: str, config_name: str | None = None) -> Metric:
    """Return the metric called `path`, as `evaluate.load`: one metric, or "glue" with the name of a task."""
    if path == "glue":
        if config_name not in GLUE:
            raise ValueError(f"unknown GLUE configuration {config_name!r}; there are: {', '.join(GLUE)}")
        task = GLUE[config_name]
        return Metric(path, task.metrics, None if task.num_labels == 1 else task.num_labels)
    if path not in METRICS:
        raise ValueError(f"unknown metric {path!r}; there are: {', '.join(METRICS)}, and glue with a configuration")
    if config_name is not None:
        raise ValueError(f"the metric {path!r} has no configurations, but config_name={config_name!r} was given")
    return Metric(path, (path,))


load_metric = load  # its name in `datasets`, before `evaluate` became a library of its own

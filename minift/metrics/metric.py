"""evaluate's interface: `load` a metric by its name, add batches, compute the scores."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from minift.libraries.keywords import drops_keywords
from minift.metrics.answers import Answers
from minift.metrics.classes import Confusion
from minift.metrics.curves import Curve
from minift.metrics.glue import GLUE
from minift.metrics.inputs import to_array
from minift.metrics.multilabel import Indicators
from minift.metrics.numbers import Errors, Values
from minift.metrics.tags import Tags
from minift.metrics.texts import Texts

# key of the result -> what must be accumulated for it, and the score
SCORES: dict[str, tuple[type, Callable[..., Any]]] = {
    "accuracy": (Confusion, Confusion.accuracy),
    "precision": (Confusion, Confusion.precision),
    "recall": (Confusion, Confusion.recall),
    "f1": (Confusion, Confusion.f1),
    "matthews_correlation": (Confusion, Confusion.matthews),
    "pearson": (Values, Values.pearson),  # GLUE's name for pearsonr
    "pearsonr": (Values, Values.pearson),
    "spearmanr": (Values, Values.spearman),
    "mse": (Errors, Errors.mse),
    "mae": (Errors, Errors.mae),
    "roc_auc": (Curve, Curve.roc_auc),
    "exact_match": (Texts, Texts.exact_match),
    "seqeval": (Tags, Tags.scores),
    "squad": (Answers, Answers.squad),
    "squad_v2": (Answers, Answers.squad_v2),
}
METRICS = [name for name in SCORES if name != "pearson"]

# metric -> configuration -> what is accumulated, and the score
CONFIGS: dict[str, dict[str, tuple[Callable, Callable]]] = {
    "accuracy": {"multilabel": (Indicators, Indicators.accuracy)},
    "precision": {"multilabel": (Indicators, Indicators.precision)},
    "recall": {"multilabel": (Indicators, Indicators.recall)},
    "f1": {"multilabel": (Indicators, Indicators.f1)},
    "matthews_correlation": {"multilabel": (Indicators, Indicators.matthews)},
    "mse": {"multilist": (partial(Errors, ndim=2), Errors.mse)},
    "mae": {"multilist": (partial(Errors, ndim=2), Errors.mae)},
    "roc_auc": {
        "multiclass": (partial(Curve, "multiclass"), Curve.roc_auc),
        "multilabel": (partial(Curve, "multilabel"), Curve.roc_auc),
    },
}
SCORED = {"roc_auc": "prediction_scores"}  # metric -> its name for the predictions, if it has another


class Metric:
    """Score the examples added so far: `add` one, `add_batch` several, `compute` the scores and start again.

    `scores` are, for each key of the result, what makes the statistic and the score. Re-implements evaluate/module.py
    (``EvaluationModule``), which keeps all values in an Arrow file, on counts and sums where they suffice.
    """

    def __init__(self, name: str, scores: dict[str, tuple[Callable, Callable]]) -> None:
        self.name, self.scores = name, scores
        self.inputs = SCORED.get(name, "predictions"), "references"
        self.reset()

    def add(self, *, prediction: Any = None, reference: Any = None, **values: Any) -> None:
        """Add one example: ``prediction=, reference=`` or, as evaluate's examples write it, under the plural names."""
        predictions, references = self.inputs
        values = {predictions: prediction, references: reference} | values
        one = {name: [value] if isinstance(value, str) else to_array(value)[None] for name, value in values.items()}
        self.add_batch(**one)

    def add_batch(self, **values: Any) -> None:
        """Add a batch: `predictions` and `references`, lists, numpy arrays or tensors of shape (B,) on both sides.

        Other shapes, different lengths, and labels that are not integers or not classes of the task are a ValueError;
        nothing of such a batch is added.
        """
        unknown = [name for name in values if name not in self.inputs]
        if unknown or len(values) < 2:
            raise ValueError(f"the metric {self.name!r} takes {' and '.join(self.inputs)}; got {sorted(values)}")
        self._update(*(values[name] for name in self.inputs))

    def compute(self, **values: Any) -> dict[str, Any]:
        """Return the scores of all examples added, and of a last batch if it is given; then forget them all.

        Other arguments are options of the score, such as `average=` of F1; an unknown one is a TypeError.
        `sample_weight` weighs the examples that are given in this call. If nothing was added, it is a ValueError. Also
        after an error all examples are forgotten.
        """
        try:
            batch = {name: values.pop(name) for name in self.inputs if values.get(name) is not None}
            values = {name: value for name, value in values.items() if name not in self.inputs}
            weights = values.pop("sample_weight", None)
            if len(batch) == 1:
                raise ValueError(f"compute() takes {' and '.join(self.inputs)} together, or neither")
            if weights is not None and (not batch or self.has_examples):
                raise ValueError("sample_weight weighs the examples of one call: give all of them to compute()")
            self._check_options(values)
            if batch:
                self._update(*batch.values(), **({} if weights is None else {"sample_weight": weights}))
            results: dict[str, Any] = {}
            for key, (make, score) in self.scores.items():
                found = score(self.statistics[make], **values)
                results |= found if isinstance(found, dict) else {key: found}
            return results
        finally:
            self.reset()

    def reset(self) -> None:
        self.statistics = {make: make() for make, _ in self.scores.values()}
        self.has_examples = False

    def _update(self, *values: Any, **options: Any) -> None:
        for statistic in self.statistics.values():
            statistic.update(*values, **options)
        self.has_examples = True

    def _check_options(self, options: dict[str, Any]) -> None:
        for _, score in self.scores.values():
            taken = list(inspect.signature(score).parameters)[1:]
            if "options" in taken:  # precision, recall and F1 hand theirs on
                taken = [*taken[:-1], "average", "pos_label", "labels"]
            taken = [] if self.name == "glue" else taken
            unknown = [name for name in options if name not in taken]
            if unknown:
                has = f"its options are {', '.join(taken)}" if taken else "it has none"
                raise TypeError(f"the metric {self.name!r} has no option {unknown[0]!r}; {has}")


@drops_keywords
def load(path: str, config_name: str | None = None) -> Metric:
    """Return the metric called `path`, as `evaluate.load`: one metric, or "glue" with the name of a task.

    Some have configurations: "multilabel" (rows of any number of labels), "multilist" (several numbers a row),
    "multiclass".
    """
    if path == "glue":
        if config_name not in GLUE:
            raise ValueError(f"unknown GLUE configuration {config_name!r}; there are: {', '.join(GLUE)}")
        task = GLUE[config_name]
        of_task = partial(Confusion, None if task.num_labels == 1 else task.num_labels)
        scores = {key: SCORES[key] for key in task.metrics}
        return Metric(path, {key: (of_task if kind is Confusion else kind, f) for key, (kind, f) in scores.items()})
    if path not in METRICS:
        raise ValueError(f"unknown metric {path!r}; there are: {', '.join(METRICS)}, and glue with a configuration")
    if config_name in (None, "default"):
        return Metric(path, {path: SCORES[path]})
    configs = CONFIGS.get(path, {})
    if config_name not in configs:
        there_are = f"there are: {', '.join(configs)}" if configs else "it has none"
        raise ValueError(f"the metric {path!r} has no configuration {config_name!r}; {there_are}")
    return Metric(path, {path: configs[config_name]})


load_metric = load  # its name in `datasets`, before `evaluate` became a library of its own

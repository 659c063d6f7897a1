"""What a data set asks of a classifier: which texts, which labels, which metrics."""

from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import ClassLabel, Feature, Features
from minift.metrics.glue import GLUE
from minift.metrics.metric import load


@dataclass
class Task:
    text_columns: list[str]
    label_column: str
    label_names: list[str]  # empty: the label is a number, and the task a regression
    eval_split: str | None
    glue: str | None  # the GLUE configuration, whose metrics are reported

    @property
    def num_labels(self) -> int:
        return len(self.label_names) or 1

    @property
    def problem_type(self) -> str:
        return "single_label_classification" if self.label_names else "regression"

    @property
    def model_options(self) -> dict[str, Any]:
        """Arguments of the model's `from_pretrained`."""
        labels = dict(enumerate(self.label_names)) or None
        return {"num_labels": self.num_labels, "id2label": labels, "problem_type": self.problem_type}


def find_task(
    data: DatasetDict, config: str | None, text_columns: list[str] | None = None, label_column: str | None = None
) -> tuple[Task, DatasetDict]:
    """Read the task off a data set's columns and features, and check its texts and labels.

    A configuration of GLUE that has the columns of GLUE is that task. Otherwise the label is the column called label
    or labels, or the only ClassLabel; the texts are the first one or two columns of strings. Floating-point labels
    make a regression. All others are classes: those of a ClassLabel, the sorted strings of the training split, False
    and True, or the integers from 0 to the largest.

    Returns the task, and the splits to train and to evaluate on, with class numbers as labels. A missing column, a
    wrong type, a null or an unknown class is a ValueError that names the split, the column and the row.
    """
    if "train" not in data:
        raise ValueError(f"the data set has no split 'train', only {', '.join(data)}")
    features = data["train"].features
    for column in filter(None, [*(text_columns or ()), label_column]):
        if column not in features:
            raise ValueError(f"the data set has no column {column!r}; it has: {', '.join(features)}")
    glue = GLUE[config] if config in GLUE and set(GLUE[config].text_columns) <= set(features) else None
    label_column = label_column or _find_label(features)
    if text_columns is None:
        strings = [name for name, feature in features.items() if is_text(feature) and name != label_column]
        text_columns = list(glue.text_columns) if glue else strings[:2]
    _check_texts(features, text_columns, label_column)

    candidates = [*(glue.eval_splits if glue else ()), "validation", "test"]
    eval_split = next((name for name in candidates if name in data and _has_labels(data[name], label_column)), None)
    data = DatasetDict({name: data[name] for name in ("train", eval_split) if name is not None})
    for name, split in data.items():
        _check_complete(split, name, [*text_columns, label_column])
        found, expected = split.features[label_column], features[label_column]
        if _classes(found) != _classes(expected):
            raise ValueError(f"split {name!r}: column {label_column!r} holds {found!r}, but {expected!r} in 'train'")
    names = _number_labels(data, label_column)
    return Task(text_columns, label_column, names, eval_split, config if glue else None), data


def metrics_of(task: Task) -> Any:
    """Make a `compute_metrics` for `batch_eval_metrics`, which adds up batch by batch.

    GLUE's own metrics for its tasks; otherwise accuracy and F1, or for a regression squared error and Pearson's r.
    """
    if task.glue:
        metrics = {load("glue", task.glue): {}}
    elif task.label_names:
        metrics = {load("accuracy"): {}, load("f1"): {"average": "binary" if task.num_labels == 2 else "macro"}}
    else:
        metrics = {load("mse"): {}, load("pearsonr"): {}}

    def compute(prediction: tuple[Any, Any], compute_result: bool) -> dict[str, float]:
        logits, labels = prediction
        guesses = logits.argmax(-1) if task.label_names else logits[:, 0]
        for metric in metrics:
            metric.add_batch(predictions=guesses, references=labels)
        scores = {}
        for metric, options in metrics.items() if compute_result else ():
            scores |= metric.compute(**options)
        return scores

    return compute


def is_text(feature: Feature) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string")


def _find_label(features: Features) -> str:
    named = [name for name in ("label", "labels") if name in features]
    classes = [name for name, feature in features.items() if isinstance(feature, ClassLabel)]
    if not named and len(classes) != 1:
        raise ValueError(f"cannot tell which column is the label; name it with label_column: {', '.join(features)}")
    return (named or classes)[0]


def _check_texts(features: Features, text_columns: list[str], label_column: str) -> None:
    if not 1 <= len(text_columns) <= 2:
        raise ValueError(f"name one or two text columns, not {text_columns}; the data set has: {', '.join(features)}")
    for column in text_columns:
        if column == label_column:
            raise ValueError(f"column {column!r} cannot be both a text and the label")
        if not is_text(features[column]):
            raise ValueError(f"the text column {column!r} holds {features[column]!r}; expected strings")


def _has_labels(split: Dataset, column: str) -> bool:
    """Return whether a split has labels: test sets on the Hub often hold -1 or nothing instead."""
    return len(split) > 0 and column in split.features and split[0][column] not in (None, -1)


def _check_complete(split: Dataset, name: str, columns: list[str]) -> None:
    if len(split) == 0:
        raise ValueError(f"split {name!r} is empty")
    for column in columns:
        if column not in split.features:
            raise ValueError(f"split {name!r} has no column {column!r}; it has: {', '.join(split.features)}")
        is_null = split.select_columns(column).arrow_rows(slice(None))[column].is_null()
        if (row := pc.index(is_null, True).as_py()) >= 0:
            raise ValueError(f"split {name!r}, row {row}: column {column!r} is null")


def _classes(feature: Feature) -> list[str] | str:
    """Return what must be the same in two splits for their labels to mean the same."""
    return feature.names if isinstance(feature, ClassLabel) else "text" if is_text(feature) else "number"


def _number_labels(data: DatasetDict, column: str) -> list[str]:
    """Make class numbers of the labels in `data`; return the names of the classes, [] for a regression."""
    train = data["train"]
    feature = train.features[column]
    kind = str(getattr(feature, "dtype", ""))
    if kind.startswith("float"):
        return []
    if isinstance(feature, ClassLabel):
        names = list(feature.names)
    elif is_text(feature):
        names = sorted(train.unique(column))
    elif kind == "bool":
        names = ["False", "True"]
    elif kind.startswith(("int", "uint")):
        names = [str(label) for label in range(1 + max(train[column]))]
    else:
        raise ValueError(f"the label column {column!r} holds {feature!r}; expected classes, strings or numbers")
    if len(names) < 2:
        raise ValueError(f"the label column {column!r} has the class {', '.join(names)} only: there is nothing to tell")
    for split, rows in data.items():
        if is_text(feature) or kind == "bool":
            try:
                data[split] = rows.cast_column(column, ClassLabel(names=names))
            except ValueError as error:
                raise ValueError(f"split {split!r}, {error}") from error
        for row, label in enumerate(data[split][column]):
            if not 0 <= label < len(names):
                raise ValueError(f"split {split!r}, row {row}: label {label} is not one of the {len(names)} classes")
    return names

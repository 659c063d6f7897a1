"""What a data set asks of a classifier: which texts, which labels, which metrics."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow.compute as pc

from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import ClassLabel, Feature, Features, List
from minift.metrics.glue import GLUE
from minift.metrics.metric import load
from minift.tasks.columns import find_label, find_texts, is_text
from minift.tasks.holdout import check_has_train, has_labels
from minift.tasks.labels import MANY, NUMBER, ONE, number_labels


@dataclass
class Task:
    text_columns: list[str]
    label_column: str
    label_names: list[str]  # empty: the label is a number, and the task a regression
    eval_split: str | None
    glue: str | None  # the GLUE configuration, whose metrics are reported
    problem_type: str = ""  # as in the model's configuration; by default one class a row, or without names a number
    reasons: dict[str, str] = field(default_factory=dict)  # "text" and "label" -> how these columns were found

    def __post_init__(self) -> None:
        self.problem_type = self.problem_type or (ONE if self.label_names else NUMBER)

    @property
    def num_labels(self) -> int:
        return len(self.label_names) or 1

    @property
    def kind(self) -> str:
        """What is predicted, in words."""
        names = ", ".join(self.label_names[:6]) + ", …" * (len(self.label_names) > 6)
        many = f"any of {self.num_labels} labels: {names}"
        return {ONE: f"one of {self.num_labels} classes: {names}", MANY: many, NUMBER: "a number"}[self.problem_type]

    @property
    def model_options(self) -> dict[str, Any]:
        """Arguments of the model's `from_pretrained`."""
        labels = dict(enumerate(self.label_names)) or None
        return {"num_labels": self.num_labels, "id2label": labels, "problem_type": self.problem_type}


def find_task(
    data: DatasetDict,
    config: str | None,
    text_columns: list[str] | None = None,
    label_column: str | None = None,
    problem_type: str | None = None,
) -> tuple[Task, DatasetDict]:
    """Read the task off a data set's columns and features, and check its texts and labels.

    A configuration of GLUE that has the columns of GLUE is that task. Otherwise `find_label` and `find_texts` find the
    columns that are not named, and `number_labels` tells what is learned.

    Returns the task, and the splits to train and to evaluate on, with class numbers as labels. A missing column, a
    wrong type, a null or an unknown class is a ValueError that names the split, the column and the row.
    """
    check_has_train(data)
    train = data["train"]
    if len(train) == 0:
        raise ValueError("split 'train' is empty")
    features = train.features
    for column in filter(None, [*(text_columns or ()), label_column]):
        if column not in features:
            raise ValueError(f"the data set has no column {column!r}; it has: {', '.join(features)}")
    glue = GLUE[config] if config in GLUE and set(GLUE[config].text_columns) <= set(features) else None
    reasons = dict.fromkeys(("text", "label"), "as named")
    if label_column is None:
        label_column, reasons["label"] = find_label(train)
    if text_columns is None and glue:
        text_columns, reasons["text"] = list(glue.text_columns), "of GLUE"
    elif text_columns is None:
        text_columns, reasons["text"] = find_texts(train, label_column)
    _check_texts(features, text_columns, label_column)

    candidates = [*(glue.eval_splits if glue else ()), "validation", "test"]
    labelled = [name for name in candidates if name in data and has_labels(data[name], label_column)]
    eval_split = labelled[0] if labelled else None
    more = [name for name in labelled[1:] if glue and name in glue.eval_splits]  # MNLI has two
    data = DatasetDict({name: data[name] for name in ("train", eval_split, *more) if name is not None})
    for name, split in data.items():
        _check_complete(split, name, [*text_columns, label_column])
        found, expected = split.features[label_column], features[label_column]
        if _classes(found) != _classes(expected):
            raise ValueError(f"split {name!r}: column {label_column!r} holds {found!r}, but {expected!r} in 'train'")
    if is_text(features[label_column]) and label_column in data["train"].unique(label_column):
        raise ValueError(
            f"the first line was taken for the names of the columns, and looks like a row: {', '.join(features)}; "
            "begin the file with a line of names"
        )
    kind, names = number_labels(data, label_column, problem_type)
    return Task(text_columns, label_column, names, eval_split, config if glue else None, kind, reasons), data


def metrics_of(task: Task) -> Any:
    """Make a `compute_metrics` for `batch_eval_metrics`, which adds up batch by batch.

    GLUE's own metrics for its tasks; otherwise accuracy and F1 (of several labels a row: the share of rows of which all
    are right, and the F1 of all labels together), or for a regression squared error and Pearson's r.
    """
    if task.glue:
        metrics = {load("glue", task.glue): {}}
    elif task.problem_type == NUMBER:
        metrics = {load("mse"): {}, load("pearsonr"): {}}
    elif task.problem_type == MANY:
        metrics = {load("accuracy", "multilabel"): {}, load("f1", "multilabel"): {"average": "micro"}}
    else:
        metrics = {load("accuracy"): {}, load("f1"): {"average": "binary" if task.num_labels == 2 else "macro"}}

    def compute(prediction: tuple[Any, Any], compute_result: bool) -> dict[str, float]:
        logits, labels = prediction
        guesses = {ONE: logits.argmax(-1), MANY: logits > 0, NUMBER: logits[:, 0]}[task.problem_type]
        for metric in metrics:
            metric.add_batch(predictions=guesses, references=labels)
        scores = {}
        for metric, options in metrics.items() if compute_result else ():
            scores |= metric.compute(**options)
        return scores

    return compute


def _check_texts(features: Features, text_columns: list[str], label_column: str) -> None:
    if not 1 <= len(text_columns) <= 2:
        raise ValueError(f"name one or two text columns, not {text_columns}; the data set has: {', '.join(features)}")
    for column in text_columns:
        if column == label_column:
            raise ValueError(f"column {column!r} cannot be both a text and the label")
        if not is_text(features[column]):
            raise ValueError(f"the text column {column!r} holds {features[column]!r}; expected strings")


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
    if isinstance(feature, List):
        return f"lists of {_classes(feature.feature)}"
    return feature.names if isinstance(feature, ClassLabel) else "text" if is_text(feature) else "number"

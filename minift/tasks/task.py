"""What a data set asks of a classifier: which texts, which labels, which metrics; and its rows as token ids."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from minift.data.dataset import Dataset
from minift.data.dataset_dict import DatasetDict
from minift.data.features import ClassLabel, Feature, Features
from minift.data.load import load_dataset
from minift.metrics.metrics import GLUE, load
from minift.model.checks import check_vocabulary
from minift.model.config import PretrainedConfig
from minift.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    from minift.train.evaluate import EvalPrediction

logger = logging.getLogger(__name__)


@dataclass
class Task:
    """What a data set asks of the model."""

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
        """What `from_pretrained` of a model for this task is told."""
        labels = dict(enumerate(self.label_names)) or None
        return {"num_labels": self.num_labels, "id2label": labels, "problem_type": self.problem_type}

    def __str__(self) -> str:
        kind = f"one of {self.num_labels} classes" if self.label_names else "a number"
        return (
            f"Task: from {' and '.join(self.text_columns)} tell {self.label_column}, {kind}; "
            f"evaluated on: {self.eval_split or 'nothing'}"
        )


def load_task(
    dataset: str | Path,
    config: str | None,
    text_columns: list[str] | None,
    label_column: str | None,
    max_train_samples: int | None,
    max_eval_samples: int | None,
    seed: int,
) -> tuple[Task, DatasetDict]:
    """Load a data set and find its task; of each split, draw as many rows as its limit says (None: keep all)."""
    data = load_dataset(dataset, config)
    task, data = find_task(data, config, text_columns, label_column)
    logger.info("%s", task)
    for split, limit in (("train", max_train_samples), (task.eval_split, max_eval_samples)):
        if limit is not None and split is not None:
            data[split] = data[split].shuffle(seed=seed).take(limit)
    return task, data


def find_task(
    data: DatasetDict, config: str | None, text_columns: list[str] | None = None, label_column: str | None = None
) -> tuple[Task, DatasetDict]:
    """Read the task off a data set's columns and features, and check its texts and labels.

    A configuration of GLUE with that configuration's columns is taken for that task. Elsewhere the label is the
    column called label or labels, or the only ClassLabel; the texts are the first one or two columns of strings.
    Floating-point labels make a regression, all others classes: those of a ClassLabel, the sorted strings of the
    training split, False and True, or the integers from 0 to the largest.

    Returns:
        The task, and the splits to train and to evaluate on, their labels replaced by class numbers.

    Raises:
        ValueError: there is no training split, a column is missing, cannot be found or has another type, or a text or
            label is null or no class; the message names the split, the column and the row.
    """
    if "train" not in data:
        raise ValueError(f"the data set has no split 'train', only {', '.join(data)}")
    features = data["train"].features
    for column in [*(text_columns or []), *([label_column] if label_column else [])]:
        if column not in features:
            raise ValueError(f"the data set has no column {column!r}; it has: {', '.join(features)}")
    is_glue = config in GLUE and set(GLUE[config].text_columns) <= set(features)
    label_column = label_column or _find_label(features)
    if text_columns is None:
        strings = [name for name, feature in features.items() if _is_text(feature) and name != label_column]
        text_columns = list(GLUE[config].text_columns) if is_glue else strings[:2]
    if not 1 <= len(text_columns) <= 2:
        raise ValueError(f"name one or two text columns, not {text_columns}; the data set has: {', '.join(features)}")
    for column in text_columns:
        if column == label_column:
            raise ValueError(f"column {column!r} cannot be both a text and the label")
        if not _is_text(features[column]):
            raise ValueError(f"the text column {column!r} holds {features[column]!r}; expected strings")
    candidates = [*(GLUE[config].eval_splits if is_glue else ()), "validation", "test"]
    eval_split = next((split for split in candidates if split in data and _has_labels(data[split], label_column)), None)
    data = DatasetDict({name: data[name] for name in filter(None, ["train", eval_split])})
    for name, split in data.items():
        _check_complete(split, name, [*text_columns, label_column])
        found, expected = split.features[label_column], features[label_column]
        if _classes(found) != _classes(expected):
            raise ValueError(f"split {name!r}: column {label_column!r} holds {found!r}, but {expected!r} in 'train'")
    data = _number_labels(data, label_column)
    names = _label_names(data["train"], label_column)
    task = Task(text_columns, label_column, names, eval_split, config if is_glue else None)
    for name, split in data.items():
        _check_labels(split, name, task)
    return task, data


def tokenize_for(
    config: PretrainedConfig, data: DatasetDict, task: Task, tokenizer: Tokenizer, max_length: int | None
) -> DatasetDict:
    """`tokenize` for the model of this configuration, whose limit the tokenizer takes over.

    Raises:
        ValueError: the tokenizer has tokens that the model has no embedding for, or `max_length` is more than the
            model can read.
    """
    check_vocabulary(len(tokenizer), config)
    longest = config.max_position_embeddings
    if max_length is not None and max_length > longest:
        raise ValueError(f"max_length={max_length}: the model reads at most {longest} tokens (max_position_embeddings)")
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest)  # saved with it, for predictions
    return tokenize(data, task, tokenizer, max_length)


def tokenize(data: DatasetDict, task: Task, tokenizer: Tokenizer, max_length: int | None = None) -> DatasetDict:
    """Add the columns that the model reads; rows longer than it can read are cut."""

    def encode(rows: dict[str, list]) -> Any:
        texts = [rows[column] for column in task.text_columns]
        return tokenizer(*texts, truncation=True, max_length=max_length)

    tokenised = {
        name: split.select_columns([*task.text_columns, task.label_column]).map(
            encode, batched=True, remove_columns=task.text_columns
        )
        for name, split in data.items()
    }
    if task.label_column not in ("label", "labels"):
        tokenised = {name: split.rename_column(task.label_column, "labels") for name, split in tokenised.items()}
    return DatasetDict(tokenised)


def metrics_of(task: Task) -> Any:
    """A `compute_metrics` for `batch_eval_metrics`: GLUE's own metrics, else accuracy and F1, or error and Pearson."""
    average = {"f1": {"average": "binary" if task.num_labels == 2 else "macro"}}
    names = ["accuracy", "f1"] if task.label_names else ["mse", "pearsonr"]
    metrics = {"glue": load("glue", task.glue)} if task.glue else {name: load(name) for name in names}

    def compute(prediction: "EvalPrediction", compute_result: bool) -> dict[str, float]:
        logits, labels = prediction
        guesses = logits.argmax(-1) if task.label_names else logits[:, 0]
        for metric in metrics.values():
            metric.add_batch(predictions=guesses, references=labels)
        if not compute_result:
            return {}
        return {
            key: value
            for name, metric in metrics.items()
            for key, value in metric.compute(**average.get(name, {})).items()
        }

    return compute


def _find_label(features: Features) -> str:
    for name in ("label", "labels"):
        if name in features:
            return name
    classes = [name for name, kind in features.items() if isinstance(kind, ClassLabel)]
    if len(classes) != 1:
        raise ValueError(f"cannot tell which column is the label; name it with label_column: {', '.join(features)}")
    return classes[0]


def _is_text(feature: Feature) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string")


def _classes(feature: Feature) -> list[str] | str:
    """What the labels of two splits must have in common to mean the same."""
    return feature.names if isinstance(feature, ClassLabel) else "text" if _is_text(feature) else "number"


def _number_labels(data: DatasetDict, column: str) -> DatasetDict:
    """Strings and booleans as class numbers: in the order of the training split's sorted values, in every split."""
    feature = data["train"].features[column]
    is_bool = getattr(feature, "dtype", None) == "bool"
    if not (is_bool or _is_text(feature)):
        return data
    classes = ClassLabel(names=["False", "True"] if is_bool else sorted(data["train"].unique(column)))
    numbered = DatasetDict()
    for name, split in data.items():
        try:
            numbered[name] = split.cast_column(column, classes)
        except ValueError as error:
            raise ValueError(f"split {name!r}, {error}") from error
    return numbered


def _label_names(train: Dataset, column: str) -> list[str]:
    """The names of the classes; [] where the labels are numbers to be approximated."""
    feature = train.features[column]
    kind = str(getattr(feature, "dtype", ""))
    if kind.startswith("float"):
        return []
    if isinstance(feature, ClassLabel):
        names = list(feature.names)
    elif kind.startswith(("int", "uint")):
        names = [str(label) for label in range(1 + max(train[column]))]
    else:
        raise ValueError(f"the label column {column!r} holds {feature!r}; expected classes, strings or numbers")
    if len(names) < 2:
        raise ValueError(f"the label column {column!r} has the class {', '.join(names)} only: there is nothing to tell")
    return names


def _has_labels(split: Dataset, column: str) -> bool:
    """Whether a split has labels: test sets on the Hub often have -1, or nothing, in their place."""
    return len(split) > 0 and column in split.features and split[0][column] not in (None, -1)


def _check_complete(split: Dataset, name: str, columns: list[str]) -> None:
    """Raise a ValueError for a split without rows, a column that it lacks, or a null in one of `columns`."""
    if len(split) == 0:
        raise ValueError(f"split {name!r} is empty")
    for column in columns:
        if column not in split.features:
            raise ValueError(f"split {name!r} has no column {column!r}; it has: {', '.join(split.features)}")
        is_null = split.select_columns(column).arrow_rows(slice(None))[column].is_null()
        row = pc.index(is_null, True).as_py()
        if row >= 0:
            raise ValueError(f"split {name!r}, row {row}: column {column!r} is null")


def _check_labels(split: Dataset, name: str, task: Task) -> None:
    for row, label in enumerate(split[task.label_column] if task.label_names else ()):
        if not 0 <= label < task.num_labels:
            raise ValueError(f"split {name!r}, row {row}: label {label} is not one of the {task.num_labels} classes")

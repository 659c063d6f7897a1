"""Fine-tune a checkpoint on a classification data set: from two names to a saved model."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minift.data.collate import DataCollatorWithPadding
from minift.data.dataset import Dataset
from minift.data.dataset_dict import DatasetDict
from minift.data.features import ClassLabel, Features
from minift.data.load import load_dataset
from minift.data.tokenizer import AutoTokenizer
from minift.metrics import GLUE, load
from minift.model.auto import AutoModelForSequenceClassification
from minift.train.arguments import TrainingArguments
from minift.train.evaluate import EvalPrediction
from minift.train.report import EpochTable
from minift.train.seed import set_seed
from minift.train.trainer import Trainer, TrainOutput

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


def finetune(
    model: str | Path,
    dataset: str | Path,
    args: TrainingArguments,
    config: str | None = None,
    text_columns: list[str] | None = None,
    label_column: str | None = None,
    max_length: int | None = None,
) -> tuple[Trainer, TrainOutput]:
    """Load, tokenise, train, evaluate each epoch, and save to ``args.output_dir``.

    Args:
        model, dataset: a folder or a Hub name each.
        args: the training arguments.
        config: the data set's configuration, such as "mrpc".
        text_columns: one or two columns to feed; None finds them.
        label_column: the column to predict; None finds it.
        max_length: tokens to cut a row to; None takes what the model can read.

    Returns:
        The trainer, with the trained model, and the summary of the training.
    """
    data = load_dataset(dataset, config)
    task, data = find_task(data, config, text_columns, label_column)
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenised = tokenize(data, task, tokenizer, max_length)
    set_seed(args.seed)
    labels = dict(enumerate(task.label_names)) or None
    model = AutoModelForSequenceClassification.from_pretrained(
        model, num_labels=task.num_labels, id2label=labels, label2id=labels and {v: k for k, v in labels.items()}
    )
    args.batch_eval_metrics = True  # the metrics below add up batch by batch; no logits are kept
    trainer = Trainer(
        model,
        args,
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=tokenised["train"],
        eval_dataset=tokenised[task.eval_split] if task.eval_split else None,
        processing_class=tokenizer,
        compute_metrics=metrics_of(task),
        callbacks=[EpochTable],
    )
    output = trainer.train(args.resume_from_checkpoint)
    trainer.save_model()
    trainer.save_state()
    return trainer, output


def find_task(
    data: DatasetDict, config: str | None, text_columns: list[str] | None = None, label_column: str | None = None
) -> tuple[Task, DatasetDict]:
    """Read the task off a data set's columns and features, and check its labels.

    A configuration of GLUE with that configuration's columns is taken for that task. Elsewhere the label is the
    column called label or labels, or the only ClassLabel; the texts are the first one or two columns of strings.

    Returns:
        The task, and the data with string labels replaced by class numbers.

    Raises:
        ValueError: there is no training split, a column is missing or cannot be found, or a label is null or not one
            of the classes; the message names the split, the column and the row.
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
        strings = [name for name, kind in features.items() if kind.dtype == "string" and name != label_column]
        text_columns = list(GLUE[config].text_columns) if is_glue else strings[:2]
    if not 1 <= len(text_columns) <= 2:
        raise ValueError(f"name one or two text columns, not {text_columns}; the data set has: {', '.join(features)}")
    if features[label_column].dtype == "string":
        data = _encode_labels(data, label_column)
    names = _label_names(data["train"], label_column)
    candidates = [*(GLUE[config].eval_splits if is_glue else ()), "validation", "test"]
    eval_split = next((split for split in candidates if split in data and _has_labels(data[split], label_column)), None)
    task = Task(text_columns, label_column, names, eval_split, config if is_glue else None)
    for split in filter(None, ["train", eval_split]):
        _check_labels(data[split], split, task)
    return task, data


def tokenize(data: DatasetDict, task: Task, tokenizer: Any, max_length: int | None = None) -> DatasetDict:
    """Add the columns that the model reads; rows longer than it can read are cut."""

    def encode(rows: dict[str, list]) -> Any:
        texts = [rows[column] for column in task.text_columns]
        return tokenizer(*texts, truncation=True, max_length=max_length)

    splits = {name: data[name] for name in filter(None, ["train", task.eval_split])}
    kept = {task.label_column}
    tokenised = {
        name: split.map(encode, batched=True, remove_columns=[c for c in split.column_names if c not in kept])
        for name, split in splits.items()
    }
    if task.label_column not in ("label", "labels"):
        tokenised = {name: split.rename_column(task.label_column, "labels") for name, split in tokenised.items()}
    return DatasetDict(tokenised)


def metrics_of(task: Task) -> Any:
    """A `compute_metrics` for `batch_eval_metrics`: GLUE's own metrics, else accuracy and F1, or error and Pearson."""
    average = {"f1": {"average": "binary" if task.num_labels == 2 else "macro"}}
    names = ["accuracy", "f1"] if task.label_names else ["mse", "pearsonr"]
    metrics = {"glue": load("glue", task.glue)} if task.glue else {name: load(name) for name in names}

    def compute(prediction: EvalPrediction, compute_result: bool) -> dict[str, float]:
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


def _encode_labels(data: DatasetDict, column: str) -> DatasetDict:
    """Number string labels in the order of the training split's sorted values, the same in every split."""
    feature = ClassLabel(names=sorted(data["train"].unique(column)))
    return DatasetDict({name: split.cast_column(column, feature) for name, split in data.items()})


def _label_names(train: Dataset, column: str) -> list[str]:
    feature = train.features[column]
    if isinstance(feature, ClassLabel):
        return list(feature.names)
    if feature.dtype.startswith("float"):
        return []
    labels = np.asarray(train[column], dtype=object)
    return [str(label) for label in range(1 + max((label for label in labels if label is not None), default=0))]


def _has_labels(split: Dataset, column: str) -> bool:
    """Whether a split has labels: test sets on the Hub often have -1, or nothing, in their place."""
    return len(split) > 0 and split[0][column] not in (None, -1)


def _check_labels(split: Dataset, name: str, task: Task) -> None:
    for row, label in enumerate(split[task.label_column]):
        if label is None:
            raise ValueError(f"split {name!r}, row {row}: the label (column {task.label_column!r}) is null")
        if task.label_names and not 0 <= label < task.num_labels:
            raise ValueError(f"split {name!r}, row {row}: label {label} is not one of the {task.num_labels} classes")

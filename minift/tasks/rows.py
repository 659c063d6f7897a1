"""A classification data set as token ids: what is trained and evaluated on, in torch and in Keras."""

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minift.data.dataset import Dataset, DatasetDict
from minift.tasks.holdout import check_share, hold_out
from minift.tasks.source import describe_splits, open_source
from minift.tasks.task import Task, find_task
from minift.tasks.vocabulary import open_tokenizer
from minift.tokenizer.tokenizer import Tokenizer
from minift.train.arguments import TrainingArguments
from minift.train.report import stage, tell

logger = logging.getLogger(__name__)


@dataclass
class Rows:
    task: Task
    tokenizer: Tokenizer
    train: Dataset  # in the columns that the model reads
    evaluation: Dataset | None  # None: no rows but those to train on have labels
    texts: Dataset | None  # the rows of `evaluation` as they were read, for the report
    more: dict[str, Dataset] = field(default_factory=dict)  # further splits to evaluate on at the end: MNLI's second


def load_rows(
    model: str | Path,
    dataset: str | Path | list[str] | None,
    args: TrainingArguments,
    config: str | None = None,
    text_columns: list[str] | None = None,
    label_column: str | None = None,
    problem_type: Literal["single_label_classification", "regression"] | None = None,
    train_file: list[str] | None = None,
    validation_file: list[str] | None = None,
    test_file: list[str] | None = None,
    encoding: str | None = None,
    holdout: float = 0.1,
    max_length: int | None = None,
    max_train_samples: int | None = None,
    max_eval_samples: int | None = None,
) -> Rows:
    """Load a data set, find its task, draw rows if there is a limit, and tokenise them for the model.

    These arguments are also the flags of `minift finetune`. A data set without a task (see `find_task`), or a tokenizer
    or `max_length` that is too large for the model, is a ValueError.

    Args:
        model: folder or Hub name of the checkpoint to start from
        dataset: data files, a folder, or a Hub name
        args: the training arguments, whose `seed` draws the rows
        config: configuration of a data set on the Hub, such as mrpc; FILE.yaml or FILE.json: options, a name each
        text_columns: one or two columns to read; None finds them
        label_column: the column to predict; None finds it
        problem_type: single_label_classification or regression, for integers; None tells it from the labels
        train_file: files to train on
        validation_file: files to evaluate on
        test_file: files to evaluate on, where there are none for validation
        encoding: of files of text, such as latin-1; None is UTF-8
        holdout: share of the rows to evaluate on, taken from those to train on if no others have labels; 0 takes none
        max_length: tokens to cut a row to; None takes what the model can read
        max_train_samples: rows to train on, drawn at random; None takes all
        max_eval_samples: rows to evaluate on, drawn at random; None takes all
    """
    check_share(holdout)
    with stage("data") as lines:
        splits = open_source(dataset, config, train_file, validation_file, test_file, encoding)
        lines.append(describe_splits(dataset, splits))
    task, data = find_task(splits, config, text_columns, label_column, problem_type)
    tell("texts", f"{' and '.join(task.text_columns)} ({task.reasons['text']})")
    tell("label", f"{task.label_column} ({task.reasons['label']}): {task.kind}")
    if task.eval_split is None and holdout and args.eval_strategy != "no":
        train, held_out, drawn = hold_out(data["train"], holdout, args.seed, task.label_column, task.problem_type)
        tell("", f"{len(held_out):,} of {len(data['train']):,} rows are held out to evaluate on ({drawn})")
        data, task = DatasetDict(train=train, holdout=held_out), replace(task, eval_split="holdout")
    for split in data:
        limit = max_train_samples if split == "train" else max_eval_samples
        if limit is not None:
            data[split] = data[split].shuffle(seed=args.seed).take(limit)

    tokenizer = open_tokenizer(model, max_length)
    with stage("tokens") as lines:
        tokenised = tokenize(data, task, tokenizer, max_length)
        lines.append(_describe(tokenised, max_length or tokenizer.model_max_length))
    if task.eval_split is None:
        return Rows(task, tokenizer, tokenised["train"], None, None)
    evaluation = tokenised.pop(task.eval_split)
    more = {name: split for name, split in tokenised.items() if name != "train"}
    return Rows(task, tokenizer, tokenised["train"], evaluation, data[task.eval_split], more)


def tokenize(data: DatasetDict, task: Task, tokenizer: Tokenizer, max_length: int | None = None) -> DatasetDict:
    """Return the columns that the model reads; rows longer than `max_length` or the model's own limit are cut."""

    def encode(rows: dict[str, list]) -> Any:
        texts = [rows[column] for column in task.text_columns]
        return tokenizer(*texts, truncation=True, max_length=max_length)

    tokenised = DatasetDict()
    for name, split in data.items():
        split = split.select_columns([*task.text_columns, task.label_column])
        split = split.map(encode, batched=True, remove_columns=task.text_columns)
        if task.label_column not in ("label", "labels"):  # the collator knows both
            split = split.rename_column(task.label_column, "labels")
        tokenised[name] = split
    return tokenised


def _describe(tokenised: DatasetDict, longest: int) -> str:
    """Say how many tokens there are, and how long the rows are."""
    if not all(len(rows) for rows in tokenised.values()):
        return "none: there are no rows"
    lengths = np.concatenate([row_lengths(rows) for rows in tokenised.values()])
    at_limit = int((lengths >= longest).sum())
    cut = f", {at_limit:,} of them cut to {longest}" if at_limit else ""
    return f"{lengths.sum():,} in {len(lengths):,} rows of {lengths.min()} to {lengths.max()}{cut}"


def row_lengths(rows: Dataset) -> np.ndarray:
    """Return the number of tokens of each row (N,); of rows of several texts, of each text."""
    column = rows.arrow_column("input_ids")
    while pa.types.is_nested(column.type.value_type):
        column = pc.list_flatten(column)
    return np.asarray(pc.list_value_length(column))


def without_evaluation(args: TrainingArguments, rows: Rows) -> TrainingArguments:
    """Return the arguments; without rows to evaluate on, turn evaluation off in them and warn."""
    if rows.evaluation is not None or args.eval_strategy == "no":
        return args
    logger.warning("no rows but those to train on have labels: training without evaluation")
    return replace(args, eval_strategy="no", evaluation_strategy=None)

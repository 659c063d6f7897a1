"""A classification data set as token ids: what is trained and evaluated on, in torch and in Keras."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minift.data.dataset import Dataset, DatasetDict
from minift.data.load import load_dataset
from minift.model.checks import check_vocabulary
from minift.model.config import AutoConfig
from minift.tasks.task import Task, find_task
from minift.tokenizer.classes import AutoTokenizer
from minift.tokenizer.tokenizer import Tokenizer
from minift.train.arguments import TrainingArguments

logger = logging.getLogger(__name__)


@dataclass
class Rows:
    task: Task
    tokenizer: Tokenizer
    train: Dataset  # in the columns that the model reads
    evaluation: Dataset | None  # None: no split but "train" has labels


def load_rows(
    model: str | Path,
    dataset: str | Path,
    args: TrainingArguments,
    config: str | None = None,
    text_columns: list[str] | None = None,
    label_column: str | None = None,
    max_length: int | None = None,
    max_train_samples: int | None = None,
    max_eval_samples: int | None = None,
) -> Rows:
    """Load a data set, find its task, draw rows if there is a limit, and tokenise them for the model.

    These arguments are also the flags of `minift finetune`. A data set without a task (see `find_task`), or a tokenizer
    or `max_length` that is too large for the model, is a ValueError.

    Args:
        model: folder or Hub name of the checkpoint to start from
        dataset: folder or Hub name of the data set
        args: the training arguments, whose `seed` draws the rows
        config: configuration of the data set, such as mrpc
        text_columns: one or two columns to read; None finds them
        label_column: the column to predict; None finds it
        max_length: tokens to cut a row to; None takes what the model can read
        max_train_samples: rows to train on, drawn at random; None takes all
        max_eval_samples: rows to evaluate on, drawn at random; None takes all
    """
    task, data = find_task(load_dataset(dataset, config), config, text_columns, label_column)
    kind = f"one of {task.num_labels} classes" if task.label_names else "a number"
    texts, evaluated = " and ".join(task.text_columns), task.eval_split or "nothing"
    logger.info("Task: from %s tell %s, %s; evaluated on: %s", texts, task.label_column, kind, evaluated)
    for split, limit in (("train", max_train_samples), (task.eval_split, max_eval_samples)):
        if limit is not None and split is not None:
            data[split] = data[split].shuffle(seed=args.seed).take(limit)

    tokenizer, model_config = AutoTokenizer.from_pretrained(model), AutoConfig.from_pretrained(model)
    check_vocabulary(len(tokenizer), model_config)
    longest = model_config.max_position_embeddings
    if max_length is not None and max_length > longest:
        raise ValueError(f"max_length={max_length}: the model reads at most {longest} tokens (max_position_embeddings)")
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest)  # saved with it, for predictions
    tokenised = tokenize(data, task, tokenizer, max_length)
    return Rows(task, tokenizer, tokenised["train"], tokenised[task.eval_split] if task.eval_split else None)


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


def without_evaluation(args: TrainingArguments, rows: Rows) -> TrainingArguments:
    """Return the arguments; without rows to evaluate on, turn evaluation off in them and warn."""
    if rows.evaluation is not None or args.eval_strategy == "no":
        return args
    logger.warning("only the split 'train' has labels: training without evaluation")
    return replace(args, eval_strategy="no", evaluation_strategy=None)

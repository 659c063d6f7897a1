"""Rows with several choices, one of them right, as token ids: what a model that chooses is trained on."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minift.batches.collate_tokens import DataCollatorForMultipleChoice
from minift.data.dataset import Dataset
from minift.data.features import Features, List
from minift.tasks.columns import is_text
from minift.tasks.holdout import check_has_train, has_labels, train_and_evaluation
from minift.tasks.source import describe_splits, open_source
from minift.tasks.vocabulary import open_tokenizer
from minift.tokenizer.tokenizer import Tokenizer
from minift.train.arguments import TrainingArguments
from minift.train.report import stage, tell

NUMBERED = re.compile(r"(ending|choice|option|answer|sol)_?\d+", re.IGNORECASE)  # columns with a choice each
LISTS = ("endings", "choices", "options")  # a column with all of them
CONTEXTS = (
    "sent1",
    "context",
    "ctx_a",
    "startphrase",
    "premise",
    "question",
    "goal",
    "text",
)  # the first that is there
HEADS = ("sent2", "ctx_b")  # how each choice begins
LETTERS = "ABCDEFGH"


@dataclass
class Columns:
    """Where the parts of a row are."""

    context: str
    choices: list[str]  # a column for each, or one of lists
    head: str | None  # a text that stands before each choice
    label: str


@dataclass
class Choices:
    tokenizer: Tokenizer
    columns: Columns
    train: Dataset  # input_ids, token_type_ids and attention_mask: C lists each; label
    evaluation: Dataset | None


def load_choices(
    model: str | Path,
    dataset: str | Path | list[str] | None,
    args: TrainingArguments,
    config: str | None = None,
    context_column: str | None = None,
    choice_columns: list[str] | None = None,
    head_column: str | None = None,
    label_column: str = "label",
    train_file: list[str] | None = None,
    validation_file: list[str] | None = None,
    holdout: float = 0.1,
    max_length: int | None = None,
    max_train_samples: int | None = None,
    max_eval_samples: int | None = None,
) -> Choices:
    """Load rows of a context and several choices, and tokenise each pair. The flags of `minift choose`.

    SWAG's columns are found, and others with usual names. The label is the number of the right choice, from 0, or its
    letter, from A. What is missing or wrong is a ValueError that names the column or the row.

    Args:
        model: folder or Hub name of the checkpoint to start from
        dataset: data files, a folder, or a Hub name
        args: the training arguments, whose `seed` draws the rows
        config: configuration of a data set on the Hub; FILE.yaml or FILE.json: options, a name each
        context_column: the column with the first text; None finds it
        choice_columns: a column for each choice, or one with lists of them; None finds them
        head_column: a column whose text stands before each choice, as SWAG's sent2; None finds it
        label_column: the column with the number of the right choice
        train_file: files to train on
        validation_file: files to evaluate on
        holdout: share of the rows to evaluate on, taken from those to train on if there is no other split; 0 takes none
        max_length: tokens to cut a pair to; None takes what the model can read
        max_train_samples: rows to train on, drawn at random; None takes all
        max_eval_samples: rows to evaluate on, drawn at random; None takes all
    """
    with stage("data") as lines:
        data = open_source(dataset, config, train_file, validation_file)
        lines.append(describe_splits(dataset, data))
    check_has_train(data)
    columns = find_columns(data["train"].features, context_column, choice_columns, head_column, label_column)
    if columns.label not in data["train"].features:
        raise ValueError(f"there is no column {columns.label!r}; the data set has: {', '.join(data['train'].features)}")
    before = f"{columns.context} | {columns.head} + " if columns.head else f"{columns.context} | "
    tell("choices", before + ", ".join(columns.choices))
    for name in [name for name in data if name != "train" and not has_labels(data[name], columns.label)]:
        del data[name]  # SWAG's test set hides its labels
    train, evaluation = train_and_evaluation(data, holdout, args.seed, max_train_samples, max_eval_samples)
    tokenizer = open_tokenizer(model, max_length)
    with stage("tokens") as lines:
        parts = [
            None if rows is None else tokenize(rows, tokenizer, columns, max_length) for rows in (train, evaluation)
        ]
        lines.append(f"{len(parts[0]):,} rows of {len(parts[0][0]['input_ids']) if len(parts[0]) else 0} pairs")
    return Choices(tokenizer, columns, *parts)


def find_columns(
    features: Features,
    context: str | None = None,
    choices: list[str] | None = None,
    head: str | None = None,
    label: str = "label",
) -> Columns:
    """Return the columns of a row's parts: as named, or by their usual names."""
    for column in filter(None, [context, head, *(choices or ())]):
        if column not in features:
            raise ValueError(f"there is no column {column!r}; the data set has: {', '.join(features)}")
    lists = [name for name in LISTS if isinstance(features.get(name), List)]
    choices = choices or sorted(filter(NUMBERED.fullmatch, features), key=lambda name: (len(name), name)) or lists[:1]
    context = context or next((name for name in CONTEXTS if name in features and name not in choices), None)
    head = head or next((name for name in HEADS if name in features), None)
    are_lists = len(choices) == 1 and isinstance(features[choices[0]], List)
    if not are_lists and len(choices) < 2:
        raise ValueError(f"name two or more choice_columns, or one of lists; the data set has: {', '.join(features)}")
    if context is None:
        raise ValueError(f"name the context_column; the data set has: {', '.join(features)}")
    for column in [context, *([head] if head else []), *choices]:
        kind = features[column].feature if are_lists and column == choices[0] else features[column]
        if not is_text(kind):
            raise ValueError(f"column {column!r} holds {features[column]!r}; expected texts")
    return Columns(context, choices, head, label)


def tokenize(rows: Dataset, tokenizer: Tokenizer, columns: Columns, max_length: int | None = None) -> Dataset:
    """Make a pair of the context and each choice, cut to `max_length` tokens; check the labels, if there are any."""
    known = columns.label in rows.features

    def encode(batch: dict[str, list], numbers: list[int]) -> dict[str, Any]:
        listed = [batch[name] for name in columns.choices]
        choices = listed[0] if isinstance(listed[0][0], list) else [list(row) for row in zip(*listed, strict=True)]
        heads = batch[columns.head] if columns.head else [""] * len(choices)
        for number, row, context in zip(numbers, choices, batch[columns.context], strict=True):
            if len(row) != len(choices[0]) or None in row or context is None:
                raise ValueError(
                    f"row {number}: expected a context and {len(choices[0])} choices, not {context!r}: {row}"
                )
        firsts = [context for context, row in zip(batch[columns.context], choices, strict=True) for _ in row]
        seconds = [f"{head} {choice}".lstrip() for head, row in zip(heads, choices, strict=True) for choice in row]
        encoded = tokenizer(firsts, seconds, truncation=True, max_length=max_length)
        size = len(choices[0])
        cut = {name: [flat[i : i + size] for i in range(0, len(flat), size)] for name, flat in encoded.items()}
        if known:
            cut["label"] = [
                number_of(label, row, number)
                for label, row, number in zip(batch[columns.label], choices, numbers, strict=True)
            ]
        return cut

    return rows.map(encode, batched=True, with_indices=True, remove_columns=rows.column_names, desc="Tokenize")


def number_of(label: Any, choices: list[str], row: int) -> int:
    """Return the place of the right choice: `label` is its number, its letter, or the choice itself."""
    if isinstance(label, str):
        places = [str(i) for i in range(len(choices))], list(LETTERS[: len(choices)]), choices
        label = next((known.index(label) for known in places if label in known), label)
    if not isinstance(label, int) or not 0 <= label < len(choices):
        raise ValueError(f"row {row}: the label is {label!r}; expected 0 to {len(choices) - 1}, or a letter from A")
    return label


def choose_rows(
    model: Any, tokenizer: Tokenizer, rows: Dataset, columns: Columns, batch_size: int = 8
) -> dict[str, list]:
    """Choose for each row: ``label``, the number of the choice, and ``score``, its probability among the choices."""
    import torch  # here alone: what comes before the model imports no framework

    tokens = tokenize(
        rows.select_columns([columns.context, *columns.choices, *([columns.head] if columns.head else [])]),
        tokenizer,
        columns,
    )
    collate = DataCollatorForMultipleChoice(tokenizer)
    found: dict[str, list] = {"label": [], "score": []}
    for first in range(0, len(tokens), batch_size):
        batch = {name: values.to(model.device) for name, values in collate(tokens[first : first + batch_size]).items()}
        with torch.inference_mode():
            best = model(**batch).logits.float().softmax(-1).max(-1)  # of (B, C)
        found["label"] += best.indices.tolist()
        found["score"] += best.values.tolist()
    return found

"""A fine-tuned classifier on the rows of a file: labels and scores beside what is there."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

from minift.data.compressed import inner_suffix
from minift.data.dataset import Dataset
from minift.files import atomic_path
from minift.tasks.columns import find_texts, is_text
from minift.tasks.labels import MANY, NUMBER
from minift.tasks.output import read_options
from minift.tasks.source import open_source

WRITTEN = (".csv", ".tsv", ".json", ".jsonl", ".parquet")  # each also with .gz behind it
LIKELY = 0.5  # the probability above which one of several labels is predicted


def open_rows(path: str, encoding: str | None = None) -> Dataset:
    """Read the rows of a file, of the only split of a folder, or of its split "test"."""
    splits = open_source(path, encoding=encoding)
    if len(splits) > 1 and "test" not in splits:
        raise ValueError(f"{path} has the splits {', '.join(splits)}; name one file")
    return splits["test"] if len(splits) > 1 else next(iter(splits.values()))


def open_split(dataset: str, config: str | None, split: str) -> Dataset:
    """Read a split of a data set that a folder or the Hub has; a KeyError names those that there are."""
    splits = open_source(dataset, config)
    if split not in splits:
        raise KeyError(f"split={split!r}: {dataset} has {', '.join(splits)}")
    return splits[split]


def text_columns_of(rows: Dataset, model: str | Path, named: list[str] | None = None) -> list[str]:
    """Return the columns to read: those that are named, or that the model was trained on, or that are found.

    A column that is not there is a ValueError; so is one that holds no strings.
    """
    options = read_options(model)
    trained_on = options.get("text_columns", [])
    if named is None and trained_on and set(trained_on) <= set(rows.column_names):
        named = trained_on
    if named is None and {"text", "text_pair"} <= set(rows.column_names):
        named = ["text", "text_pair"]
    if named is None:
        named, _ = find_texts(rows, options.get("label_column", "label"))
    if not 1 <= len(named) <= 2:
        raise ValueError(f"name one or two text_columns; the file has: {', '.join(rows.column_names)}")
    for column in named:
        if column not in rows.column_names:
            raise ValueError(f"there is no column {column!r}; the file has: {', '.join(rows.column_names)}")
        if not is_text(rows.features[column]):
            raise ValueError(f"the text column {column!r} holds {rows.features[column]!r}; expected strings")
    return named


def predict_rows(classify: Any, rows: Dataset, text_columns: list[str], all_scores: bool = False) -> Dataset:
    """Add what a pipeline of text classification says about each row.

    The new columns are ``label`` and ``score``, its probability; of a regression ``score`` alone, the number; of
    several labels a row ``labels`` and ``scores``, lists. `all_scores` adds a column ``score_NAME`` for each class. A
    column whose name is taken is called ``predicted_…``. A null text is a ValueError that names the row; the second
    text of a pair may be null.
    """
    columns = [rows[name] for name in text_columns]
    items = [dict(zip(("text", "text_pair"), texts, strict=False)) for texts in zip(*columns, strict=True)]
    for row, item in enumerate(items):
        if item["text"] is None:
            raise ValueError(f"row {row}: column {text_columns[0]!r} is null")
        if item.get("text_pair", "") is None:
            del item["text_pair"]
    answers = classify(items, top_k=None) if items else []  # for each row all labels, the best first
    config = classify.model.config
    new: dict[str, list] = {}
    if config.problem_type == MANY:
        likely = [[answer for answer in row if answer["score"] > LIKELY] for row in answers]
        new["labels"] = [[answer["label"] for answer in row] for row in likely]
        new["scores"] = [[answer["score"] for answer in row] for row in likely]
    elif config.problem_type != NUMBER:
        new["label"] = [row[0]["label"] for row in answers]
    if config.problem_type != MANY:
        new["score"] = [row[0]["score"] for row in answers]
    if all_scores and config.problem_type != NUMBER:
        by_name = [{answer["label"]: answer["score"] for answer in row} for row in answers]
        for name in config.id2label.values():
            new[f"score_{name}"] = [scores[name] for scores in by_name]
    return add_columns(rows, new)


def add_columns(rows: Dataset, columns: dict[str, list]) -> Dataset:
    """Add columns; one whose name is taken is called ``predicted_…``."""
    for name, values in columns.items():
        taken = name in rows.column_names
        rows = rows.add_column(f"predicted_{name}" if taken else name, values)
    return rows


def check_destination(output: str, source: str) -> None:
    """Raise a ValueError if the rows cannot be written to `output`: an unknown ending, or the file that is read."""
    if inner_suffix(Path(output)) not in WRITTEN:
        raise ValueError(f"output={output}: expected a name that ends with {', '.join(WRITTEN)}, or with .gz behind it")
    if Path(output).exists() and Path(source).exists() and Path(output).samefile(source):
        raise ValueError(f"output={output} is the file that is read")


def write_rows(rows: Dataset, output: str) -> None:
    """Write the rows in the format that the file's name says; lists become text in CSV: ``a; b``."""
    kind = inner_suffix(Path(output))
    with atomic_path(output) as fresh:
        plain = fresh.with_suffix("") if fresh.suffix == ".gz" else fresh
        if kind == ".parquet":
            rows.to_parquet(plain)
        elif kind in (".json", ".jsonl"):
            rows.to_json(plain, force_ascii=False)
        else:
            rows.map(_without_lists).to_csv(plain, sep="\t" if kind == ".tsv" else ",")
        if plain != fresh:
            with open(plain, "rb") as source, gzip.open(fresh, "wb") as packed:
                shutil.copyfileobj(source, packed)


def write_glue(rows: Dataset, output: str, is_number: bool) -> None:
    """Write what `predict_rows` has added as the library's run_glue.py does: ``index``, a tab, ``prediction``.

    A class is written by its name, a number with three digits after the point.
    """
    name = "score" if is_number else "label"
    values = rows[f"predicted_{name}" if f"predicted_{name}" in rows.column_names else name]
    shown = [f"{value:.3f}" if is_number else value for value in values]
    with atomic_path(output) as fresh:
        lines = ["index\tprediction", *(f"{index}\t{value}" for index, value in enumerate(shown))]
        fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _without_lists(row: dict[str, Any]) -> dict[str, Any]:
    return {name: "; ".join(map(str, value)) if isinstance(value, list) else value for name, value in row.items()}


def json_line(row: dict[str, Any]) -> str:
    """Write a row as JSON; what JSON has no form for, such as dates, as text."""
    return json.dumps(row, ensure_ascii=False, default=str)

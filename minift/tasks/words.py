"""Sentences of tagged words as token ids with labels: what a tagger is trained and evaluated on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from minift.batches.mask import IGNORED
from minift.data.compressed import read_bytes
from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import ClassLabel, Features, List, Value
from minift.tasks.holdout import check_has_train, train_and_evaluation
from minift.tasks.source import describe_splits, open_source
from minift.tasks.vocabulary import open_tokenizer
from minift.tokenizer.tokenizer import Tokenizer
from minift.train.arguments import TrainingArguments
from minift.train.report import stage, tell

CONLL = (".conll", ".iob", ".bio")  # a word a line, its tag in the last column, an empty line after each sentence
TAG_COLUMNS = ("ner_tags", "tags", "labels", "ner", "pos_tags", "chunk_tags")  # the usual names, best first


@dataclass
class Words:
    tokenizer: Tokenizer
    names: list[str]  # of the labels
    train: Dataset  # input_ids, attention_mask, labels
    evaluation: Dataset | None


def load_words(
    model: str | Path,
    dataset: str | Path | list[str] | None,
    args: TrainingArguments,
    config: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    train_file: list[str] | None = None,
    validation_file: list[str] | None = None,
    holdout: float = 0.1,
    label_all_pieces: bool = False,
    max_length: int | None = None,
    max_train_samples: int | None = None,
    max_eval_samples: int | None = None,
) -> Words:
    """Load tagged sentences and tokenise them. These arguments are also the flags of `minift tag`.

    Rows hold a list of words and a list of as many tags. A data set without such columns, or a row whose lists differ
    in length, is a ValueError.

    Args:
        model: folder or Hub name of the checkpoint to start from
        dataset: data files (also .conll: a word and its tag a line), a folder, or a Hub name
        args: the training arguments, whose `seed` draws the rows
        config: configuration of a data set on the Hub, such as conll2003; FILE.yaml or FILE.json: options, a name each
        text_column: the column with the words; None finds it
        label_column: the column with their tags; None finds it
        train_file: files to train on
        validation_file: files to evaluate on
        holdout: share of the rows to evaluate on, taken from those to train on if there is no other split; 0 takes none
        label_all_pieces: label every piece of a word, B- as I- from the second on; otherwise only the first has a label
        max_length: tokens to cut a row to; None takes what the model can read
        max_train_samples: rows to train on, drawn at random; None takes all
        max_eval_samples: rows to evaluate on, drawn at random; None takes all
    """
    with stage("data") as lines:
        data = _open(dataset, config, train_file, validation_file)
        lines.append(describe_splits(dataset, data))
    check_has_train(data)
    words, tags = find_columns(data["train"].features, text_column, label_column)
    names = label_names(data, tags)
    shown = ", ".join(names[:6]) + ", …" * (len(names) > 6)
    tell("words", f"{words}, tagged by {tags}: {len(names)} labels, {shown}")
    train, evaluation = train_and_evaluation(data, holdout, args.seed, max_train_samples, max_eval_samples)
    tokenizer = open_tokenizer(model, max_length)
    rows = {"train": tokenize(train, tokenizer, words, tags, names, label_all_pieces, max_length)}
    if evaluation is not None:
        rows["evaluation"] = tokenize(evaluation, tokenizer, words, tags, names, label_all_pieces, max_length)
    with stage("tokens") as lines:
        lines.append(", ".join(f"{sum(map(len, split['input_ids'])):,} {name}" for name, split in rows.items()))
    return Words(tokenizer, names, rows["train"], rows.get("evaluation"))


def _open(dataset: Any, config: str | None, train_file: Any, validation_file: Any) -> DatasetDict:
    """Load the splits; files in columns are read here, all others by `open_source`."""
    named = [dataset] if isinstance(dataset, str | Path) else list(dataset or [])
    files = {"train": train_file or [], "validation": validation_file or []}
    if any(Path(path).suffix in CONLL for path in [*named, *files["train"], *files["validation"]]):
        files["train"] = [*named, *files["train"]]
        return DatasetDict({split: read_conll(paths) for split, paths in files.items() if paths})
    return open_source(dataset, config, train_file, validation_file)


def read_conll(paths: list[str | Path]) -> Dataset:
    """Read files with a word a line and its tag in the last column, an empty line after each sentence."""
    sentences: list[tuple[list[str], list[str]]] = []
    for path in paths:
        words: list[str] = []
        tags: list[str] = []
        for number, line in enumerate([*read_bytes(Path(path)).decode("utf-8").splitlines(), ""], 1):
            columns = line.split()
            if columns and columns[0] != "-DOCSTART-":
                if len(columns) < 2:
                    raise ValueError(f"{path}, line {number}: expected a word and its tag, not {line!r}")
                words.append(columns[0])
                tags.append(columns[-1])
            elif words:
                sentences.append((words, tags))
                words, tags = [], []
    if not sentences:
        raise ValueError(f"{', '.join(map(str, paths))}: no sentence")
    return Dataset.from_dict({"tokens": [words for words, _ in sentences], "tags": [tags for _, tags in sentences]})


def find_columns(features: Features, text_column: str | None, label_column: str | None) -> tuple[str, str]:
    """Return the columns of words and of tags: as named, or by their types and usual names."""
    lists = {name: feature.feature for name, feature in features.items() if isinstance(feature, List)}
    for column in filter(None, (text_column, label_column)):
        if column not in lists:
            raise ValueError(f"column {column!r} holds no lists; these do: {', '.join(lists) or 'none'}")
    texts = [name for name, inner in lists.items() if is_words(inner) and name != label_column]
    words = text_column or next((name for name in ("tokens", "words") if name in texts), texts[0] if texts else None)
    others = [name for name, inner in lists.items() if name != words and isinstance(inner, ClassLabel | Value)]
    tags = label_column or next(
        (name for name in TAG_COLUMNS if name in others), others[0] if len(others) == 1 else None
    )
    if words is None or tags is None:
        wanted = "words" if words is None else "tags"
        raise ValueError(
            f"no column of lists is plainly that of the {wanted}; name it: {', '.join(lists) or 'none there'}"
        )
    return words, tags


def is_words(feature: Any) -> bool:
    return isinstance(feature, Value) and feature.dtype in ("string", "large_string")


def label_names(data: DatasetDict, column: str) -> list[str]:
    """Return the names of the labels: those of the column's type, or all that occur, O first."""
    inner = data["train"].features[column].feature
    if isinstance(inner, ClassLabel):
        return list(inner.names)
    found: set[Any] = set()
    for split in data.values():
        if column in split.features:
            found.update(split.arrow_column(column).combine_chunks().flatten().unique().to_pylist())
    if None in found:
        raise ValueError(f"column {column!r} holds a null in a list of tags")
    if not is_words(inner):
        return [str(number) for number in range(max(found, default=-1) + 1)]
    return sorted(found, key=lambda name: (name != "O", name))


def tokenize(
    rows: Dataset,
    tokenizer: Tokenizer,
    words: str,
    tags: str,
    names: list[str],
    label_all_pieces: bool = False,
    max_length: int | None = None,
) -> Dataset:
    """Cut words into pieces, and give the pieces labels: -100 for special tokens and where a word goes on."""
    number = {name: i for i, name in enumerate(names)}
    inside = {i: number.get(f"I-{name[2:]}", i) if name.startswith("B-") else i for i, name in enumerate(names)}

    def encode(batch: dict[str, list]) -> dict[str, Any]:
        encoded = tokenizer(batch[words], is_split_into_words=True, truncation=True, max_length=max_length)
        labels = []
        for row, (sentence, given) in enumerate(zip(batch[words], batch[tags], strict=True)):
            if len(sentence) != len(given):
                raise ValueError(f"a row has {len(sentence)} words, but {len(given)} tags: {sentence[:8]}")
            of_word = [number[tag] if isinstance(tag, str) else tag for tag in given]
            last, found = None, []
            for word in encoded.word_ids(row):
                goes_on = inside.get(of_word[word], IGNORED) if word is not None and label_all_pieces else IGNORED
                found.append(IGNORED if word is None else goes_on if word == last else of_word[word])
                last = word
            labels.append(found)
        return {**encoded, "labels": pa.array(labels, pa.list_(pa.int64()))}

    return rows.map(encode, batched=True, remove_columns=rows.column_names, desc="Tokenize")

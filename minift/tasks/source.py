"""What a user names as data -> its splits: files of their own, a folder, a folder of `save_to_disk`, a Hub name."""

from pathlib import Path

from minift.data.compressed import inner_suffix, read_bytes
from minift.data.data_files import FORMATS, OPTIONS
from minift.data.dataset import Dataset, DatasetDict
from minift.data.load import load_dataset, load_from_disk
from minift.data.splits import IterableDatasetDict
from minift.data.stream import IterableDataset

FASTTEXT = "__label__"  # the mark of a label at the beginning of a line of text


def open_source(
    dataset: str | Path | list[str] | None = None,
    config: str | None = None,
    train_file: str | list[str] | None = None,
    validation_file: str | list[str] | None = None,
    test_file: str | list[str] | None = None,
    encoding: str | None = None,
    streaming: bool = False,
) -> DatasetDict | IterableDatasetDict:
    """Load the splits of what a user names.

    Args:
        dataset: a name on the Hub, a folder, or one or more data files, whose rows are the split "train".
        config: configuration of a data set on the Hub or in a folder.
        train_file, validation_file, test_file: the data files of each split, in any of the formats.
        encoding: of files of text, such as latin-1; None is UTF-8.
        streaming: read the rows when they are used, and never hold them.

    Raises:
        FileNotFoundError: there is no such file, folder or repository.
        ValueError: nothing is named, or the same split twice; a file's ending is not that of a format.
    """
    named = [str(path) for path in ([dataset] if isinstance(dataset, str | Path) else dataset or [])]
    files = {"train": train_file, "validation": validation_file, "test": test_file}
    files = {split: [paths] if isinstance(paths, str) else list(paths) for split, paths in files.items() if paths}
    are_files = len(named) > 1 or any(Path(path).is_file() or names_a_file(path) for path in named)
    if are_files and "train" in files:
        raise ValueError(f"name the rows to train on once: as {named[0]}, or with train_file={files['train'][0]!r}")
    if are_files:
        files["train"] = named
    elif named:
        data = _open_folder(named[0], config, streaming)
        return type(data)(data | _read_files(files, encoding, streaming) if files else data)
    if not files:
        raise ValueError("name the data: a file, a folder or a name on the Hub")
    if config is not None:
        raise ValueError(f"config={config!r} chooses a configuration of a data set on the Hub; files have none")
    return _read_files(files, encoding, streaming)


def names_a_file(path: str) -> bool:
    """Whether a path ends as a data file does, such as ``rows.csv.gz``, and is not a folder."""
    return inner_suffix(Path(path)) in FORMATS and not Path(path).is_dir()


def _open_folder(path: str, config: str | None, streaming: bool) -> DatasetDict | IterableDatasetDict:
    folder = Path(path).expanduser()
    if not any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
        data = load_dataset(path, config, streaming=streaming)
        return IterableDatasetDict({name: _typed(rows) for name, rows in data.items()}) if streaming else data
    saved = load_from_disk(folder)
    splits = saved if isinstance(saved, DatasetDict) else DatasetDict(train=saved)
    if not streaming:
        return splits
    return IterableDatasetDict({name: rows.to_iterable_dataset() for name, rows in splits.items()})


def _read_files(
    files: dict[str, list[str]], encoding: str | None, streaming: bool
) -> DatasetDict | IterableDatasetDict:
    """Read the files of each split; splits of one format are read together, so that they have the same columns."""
    of_format: dict[str, dict[str, list[str]]] = {}
    for split, paths in files.items():
        for path in paths:
            if not Path(path).expanduser().is_file():
                raise FileNotFoundError(f"{path}: no such file")
            if inner_suffix(Path(path)) not in FORMATS:
                raise ValueError(f"{path}: unknown ending of a data file; expected one of {', '.join(FORMATS)}")
        kinds = {FORMATS[inner_suffix(Path(path))] for path in paths}
        if len(kinds) > 1:
            raise ValueError(f"split {split!r}: its files have several formats ({', '.join(sorted(kinds))})")
        of_format.setdefault(kinds.pop(), {})[split] = paths
    data = {}
    for kind, splits in of_format.items():
        options = {"encoding": encoding} if encoding and "encoding" in OPTIONS[kind] else {}
        if kind == "csv" and (sep := _separator(next(iter(splits.values()))[0])):
            options["sep"] = sep
        data |= load_dataset(kind, data_files=splits, streaming=streaming, **options)
    if streaming:
        return IterableDatasetDict({split: _typed(data[split]) for split in files})
    return DatasetDict({split: _with_labels(data[split]) for split in files})


def _separator(path: str) -> str | None:
    """Tell from the first line what stands between the columns of a CSV file; None: a comma, or what the name says."""
    first = read_bytes(Path(path).expanduser()).partition(b"\n")[0]
    others = [sep for sep in (";", "\t", "|") if sep.encode() in first]
    return others[0] if others and b"," not in first else None


def _typed(rows: IterableDataset) -> IterableDataset:
    """Let a stream know its columns and types, which its first row tells."""
    first = list(rows.take(1))
    return rows.described(Dataset.from_list(first).features) if rows.features is None and first else rows


def _with_labels(rows: Dataset) -> Dataset:
    """Take fastText's ``__label__NAME`` from the beginning of the lines of a text file, as a column of its own."""
    if rows.column_names != ["text"] or len(rows) == 0 or not str(rows[0]["text"]).startswith(FASTTEXT):
        return rows

    def split_line(row: dict[str, str]) -> dict[str, object]:
        words = row["text"].split()
        labels = [word.removeprefix(FASTTEXT) for word in words if word.startswith(FASTTEXT)]
        return {"text": " ".join(word for word in words if not word.startswith(FASTTEXT)), "labels": labels}

    rows = rows.filter(lambda row: bool(row["text"].strip())).map(split_line)
    if all(len(labels) == 1 for labels in rows["labels"]):
        rows = rows.map(lambda row: {"label": row["labels"][0]}, remove_columns=["labels"])
    return rows


def describe_splits(dataset: str | Path | list[str] | None, splits: DatasetDict | IterableDatasetDict) -> str:
    """Say what was read: names and numbers of rows; of streams, the numbers of files or parts."""
    names = [str(dataset)] if isinstance(dataset, str | Path) else list(dataset or ["the files"])
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]}{more}: " + ", ".join(f"{_size(rows)} {name}" for name, rows in splits.items())


def _size(rows: Dataset | IterableDataset) -> str:
    return f"a stream of {rows.num_shards}" if isinstance(rows, IterableDataset) else f"{len(rows):,} rows"

"""`save_to_disk` and `load_from_disk`: a dataset as a folder, in the format of `datasets`."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from minift.data.dataset import Dataset
from minift.data.dataset_dict import DatasetDict
from minift.data.features import Features
from minift.data.formats import Format
from minift.data.table import read_arrow
from minift.data.writer import ArrowWriter
from minift.files import atomic_path, read_json

_INFO, _STATE, _DICT = "dataset_info.json", "state.json", "dataset_dict.json"
_DATA = "data-00000-of-00001.arrow"
_FORMAT_NAMES = {"np": "numpy", "pt": "torch", "tf": "tensorflow"}
_BATCH_ROWS = 10_000


def save_dataset(dataset: Dataset, path: str | Path) -> None:
    """Write the rows, in their order, to a folder that appears when it is complete.

    Raises:
        FileExistsError: the folder exists and holds anything but a saved dataset, which would be replaced.
        ValueError: the dataset has a transform, which is code and cannot be saved.
    """
    _check_target(Path(path))
    with atomic_path(path) as fresh:
        _write_dataset(dataset, fresh)


def save_dataset_dict(splits: DatasetDict, path: str | Path) -> None:
    """Write each split to a folder of its name, and their names to `dataset_dict.json`; errors as `save_dataset`."""
    _check_target(Path(path))
    with atomic_path(path) as fresh:
        fresh.mkdir()
        for split, dataset in splits.items():
            _write_dataset(dataset, fresh / split)
        (fresh / _DICT).write_text(json.dumps({"splits": list(splits)}), encoding="utf-8")


def load_from_disk(dataset_path: str | Path, keep_in_memory: bool | None = None) -> Dataset | DatasetDict:
    """Read a folder that `save_to_disk` wrote, here or in `datasets`; the rows are memory-mapped.

    Raises:
        FileNotFoundError: the folder, or one of the files that it must hold, is not there.
        ValueError: a file is damaged; the message names it.
    """
    folder = Path(dataset_path).expanduser()
    if (folder / _DICT).is_file():
        content = read_json(folder / _DICT)
        splits = content.get("splits") if isinstance(content, dict) else None
        if not isinstance(splits, list):
            raise ValueError(f'{folder / _DICT} does not list "splits"')
        return DatasetDict({split: _load_dataset(folder / split, bool(keep_in_memory)) for split in splits})
    if not (folder / _STATE).is_file():
        raise FileNotFoundError(f"{folder} holds no dataset that save_to_disk wrote: neither {_STATE} nor {_DICT}")
    return _load_dataset(folder, bool(keep_in_memory))


def _write_dataset(dataset: Dataset, folder: Path) -> None:
    if dataset.format.kind == "custom":
        raise ValueError("save_to_disk: a transform is code and cannot be saved; call reset_format() before")
    folder.mkdir()
    with ArrowWriter(folder / _DATA, dataset.features) as writer:
        for rows in dataset.with_format("arrow").iter(_BATCH_ROWS):
            writer.write({name: rows[name] for name in dataset.features})
    info = {"citation": "", "description": "", "features": dataset.features.to_dict(), "homepage": "", "license": ""}
    _write_json(folder / _INFO, info)
    with open(folder / _DATA, "rb") as data:  # `datasets` caches by it: other rows must have another fingerprint
        fingerprint = hashlib.file_digest(data, "sha256").hexdigest()[:16]
    _write_json(
        folder / _STATE,
        {
            "_data_files": [{"filename": _DATA}],
            "_fingerprint": fingerprint,
            "_format_columns": None if dataset.format.columns is None else list(dataset.format.columns),
            "_format_kwargs": {},
            "_format_type": _FORMAT_NAMES.get(dataset.format.kind, dataset.format.kind),
            "_output_all_columns": dataset.format.output_all_columns,
            "_split": dataset.split,
        },
    )


def _load_dataset(folder: Path, in_memory: bool) -> Dataset:
    for name in (_STATE, _INFO):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing: the folder is not a whole dataset")
    state, info = read_json(folder / _STATE), read_json(folder / _INFO)
    try:
        files = [folder / file["filename"] for file in state["_data_files"]]
        columns, split = state["_format_columns"], state["_split"]
        format_ = Format(state["_format_type"], columns and tuple(columns), state["_output_all_columns"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / _STATE} is not what save_to_disk writes: {error!r}") from error
    try:
        features = Features.from_dict(info["features"]) if info.get("features") else None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{folder / _INFO} does not describe features: {error!r}") from error
    if not files:
        raise ValueError(f"{folder / _STATE} names no data files")
    table = pa.concat_tables([read_arrow(file, in_memory) for file in files])
    if features is not None:
        described, found = features.arrow_schema, table.schema
        if described.names != found.names or described.types != found.types:
            held = dict(zip(found.names, map(str, found.types), strict=True))
            raise ValueError(f"{folder / _INFO} describes {features}; the data has {held}")
    return Dataset(table, features, split=split, format=format_)


def _check_target(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"save_to_disk: {folder} is a file; expected a folder")
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).is_file() for name in (_STATE, _DICT)):
        raise FileExistsError(f"save_to_disk: {folder} holds other files; choose an empty or a new folder")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")

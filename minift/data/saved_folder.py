"""The folder that `save_to_disk` writes and `load_from_disk` reads, in the format of `datasets`."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from minift.data.formats import NAMES, Format
from minift.data.info import DatasetInfo
from minift.data.reader import TableReader
from minift.data.table import join_rows, read_arrow
from minift.data.to_arrow import ArrowWriter
from minift.files import atomic_path, inside, parse_size, read_json, read_json_object

INFO, STATE, SPLITS = "dataset_info.json", "state.json", "dataset_dict.json"
DATA = "data-{:05d}-of-{:05d}.arrow"
BATCH_ROWS = 10_000
MAX_SHARD_SIZE = "500MB"


def save(
    rows: TableReader | Mapping[str, TableReader],
    path: str | Path,
    num_shards: int | Mapping[str, int] | None = None,
    max_shard_size: str | int | None = None,
) -> None:
    """Write the rows, or the rows of each split to a folder of its name, to a folder that appears when it is complete.

    They go to `num_shards` files (of a dict: for each split) or to as many of at most `max_shard_size` as they need.

    A FileExistsError says that the folder holds other files than a saved dataset (which would be replaced); a
    ValueError, that the dataset has a transform, which is code and cannot be saved.
    """
    if num_shards is not None and max_shard_size is not None:
        raise ValueError("save_to_disk: pass num_shards or max_shard_size, not both")
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"save_to_disk: {folder} is a file; expected a folder")
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).is_file() for name in (STATE, SPLITS)):
        raise FileExistsError(f"save_to_disk: {folder} holds other files; choose an empty or a new folder")
    with atomic_path(folder) as fresh:
        fresh.mkdir()
        if isinstance(rows, TableReader):
            _write(rows, fresh, num_shards, max_shard_size)
            return
        for split, reader in rows.items():
            (fresh / split).mkdir()
            count = num_shards[split] if isinstance(num_shards, Mapping) else num_shards
            _write(reader, fresh / split, count, max_shard_size)
        (fresh / SPLITS).write_text(json.dumps({"splits": list(rows)}), encoding="utf-8")


def saved_splits(folder: Path) -> list[str] | None:
    """List the splits in a folder that `save` wrote; None for a folder without splits.

    A FileNotFoundError says that the folder holds nothing that was saved; a ValueError names a damaged file.
    """
    if (folder / SPLITS).is_file():
        content = read_json(folder / SPLITS)
        splits = content.get("splits") if isinstance(content, dict) else None
        if not isinstance(splits, list):
            raise ValueError(f'{folder / SPLITS} does not list "splits"')
        return [inside(folder, split).name for split in splits]
    if not (folder / STATE).is_file():
        raise FileNotFoundError(f"{folder} holds no dataset that save_to_disk wrote: neither {STATE} nor {SPLITS}")
    return None


def read_saved(folder: Path) -> dict[str, Any]:
    """Read a folder that `save` wrote; returns the arguments of `Dataset`, whose rows are memory-mapped.

    A FileNotFoundError or ValueError names the file that is missing or damaged.
    """
    for name in (STATE, INFO):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing: the dataset in this folder is not complete")
    state, info = read_json_object(folder / STATE), read_json_object(folder / INFO)
    try:
        files = [inside(folder, file["filename"]) for file in state["_data_files"]]
        columns, split = state["_format_columns"], state["_split"]
        format_ = Format(state["_format_type"], columns and tuple(columns), state["_output_all_columns"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / STATE} is not what save_to_disk writes: {error!r}") from error
    try:
        info = DatasetInfo.from_dict(info)
        features = info.features or None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{folder / INFO} does not describe features: {error!r}") from error
    if not files:
        raise ValueError(f"{folder / STATE} names no data files")
    rows = join_rows([read_arrow(file) for file in files])
    if features is not None:
        described, found = features.arrow_schema, rows.table.schema
        if described.names != found.names or described.types != found.types:
            held = dict(zip(found.names, map(str, found.types), strict=True))
            raise ValueError(f"{folder / INFO} describes {features}; the data has {held}")
    return {"table": rows, "features": features, "split": split, "format": format_, "info": info}


def _write(reader: TableReader, folder: Path, num_shards: int | None, max_shard_size: str | int | None) -> None:
    if reader.formatter.kind == "custom":
        raise ValueError("save_to_disk: a transform is code and cannot be saved; call reset_format() before")
    if num_shards is None:
        bytes_of_rows = reader.data.nbytes * len(reader) / max(1, reader.data.num_rows)
        needed = int(bytes_of_rows / parse_size(max_shard_size or MAX_SHARD_SIZE)) + 1
        num_shards = min(needed, max(1, len(reader)))
    files = [DATA.format(number, num_shards) for number in range(num_shards)]
    for name, rows in zip(files, np.array_split(np.arange(len(reader)), num_shards), strict=True):
        _write_rows(reader, range(rows[0], rows[-1] + 1) if len(rows) else range(0), folder / name)
    info = asdict(replace(reader.info, features=None)) | {"features": reader.features.to_dict()}
    known = {name: value for name, value in info.items() if value is not None}
    (folder / INFO).write_text(json.dumps(known, indent=2), encoding="utf-8")
    digest = hashlib.sha256()  # `datasets` caches by a fingerprint: other rows must have another one
    for name in files:
        with open(folder / name, "rb") as data:
            digest.update(hashlib.file_digest(data, "sha256").digest())
    state = {
        "_data_files": [{"filename": name} for name in files],
        "_fingerprint": digest.hexdigest()[:16],
        "_format_columns": None if reader.formatter.columns is None else list(reader.formatter.columns),
        "_format_kwargs": {},
        "_format_type": NAMES.get(reader.formatter.kind, reader.formatter.kind),
        "_output_all_columns": reader.formatter.output_all_columns,
        "_split": reader.split,
    }
    (folder / STATE).write_text(json.dumps(state, indent=2), encoding="utf-8")


def _write_rows(reader: TableReader, rows: range, path: Path) -> None:
    with ArrowWriter(path, reader.features) as writer:
        for start in range(rows.start, rows.stop, BATCH_ROWS):
            batch = reader.arrow_rows(range(start, min(start + BATCH_ROWS, rows.stop)))
            writer.write({name: batch[name] for name in reader.features})
            reader.rows.release_pages()

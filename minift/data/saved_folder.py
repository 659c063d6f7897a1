"""The folder that `save_to_disk` writes and `load_from_disk` reads, in the format of `datasets`."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minift.data.features import Features
from minift.data.formats import Format
from minift.data.reader import TableReader
from minift.data.table import join_rows, read_arrow
from minift.data.to_arrow import ArrowWriter
from minift.files import atomic_path, read_json

INFO, STATE, SPLITS = "dataset_info.json", "state.json", "dataset_dict.json"
DATA = "data-00000-of-00001.arrow"
FORMAT_NAMES = {"np": "numpy", "pt": "torch", "tf": "tensorflow"}
BATCH_ROWS = 10_000


def save(rows: TableReader | Mapping[str, TableReader], path: str | Path) -> None:
    """Write the rows, or the rows of each split to a folder of its name, to a folder that appears when it is complete.

    A FileExistsError says that the folder holds other files than a saved dataset (which would be replaced); a
    ValueError, that the dataset has a transform, which is code and cannot be saved.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"save_to_disk: {folder} is a file; expected a folder")
    if folder.is_dir() and any(folder.iterdir()) and not any((folder / name).is_file() for name in (STATE, SPLITS)):
        raise FileExistsError(f"save_to_disk: {folder} holds other files; choose an empty or a new folder")
    with atomic_path(folder) as fresh:
        fresh.mkdir()
        if isinstance(rows, TableReader):
            _write(rows, fresh)
            return
        for split, reader in rows.items():
            (fresh / split).mkdir()
            _write(reader, fresh / split)
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
        return splits
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
    state, info = read_json(folder / STATE), read_json(folder / INFO)
    try:
        files = [folder / file["filename"] for file in state["_data_files"]]
        columns, split = state["_format_columns"], state["_split"]
        format_ = Format(state["_format_type"], columns and tuple(columns), state["_output_all_columns"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder / STATE} is not what save_to_disk writes: {error!r}") from error
    try:
        features = Features.from_dict(info["features"]) if info.get("features") else None
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
    return {"table": rows, "features": features, "split": split, "format": format_}


def _write(reader: TableReader, folder: Path) -> None:
    if reader.format.kind == "custom":
        raise ValueError("save_to_disk: a transform is code and cannot be saved; call reset_format() before")
    with ArrowWriter(folder / DATA, reader.features) as writer:
        for rows in reader.arrow_batches(BATCH_ROWS):
            writer.write({name: rows[name] for name in reader.features})
            reader.rows.release_pages()
    info = {"citation": "", "description": "", "features": reader.features.to_dict(), "homepage": "", "license": ""}
    (folder / INFO).write_text(json.dumps(info, indent=2), encoding="utf-8")
    with open(folder / DATA, "rb") as data:  # `datasets` caches by it: other rows must have another fingerprint
        fingerprint = hashlib.file_digest(data, "sha256").hexdigest()[:16]
    state = {
        "_data_files": [{"filename": DATA}],
        "_fingerprint": fingerprint,
        "_format_columns": None if reader.format.columns is None else list(reader.format.columns),
        "_format_kwargs": {},
        "_format_type": FORMAT_NAMES.get(reader.format.kind, reader.format.kind),
        "_output_all_columns": reader.format.output_all_columns,
        "_split": reader.split,
    }
    (folder / STATE).write_text(json.dumps(state, indent=2), encoding="utf-8")

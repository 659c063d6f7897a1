"""Write files whole or not at all, and read JSON with errors that name the file."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` for a new file or folder, which replaces `path` when the block ends.

    A crash, a full disk or an exception leaves `path` as it was before. Files are flushed to the disk before they are
    renamed, so that the new name never shows an empty file after a power cut. A file does not replace a folder, which
    would be lost: that is an IsADirectoryError.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    workplace = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        fresh = workplace / path.name
        yield fresh
        for file in [fresh, *fresh.rglob("*")]:
            if file.is_file():
                with open(file, "rb") as handle:
                    os.fsync(handle.fileno())
        if path.is_dir() and not fresh.is_dir():
            raise IsADirectoryError(f"{path} is a folder: it is not replaced by a file")
        if path.is_dir():  # os.replace cannot take the place of a folder that is not empty
            path.rename(workplace / "replaced")
        os.replace(fresh, path)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def read_json(path: str | Path) -> Any:
    """Parse a JSON file; what is not JSON (truncated, binary, …) is a ValueError that names the file and the place."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented, sorted JSON, as transformers writes its configuration files; see `atomic_path`.

    Arrays become lists.
    """
    with atomic_path(path) as fresh:
        text = json.dumps(value, indent=2, sort_keys=True, default=np.ndarray.tolist)
        fresh.write_text(text + "\n", encoding="utf-8")


def check_writable(folder: str | Path) -> None:
    """Make the folder if it does not exist, and raise an OSError if no file can be written to it."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def parse_size(size: int | str) -> int:
    """Bytes of 5000, "500MB" or "2GiB"."""
    text = str(size).strip().upper()
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    try:
        value = int(float(text.removesuffix(unit)) * UNITS.get(unit, 1))
    except (ValueError, OverflowError):
        value = 0
    if value < 1:
        raise ValueError(f"max_shard_size={size!r}: expected bytes, or a number with one of {', '.join(UNITS)}")
    return value

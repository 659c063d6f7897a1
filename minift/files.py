"""Write files whole or not at all, and read JSON with errors that name the file."""

import ctypes
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux, for renameat2
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
        if not path.is_dir():
            os.replace(fresh, path)
        elif not exchange(fresh, path):  # os.replace cannot take the place of a folder that is not empty
            path.rename(workplace / "replaced")
            try:
                os.replace(fresh, path)
            except OSError:
                (workplace / "replaced").rename(path)
                raise
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step, where the system can (Linux): returns whether they did."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    return rename is not None and rename(AT_FDCWD, bytes(one), AT_FDCWD, bytes(other), RENAME_EXCHANGE) == 0


def read_json(path: str | Path) -> Any:
    """Parse a JSON file; what is not JSON (truncated, binary, …) is a ValueError that names the file and the place."""
    try:
        return parse_json(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error


def read_json_object(path: str | Path) -> dict[str, Any]:
    """As `read_json`, for files that hold an object; anything else in them is a ValueError."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, not a {type(content).__name__}")
    return content


def read_yaml_object(path: str | Path) -> dict[str, Any]:
    """Parse a YAML (or JSON) file that holds names and values; anything else in it is a ValueError."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold names and values, not a {type(content).__name__}")
    return content


def parse_json(data: bytes) -> Any:
    """Parse UTF-8 text; also lists within lists by the thousand are a ValueError."""
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("its lists and objects are nested too deeply") from None


def inside(folder: str | Path, name: Any) -> Path:
    """Return the path of `name` in `folder`; a ValueError if that is not a name, or leads out of the folder."""
    if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{folder}: {name!r} is not the name of a file in this folder")
    return Path(folder) / name


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

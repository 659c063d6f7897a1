"""Data files to one memory-mapped Arrow file, made once and found again in a cache folder."""

import errno
import hashlib
import json
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from minift.data.arrow_file import ArrowWriter, read_arrow
from minift.data.features import Features
from minift.data.file_readers import READERS
from minift.data.table import Rows
from minift.files import atomic_path

VERSION = 1  # to be changed when the files in the cache are written differently
CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


@dataclass(frozen=True)
class DataFiles:
    """The data files of one split, and how to read them."""

    files: list[Path]  # in the order of their rows
    kind: str  # the name of their format, a key of `READERS`
    features: Features | None  # columns and types that are known from elsewhere; the files' own metadata goes first
    options: dict[str, Any]  # of the format: the `delimiter` of CSV files

    def key(self) -> str:
        """A name for these files as they are now: it changes with their places, sizes and times."""
        stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in self.files]
        wanted = None if self.features is None else list(self.features.to_dict().items())
        return hashlib.sha256(json.dumps([VERSION, self.kind, stats, wanted, self.options]).encode()).hexdigest()[:32]

    def write(self, path: Path) -> None:
        """Write all rows to one Arrow file."""
        with ArrowWriter(path) as writer:
            for file in self.files:
                try:
                    self._append(file, writer)
                except (pa.ArrowException, ValueError, OSError) as error:
                    if isinstance(error, OSError) and error.errno is not None:
                        raise  # from the system: a full disk, a file that may not be read
                    raise ValueError(f"{file} ({self.kind}): {error}") from error

    def _append(self, file: Path, writer: ArrowWriter) -> None:
        schema, batches = READERS[self.kind](file, **self.options)
        if writer.features is None:
            described = b"huggingface" in (schema.metadata or {})
            known = self.features if self.features and not described else None
            writer.features = known or Features.from_arrow_schema(schema)
        if set(schema.names) != set(writer.features):
            raise ValueError(f"its columns are {schema.names}; expected {list(writer.features)}")
        for batch in batches:
            writer.write({name: batch.column(name) for name in writer.features})


def convert_to_arrow(data: DataFiles, cache_dir: str | Path | None) -> Rows:
    """Convert data files to one Arrow file, or find the file that an earlier call made; map it into memory.

    Args:
        cache_dir: the folder for the Arrow file. If it cannot be written, a temporary file is used, with a warning.

    Raises:
        ValueError: a file cannot be read or has other columns than expected; the message names the file.
    """
    path = Path(cache_dir or cache_folder()).expanduser() / f"{data.key()}.arrow"
    if path.is_file():
        try:
            return read_arrow(path)
        except ValueError:  # it has lost its end: make it again
            pass
    try:
        with atomic_path(path) as fresh:
            data.write(fresh)
        return read_arrow(path)
    except OSError as error:
        if error.errno not in CANNOT_WRITE:
            raise
        warnings.warn(f"{path.parent} cannot be written ({error}): using a temporary file", stacklevel=2)
    with tempfile.TemporaryDirectory(prefix="minift-load-", ignore_cleanup_errors=True) as folder:
        fresh = Path(folder, path.name)
        data.write(fresh)
        return read_arrow(fresh)


def cache_folder() -> Path:
    """The folder for converted files: ``$HF_HOME/minift``, or ``minift`` in the user's cache folder."""
    if "HF_HOME" in os.environ:
        return Path(os.environ["HF_HOME"]).expanduser() / "minift"
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "minift"

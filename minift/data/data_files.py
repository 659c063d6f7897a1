"""Data files to one memory-mapped Arrow file, made once and found again in a cache folder; a reader for each format."""

import errno
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from minift.data.compressed import inner_suffix
from minift.data.csv_file import CSV_OPTIONS, CsvOptions, read_csv_table
from minift.data.features import Features
from minift.data.json_file import read_json_table, read_text_table
from minift.data.table import Rows, read_arrow
from minift.data.to_arrow import ArrowWriter
from minift.files import atomic_path

VERSION = 2  # to be changed when the files in the cache are written differently
BATCH_ROWS = 10_000
CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
Batches = tuple[pa.Schema, Iterator[pa.RecordBatch]]  # what a reader returns of a file


def read_parquet_file(
    file: Path, features: Features | None = None, columns: list[str] | None = None, filters: Any = None
) -> Batches:
    """Read the columns that are named, and the rows that `filters` keep: ``[("label", "==", 1)]`` or an expression."""
    if filters is not None:
        return in_batches(pq.read_table(file, columns=columns, filters=filters))
    # With a buffer size, the reader streams each column; without one it reads whole row groups.
    parquet = pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
    schema = parquet.schema_arrow
    if columns is not None:
        schema = pa.schema([field for field in schema if field.name in columns], schema.metadata)
    return schema, parquet.iter_batches(BATCH_ROWS, columns=columns, use_threads=False)


def read_arrow_file(file: Path, features: Features | None = None) -> Batches:
    rows = read_arrow(file)
    return rows.table.schema, iter(rows.batches)


def read_csv_file(file: Path, features: Features | None = None, **options: Any) -> Batches:
    if inner_suffix(file) == ".tsv":
        options.setdefault("sep", "\t")
    return in_batches(read_csv_table(file, features, CsvOptions(**options)))


def read_json_file(file: Path, features: Features | None = None, **options: Any) -> Batches:
    return in_batches(read_json_table(file, **options))


def read_text_file(file: Path, features: Features | None = None, **options: Any) -> Batches:
    return in_batches(read_text_table(file, **options))


def in_batches(table: pa.Table) -> Batches:
    return table.schema, iter(table.to_batches(BATCH_ROWS))


# the name of a format -> its reader, and the options of `load_dataset` that it takes
READERS: dict[str, Callable[..., Batches]] = {
    "parquet": read_parquet_file,
    "arrow": read_arrow_file,
    "csv": read_csv_file,
    "json": read_json_file,
    "text": read_text_file,
}
OPTIONS = {
    "parquet": ["columns", "filters"],
    "arrow": [],
    "csv": CSV_OPTIONS,
    "json": ["field", "encoding"],
    "text": ["sample_by", "keep_linebreaks", "encoding"],
}

GUESSED = ("csv", "json")  # formats whose files do not say the types of their columns

# the ending of a file's name -> the name of its format
FORMATS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".txt": "text",
}


@dataclass(frozen=True)
class DataFiles:
    """The data files of one split, and how to read them."""

    files: list[Path]  # in the order of their rows
    kind: str  # the name of their format, a key of `READERS`
    features: Features | None  # columns and types that are known from elsewhere; the files' own metadata goes first
    options: dict[str, Any]  # of the format, see `OPTIONS`
    of_another_split: bool = False  # whether `features` are those of another split, which may have more columns

    def key(self) -> str:
        """A name for these files as they are now: it changes with their places, sizes and times."""
        stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in self.files]
        wanted = None if self.features is None else list(self.features.to_dict().items())
        key = [VERSION, self.kind, stats, wanted, repr(self.options), self.of_another_split]
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]

    def write(self, path: Path) -> None:
        """Write all rows to one Arrow file; a ValueError names a file that cannot be read."""
        with ArrowWriter(path) as writer:
            for file in self.files:
                try:
                    self._append(file, writer)
                except (pa.ArrowException, ValueError, OSError) as error:
                    if isinstance(error, OSError) and error.errno is not None:
                        raise  # from the system: a full disk, a file that may not be read
                    raise ValueError(f"{file} ({self.kind}): {error}") from error

    def _append(self, file: Path, writer: ArrowWriter) -> None:
        """Write the rows of a file; the first file with columns decides what there is, later ones may lack some."""
        schema, batches = READERS[self.kind](file, self.features, **self.options)
        if not schema.names and file != self.files[-1]:
            return  # an empty JSON file
        if writer.features is None:
            described = b"huggingface" in (schema.metadata or {})
            known = self.features if self.features and not described else None
            if known and self.of_another_split:
                known = Features({name: feature for name, feature in known.items() if name in schema.names})
            writer.features = known or Features.from_arrow_schema(schema)
        unknown, lacking = set(schema.names) - set(writer.features), set(writer.features) - set(schema.names)
        if unknown or (lacking and file == self.files[0]):
            raise ValueError(f"its columns are {schema.names}; expected {list(writer.features)}")
        for batch in batches:
            missing = pa.nulls(len(batch))
            writer.write({name: missing if name in lacking else batch.column(name) for name in writer.features})


def convert_to_arrow(data: DataFiles, cache_dir: str | Path | None) -> Rows:
    """Convert data files to one Arrow file in `cache_dir`, or find the file that an earlier call made; map it.

    The folder is by default ``$HF_HOME/minift``, or ``minift`` in the user's cache folder. If it cannot be written, a
    temporary file is used, with a warning. A ValueError names a file that cannot be read or has other columns.
    """
    home = os.environ.get("HF_HOME", os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    path = Path(cache_dir or Path(home, "minift")).expanduser() / f"{data.key()}.arrow"
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

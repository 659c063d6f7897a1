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
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from minift.data.features import Features
from minift.data.table import Rows, read_arrow
from minift.data.to_arrow import ArrowWriter
from minift.files import atomic_path

VERSION = 1  # to be changed when the files in the cache are written differently
BATCH_ROWS = 10_000
JSON_BLOCK = 64 << 20  # bytes; a row must fit in one block
CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
Batches = tuple[pa.Schema, Iterator[pa.RecordBatch]]  # what a reader returns of a file


def read_parquet_file(file: Path) -> Batches:
    # With a buffer size, the reader streams each column; without one it reads whole row groups.
    parquet = pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
    return parquet.schema_arrow, parquet.iter_batches(BATCH_ROWS, use_threads=False)


def read_arrow_file(file: Path) -> Batches:
    rows = read_arrow(file)
    return rows.table.schema, iter(rows.batches)


def read_csv_file(file: Path, delimiter: str | None = None) -> Batches:
    """Read a CSV file with a header; dates stay text, as they are written."""
    delimiter = delimiter or ("\t" if file.suffix == ".tsv" else ",")
    parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    convert = pa.csv.ConvertOptions(strings_can_be_null=True)
    table = pa.csv.read_csv(file, parse_options=parse, convert_options=convert)
    dates = {field.name: pa.string() for field in table.schema if pa.types.is_temporal(field.type)}
    if dates:
        convert.column_types = dates
        table = pa.csv.read_csv(file, parse_options=parse, convert_options=convert)
    for field in table.schema:
        if pa.types.is_binary(field.type):  # pyarrow reads text of another encoding as bytes
            raise ValueError(f"column {field.name!r} is not UTF-8 text")
    return table.schema, iter(table.to_batches(BATCH_ROWS))


def read_json_file(file: Path) -> Batches:
    """Read an object a line, or one list of objects."""
    with open(file, encoding="utf-8") as handle:
        is_list = handle.read(4096).lstrip().startswith("[")
    if is_list:
        rows = json.loads(file.read_text(encoding="utf-8"))
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise ValueError(f"row {number} is {row!r:.80}; expected an object")
        table = pa.Table.from_pylist(rows)
    else:
        size = min(max(file.stat().st_size, 1 << 20), JSON_BLOCK)
        table = pa.json.read_json(file, read_options=pa.json.ReadOptions(block_size=size))
    return table.schema, iter(table.to_batches(BATCH_ROWS))


# the name of a format -> its reader
READERS: dict[str, Callable[..., Batches]] = {
    "parquet": read_parquet_file,
    "arrow": read_arrow_file,
    "csv": read_csv_file,
    "json": read_json_file,
}

# the ending of a file's name -> the name of its format
FORMATS = {
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}


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

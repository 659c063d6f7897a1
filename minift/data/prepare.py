"""Data files to one memory-mapped Arrow file a split, made once and found again in a cache folder."""

import errno
import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from minift.data.features import Features
from minift.data.table import read_arrow
from minift.data.writer import ArrowWriter
from minift.files import atomic_path

_VERSION = 1  # changes when the files in the cache would be written differently
_BATCH_ROWS = 10_000
_CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}
_JSON_BLOCK = 64 << 20  # a row must fit in one block


def cache_folder() -> Path:
    """Where prepared files are kept: ``$HF_HOME/minift``, or ``minift`` in the user's cache folder."""
    if "HF_HOME" in os.environ:
        return Path(os.environ["HF_HOME"]).expanduser() / "minift"
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "minift"


def prepare(
    files: list[Path], kind: str, features: Features | None, cache_dir: str | Path | None, options: dict[str, Any]
) -> tuple[pa.Table, Features]:
    """The rows of all files as one memory-mapped table, with their features.

    Args:
        files: in the order of their rows.
        kind: ``parquet``, ``arrow``, ``csv`` or ``json`` (an object a line, or one list of objects).
        features: the columns and types that are known from elsewhere; a file's own `huggingface` metadata goes first.
        cache_dir: the folder for the Arrow file. Where it cannot be written, a temporary file takes its place.
        options: `delimiter` of CSV files.

    Raises:
        ValueError: a file cannot be read or its columns are not those expected; the message names the file.
    """
    path = Path(cache_dir or cache_folder()).expanduser() / f"{_key(files, kind, features, options)}.arrow"
    if path.is_file():
        try:
            table = read_arrow(path)
            return table, Features.from_arrow_schema(table.schema)
        except ValueError:  # a disk that lost its end: made again
            pass
    try:
        with atomic_path(path) as fresh:
            _write(fresh, files, kind, features, options)
        table = read_arrow(path)
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        warnings.warn(f"{path.parent} cannot be written ({error}): using a temporary file", stacklevel=2)
        with tempfile.TemporaryDirectory(prefix="minift-load-", ignore_cleanup_errors=True) as folder:
            fresh = Path(folder, path.name)
            _write(fresh, files, kind, features, options)
            table = read_arrow(fresh)
    return table, Features.from_arrow_schema(table.schema)


def _key(files: list[Path], kind: str, features: Features | None, options: dict[str, Any]) -> str:
    """A name for these files as they are now: their places, sizes and times."""
    stats = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    wanted = None if features is None else list(features.to_dict().items())
    return hashlib.sha256(json.dumps([_VERSION, kind, stats, wanted, options]).encode()).hexdigest()[:32]


def _write(path: Path, files: list[Path], kind: str, features: Features | None, options: dict[str, Any]) -> None:
    with ArrowWriter(path) as writer:
        for file in files:
            try:
                schema, batches = _READERS[kind](file, **options)
                if writer.features is None:
                    described = b"huggingface" in (schema.metadata or {})
                    writer.features = features if features and not described else Features.from_arrow_schema(schema)
                if set(schema.names) != set(writer.features):
                    raise ValueError(f"its columns are {schema.names}; expected {list(writer.features)}")
                for batch in batches:
                    writer.write({name: batch.column(name) for name in writer.features})
            except (pa.ArrowException, ValueError, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # of the system: a full disk, a file that may not be read; pyarrow's own have no number
                raise ValueError(f"{file} ({kind}): {error}") from error


def _read_parquet(file: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    # A buffer size makes the reader stream each column instead of reading whole row groups.
    parquet = pq.ParquetFile(file, buffer_size=1 << 20, pre_buffer=False)
    return parquet.schema_arrow, parquet.iter_batches(_BATCH_ROWS, use_threads=False)


def _read_arrow(file: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    table = read_arrow(file)
    return table.schema, iter(table.to_batches())


def _read_csv(file: Path, delimiter: str | None = None) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    delimiter = delimiter or ("\t" if file.suffix == ".tsv" else ",")
    parse = pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    table = pa.csv.read_csv(file, parse_options=parse, convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))
    dates = {field.name: pa.string() for field in table.schema if pa.types.is_temporal(field.type)}
    if dates:  # read as text, as they are written
        convert = pa.csv.ConvertOptions(strings_can_be_null=True, column_types=dates)
        table = pa.csv.read_csv(file, parse_options=parse, convert_options=convert)
    for field in table.schema:
        if pa.types.is_binary(field.type):  # what pyarrow makes of text in another encoding
            raise ValueError(f"column {field.name!r} is not UTF-8 text")
    return table.schema, iter(table.to_batches(_BATCH_ROWS))


def _read_json(file: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    with open(file, encoding="utf-8") as handle:
        is_list = handle.read(4096).lstrip().startswith("[")
    if is_list:
        rows = json.loads(file.read_text(encoding="utf-8"))
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise ValueError(f"row {number} is {row!r:.80}; expected an object")
        table = pa.Table.from_pylist(rows)
    else:
        size = min(max(file.stat().st_size, 1 << 20), _JSON_BLOCK)
        table = pa.json.read_json(file, read_options=pa.json.ReadOptions(block_size=size))
    return table.schema, iter(table.to_batches(_BATCH_ROWS))


_READERS = {"parquet": _read_parquet, "arrow": _read_arrow, "csv": _read_csv, "json": _read_json}

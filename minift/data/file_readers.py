"""Data files to Arrow record batches: a reader for each file format.

A reader takes a file, and its format's options, and returns the columns' Arrow schema and the rows in batches.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from minift.data.arrow_file import read_arrow

Batches = tuple[pa.Schema, Iterator[pa.RecordBatch]]
BATCH_ROWS = 10_000
JSON_BLOCK = 64 << 20  # bytes; a row must fit in one block


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
    table = pa.csv.read_csv(file, parse_options=parse, convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))
    dates = {field.name: pa.string() for field in table.schema if pa.types.is_temporal(field.type)}
    if dates:
        convert = pa.csv.ConvertOptions(strings_can_be_null=True, column_types=dates)
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

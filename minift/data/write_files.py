"""Rows to JSON, CSV and Parquet files, spelled as `datasets` spells them, which is as pandas does."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from minift.data.from_arrow import to_python
from minift.data.reader import TableReader
from minift.files import atomic_path
from minift.libraries.keywords import drops_keywords

BATCH_ROWS = 10_000
Destination = str | Path | BinaryIO
DIGITS = 10  # decimals of a number in pandas' JSON
LARGE, SMALL = 1e16, 1e-15  # beyond these, pandas writes numbers with exponents

# of `to_json`: how a list of rows becomes one value
ORIENTS: dict[str, Callable[[list[dict], list[str]], Any]] = {
    "records": lambda rows, names: rows,
    "list": lambda rows, names: {name: [row[name] for row in rows] for name in names},
    "columns": lambda rows, names: {name: {i: row[name] for i, row in enumerate(rows)} for name in names},
    "index": lambda rows, names: dict(enumerate(rows)),
    "values": lambda rows, names: [list(row.values()) for row in rows],
    "split": lambda rows, names: {"columns": names, "data": [list(row.values()) for row in rows]},
}


@drops_keywords
def to_parquet(dataset: TableReader, path_or_buf: Destination) -> int:
    """Write one Parquet file, with the features in its metadata; returns the number of bytes of the rows."""
    schema, size = dataset.features.arrow_schema, 0
    with _open(path_or_buf) as file, pq.ParquetWriter(file, schema) as writer:
        for rows in dataset.arrow_batches(BATCH_ROWS):
            writer.write_table(rows.cast(schema))
            size += rows.nbytes
    return size


@drops_keywords
def to_json(
    dataset: TableReader,
    path_or_buf: Destination,
    lines: bool = True,
    orient: str = "records",
    force_ascii: bool = True,
) -> int:
    """Write an object a line or, without `lines`, all rows as one value; returns the number of bytes.

    `orient`, for the latter: a list of objects (``records``), an object of columns (``list``, ``columns``), of rows
    (``index``), a list of lists (``values``), or columns and values (``split``). Numbers, dates and text
    are spelled as `datasets` spells them: floats have at most 10 decimals.
    """
    if orient not in ORIENTS:
        raise ValueError(f"to_json: orient={orient!r} is not supported, only {', '.join(ORIENTS)}")
    if lines and orient != "records":
        raise ValueError(f"to_json: lines=True writes records, not orient={orient!r}")
    rows = dataset.as_python()
    if orient != "records":
        parts = iter([json_text(ORIENTS[orient](list(rows), dataset.column_names), force_ascii) + "\n"])
    else:
        texts = (json_text(row, force_ascii) for row in rows)
        parts = (row + "\n" for row in texts) if lines else iter(["[" + ",".join(texts) + "]\n"])
    return _write(path_or_buf, parts)


@drops_keywords
def to_csv(
    dataset: TableReader, path_or_buf: Destination, header: bool = True, sep: str = ",", index: bool = False
) -> int:
    """Write a CSV file; returns the number of bytes. Columns of lists or structs are a ValueError.

    `index` puts the number of each row first.
    """

    def parts() -> Iterator[str]:
        start = 0
        for rows in dataset.arrow_batches(BATCH_ROWS) if len(dataset) else [dataset.arrow_rows()]:
            yield csv_text(rows, header and start == 0, sep, start if index else None)
            start += len(rows)

    return _write(path_or_buf, parts())


@contextmanager
def _open(destination: Destination) -> Iterator[BinaryIO]:
    """Open a file that appears when it is complete, or hand out the open binary file that was given."""
    if hasattr(destination, "write"):
        yield destination
        return
    with atomic_path(destination) as fresh, open(fresh, "wb") as file:
        yield file


def _write(destination: Destination, parts: Iterator[str]) -> int:
    """Write text; return its size in bytes."""
    with _open(destination) as file:
        return sum(file.write(part.encode()) for part in parts)


def json_text(value: Any, force_ascii: bool = True) -> str:
    """Write one value: floats rounded to 10 decimals, NaN and infinity as null, dates as milliseconds since 1970."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        inner = (f"{json_text(str(key), force_ascii)}:{json_text(part, force_ascii)}" for key, part in value.items())
        return "{" + ",".join(inner) + "}"
    if isinstance(value, list | tuple | np.ndarray):
        return "[" + ",".join(json_text(part, force_ascii) for part in value) + "]"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, date):
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return str((moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
    if isinstance(value, timedelta):
        return str(value // timedelta(milliseconds=1))
    if isinstance(value, str | bytes | Decimal | time):
        text = value.decode() if isinstance(value, bytes) else str(value)
        return json.dumps(text, ensure_ascii=force_ascii).replace("/", "\\/")
    return str(value)


def _float_text(value: float) -> str:
    if not math.isfinite(value):
        return "null"
    size = abs(value)
    if size > LARGE or 0 < size < SMALL:
        return f"{value:.{DIGITS}g}"
    whole, scale = int(size), 10**DIGITS
    rest = (size - whole) * scale
    fraction = int(rest)
    if rest - fraction > 0.5 or (rest - fraction == 0.5 and fraction % 2):
        fraction += 1
    whole, fraction = (whole + 1, 0) if fraction >= scale else (whole, fraction)
    decimals = f"{fraction:0{DIGITS}d}".rstrip("0") or "0"
    return f"{'-' if value < 0 else ''}{whole}.{decimals}"


def csv_text(table: pa.Table, header: bool, separator: str, first_row: int | None = None) -> str:
    """Write rows as CSV; None is an empty cell; rows are numbered from `first_row`, if it is given.

    A ValueError names a column of lists or structs.
    """
    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    if nested:
        raise ValueError(f"column {nested[0]!r} holds lists or structs, which CSV cannot: write JSON or Parquet")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    if header:
        writer.writerow([*([] if first_row is None else [""]), *table.column_names])
    columns = [] if first_row is None else [range(first_row, first_row + table.num_rows)]
    columns += [_cells(table[name]) for name in table.column_names]
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue()


def _cells(column: pa.ChunkedArray) -> list[Any]:
    values = to_python(column)
    if pa.types.is_float32(column.type):
        return [None if value is None else str(np.float32(value)) for value in values]
    if pa.types.is_timestamp(column.type):
        times = [value.time() for value in values if value is not None]
        if all(value == time() for value in times):
            return [value and value.date() for value in values]
        digits = "microseconds" if any(value.microsecond for value in times) else "seconds"
        return [value and value.isoformat(sep=" ", timespec=digits) for value in values]
    return [None if isinstance(value, float) and math.isnan(value) else value for value in values]

"""Rows to JSON and CSV text, spelled as `datasets` spells them, which is as pandas does."""

import csv
import io
import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from minift.data.from_arrow import to_python

DIGITS = 10  # decimals of a number in pandas' JSON
LARGE, SMALL = 1e16, 1e-15  # beyond these, pandas writes numbers with exponents


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


def csv_text(table: pa.Table, header: bool, separator: str) -> str:
    """Write rows as CSV; None is an empty cell. A ValueError names a column of lists or structs."""
    nested = [field.name for field in table.schema if pa.types.is_nested(field.type)]
    if nested:
        raise ValueError(f"column {nested[0]!r} holds lists or structs, which CSV cannot: write JSON or Parquet")
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    if header:
        writer.writerow(table.column_names)
    columns = [_cells(table[name]) for name in table.column_names]
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

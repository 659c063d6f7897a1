"""JSON files, an object a line or one list of objects, and text files, to Arrow tables."""

import codecs
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json

from minift.data.compressed import read_bytes
from minift.files import parse_json

BLOCK = 64 << 20  # bytes that pyarrow reads at once; a row must fit in one
CHANGED = re.compile(r"Column\(/(.+)\) changed from (\w+) to (\w+) in row (\d+)")


def read_json_table(file: Path, field: str | None = None, encoding: str | None = None) -> pa.Table:
    """Read a whole file: an object a line, a list of objects, or a list of texts (the column `text`).

    With `field`, the list is this value of the file's one object. pyarrow infers the types from all rows: a key that a
    row lacks is None. Re-implements `datasets` (packaged_modules/json). A ValueError names the row.
    """
    data = _utf8(read_bytes(file), encoding)
    if not data.strip():
        return pa.table({})
    if data.lstrip().startswith(b"null"):  # pyarrow would end the interpreter
        raise ValueError("row 0 is null, not an object")
    if field is not None or data.lstrip().startswith(b"["):
        data = _as_lines(_parse(data), field)
    for block in (BLOCK, len(data) + 1):  # the whole file, if it has a longer row
        try:
            read = pa.json.ReadOptions(block_size=min(block, len(data) + 1))
            return pa.json.read_json(pa.BufferReader(data), read)
        except pa.ArrowInvalid as error:
            failed = error
    if changed := CHANGED.search(str(failed)):
        column, before, after, row = changed.groups()
        raise ValueError(f"row {row}: column {column!r} holds a {after}, earlier rows a {before}") from failed
    try:
        columns = parse_json(data)  # one object over several lines
    except ValueError:
        raise failed from None
    if isinstance(columns, dict) and columns and all(isinstance(values, list) for values in columns.values()):
        return pa.table(columns)  # a list for each column
    lists = [name for name, value in columns.items() if isinstance(value, list)] if isinstance(columns, dict) else []
    raise ValueError(f"it is one object, not one a line; field= names the list in it, one of {lists}") from failed


def _utf8(data: bytes, encoding: str | None) -> bytes:
    if encoding is not None:
        return data.decode(encoding).encode()
    return data.removeprefix(codecs.BOM_UTF8)


def _parse(data: bytes) -> Any:
    try:
        return parse_json(data)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text ({error.reason}); pass encoding=") from error


def _as_lines(rows: Any, field: str | None) -> bytes:
    """Write a list as an object a line, the form that pyarrow reads."""
    if field is not None:
        if not isinstance(rows, dict) or field not in rows:
            raise ValueError(f"field={field!r}: it has no such key; it has {list(rows)[:10] if rows else rows!r}")
        rows = rows[field]
    if isinstance(rows, dict):  # a list for each column
        rows = [dict(zip(rows, values, strict=True)) for values in zip(*rows.values(), strict=True)]
    if all(isinstance(row, str) for row in rows):
        rows = [{"text": row} for row in rows]
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ValueError(f"row {number} is {row!r:.80}; expected an object")
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def read_text_table(
    file: Path, sample_by: str = "line", keep_linebreaks: bool = False, encoding: str = "utf-8"
) -> pa.Table:
    """Read a text file as one column, `text`: a row for each "line", "paragraph" (after an empty line) or "document".

    Re-implements `datasets` (packaged_modules/text).
    """
    try:
        text = read_bytes(file).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not {encoding} text ({error.reason}); pass encoding=") from error
    if sample_by == "document":
        rows = [text]
    elif sample_by == "paragraph":
        rows = [part for part in text.split("\n\n") if part]
    elif sample_by == "line":
        rows = [line + "\n" for line in text.split("\n")]
        rows[-1] = rows[-1][:-1]
        rows = [row if keep_linebreaks else row.removesuffix("\n") for row in rows if row]
    else:
        raise ValueError(f"sample_by={sample_by!r}: expected 'line', 'paragraph' or 'document'")
    return pa.table({"text": pa.array(rows, pa.string())})

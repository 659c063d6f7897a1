"""Dynamic padding: rows of different lengths become one array a column, filled in one numpy pass."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from minift.tokenizer.lengths import Lengths
from minift.tokenizer.ragged import Ragged, row_lengths


def as_columns(features: Any) -> dict[str, Any]:
    """Turn a list of dicts (rows) into a dict of lists (columns); a dict of lists is returned as it is.

    Raises:
        ValueError: no rows, or a row lacks a column of the first row (the message names both).
        TypeError: neither a mapping nor a list of mappings.
    """
    if isinstance(features, Mapping):
        return dict(features)
    if len(features) == 0:
        raise ValueError("cannot make a batch of no rows")
    if not isinstance(features[0], Mapping):
        raise TypeError(f"a batch is a list of dicts or a dict of lists, got a list of {type(features[0]).__name__}")
    try:
        return {name: [row[name] for row in features] for name in features[0]}
    except KeyError as error:
        position = next(i for i, row in enumerate(features) if error.args[0] not in row)
        raise ValueError(f"row {position} of the batch has no column {error.args[0]!r}, which row 0 has") from None


def inside_rows(lengths: np.ndarray, width: int, side: str) -> np.ndarray:
    """Mark the places of tokens: bool (B, T), False on padding, which is on the ``right`` or on the ``left``."""
    position = np.arange(width)
    return position < lengths[:, None] if side == "right" else position >= width - lengths[:, None]


def pad_rows(rows: Sequence[Any], inside: np.ndarray, fill: int) -> np.ndarray:
    """Write B rows of integers (lists, arrays, or `Ragged`) to an int64 array (B, T), where `inside` is True."""
    if isinstance(rows, Ragged) and rows.valid is None:
        values = rows.values
    elif hasattr(rows[0], "dtype"):  # arrays, or tensors of the CPU
        values = np.concatenate([np.asarray(row) for row in rows])
    else:
        values = _flat(rows)
    if len(values) == inside.size:
        return values.reshape(inside.shape).astype(np.int64, copy=False)
    padded = np.full(inside.shape, fill, dtype=np.int64)
    padded[inside] = values
    return padded


def _flat(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Lay Python lists end to end; most of the time of padding goes into reading their numbers."""
    try:  # masks and token types: numbers that fit a byte are read five times as fast
        return np.frombuffer(b"".join(map(bytes, rows)), dtype=np.uint8)
    except (TypeError, ValueError):
        return np.fromiter(chain.from_iterable(rows), dtype=np.int64)


def pad_columns(
    columns: dict[str, Any], fills: dict[str, int], lengths: Lengths, side: str, add_attention_mask: bool
) -> dict[str, Any]:
    """Pad the columns named in `fills` to int64 arrays of shape (B, T); the others pass through unchanged.

    Args:
        columns: column name -> B rows; the rows of ``input_ids`` give the lengths.
        fills: column name -> the value that pads it.
        lengths: how T is found.
        side: ``right`` or ``left``: where the padding goes.
        add_attention_mask: make ``attention_mask`` (1 on tokens, 0 on padding) if there is none.

    Raises:
        ValueError: a row is longer than `max_length`, or not as long as the same row of ``input_ids``.
    """
    found = row_lengths(columns["input_ids"])
    width = lengths.max_length if lengths.padding == "max_length" else int(found.max())
    width = -(-width // lengths.multiple) * lengths.multiple if lengths.multiple else width  # T
    if found.max() > width:
        row = int(found.argmax())
        raise ValueError(f"row {row} has {found[row]} tokens, more than max_length={width}: truncate it first")
    inside = inside_rows(found, width, side)  # (B, T)
    padded = {}
    for name, rows in columns.items():
        if name not in fills:
            padded[name] = rows
            continue
        if name != "input_ids":
            check_lengths(name, rows, found)
        try:
            padded[name] = pad_rows(rows, inside, fills[name])
        except (TypeError, ValueError) as error:
            raise ValueError(f"column {name!r} must hold rows of integers: {error}") from error
    if add_attention_mask and "attention_mask" not in padded:
        padded["attention_mask"] = inside.astype(np.int64)
    return padded


def check_lengths(name: str, rows: Sequence[Any], lengths: np.ndarray) -> None:
    """Raise a ValueError that names the column and the first row whose length is not the one in `lengths`."""
    found = row_lengths(rows)
    if len(found) != len(lengths):
        raise ValueError(f"column {name!r} has {len(found)} rows, but input_ids has {len(lengths)}")
    if not np.array_equal(found, lengths):
        row = int((found != lengths).argmax())
        raise ValueError(f"column {name!r} has {found[row]} values in row {row}, but input_ids has {lengths[row]}")

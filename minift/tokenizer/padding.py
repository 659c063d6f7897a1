"""Dynamic padding: rows of different lengths become one array a column, filled in one numpy pass."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from minift.tokenizer.arguments import Lengths


class Ragged(Sequence):
    """B rows of integers, end to end in one array: a column of lists before it is padded.

    `values` holds the rows, `lengths` (int64, (B,)) how long each is. `valid` (bool, as long as `values`) is False
    where a value is missing; None: no value is missing.
    """

    def __init__(self, values: np.ndarray, lengths: np.ndarray, valid: np.ndarray | None = None):
        self.values, self.lengths, self.valid = values, lengths, valid

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> np.ndarray:
        row = range(len(self))[row]
        start = int(self.lengths[:row].sum())
        return self._or_none()[start : start + self.lengths[row]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Make one array (B, T); a ValueError if the rows differ in length."""
        if len(set(self.lengths.tolist())) > 1:
            raise ValueError("rows of different lengths make no array")
        return np.array(self._or_none().reshape(len(self), -1), dtype=dtype)

    def _or_none(self) -> np.ndarray:
        """The values, and None where one is missing."""
        return self.values if self.valid is None else np.where(self.valid, self.values.astype(object), None)


def row_lengths(rows: Sequence[Any]) -> np.ndarray:
    """Count the values of each row: int64 (B,)."""
    return rows.lengths if isinstance(rows, Ragged) else np.array([len(row) for row in rows], dtype=np.int64)


def as_columns(features: Any) -> dict[str, Any]:
    """Turn a list of dicts (rows) into a dict of lists (columns); a dict of lists is returned as it is.

    A ValueError names the row that lacks a column of the first row.
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


def pad_columns(
    columns: dict[str, Any], fills: dict[str, int], lengths: Lengths, side: str, add_attention_mask: bool
) -> dict[str, Any]:
    """Pad the columns named in `fills`, each with its value there, to int64 arrays (B, T); others stay as they are.

    The rows of ``input_ids`` give the lengths, and `lengths` says how T is found; `add_attention_mask` makes an
    ``attention_mask`` (1 on tokens, 0 on padding) if there is none. A ValueError names a row that is longer than
    `max_length`, or not as long as the same row of ``input_ids``.
    """
    found = row_lengths(columns["input_ids"])
    width = lengths.max_length if lengths.padding == "max_length" else int(found.max())
    width = -(-width // lengths.multiple) * lengths.multiple if lengths.multiple else width  # T
    if found.max() > width:
        row = int(found.argmax())
        raise ValueError(f"row {row} has {found[row]} tokens, more than max_length={width}: truncate it first")
    inside = inside_rows(found, width, side)  # (B, T)
    padded = dict(columns)
    for name, fill in fills.items():
        if name not in columns:
            continue
        if name != "input_ids":
            check_lengths(name, columns[name], found)
        try:
            padded[name] = _pad_rows(columns[name], inside, fill)
        except (TypeError, ValueError) as error:
            raise ValueError(f"column {name!r} must hold rows of integers: {error}") from error
    if add_attention_mask:
        padded.setdefault("attention_mask", inside.astype(np.int64))
    return padded


def check_lengths(name: str, rows: Sequence[Any], lengths: np.ndarray) -> None:
    """Raise a ValueError that names the column and the first row whose length is not the one in `lengths`."""
    found = row_lengths(rows)
    if len(found) != len(lengths):
        raise ValueError(f"column {name!r} has {len(found)} rows, but input_ids has {len(lengths)}")
    if not np.array_equal(found, lengths):
        row = int((found != lengths).argmax())
        raise ValueError(f"column {name!r} has {found[row]} values in row {row}, but input_ids has {lengths[row]}")


def _pad_rows(rows: Sequence[Any], inside: np.ndarray, fill: int) -> np.ndarray:
    """Write B rows of integers (lists, arrays, or `Ragged`) to an int64 array (B, T), where `inside` is True."""
    if isinstance(rows, Ragged) and rows.valid is None:
        values = rows.values
    elif hasattr(rows[0], "dtype"):  # arrays, or tensors of the CPU
        values = np.concatenate([np.asarray(row) for row in rows])
    else:
        values = _end_to_end(rows)
    if len(values) == inside.size:
        return values.reshape(inside.shape).astype(np.int64, copy=False)
    padded = np.full(inside.shape, fill, dtype=np.int64)
    padded[inside] = values
    return padded


def _end_to_end(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Lay Python lists end to end; most of the time of padding goes into reading their numbers."""
    try:  # masks and token types: numbers that fit a byte are read five times as fast
        return np.frombuffer(b"".join(map(bytes, rows)), dtype=np.uint8)
    except (TypeError, ValueError):
        return np.fromiter(chain.from_iterable(rows), dtype=np.int64)

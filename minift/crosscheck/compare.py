"""Compare two nests of values: equal to the bit, or how far apart, and where they first differ.

Nothing here knows of models or data sets: dicts, lists, arrays, numbers and texts go in, a `Comparison` comes out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SHOWN = 24  # characters of a text that a message shows


@dataclass
class Comparison:
    """How two nests compare.

    A difference that cannot be measured is infinite: another number of values, another shape, a key that one side
    lacks, another text, NaN or infinity against a number.
    """

    values: int = 0
    """Numbers and texts that were compared."""
    equal: bool = True
    """Whether all are equal to the bit, types and shapes included; so 0.0 is not -0.0, and NaN equals itself."""
    max_abs: float = 0.0
    """The largest |ours - theirs|."""
    max_rel: float = 0.0
    """The largest |ours - theirs| / max(|ours|, |theirs|), at most 2 for finite numbers."""
    first: str | None = None
    """The first place where they differ, and what is there on both sides."""

    def differ(self, place: str, what: str, absolute: float = math.inf, relative: float = math.inf) -> None:
        """Note a difference."""
        self.equal = False
        self.max_abs, self.max_rel = max(self.max_abs, absolute), max(self.max_rel, relative)
        self.first = self.first or (f"{place}: {what}" if place else what)


def compare(ours: Any, theirs: Any, axes: Sequence[str] = ()) -> Comparison:
    """Walk through both nests at once, in the order of `ours`.

    Args:
        ours, theirs: nests of mappings, lists, tuples, numpy arrays, numbers, texts and None. A list of numbers counts
            as an array: int64, float64 or bool.
        axes: names for the axes of lists and arrays, outermost first: with ("row", "token") the message reads "train,
            input_ids, row 17, token 3"; axes without a name are numbered in brackets, "weight[3, 5]".
    """
    result = Comparison()
    _walk(ours, theirs, "", tuple(axes), result)
    return result


def _walk(ours: Any, theirs: Any, place: str, axes: tuple[str, ...], result: Comparison) -> None:
    ours, theirs = _as_array(ours), _as_array(theirs)
    if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
        return _compare_arrays(ours, theirs, place, axes, result)
    # a list that is not an array, such as [1, None], may stand against one that is
    ours, theirs = (side.tolist() if isinstance(side, np.ndarray) else side for side in (ours, theirs))
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for key in dict.fromkeys([*ours, *theirs]):
            inner = _join(place, str(key))
            if key in ours and key in theirs:
                _walk(ours[key], theirs[key], inner, axes, result)
            else:
                result.differ(inner, "only minift has it" if key in ours else "only the libraries have it")
    elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            _walk(one, other, _at(place, axes, (index,)), axes[1:], result)
        if len(ours) != len(theirs):
            result.differ(place, f"{len(ours)} values against {len(theirs)}")
    else:
        result.values += 1
        if type(ours) is not type(theirs) or ours != theirs:
            result.differ(place, _unlike(ours, theirs))


def _compare_arrays(
    ours: np.ndarray, theirs: np.ndarray, place: str, axes: tuple[str, ...], result: Comparison
) -> None:
    result.values += max(ours.size, theirs.size)
    same_shape, same_type = ours.shape == theirs.shape, ours.dtype == theirs.dtype
    if same_shape and same_type and ours.tobytes() == theirs.tobytes():
        return
    if ours.ndim == theirs.ndim:  # where the shapes differ, compare the part that both have
        shape = tuple(map(min, ours.shape, theirs.shape))
        box = tuple(map(slice, shape))
        x, y = ours[box].reshape(-1), theirs[box].reshape(-1)
        gaps = _gaps(x, y)
        differs = _bits(x) != _bits(y) if same_type else gaps > 0
        if differs.any():
            index = int(differs.argmax())
            where = _at(place, axes, tuple(map(int, np.unravel_index(index, shape))))
            largest = np.maximum(np.abs(x.astype(np.float64)), np.abs(y.astype(np.float64)))
            relative = np.divide(gaps, largest, out=np.zeros_like(gaps), where=np.isfinite(gaps) & (largest > 0))
            relative[np.isinf(gaps)] = math.inf
            result.differ(where, f"{x[index]} against {y[index]}", float(gaps.max()), float(relative.max()))
    if not same_shape:
        result.differ(place, f"shape {ours.shape} against {theirs.shape}")
    elif not same_type and ours.size:
        result.differ(place, f"{ours.dtype} against {theirs.dtype}", 0.0, 0.0)


def _gaps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|x - y| in float64: 0 for two NaNs or two equal infinities, infinite for one of them against something else."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(x - y)
    gaps[np.isnan(gaps)] = math.inf
    gaps[(x == y) | (np.isnan(x) & np.isnan(y))] = 0
    return gaps


def _bits(values: np.ndarray) -> np.ndarray:
    """The values (N,) as unsigned integers of the same width."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def _as_array(value: Any) -> Any:
    """Numbers, and lists of nothing but numbers, as arrays; everything else as it is."""
    numbers = (bool, int, float, np.generic)
    is_list = isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(item, numbers) for item in value)
    if not (is_list or isinstance(value, numbers)):
        return value
    array = np.asarray(value)
    return array if array.dtype.kind in "biuf" else value  # integers beyond 64 bits stay Python's


def _join(place: str, part: str) -> str:
    return f"{place}, {part}" if place else part


def _at(place: str, axes: tuple[str, ...], index: tuple[int, ...]) -> str:
    """A place inside `place`: the first numbers of `index` with the names of `axes`, the others in brackets."""
    for axis, number in zip(axes, index, strict=False):
        place = _join(place, f"{axis} {number}")
    rest = index[len(axes) :]
    return place + (f"[{', '.join(map(str, rest))}]" if rest else "")


def _unlike(ours: Any, theirs: Any) -> str:
    """Two texts from the character where they differ; other values as Python writes them."""
    if isinstance(ours, str) and isinstance(theirs, str):
        pairs = zip(ours, theirs, strict=False)
        same = next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(ours), len(theirs)))
        return f"character {same}, {ours[same:][:SHOWN]!r} against {theirs[same:][:SHOWN]!r}"
    return f"{repr(ours)[:SHOWN]} against {repr(theirs)[:SHOWN]}"

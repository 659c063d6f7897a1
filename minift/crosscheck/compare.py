"""Compare two nests of values: equal to the bit, or how far apart, and where they first differ."""

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

    values: int = 0  # numbers and texts that were compared
    equal: bool = True  # to the bit, types and shapes included; so 0.0 is not -0.0, and NaN equals itself
    max_abs: float = 0.0  # the largest |ours - theirs|
    max_rel: float = 0.0  # the largest |ours - theirs| / max(|ours|, |theirs|), at most 2 for finite numbers
    first: str | None = None  # the first place where they differ, and what is there on both sides

    def differ(self, place: str, what: str, absolute: float = math.inf, relative: float = math.inf) -> None:
        self.equal = False
        self.max_abs, self.max_rel = max(self.max_abs, absolute), max(self.max_rel, relative)
        self.first = self.first or (f"{place}: {what}" if place else what)

    def walk(self, ours: Any, theirs: Any, place: str, axes: tuple[str, ...]) -> None:
        """Compare what is at `place` in both nests, in the order of `ours`; `axes` are those that are left."""
        ours, theirs = as_array(ours), as_array(theirs)
        if isinstance(ours, np.ndarray) and isinstance(theirs, np.ndarray):
            return self.compare_arrays(ours, theirs, place, axes)
        # a list that is not an array, such as [1, None], may stand against one that is
        ours, theirs = (side.tolist() if isinstance(side, np.ndarray) else side for side in (ours, theirs))
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            for key in dict.fromkeys([*ours, *theirs]):
                inner = f"{place}, {key}" if place else str(key)
                if key in ours and key in theirs:
                    self.walk(ours[key], theirs[key], inner, axes)
                else:
                    self.differ(inner, "only minift has it" if key in ours else "only the libraries have it")
        elif isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
            for index, (one, other) in enumerate(zip(ours, theirs, strict=False)):
                self.walk(one, other, at(place, axes, (index,)), axes[1:])
            if len(ours) != len(theirs):
                self.differ(place, f"{len(ours)} values against {len(theirs)}")
        else:
            self.values += 1
            if type(ours) is not type(theirs) or ours != theirs:
                self.differ(place, unlike(ours, theirs))

    def compare_arrays(self, ours: np.ndarray, theirs: np.ndarray, place: str, axes: tuple[str, ...]) -> None:
        self.values += max(ours.size, theirs.size)
        same_shape, same_type = ours.shape == theirs.shape, ours.dtype == theirs.dtype
        if same_shape and same_type and ours.tobytes() == theirs.tobytes():
            return
        if ours.ndim == theirs.ndim:  # where the shapes differ, compare the part that both have
            shape = tuple(map(min, ours.shape, theirs.shape))
            box = tuple(map(slice, shape))
            x, y = ours[box].reshape(-1), theirs[box].reshape(-1)
            absolute, relative = gaps(x.astype(np.float64), y.astype(np.float64))
            bits = f"u{x.itemsize}"  # unsigned integers of the same width
            differs = x.view(bits) != y.view(bits) if same_type else absolute > 0
            if differs.any():
                index = int(differs.argmax())
                where = at(place, axes, tuple(map(int, np.unravel_index(index, shape))))
                self.differ(where, f"{x[index]} against {y[index]}", float(absolute.max()), float(relative.max()))
        if not same_shape:
            self.differ(place, f"shape {ours.shape} against {theirs.shape}")
        elif not same_type and ours.size:
            self.differ(place, f"{ours.dtype} against {theirs.dtype}", 0.0, 0.0)


def compare(ours: Any, theirs: Any, axes: Sequence[str] = ()) -> Comparison:
    """Compare two nests of mappings, lists, tuples, numpy arrays, numbers, texts and None.

    A list of numbers counts as an array: int64, float64 or bool. `axes` are names for the axes of lists and arrays,
    outermost first: with ("row", "token") the message reads "train, input_ids, row 17, token 3". Axes without a name
    are numbered in brackets, "weight[3, 5]".
    """
    result = Comparison()
    result.walk(ours, theirs, "", tuple(axes))
    return result


def gaps(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|x - y| of float64 arrays, and as a share of the larger; 0 for two NaNs, infinite for NaN against a number."""
    with np.errstate(invalid="ignore", over="ignore"):
        absolute = np.abs(x - y)
    absolute[np.isnan(absolute)] = math.inf
    absolute[(x == y) | (np.isnan(x) & np.isnan(y))] = 0
    largest = np.maximum(np.abs(x), np.abs(y))
    return absolute, np.divide(absolute, largest, out=absolute.copy(), where=np.isfinite(absolute) & (largest > 0))


def as_array(value: Any) -> Any:
    """Numbers, and lists of nothing but numbers, as arrays; everything else as it is."""
    numbers = (bool, int, float, np.generic)
    is_list = isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(item, numbers) for item in value)
    if not (is_list or isinstance(value, numbers)):
        return value
    array = np.asarray(value)
    return array if array.dtype.kind in "biuf" else value  # integers beyond 64 bits stay Python's


def at(place: str, axes: tuple[str, ...], index: tuple[int, ...]) -> str:
    """A place inside `place`: the first numbers of `index` with the names of `axes`, the others in brackets."""
    named = [f"{axis} {number}" for axis, number in zip(axes, index, strict=False)]
    rest = index[len(axes) :]
    return ", ".join(filter(None, [place, *named])) + (f"[{', '.join(map(str, rest))}]" if rest else "")


def unlike(ours: Any, theirs: Any) -> str:
    """Two texts from the character where they differ; other values as Python writes them."""
    if isinstance(ours, str) and isinstance(theirs, str):
        pairs = zip(ours, theirs, strict=False)
        same = next((i for i, (one, other) in enumerate(pairs) if one != other), min(len(ours), len(theirs)))
        return f"character {same}, {ours[same:][:SHOWN]!r} against {theirs[same:][:SHOWN]!r}"
    return f"{repr(ours)[:SHOWN]} against {repr(theirs)[:SHOWN]}"

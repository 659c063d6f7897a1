"""Whether two sides gave one answer; `Refused` says where they did not."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.harness import Refused


def equal(theirs: Any, ours: Any) -> None:
    """Numbers, texts, arrays, tensors, and nests of them, equal in dtype and value."""

    def same(a: np.ndarray, b: np.ndarray) -> bool:
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")

    _compare(theirs, ours, same, "differ")


def close(relative: float) -> Callable[[Any, Any], None]:
    """The same, numbers up to a relative error of the largest one."""

    def near(a: np.ndarray, b: np.ndarray) -> bool:
        a, b = a.astype(np.float64), b.astype(np.float64)
        return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= relative * np.abs(a).max(initial=1e-12))

    return lambda theirs, ours: _compare(theirs, ours, near, f"differ by more than {relative:g} of the largest")


def same_rows(theirs: Any, ours: Any) -> None:
    """Two datasets (of `datasets` and of minift) with the same columns and values, in whatever integer types."""
    if sorted(theirs.column_names) != sorted(ours.column_names) or len(theirs) != len(ours):
        raise Refused(f"{len(ours)} rows of {ours.column_names} for {len(theirs)} of {theirs.column_names}")
    for start in range(0, len(ours), 1000):
        rows = range(start, min(start + 1000, len(ours)))
        expected, found = theirs[rows.start : rows.stop], ours[rows.start : rows.stop]
        for name, column in expected.items():
            if column != found[name]:
                row = next(i for i, pair in enumerate(zip(column, found[name], strict=True)) if pair[0] != pair[1])
                raise Refused(f"row {start + row}, column {name!r} differs")


def _compare(theirs: Any, ours: Any, same: Callable[[np.ndarray, np.ndarray], bool], how: str, at: str = "it") -> None:
    if isinstance(theirs, Mapping):
        if sorted(theirs) != sorted(ours):
            raise Refused(f"{at} has {sorted(ours)}, expected {sorted(theirs)}")
        for name in theirs:
            _compare(theirs[name], ours[name], same, how, f"{at}[{name!r}]")
    elif isinstance(theirs, Sequence) and not isinstance(theirs, str) and not all(map(_is_number, theirs)):
        if len(theirs) != len(ours):
            raise Refused(f"{at} has {len(ours)} parts, expected {len(theirs)}")
        for position, (a, b) in enumerate(zip(theirs, ours, strict=True)):
            _compare(a, b, same, how, f"{at}[{position}]")
    else:
        a, b = _array(theirs), _array(ours)
        if not same(a, b):
            raise Refused(f"{at} {how}: {_brief(b)}, expected {_brief(a)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        value = value.detach().float().cpu() if value.is_floating_point() else value.detach().cpu()
    return np.asarray(value)


def _brief(array: np.ndarray) -> str:
    total = math.fsum(array.ravel()[:1000].tolist()) if array.dtype.kind in "iuf" else ""
    return f"{array.dtype}{array.shape} {np.array2string(array.ravel()[:4], precision=6)}… of sum {total}"

"""numpy arrays to tensors of torch or TensorFlow, and the walk through nests of them."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

# every spelling that the libraries accept -> ours
TENSOR_KINDS = {"np": "np", "numpy": "np", "pt": "pt", "torch": "pt", "tf": "tf", "tensorflow": "tf"}


def tensor_kind(name: str) -> str:
    """Normalise a framework's name to ``np``, ``pt`` or ``tf``."""
    if name not in TENSOR_KINDS:
        raise ValueError(f"unknown tensor type {name!r}: expected one of {sorted(TENSOR_KINDS)}")
    return TENSOR_KINDS[name]


def as_tensor(array: np.ndarray, kind: str) -> Any:
    """Hand an array over to numpy (``np``), torch (``pt``, sharing writable memory) or TensorFlow (``tf``, a copy)."""
    kind = tensor_kind(kind)
    if kind == "np":
        return array
    if kind == "pt":
        import torch

        return torch.from_numpy(array if array.flags.writeable else array.copy())
    return import_tensorflow().convert_to_tensor(array)


def import_tensorflow() -> ModuleType:
    """Return the module `tensorflow`, which only the TensorFlow path needs; the ImportError says how to install it."""
    try:
        import tensorflow
    except ImportError as error:
        raise ImportError(f'TensorFlow is not installed ({error}): pip install -e ".[tf]"') from error
    return tensorflow


def map_nest(function: Callable[..., Any], *nests: Any) -> Any:
    """Call `function` on every value in a nest of dicts, lists and tuples; the result is a nest of the same kinds.

    Several nests of one shape are walked together: `function` gets the values that stand at the same place in each.

    >>> map_nest(lambda a, b: a + b, {"x": (1, [2])}, {"x": (10, [20])})
    {'x': (11, [22])}
    """
    first = nests[0]
    if isinstance(first, Mapping):
        return type(first)({name: map_nest(function, *(nest[name] for nest in nests)) for name in first})
    if isinstance(first, list | tuple):
        values = [map_nest(function, *parts) for parts in zip(*nests, strict=True)]
        return type(first)(*values) if hasattr(first, "_fields") else type(first)(values)  # a named tuple
    return function(*nests)

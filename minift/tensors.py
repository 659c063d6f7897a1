"""numpy arrays to the tensors of the framework that was asked for."""

from types import ModuleType
from typing import Any

import numpy as np

# every spelling that the libraries accept -> ours
TENSOR_KINDS = {"np": "np", "numpy": "np", "pt": "pt", "torch": "pt", "tf": "tf", "tensorflow": "tf"}


def tensor_kind(name: str) -> str:
    """Normalise a framework's name to ``np``, ``pt`` or ``tf``.

    Raises:
        ValueError: the name is none of `TENSOR_KINDS`.
    """
    try:
        return TENSOR_KINDS[name]
    except KeyError:
        raise ValueError(f"unknown tensor type {name!r}: expected one of {sorted(TENSOR_KINDS)}") from None


def as_tensor(array: np.ndarray, kind: str) -> Any:
    """Hand an array over to numpy (``np``), torch (``pt``) or TensorFlow (``tf``), keeping shape and dtype.

    torch shares the array's memory when it may write there and copies it otherwise; TensorFlow always copies.

    Raises:
        ImportError: TensorFlow was asked for and is not installed.
    """
    kind = tensor_kind(kind)
    if kind == "np":
        return array
    if kind == "pt":
        import torch

        return torch.from_numpy(array if array.flags.writeable else array.copy())
    return import_tensorflow().convert_to_tensor(array)


def import_tensorflow() -> ModuleType:
    """The module `tensorflow`, which minift runs without, unless its TensorFlow path is used.

    Raises:
        ImportError: it is not installed; the message says how to install it.
    """
    try:
        import tensorflow
    except ImportError as error:
        raise ImportError(f'TensorFlow is not installed ({error}): pip install -e ".[tf]"') from error
    return tensorflow

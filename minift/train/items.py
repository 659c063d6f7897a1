"""The number of labels of a step, as a tensor that notes whether a loss has made use of it."""

from typing import Any

import torch
from torch import Tensor

LOOKING_ON = ("__get__", "__bool__", "__repr__", "__format__", "size", "dim")  # what does not compute with it


class NotedNumber(Tensor):
    """A tensor of one number; `was_used` tells whether somebody has computed with it.

    A loss that is divided by the number of labels of the whole step must not be weighted again; one that ignores the
    number is a mean over its own batch, and must be. transformers cannot tell them apart (`model_accepts_loss_kwargs`).
    """

    was_used = False

    @staticmethod
    def __new__(cls, number: int) -> "NotedNumber":
        return torch.tensor(number).as_subclass(cls)

    @classmethod
    def __torch_function__(cls, function: Any, kinds: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if function.__name__ not in LOOKING_ON:
            for value in (*args, *(kwargs or {}).values()):
                if isinstance(value, cls):
                    value.was_used = True
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

"""The random draws of the masking collators: numpy's or torch's, from the global generator or from their own."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def numpy_draws(generator: np.random.Generator | None) -> tuple[Callable, Callable]:
    """The draws of transformers' ``numpy_mask_tokens``, from a generator or (None) from ``np.random``.

    Returns two functions. ``coins(probability, shape)``: bool of this shape, True with one probability, or with one
    for each place. ``tokens(chosen, size)``: an id from 0 to `size` for each of the N places where `chosen` is True.
    """
    random = generator or np.random
    integers = getattr(random, "integers", None) or random.randint

    def coins(probability: float | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        return random.binomial(1, probability, size=shape).astype(bool)

    def tokens(chosen: np.ndarray, size: int) -> np.ndarray:
        return integers(0, size, size=int(chosen.sum()), dtype=np.int64)

    return coins, tokens


def torch_draws(generator: Any) -> tuple[Callable, Callable]:
    """The draws of transformers' ``torch_mask_tokens``, all of the full shape; returns what `numpy_draws` returns."""
    import torch

    def coins(probability: float | torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        if not isinstance(probability, torch.Tensor):
            probability = torch.full(shape, float(probability))
        return torch.bernoulli(probability, generator=generator).bool()

    def tokens(chosen: torch.Tensor, size: int) -> torch.Tensor:
        return torch.randint(size, chosen.shape, generator=generator)[chosen]

    return coins, tokens


class RandomCollator:
    """A collator that draws random numbers; a checkpoint can hold the state of its generator.

    `seed` is that of a generator of its own, to which a DataLoader worker adds its number; None: the global generator.
    """

    def __init__(self, seed: int | None):
        self.seed = seed
        self.generator: Any = None  # made at the first draw, which may be in a worker

    def draws(self, kind: str) -> tuple[Callable, Callable]:
        """`torch_draws` for ``pt``, else `numpy_draws`."""
        if self.seed is not None and self.generator is None:
            torch_data = sys.modules.get("torch.utils.data")  # loaded in every worker
            worker = torch_data.get_worker_info() if torch_data else None
            self.generator = _generator(kind, self.seed + (worker.id if worker else 0))
        return torch_draws(self.generator) if kind == "pt" else numpy_draws(self.generator)

    def state_dict(self) -> dict[str, Any]:
        """The generator's state in numbers and lists; empty before the first draw and without a seed."""
        if self.generator is None:
            return {}
        if isinstance(self.generator, np.random.Generator):
            return {"numpy": self.generator.bit_generator.state}
        return {"torch": self.generator.get_state().tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state_dict` was taken."""
        self.generator = None
        if "numpy" in state:
            self.generator = _generator("np", 0)
            self.generator.bit_generator.state = state["numpy"]
        elif "torch" in state:
            self.generator = _generator("pt", 0)
            self.generator.set_state(self.generator.get_state().new_tensor(state["torch"]))


def _generator(kind: str, seed: int) -> Any:
    if kind != "pt":
        return np.random.default_rng(seed)
    import torch

    return torch.Generator().manual_seed(seed)

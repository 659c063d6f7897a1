"""The random draws of the masking collators: numpy's or torch's, from the global generator or from their own."""

import multiprocessing
from typing import Any

import numpy as np


class NumpyDraws:
    """The draws of transformers' ``numpy_mask_tokens``: the token ids are drawn for the chosen places only.

    Args:
        seed: of a generator of its own; None draws from ``np.random``.
    """

    kind = "numpy"

    def __init__(self, seed: int | None = None):
        self.random = np.random if seed is None else np.random.default_rng(seed)

    def coins(self, probability: float | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Toss a coin at each place of `shape`: True with one probability for all places, or one for each."""
        return self.random.binomial(1, probability, size=shape).astype(bool)

    def tokens(self, chosen: np.ndarray, size: int) -> np.ndarray:
        """Draw token ids from 0 to `size` for the chosen places; 0 elsewhere."""
        integers = getattr(self.random, "integers", None) or self.random.randint
        ids = np.zeros(chosen.shape, dtype=np.int64)
        ids[chosen] = integers(0, size, size=int(chosen.sum()), dtype=np.int64)
        return ids

    def where(self, condition: np.ndarray, yes: Any, no: Any) -> np.ndarray:
        return np.where(condition, yes, no)

    def isin(self, ids: np.ndarray, wanted: list[int]) -> np.ndarray:
        return np.isin(ids, wanted)

    def state(self) -> dict[str, Any]:
        return self.random.bit_generator.state

    def set_state(self, state: dict[str, Any]) -> None:
        self.random.bit_generator.state = state


class RandomCollator:
    """A collator that draws random numbers; a checkpoint can hold their state.

    Args:
        seed: of a generator of its own, to which a DataLoader worker adds its number; None: the global generator.
    """

    def __init__(self, seed: int | None):
        self.seed = seed
        self._draws: Any = None  # made at the first draw, which may be in a worker

    def draws(self, kind: str) -> Any:
        """`TorchDraws` for ``pt``, `NumpyDraws` for ``np`` and ``tf``."""
        kind = "torch" if kind == "pt" else "numpy"
        if self._draws is None or self._draws.kind != kind:
            self._draws = _make_draws(kind, None if self.seed is None else self.seed + _worker_number())
        return self._draws

    def state_dict(self) -> dict[str, Any]:
        """The state of its own generator in numbers and lists; empty before the first draw and without a seed."""
        if self.seed is None or self._draws is None:
            return {}
        return {self._draws.kind: self._draws.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from where `state_dict` was taken."""
        self._draws = None
        for kind, stored in state.items():
            self._draws = _make_draws(kind, seed=0)
            self._draws.set_state(stored)


def _make_draws(kind: str, seed: int | None) -> Any:
    if kind == "numpy":
        return NumpyDraws(seed)
    from minift.batches.torch_draws import TorchDraws

    return TorchDraws(seed)


def _worker_number() -> int:
    """The number of the DataLoader worker that this process is; 0 in the main process."""
    if multiprocessing.parent_process() is None:
        return 0
    from torch.utils.data import get_worker_info

    worker = get_worker_info()
    return worker.id if worker else 0

"""The random draws of masking in torch; in a file of its own, since numpy's need no torch."""

from typing import Any

import torch


class TorchDraws:
    """The draws of transformers' ``torch_mask_tokens``: each is of the full shape.

    Args:
        seed: of a generator of its own; None draws from torch's global generator.
    """

    kind = "torch"

    def __init__(self, seed: int | None = None):
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)

    def coins(self, probability: float | torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        """Toss a coin at each place of `shape`: True with one probability for all places, or one for each."""
        if not isinstance(probability, torch.Tensor):
            probability = torch.full(shape, float(probability))
        return torch.bernoulli(probability, generator=self.generator).bool()

    def tokens(self, chosen: torch.Tensor, size: int) -> torch.Tensor:
        """Draw token ids from 0 to `size`, for all places."""
        return torch.randint(size, chosen.shape, generator=self.generator)

    def where(self, condition: torch.Tensor, yes: Any, no: Any) -> torch.Tensor:
        return torch.where(condition, yes, no)

    def isin(self, ids: torch.Tensor, wanted: list[int]) -> torch.Tensor:
        return torch.isin(ids, torch.tensor(wanted))

    def state(self) -> list[int]:
        return self.generator.get_state().tolist()

    def set_state(self, state: list[int]) -> None:
        self.generator.set_state(torch.tensor(state, dtype=torch.uint8))

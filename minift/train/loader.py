"""Batches for the loop: collated one ahead of the step that uses them, and resumable to the bit."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader

from minift.batches.column_batches import column_batches
from minift.batches.sampler import BatchSampler
from minift.train.seed import rng_state, rng_state_from_json, rng_state_to_json, set_rng_state


def to_device(batch: Any, device: torch.device) -> Any:
    """Move every tensor in a nest of dicts, lists and tuples to `device`."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


class Loader:
    """Runs torch's DataLoader one batch ahead, as accelerate's `DataLoaderShard` does.

    The look-ahead is part of the arithmetic: batch k+1 is collated *before* the forward pass of batch k, so that a
    collator that draws random masks and a model that draws dropout share the generator as mask 1, mask 2,
    dropout 1, mask 3, dropout 2, …  It is also why resuming needs more than the state of the generators at the
    checkpoint: the batch that waits was drawn earlier, and has to be drawn again from the state it was drawn from.

    `position` holds that: the batches handed out, and the state of the generators (the global ones, and the collator's
    own if it has a `state_dict`) when the epoch began and when the waiting batch was about to be collated.
    """

    def __init__(
        self,
        dataset: Any,
        batches: BatchSampler,
        collate: Callable[[list], Any],
        device: torch.device,
        num_workers: int = 0,
        **options: Any,
    ):
        self.dataset, self.batches, self.collate, self.device = dataset, batches, collate, device
        self.in_process = num_workers == 0
        rows = column_batches(dataset, collate)
        self.loader = DataLoader(rows, batch_sampler=batches, collate_fn=collate, num_workers=num_workers, **options)
        self.position: dict[str, Any] = {}

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return self.epoch()

    def epoch(self, epoch: int = 0, resume: dict[str, Any] | None = None) -> Iterator[Any]:
        """Yield the batches of an epoch, or those that are left of it after `resume`, a former `position`."""
        done = resume["batches"] if resume else 0
        now = rng_state(self.collate)
        if resume:
            set_rng_state(resume["epoch_rng"], self.collate)
        # Worker processes have generators of their own, which only collating every batch again brings forward.
        skipped = done if self.in_process else 0
        self.batches.begin(epoch, first_batch=skipped)
        self.position = {"batches": done, "epoch_rng": rng_state(self.collate)}
        iterator = iter(self.loader)  # draws the base seed of the workers from torch's global generator
        self.batches.rows()
        if resume:
            for _ in range(done - skipped):
                next(iterator, None)
            set_rng_state(resume["batch_rng"], self.collate)
        waiting = self._collate_next(iterator)
        if resume:
            set_rng_state(now, self.collate)
        while waiting is not None:
            batch, waiting = waiting, self._collate_next(iterator)
            self.position["batches"] += 1
            yield batch

    def _collate_next(self, iterator: Iterator[Any]) -> Any:
        self.position["batch_rng"] = rng_state(self.collate)
        batch = next(iterator, None)
        return None if batch is None else to_device(batch, self.device)


def position_to_json(position: dict[str, Any]) -> dict[str, Any]:
    """A `Loader.position` in numbers and lists."""
    states = {name: rng_state_to_json(position[name]) for name in ("epoch_rng", "batch_rng")}
    return {"batches": position["batches"], **states}


def position_from_json(stored: dict[str, Any]) -> dict[str, Any]:
    """Undo `position_to_json`."""
    states = {name: rng_state_from_json(stored[name]) for name in ("epoch_rng", "batch_rng")}
    return {"batches": stored["batches"], **states}

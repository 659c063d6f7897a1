"""What an Accelerator has prepared, where its loop is, and the forms of optimizers and schedules in it.

Re-implements accelerate/optimizer.py and scheduler.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from minift.accelerator.loader import PreparedLoader
from minift.distributed.gradients import Averaging


@dataclass
class Prepared:
    """The state that an Accelerator shares with the parts that it has prepared, in the order of their preparation."""

    scaler: torch.amp.GradScaler
    """Scales losses and gradients under fp16; otherwise it is disabled and hands them on as they are."""
    models: dict[nn.Module, Averaging] = field(default_factory=dict)
    """Each model, with what averages its gradients."""
    optimizers: list[torch.optim.Optimizer] = field(default_factory=list)
    """As they were given, as are the schedulers."""
    schedulers: list[LRScheduler] = field(default_factory=list)
    loaders: list[PreparedLoader] = field(default_factory=list)
    running: list[PreparedLoader] = field(default_factory=list)
    """The loaders in the middle of an epoch, the innermost last."""
    batches: int = 0
    """Batches since the last update."""
    sync_gradients: bool = True
    """Whether this batch ends an update."""
    step_was_skipped: bool = False
    """Whether the last step of an optimizer was left out, because the gradients of fp16 overflowed."""

    def at_end(self) -> bool:
        """Whether the batch in use is the last of its epoch."""
        return bool(self.running) and self.running[-1].end_of_dataloader

    def finish_gradients(self, all_models: bool = False) -> None:
        """Finish the averages that backward has begun, or those of `all_models` (*collective*)."""
        for averaging in self.models.values():
            if all_models or averaging.has_begun:
                averaging.finish()


class PreparedOptimizer(torch.optim.Optimizer):
    """An optimizer whose `step` and `zero_grad` do nothing in the middle of an accumulated update."""

    def __init__(self, optimizer: torch.optim.Optimizer, prepared: Prepared):
        self.optimizer, self.prepared = optimizer, prepared  # and no parameters or state of its own

    state = property(lambda self: self.optimizer.state)
    param_groups = property(lambda self: self.optimizer.param_groups)
    defaults = property(lambda self: self.optimizer.defaults)

    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Update the parameters, unless more batches are to come or the gradients of fp16 overflowed."""
        prepared, scaler = self.prepared, self.prepared.scaler
        if not prepared.sync_gradients:
            return
        prepared.finish_gradients()
        if not scaler.is_enabled():
            self.optimizer.step(closure)
            return
        scale = scaler.get_scale()
        scaler.step(self.optimizer)
        scaler.update()
        prepared.step_was_skipped = scaler.get_scale() < scale

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.prepared.sync_gradients:
            self.optimizer.zero_grad(set_to_none=set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.optimizer.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state_dict)


class PreparedScheduler:
    """A schedule that steps when the optimizers have stepped.

    Args:
        times: its steps for each update. N processes that take whole batches in turn use up N batches at once.
    """

    def __init__(self, scheduler: LRScheduler, prepared: Prepared, times: int):
        self.scheduler, self.prepared, self.times = scheduler, prepared, times

    def step(self, *args: Any) -> None:
        if self.prepared.sync_gradients and not self.prepared.step_was_skipped:
            for _ in range(self.times):
                self.scheduler.step(*args)

    def __getattr__(self, name: str) -> Any:
        if name == "scheduler":  # not there yet while the object is being copied
            raise AttributeError(name)
        return getattr(self.scheduler, name)

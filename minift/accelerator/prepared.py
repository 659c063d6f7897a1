"""The state of an Accelerator's loop, and the forms of optimizers and schedules in it.

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


@dataclass(eq=False, repr=False)
class Loop:
    """What has been prepared, and where the loop is: the `Accelerator` is one, and the prepared parts refer to it."""

    scaler: torch.amp.GradScaler  # of losses and gradients under fp16; otherwise it hands them on as they are
    models: dict[nn.Module, Averaging] = field(default_factory=dict)  # each with what averages its gradients
    optimizers: list[torch.optim.Optimizer] = field(default_factory=list)  # as they were given, as are the schedulers
    schedulers: list[LRScheduler] = field(default_factory=list)
    loaders: list[PreparedLoader] = field(default_factory=list)
    running: list[PreparedLoader] = field(default_factory=list)  # in the middle of an epoch, the innermost last
    batches: int = 0  # since the last update
    sync_gradients: bool = True  # whether this batch ends an update
    optimizer_step_was_skipped: bool = False  # the last one, because the gradients of fp16 overflowed

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

    def __init__(self, optimizer: torch.optim.Optimizer, loop: Loop):
        self.optimizer, self.loop = optimizer, loop  # and no parameters or state of its own

    state = property(lambda self: self.optimizer.state)
    param_groups = property(lambda self: self.optimizer.param_groups)
    defaults = property(lambda self: self.optimizer.defaults)
    add_param_group = property(lambda self: self.optimizer.add_param_group)
    state_dict = property(lambda self: self.optimizer.state_dict)
    load_state_dict = property(lambda self: self.optimizer.load_state_dict)

    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Update the parameters, unless more batches are to come or the gradients of fp16 overflowed."""
        loop, scaler = self.loop, self.loop.scaler
        if not loop.sync_gradients:
            return
        loop.finish_gradients()
        if not scaler.is_enabled():
            self.optimizer.step(closure)
            return
        scale = scaler.get_scale()
        scaler.step(self.optimizer)
        scaler.update()
        loop.optimizer_step_was_skipped = scaler.get_scale() < scale

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.loop.sync_gradients:
            self.optimizer.zero_grad(set_to_none=set_to_none)


class PreparedScheduler:
    """A schedule that steps when the optimizers have stepped, `times` steps for each update.

    N processes that take whole batches in turn use up N batches at once, so that it steps N times.
    """

    def __init__(self, scheduler: LRScheduler, loop: Loop, times: int):
        self.scheduler, self.loop, self.times = scheduler, loop, times

    def step(self, *args: Any) -> None:
        if self.loop.sync_gradients and not self.loop.optimizer_step_was_skipped:
            for _ in range(self.times):
                self.scheduler.step(*args)

    def __getattr__(self, name: str) -> Any:
        if name == "scheduler":  # not there yet while the object is being copied
            raise AttributeError(name)
        return getattr(self.scheduler, name)

"""The state of an Accelerator's loop, and the forms of optimizers and schedules in it.

Re-implements accelerate/optimizer.py and scheduler.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from minift.accelerator.loaders import PreparedLoader
from minift.accelerator.state import GradientState
from minift.distributed.gradients import Averaging


@dataclass(eq=False, repr=False)
class Loop:
    """What has been prepared, and where the loop is: the `Accelerator` is one, and the prepared parts refer to it."""

    # of losses and gradients under fp16; otherwise it hands them on as they are
    scaler: torch.amp.GradScaler = field(default_factory=lambda: torch.amp.GradScaler("cpu", enabled=False))
    gradient_state: GradientState = field(default_factory=GradientState)  # whether this batch ends an update, …
    models: dict[nn.Module, Averaging] = field(default_factory=dict)  # each with what averages its gradients
    optimizers: list[torch.optim.Optimizer] = field(default_factory=list)  # as they were given, as are the schedulers
    schedulers: list[LRScheduler] = field(default_factory=list)
    loaders: list[PreparedLoader] = field(default_factory=list)
    others: list[Any] = field(default_factory=list)  # that `register_for_checkpointing` was given
    batches: int = 0  # since the last update
    optimizer_step_was_skipped: bool = False  # the last one, because the gradients of fp16 overflowed

    @property
    def sync_gradients(self) -> bool:
        """Whether this batch ends an update."""
        return self.gradient_state.sync_gradients

    @sync_gradients.setter
    def sync_gradients(self, value: bool) -> None:
        self.gradient_state.sync_gradients = value

    def finish_gradients(self, all_models: bool = False) -> None:
        """Finish the averages that backward has begun, or those of `all_models` (*collective*)."""
        for averaging in self.models.values():
            if all_models or averaging.has_begun:
                averaging.finish()


class PreparedOptimizer(torch.optim.Optimizer):
    """An optimizer whose `step` and `zero_grad` do nothing in the middle of an accumulated update."""

    def __init__(self, optimizer: torch.optim.Optimizer, loop: Loop):
        self.optimizer, self.loop = optimizer, loop  # and no parameters or state of its own

    def __reduce__(self) -> tuple:
        """A copy belongs to no Accelerator: it takes every step."""
        return PreparedOptimizer, (self.optimizer, Loop())

    step_was_skipped = property(lambda self: self.loop.optimizer_step_was_skipped)

    state = property(lambda self: self.optimizer.state)
    param_groups = property(lambda self: self.optimizer.param_groups)
    defaults = property(lambda self: self.optimizer.defaults)
    add_param_group = property(lambda self: self.optimizer.add_param_group)
    state_dict = property(lambda self: self.optimizer.state_dict)
    load_state_dict = property(lambda self: self.optimizer.load_state_dict)

    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Update the parameters, unless more batches are to come or the gradients of fp16 overflowed."""
        loop, scaler = self.loop, self.loop.scaler
        if loop.sync_gradients:
            loop.finish_gradients()
            scale = scaler.get_scale()
            scaler.step(self.optimizer, closure)
            scaler.update()
            loop.optimizer_step_was_skipped = scaler.get_scale() < scale

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.loop.sync_gradients:
            self.optimizer.zero_grad(set_to_none=set_to_none)


class PreparedScheduler:
    """A schedule that steps when the optimizers have stepped: `times`, as N processes may use up N batches at once.

    With `times` 0 it steps whenever it is called, once (`step_scheduler_with_optimizer=False`).
    """

    scheduler = None  # while the object is being copied

    def __init__(self, scheduler: LRScheduler, loop: Loop, times: int):
        self.scheduler, self.loop, self.times = scheduler, loop, times

    def step(self, *args: Any, **options: Any) -> None:
        if self.times == 0:
            self.scheduler.step(*args, **options)
        elif not self.loop.sync_gradients:
            if self.loop.gradient_state.adjust_scheduler:
                self.scheduler._step_count += 1
        elif not self.loop.optimizer_step_was_skipped:
            for _ in range(self.times):
                # a OneCycleLR ends after `total_steps`, also when the processes together do a few more
                if self.scheduler._step_count <= getattr(self.scheduler, "total_steps", float("inf")):
                    self.scheduler.step(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.scheduler, name)

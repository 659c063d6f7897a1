"""Learning-rate schedules: pure functions of the step, and the LambdaLR objects made from them.

A factor multiplies the optimizer's own learning rate. `step` counts the optimizer's updates from 0, `warmup` is how
many of them rise linearly from 0, `total` how many there are, warm-up included. The arithmetic is that of
transformers/optimization.py, to the bit. Importing this module does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LambdaLR

# -- the factors


def rise(step: int, warmup: int) -> float:
    """The warm-up that every schedule starts with (Goyal et al., 2017, https://arxiv.org/abs/1706.02677)."""
    return step / max(1, warmup)


def progress(step: int, warmup: int, total: int) -> float:
    """How much of the decay is over: 0 at the end of the warm-up, 1 at `total`."""
    return (step - warmup) / max(1, total - warmup)


def constant(step: int, warmup: int = 0) -> float:
    """1 after the warm-up."""
    return rise(step, warmup) if step < warmup else 1.0


def linear(step: int, warmup: int, total: int) -> float:
    """A straight line from 1 to 0, as BERT was trained with (Devlin et al., 2019)."""
    if step < warmup:
        return rise(step, warmup)
    return max(0.0, (total - step) / max(1, total - warmup))


def cosine(step: int, warmup: int, total: int, num_cycles: float = 0.5) -> float:
    """`num_cycles` waves of a raised cosine; half a wave falls from 1 to 0 (SGDR, https://arxiv.org/abs/1608.03983)."""
    if step < warmup:
        return rise(step, warmup)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress(step, warmup, total))))


def cosine_with_restarts(step: int, warmup: int, total: int, num_cycles: int = 1) -> float:
    """`num_cycles` falls from 1 to 0, each half a cosine wave, each restarting at 1 (SGDR, as above)."""
    if step < warmup:
        return rise(step, warmup)
    done = progress(step, warmup, total)
    return 0.0 if done >= 1.0 else max(0.0, 0.5 * (1.0 + math.cos(math.pi * (num_cycles * done % 1.0))))


def polynomial(step: int, warmup: int, total: int, lr: float, lr_end: float, power: float = 1.0) -> float:
    """From `lr` to `lr_end`, both learning rates, as the `power` of what remains of the decay."""
    if step < warmup:
        return rise(step, warmup)
    remaining = 0.0 if step >= total else 1 - progress(step, warmup, total)
    return ((lr - lr_end) * remaining**power + lr_end) / lr


def inverse_sqrt(step: int, warmup: int, timescale: int) -> float:
    """1/√(1 + t/timescale), t steps after the warm-up: half of the start after three timescales, never 0."""
    if step < warmup:
        return rise(step, warmup)
    return 1.0 / math.sqrt((step + timescale - warmup) / timescale)


# -- the schedulers; `last_epoch` is the last step taken when training is resumed


def _scheduler(optimizer: Optimizer, factor: Callable[[int], float], last_epoch: int) -> LambdaLR:
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, factor, last_epoch)


def get_constant_schedule(optimizer: Optimizer, last_epoch: int = -1) -> LambdaLR:
    """The same learning rate throughout."""
    return _scheduler(optimizer, constant, last_epoch)


def get_constant_schedule_with_warmup(optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1) -> LambdaLR:
    """Warm-up, then the same learning rate throughout."""
    return _scheduler(optimizer, partial(constant, warmup=num_warmup_steps), last_epoch)


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Warm-up, then `linear` to 0: the default of Trainer, and of the course."""
    factor = partial(linear, warmup=num_warmup_steps, total=num_training_steps)
    return _scheduler(optimizer, factor, last_epoch)


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, num_cycles: float = 0.5, last_epoch: int = -1
) -> LambdaLR:
    """Warm-up, then `cosine`."""
    factor = partial(cosine, warmup=num_warmup_steps, total=num_training_steps, num_cycles=num_cycles)
    return _scheduler(optimizer, factor, last_epoch)


def get_cosine_with_hard_restarts_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, num_cycles: int = 1, last_epoch: int = -1
) -> LambdaLR:
    """Warm-up, then `cosine_with_restarts`."""
    factor = partial(cosine_with_restarts, warmup=num_warmup_steps, total=num_training_steps, num_cycles=num_cycles)
    return _scheduler(optimizer, factor, last_epoch)


def get_polynomial_decay_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    last_epoch: int = -1,
) -> LambdaLR:
    """Warm-up, then `polynomial` down to the learning rate `lr_end`, which must be below the optimizer's."""
    lr = optimizer.defaults["lr"]
    if not lr > lr_end:
        raise ValueError(f"lr_end ({lr_end}) must be smaller than initial lr ({lr})")
    settings = dict(lr=lr, lr_end=lr_end, power=power)
    factor = partial(polynomial, warmup=num_warmup_steps, total=num_training_steps, **settings)
    return _scheduler(optimizer, factor, last_epoch)


def get_inverse_sqrt_schedule(
    optimizer: Optimizer, num_warmup_steps: int, timescale: int | None = None, last_epoch: int = -1
) -> LambdaLR:
    """Warm-up, then `inverse_sqrt`; `timescale` is the length of the warm-up if it is not given, or else 10,000."""
    factor = partial(inverse_sqrt, warmup=num_warmup_steps, timescale=timescale or num_warmup_steps or 10_000)
    return _scheduler(optimizer, factor, last_epoch)


class SchedulerType(StrEnum):
    """The names that `get_scheduler` and `TrainingArguments.lr_scheduler_type` know; each equals its string."""

    LINEAR = "linear"
    COSINE = "cosine"
    COSINE_WITH_RESTARTS = "cosine_with_restarts"
    POLYNOMIAL = "polynomial"
    CONSTANT = "constant"
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    INVERSE_SQRT = "inverse_sqrt"


SCHEDULES = {
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
    "cosine_with_restarts": get_cosine_with_hard_restarts_schedule_with_warmup,
    "polynomial": get_polynomial_decay_schedule_with_warmup,
    "constant": get_constant_schedule,
    "constant_with_warmup": get_constant_schedule_with_warmup,
    "inverse_sqrt": get_inverse_sqrt_schedule,
}


def get_scheduler(
    name: str | SchedulerType,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: dict[str, Any] | None = None,
) -> LambdaLR:
    """Make the schedule called `name` for `optimizer`; call its `step()` after every `optimizer.step()`.

    The numbers of steps are needed by those schedules whose own function takes them; `scheduler_specific_kwargs` are
    further arguments of that function, such as `power`.

    Raises:
        ValueError: an unknown name, or a number of steps that the schedule needs is missing or negative.
        TypeError: the schedule's function has no such further argument.
    """
    if name not in SCHEDULES:
        raise ValueError(f"unknown schedule {str(name)!r}; there are: {', '.join(SCHEDULES)}")
    steps = {"num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
    steps = {argument: steps[argument] for argument in signature(SCHEDULES[name]).parameters if argument in steps}
    for argument, value in steps.items():
        if value is None:
            raise ValueError(f"{name} requires `{argument}`, please provide that argument.")
        if value < 0:
            raise ValueError(f"`{argument}` must be ≥ 0, not {value}")
    return SCHEDULES[name](optimizer, **steps, **(scheduler_specific_kwargs or {}))

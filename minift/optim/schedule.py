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


def cosine_with_minimum(step: int, warmup: int, total: int, lowest: float, num_cycles: float = 0.5) -> float:
    """`cosine`, which falls to the share `lowest` instead of 0."""
    if step < warmup:
        return rise(step, warmup)
    wave = 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * progress(step, warmup, total)))
    return max(0.0, wave * (1 - lowest) + lowest)


def shape(kind: str, share: float, num_cycles: float = 0.5) -> float:
    """How far a fall from 1 to 0 has come when this `share` of its steps is over."""
    if kind == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * num_cycles * 2.0 * share))
    return 1.0 - share if kind == "linear" else 1.0 - math.sqrt(share)


def warmup_stable_decay(
    step: int, warmup: int, stable: int, decay: int, kinds: tuple[str, str], lowest: float, num_cycles: float
) -> float:
    """A rise, a plain of 1, and a fall to the share `lowest` (WSD, https://arxiv.org/abs/2404.06395).

    `kinds` are the forms of rise and fall, of `SHAPES`; a rise of the form "cosine" has half a wave.
    """
    if step < warmup:
        share = step / max(1, warmup)
        forms = {"linear": share, "cosine": 0.5 * (1.0 - math.cos(math.pi * share))}
        factor = forms.get(kinds[0], 1.0 - math.sqrt(1.0 - share))
    elif step < warmup + stable:
        return 1.0
    elif step < warmup + stable + decay:
        factor = shape(kinds[1], (step - warmup - stable) / max(1, decay), num_cycles)
    else:
        return lowest
    return max(0.0, factor * (1.0 - lowest) + lowest)


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


def get_cosine_with_min_lr_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> LambdaLR:
    """Warm-up, then `cosine` down to the learning rate `min_lr`, or to the share `min_lr_rate` of the optimizer's."""
    if (min_lr is None) == (min_lr_rate is None):
        raise ValueError("cosine_with_min_lr needs either min_lr or min_lr_rate, in lr_scheduler_kwargs")
    lowest = min_lr / optimizer.defaults["lr"] if min_lr_rate is None else min_lr_rate
    settings = dict(warmup=num_warmup_steps, total=num_training_steps, lowest=lowest, num_cycles=num_cycles)
    return _scheduler(optimizer, partial(cosine_with_minimum, **settings), last_epoch)


def get_wsd_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """`warmup_stable_decay`; without `num_stable_steps` they are what the other two leave of `num_training_steps`."""
    if num_training_steps is None and num_stable_steps is None:
        raise ValueError("warmup_stable_decay needs num_training_steps or num_stable_steps")
    for name, kind in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        if kind not in SHAPES:
            raise ValueError(f"unknown {name}={kind!r}; there are: {', '.join(SHAPES)}")
    if num_stable_steps is None:
        num_stable_steps = num_training_steps - num_warmup_steps - num_decay_steps
    settings = dict(warmup=num_warmup_steps, stable=num_stable_steps, decay=num_decay_steps)
    settings |= dict(kinds=(warmup_type, decay_type), lowest=min_lr_ratio, num_cycles=num_cycles)
    return _scheduler(optimizer, partial(warmup_stable_decay, **settings), last_epoch)


def get_reduce_on_plateau_schedule(optimizer: Optimizer, **options: Any) -> Any:
    """torch's ReduceLROnPlateau: the rate falls when the evaluations' metric, given to `step`, gets no better."""
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    return ReduceLROnPlateau(optimizer, **options)


class SchedulerType(StrEnum):
    """The names that `get_scheduler` and `TrainingArguments.lr_scheduler_type` know; each equals its string."""

    LINEAR = "linear"
    COSINE = "cosine"
    COSINE_WITH_RESTARTS = "cosine_with_restarts"
    POLYNOMIAL = "polynomial"
    CONSTANT = "constant"
    CONSTANT_WITH_WARMUP = "constant_with_warmup"
    INVERSE_SQRT = "inverse_sqrt"
    REDUCE_ON_PLATEAU = "reduce_lr_on_plateau"
    COSINE_WITH_MIN_LR = "cosine_with_min_lr"
    WARMUP_STABLE_DECAY = "warmup_stable_decay"


SCHEDULES = {
    "linear": get_linear_schedule_with_warmup,
    "cosine": get_cosine_schedule_with_warmup,
    "cosine_with_restarts": get_cosine_with_hard_restarts_schedule_with_warmup,
    "polynomial": get_polynomial_decay_schedule_with_warmup,
    "constant": get_constant_schedule,
    "constant_with_warmup": get_constant_schedule_with_warmup,
    "inverse_sqrt": get_inverse_sqrt_schedule,
    "reduce_lr_on_plateau": get_reduce_on_plateau_schedule,
    "cosine_with_min_lr": get_cosine_with_min_lr_schedule_with_warmup,
    "warmup_stable_decay": get_wsd_schedule,
}
SHAPES = ("linear", "cosine", "1-sqrt")


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

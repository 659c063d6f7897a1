"""What `TrainingArguments` may hold: types from the fields, and choices and ranges from the tables below."""

import dataclasses
import enum
import numbers
import types
from collections.abc import Callable
from typing import Any, NamedTuple, get_args, get_origin

from minift.optim.schedule import SchedulerType

# field -> the values that it may have
CHOICES = {
    "ddp_averaging": ("overlapped", "bucketed", "naive"),
    "eval_strategy": ("no", "steps", "epoch"),
    "hub_strategy": ("end", "every_save"),
    "logging_strategy": ("no", "steps", "epoch"),
    "lr_scheduler_type": tuple(kind.value for kind in SchedulerType),
    "optim": ("adamw_torch", "adamw_torch_fused", "adamw_compiled", "sgd"),
    "save_strategy": ("no", "steps", "epoch", "best"),
}


class Range(NamedTuple):
    """Which numbers a field may hold."""

    contains: Callable[[float], bool]
    text: str
    """Completes the sentence "learning_rate must be …"."""


AT_LEAST_0 = Range(lambda value: value >= 0, "at least 0")
AT_LEAST_1 = Range(lambda value: value >= 1, "at least 1")
ABOVE_0 = Range(lambda value: value > 0, "above 0")
BELOW_1 = Range(lambda value: 0 <= value < 1, "in [0, 1)")
STEPS = Range(
    lambda value: 0 < value < 1 or (value >= 1 and value == int(value)),
    "a whole number of steps or a share below 1",
)
MAX_STEPS = Range(lambda value: value > 0 or value == -1, "positive, or -1 for num_train_epochs")

# field -> the range of its values; a value of None is not looked at
RANGES = {
    "adam_beta1": BELOW_1,
    "adam_beta2": BELOW_1,
    "adam_epsilon": AT_LEAST_0,
    "dataloader_num_workers": AT_LEAST_0,
    "ddp_bucket_cap_mb": ABOVE_0,
    "eval_delay": AT_LEAST_0,
    "eval_steps": STEPS,
    "gradient_accumulation_steps": AT_LEAST_1,
    "label_smoothing_factor": BELOW_1,
    "learning_rate": AT_LEAST_0,
    "logging_steps": STEPS,
    "max_grad_norm": AT_LEAST_0,
    "max_steps": MAX_STEPS,
    "num_train_epochs": ABOVE_0,
    "per_device_eval_batch_size": AT_LEAST_1,
    "per_device_train_batch_size": AT_LEAST_1,
    "save_steps": STEPS,
    "save_total_limit": ABOVE_0,
    "seed": AT_LEAST_0,
    "warmup_steps": AT_LEAST_0,
    "weight_decay": AT_LEAST_0,
}


def check_types(args: Any) -> None:
    """Replace enums by their values, and raise a TypeError that names a field whose value has another type."""
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        if isinstance(value, enum.Enum):  # such as IntervalStrategy.EPOCH
            value = value.value
            setattr(args, field.name, value)
        union = get_args(field.type) if isinstance(field.type, types.UnionType) else [field.type]
        kinds = [get_origin(kind) or kind for kind in union]
        kinds += [numbers.Real] if float in kinds else [numbers.Integral] if int in kinds else []
        if not isinstance(value, tuple(kinds)) or (isinstance(value, bool) and bool not in kinds):
            expected = getattr(field.type, "__name__", field.type)
            raise TypeError(f"{field.name} must be {expected}, not {value!r}")


def check_values(args: Any) -> None:
    """Raise a ValueError that names a field whose value is not among its choices or not in its range."""
    for name, choices in CHOICES.items():
        if getattr(args, name) not in choices:
            raise ValueError(f"{name} must be one of {', '.join(choices)}, not {getattr(args, name)!r}")
    for name, allowed in RANGES.items():
        value = getattr(args, name)
        if value is not None and not allowed.contains(value):
            raise ValueError(f"{name} must be {allowed.text}, not {value!r}")
    if args.report_to not in (None, "none", [], ["none"]):
        raise ValueError(f"report_to={args.report_to!r}: minift reports to no service; use 'none'")
    if unknown := set(args.include_for_metrics) - {"inputs", "loss"}:
        raise ValueError(f"include_for_metrics may hold 'inputs' and 'loss', not {sorted(unknown)}")


def check_combinations(args: Any) -> None:
    """Raise a ValueError that names two fields which contradict each other."""
    if args.fp16 and args.bf16:
        raise ValueError("fp16 and bf16 exclude each other")
    if args.clip_in_update and (args.fp16 or args.shard_optimizer):
        raise ValueError("clip_in_update excludes fp16 and shard_optimizer")
    if args.save_strategy == "best" and args.eval_strategy == "no":
        raise ValueError("save_strategy='best' needs an eval_strategy other than 'no'")
    if not args.load_best_model_at_end or args.save_strategy == "best":
        return
    if args.eval_strategy == "no" or args.eval_strategy != args.save_strategy:
        raise ValueError(
            "load_best_model_at_end needs save_strategy='best', or equal eval and save strategies, not "
            f"eval_strategy={args.eval_strategy!r} with save_strategy={args.save_strategy!r}"
        )
    if args.eval_strategy == "steps" and args.save_steps % args.eval_steps:
        raise ValueError(
            f"load_best_model_at_end needs save_steps ({args.save_steps}) to be a multiple of eval_steps "
            f"({args.eval_steps})"
        )

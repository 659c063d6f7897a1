"""What `TrainingArguments` may hold: types from the fields, ranges from a table, and what contradicts what."""

import dataclasses
import enum
import numbers
import types
from typing import Any, get_args, get_origin

import numpy as np

from minift.optim.schedule import SchedulerType
from minift.ranges import ABOVE_0, AT_LEAST_0, AT_LEAST_1, PROBABILITY, Range, one_of

STEPS = Range(
    "a whole number of steps or a share below 1", lambda value: 0 < value < 1 or (value >= 1 and value == int(value))
)
SHARE = Range("a share from 0 to 1", lambda value: 0 <= value <= 1)
MAX_STEPS = Range("positive, or -1 for num_train_epochs", lambda value: value > 0 or value == -1)
SERVICES = ("tensorboard", "jsonl", "wandb", "mlflow", "codecarbon")  # of `tracking.py`
REPORTS = Range(
    f"none, all, or some of {', '.join(SERVICES)}",
    lambda value: (
        value in ("none", "all", *SERVICES, [], ["none"], ["all"])
        or (isinstance(value, list) and set(value) <= set(SERVICES))
    ),
)
FOR_METRICS = Range("a list of 'inputs' and 'loss'", lambda value: set(value) <= {"inputs", "loss"})

# field -> the range of its values; a value of None is not looked at
RANGES = {
    "adam_beta1": PROBABILITY,
    "adam_beta2": PROBABILITY,
    "adam_epsilon": AT_LEAST_0,
    "bf16": one_of(False, True, "force"),
    "dataloader_num_workers": AT_LEAST_0,
    "ddp_averaging": one_of("overlapped", "bucketed", "naive"),
    "ddp_bucket_cap_mb": ABOVE_0,
    "eval_delay": AT_LEAST_0,
    "eval_steps": STEPS,
    "eval_strategy": one_of("no", "steps", "epoch"),
    "gradient_accumulation_steps": AT_LEAST_1,
    "hub_strategy": one_of("end", "every_save", "checkpoint", "all_checkpoints"),
    "include_for_metrics": FOR_METRICS,
    "include_num_input_tokens_seen": one_of("no", "all", "non_padding"),
    "label_smoothing_factor": PROBABILITY,
    "learning_rate": AT_LEAST_0,
    "log_level": one_of("passive", "debug", "info", "warning", "error", "critical"),
    "logging_steps": STEPS,
    "logging_strategy": one_of("no", "steps", "epoch"),
    "lr_scheduler_type": one_of(*SchedulerType),
    "max_grad_norm": AT_LEAST_0,
    "max_steps": MAX_STEPS,
    "num_train_epochs": ABOVE_0,
    "neftune_noise_alpha": AT_LEAST_0,
    "optim": one_of("adamw_torch", "adamw_torch_fused", "adamw_compiled", "adagrad", "rmsprop", "sgd"),
    "per_device_eval_batch_size": AT_LEAST_1,
    "per_device_train_batch_size": AT_LEAST_1,
    "report_to": REPORTS,
    "save_steps": STEPS,
    "save_strategy": one_of("no", "steps", "epoch", "best"),
    "save_total_limit": ABOVE_0,
    "seed": AT_LEAST_0,
    "train_sampling_strategy": one_of("random", "group_by_length"),
    "warmup_ratio": SHARE,
    "warmup_steps": AT_LEAST_0,
    "weight_decay": AT_LEAST_0,
}


def check_types(args: Any) -> None:
    """Replace enums and numpy's numbers by plain values; raise a TypeError that names a field of another type."""
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        if isinstance(value, enum.Enum):  # such as IntervalStrategy.EPOCH
            value = value.value
        if isinstance(value, np.generic):  # a number of numpy, which JSON does not know
            value = value.item()
        setattr(args, field.name, value)
        union = get_args(field.type) if isinstance(field.type, types.UnionType) else [field.type]
        kinds = [get_origin(kind) or kind for kind in union]
        kinds += [numbers.Real] if float in kinds else [numbers.Integral] if int in kinds else []
        if not isinstance(value, tuple(kinds)) or (isinstance(value, bool) and bool not in kinds):
            expected = getattr(field.type, "__name__", field.type)
            shown = repr(value) if field.repr else type(value).__name__  # a token is not shown
            raise TypeError(f"{field.name} must be {expected}, not {shown}")


def check_ranges(args: Any) -> None:
    """Raise a ValueError that names a field whose value is not in its range."""
    for name, allowed in RANGES.items():
        if getattr(args, name) is not None:
            allowed.check(name, getattr(args, name))


def check_combinations(args: Any) -> None:
    """Raise a ValueError that names two fields which contradict each other."""
    if (args.fp16 and args.bf16) or (args.fp16_full_eval and args.bf16_full_eval):
        raise ValueError("fp16 and bf16 exclude each other")
    if args.clip_in_update and (args.fp16 or args.shard_optimizer):
        raise ValueError("clip_in_update excludes fp16 and shard_optimizer")
    if args.optim_args and args.optim.startswith("adamw"):
        raise ValueError(f"optim_args: optim={args.optim!r} reads none; its settings are adam_beta1, adam_epsilon, …")
    if args.lr_scheduler_type == "reduce_lr_on_plateau" and args.eval_strategy == "no":
        raise ValueError("lr_scheduler_type='reduce_lr_on_plateau' needs an eval_strategy other than 'no'")
    if args.gradient_checkpointing and args.padding_free:
        raise ValueError("gradient_checkpointing excludes padding_free, which does not call whole layers")
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

"""What the loop is given: batches of the columns that the model takes, optimizer and precision as arguments say."""

import contextlib
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from minift.batches.sampler import BatchSampler, LengthGroupedOrder, LengthSortedOrder, RandomOrder, SequentialOrder
from minift.distributed.exchange import broadcast_object
from minift.distributed.sharded import ShardedOptimizer
from minift.distributed.world import world
from minift.fast.memory import keep_freed_memory
from minift.optim.adamw import AdamW, parameter_groups
from minift.train.arguments import TrainingArguments
from minift.train.loader import Loader

logger = logging.getLogger(__name__)


def forward_arguments(model: torch.nn.Module) -> list[str]:
    """The argument names of a model's forward."""
    return list(inspect.signature(model.forward).parameters)


def find_label_names(model: torch.nn.Module) -> list[str]:
    """Those of its forward's arguments that are labels (transformers' `find_labels`)."""
    return [name for name in forward_arguments(model) if "label" in name]


def keep_used_columns(dataset: Any, collate: Callable, model: torch.nn.Module) -> tuple[Any, Callable, list[str]]:
    """Restrict rows to what the model's forward takes, plus the labels in any of their spellings.

    Returns:
        The data set, the collator (one of the two restricts the rows) and the names of the columns left out.

    Raises:
        ValueError: no column is left.
    """
    used = {*forward_arguments(model), "label", "label_ids", *find_label_names(model)}
    if not hasattr(dataset, "column_names"):
        return dataset, _CollateUsed(collate, used), []
    unused = [name for name in dataset.column_names if name not in used]
    if len(unused) == len(dataset.column_names):
        raise ValueError(
            f"none of the columns {dataset.column_names} is an argument of {type(model).__name__}.forward, which "
            f"takes {sorted(used)}; tokenise the data set first, or set remove_unused_columns=False"
        )
    return dataset.remove_columns(unused), collate, unused


class _CollateUsed:
    """A collator that sees only some of its rows' columns; in all else it is the one it wraps."""

    def __init__(self, collate: Callable, used: set[str]):
        self.collate, self.used = collate, used

    def __call__(self, rows: list[Mapping[str, Any]]) -> Any:
        return self.collate([{name: value for name, value in row.items() if name in self.used} for row in rows])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.collate, name)


def make_loader(
    dataset: Any,
    collate: Callable,
    model: torch.nn.Module,
    args: TrainingArguments,
    description: str,
    training: bool,
) -> Loader:
    """The `Loader` of a training or evaluation set; the columns it drops are named in the log.

    Of several ranks, each gets its batches: when training, equally many full ones; when evaluating, those that one
    rank alone would have, of which a rank may get one less than another.

    Raises:
        ValueError: the data set is empty, or none of its columns fits the model.
    """
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise TypeError(f"the {description} set needs a length and indexing; {type(dataset).__name__} lacks them")
    if len(dataset) == 0:
        raise ValueError(f"the {description} set is empty")
    by_length = args.group_by_length if training else args.eval_sort_by_length
    lengths = _lengths(dataset, args.length_column_name) if by_length else None
    if args.remove_unused_columns:
        dataset, collate, unused = keep_used_columns(dataset, collate, model)
        if unused:
            logger.warning(
                "Columns of the %s set that %s.forward does not take are left out: %s",
                *(description, type(model).__name__, ", ".join(unused)),
            )
    batch_size = args.per_device_train_batch_size if training else args.per_device_eval_batch_size
    if lengths is not None and training:
        order = OrderOfMain(LengthGroupedOrder(lengths, batch_size * args.gradient_accumulation_steps))
    elif lengths is not None:
        order = LengthSortedOrder(lengths)
    elif training:
        seed = args.data_seed if args.data_seed is not None else torch.initial_seed()
        order = RandomOrder(len(dataset), seed)
    else:
        order = SequentialOrder(len(dataset))
    place = world()
    drop_last = args.dataloader_drop_last and training
    return Loader(
        dataset,
        BatchSampler(order, batch_size, drop_last, place.rank, place.size, even=training),
        collate,
        args.device,
        num_workers=args.dataloader_num_workers,
        pin_memory=args.dataloader_pin_memory and args.device.type == "cuda",
        prefetch_factor=args.dataloader_prefetch_factor,
        persistent_workers=args.dataloader_persistent_workers,
    )


class OrderOfMain:
    """An order that depends on the global generator, whose state may differ from rank to rank: all take rank 0's."""

    def __init__(self, inner: LengthGroupedOrder):
        self.inner, self.length = inner, inner.length

    def order(self, epoch: int) -> list[int]:
        return broadcast_object(self.inner.order(epoch))


def _lengths(dataset: Any, column: str) -> list[int]:
    """The length of every row: from the column of that name, or counted in `input_ids`."""
    if column in getattr(dataset, "column_names", ()):
        return list(dataset[column])
    if not isinstance(dataset[0], Mapping) or "input_ids" not in dataset[0]:
        raise ValueError(f"batches by length need a column {column!r} or 'input_ids'")
    rows = dataset["input_ids"] if hasattr(dataset, "column_names") else (row["input_ids"] for row in dataset)
    return [len(ids) for ids in rows]


def make_optimizer(
    model: torch.nn.Module,
    args: TrainingArguments,
    class_and_options: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
) -> torch.optim.Optimizer:
    """The optimizer over the model's parameters, in two groups: with weight decay, and biases and LayerNorm without."""
    groups = parameter_groups(model, args.weight_decay)
    options = {"lr": args.learning_rate, "betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon}
    if class_and_options is not None:
        optimizer_class, options = class_and_options
        optimizer = optimizer_class(groups, **options)
    elif args.optim == "sgd":
        optimizer = torch.optim.SGD(groups, lr=args.learning_rate)
    elif args.optim == "adamw_torch_fused":
        optimizer = torch.optim.AdamW(groups, fused=True, **options)
    else:
        optimizer = AdamW(groups, compiled=args.optim == "adamw_compiled", **options)
    return ShardedOptimizer(optimizer) if args.shard_optimizer and world().size > 1 else optimizer


def set_fast_path(model: torch.nn.Module, args: TrainingArguments) -> torch.nn.Module:
    """Switch on the options of the model's configuration, and of the process, that the arguments name.

    Raises:
        ValueError: the model has no such option.
    """
    if args.keep_memory and args.device.type == "cpu":
        keep_freed_memory()
    for name in ("padding_free", "sparse_mlm_head", "fast_dropout"):
        if getattr(args, name):
            if not hasattr(getattr(model, "config", None), name):
                raise ValueError(f"{name}=True needs a model of minift, not {type(model).__name__}")
            setattr(model.config, name, True)
    return model


@contextlib.contextmanager
def keep_casts() -> Iterator[None]:
    """Weights that `autocast` casts stay cast until the end, over several batches, instead of being cast for each.

    They must not change meanwhile. Autocast keeps them until its outermost context ends (torch/amp/autocast_mode.py);
    this is one more around it that switches nothing on.
    """
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()


def autocast(args: TrainingArguments) -> contextlib.AbstractContextManager:
    """Mixed precision as the arguments ask for it; otherwise nothing."""
    if args.bf16:
        return torch.autocast(args.device.type, dtype=torch.bfloat16)
    if args.fp16 and args.device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.float16)
    return contextlib.nullcontext()

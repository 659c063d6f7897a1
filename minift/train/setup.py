"""What the loop is given: a model, batches, an optimizer and a precision, as the arguments say."""

import contextlib
import inspect
import logging
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import IterableDataset

from minift.batches.sampler import BatchSampler, LengthGroupedOrder, LengthSortedOrder, RandomOrder, SequentialOrder
from minift.distributed.exchange import broadcast_object
from minift.distributed.sharded import ShardedOptimizer
from minift.distributed.world import world
from minift.fast.clipping import clipping_in_update
from minift.fast.memory import keep_freed_memory
from minift.fast.options import use_fast_path
from minift.fast.processor import bf16_is_real, emulated
from minift.optim.adamw import parameter_groups
from minift.optim.schedule import get_scheduler
from minift.train.arguments import TrainingArguments
from minift.train.columns import CollateUsedColumns, keep_used_columns, used_columns
from minift.train.fast_options import switch_on
from minift.train.loader import Loader, StreamLoader
from minift.train.optimizers import optimizer_class, with_our_adamw

logger = logging.getLogger(__name__)


def call_model_init(model_init: Callable[..., nn.Module]) -> nn.Module:
    """Make a model; a function that takes the trial of a hyper-parameter search gets None."""
    takes_trial = len(inspect.signature(model_init).parameters) > 0
    return model_init(None) if takes_trial else model_init()


def place_model(model: nn.Module, args: TrainingArguments) -> tuple[nn.Module, nn.Module]:
    """Move a model to the device, with the fast path that the arguments name; returns it, and its compiled form.

    Raises:
        ValueError: the model is not one that the fast path is made for.
    """
    if args.fast:
        switch_on(args, model)
    if args.keep_memory and args.device.type == "cpu":
        keep_freed_memory()
    if args.bf16 and args.bf16 != "force" and not has_bf16(args):
        logger.warning('%s. Training in float32; bf16="force" has it anyway', emulated("bf16"))
    model = use_fast_path(model, args.padding_free, args.sparse_mlm_head, args.fast_dropout).to(args.device)
    if args.gradient_checkpointing:
        model.gradient_checkpointing_enable(args.gradient_checkpointing_kwargs)
    return model, torch.compile(model) if args.torch_compile else model


def has_bf16(args: TrainingArguments) -> bool:
    """Say whether the model is to compute in bfloat16: it was forced, or the device has such products."""
    return args.bf16 == "force" or args.device.type != "cpu" or bf16_is_real()


def make_loader(
    dataset: Any,
    collate: Callable,
    model: nn.Module,
    args: TrainingArguments,
    description: str,
    training: bool,
    sampler: Any = None,
) -> Loader:
    """Make the `Loader` of a training or evaluation set; the columns that it drops are named in the log.

    `sampler` is an iterable of row numbers, one pass for each epoch; None is the order that the arguments name. A set
    that can only be iterated over gets a `StreamLoader`.

    Of several ranks, each gets its batches: when training, equally many full ones; when evaluating, those that one
    rank alone would have, of which a rank may get one less than another.

    Raises:
        TypeError: the data set has no length, or cannot be indexed.
        ValueError: the data set is empty, or none of its columns fits the model.
    """
    if isinstance(dataset, IterableDataset):
        return loader_of_iterable(dataset, collate, model, args, training)
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise TypeError(f"the {description} set needs a length and indexing; {type(dataset).__name__} lacks them")
    if len(dataset) == 0:
        raise ValueError(f"the {description} set is empty")
    batch_size = args.per_device_train_batch_size if training else args.per_device_eval_batch_size
    order = order_of_rows(dataset, args, batch_size, training) if sampler is None else OrderOfSampler(sampler)
    if args.remove_unused_columns:
        dataset, collate, unused = keep_used_columns(dataset, collate, model, args.label_names)
        if unused:
            message = "Columns of the %s set that %s.forward does not take are left out: %s"
            logger.warning(message, description, type(model).__name__, ", ".join(unused))
    rest = len(dataset) % batch_size
    if rest and args.dataloader_drop_last and not training:
        logger.warning("dataloader_drop_last leaves out the last %d rows of the %s set", rest, description)
    place = world()
    return Loader(
        dataset,
        BatchSampler(order, batch_size, args.dataloader_drop_last, place.rank, place.size, even=training),
        collate,
        args.device,
        **worker_options(args),
    )


def order_of_rows(dataset: Any, args: TrainingArguments, batch_size: int, training: bool) -> Any:
    """Choose the order in which the rows are visited, as the classes of `batches.sampler` give it."""
    if args.group_by_length if training else args.eval_sort_by_length:
        lengths = _lengths(dataset, args.length_column_name)
        if training:
            return OrderOfMain(LengthGroupedOrder(lengths, batch_size * args.gradient_accumulation_steps))
        return LengthSortedOrder(lengths)
    if training:
        return RandomOrder(len(dataset), args.data_seed if args.data_seed is not None else torch.initial_seed())
    return SequentialOrder(len(dataset))


def loader_of_iterable(
    dataset: Any, collate: Callable, model: nn.Module, args: TrainingArguments, training: bool
) -> StreamLoader:
    """Make the loader of a set that can only be iterated over; as in the library, `dataloader_drop_last` is for others.

    Raises:
        ValueError: a training set has no length, and there is no `max_steps` to end the training.
    """
    if training and args.max_steps <= 0 and not hasattr(dataset, "__len__"):
        raise ValueError("a training set without a length needs max_steps")
    if args.remove_unused_columns:
        collate = CollateUsedColumns(collate, used_columns(model, args.label_names))
    return StreamLoader(
        dataset,
        args.per_device_train_batch_size if training else args.per_device_eval_batch_size,
        collate,
        args.device,
        training=training,
        max_batches=args.max_steps * args.gradient_accumulation_steps,
        **worker_options(args),
    )


def worker_options(args: TrainingArguments) -> dict[str, Any]:
    """Return the arguments of torch's DataLoader that say who collates, and where the batches lie."""
    return {
        "num_workers": args.dataloader_num_workers,
        "pin_memory": args.dataloader_pin_memory and args.device.type == "cuda",
        "prefetch_factor": args.dataloader_prefetch_factor,
        "persistent_workers": args.dataloader_persistent_workers,
    }


class OrderOfSampler:
    """The order of a sampler of the user's own, drawn anew in each epoch."""

    def __init__(self, sampler: Any):
        self.sampler, self.length = sampler, len(sampler)

    def order(self, epoch: int) -> list[int]:
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)
        return [int(row) for row in self.sampler]


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
    model: nn.Module,
    args: TrainingArguments,
    class_and_options: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
    decaying: Collection[str] | None = None,
) -> torch.optim.Optimizer:
    """Make the optimizer over the model's parameters, in two groups: `decaying` decay, the others do not."""
    groups = parameter_groups(model, args.weight_decay, decaying)
    kind, options = class_and_options or with_our_adamw(*optimizer_class(args), args)
    optimizer = kind(groups, **options)
    return ShardedOptimizer(optimizer) if args.shard_optimizer and world().size > 1 else optimizer


def make_schedule(optimizer: torch.optim.Optimizer, args: TrainingArguments, num_training_steps: int) -> Any:
    """Make the schedule that the arguments name."""
    return get_scheduler(
        args.lr_scheduler_type,
        optimizer,
        num_warmup_steps=args.get_warmup_steps(num_training_steps),
        num_training_steps=num_training_steps,
        scheduler_specific_kwargs=args.lr_scheduler_kwargs,
    )


def add_noise(model: nn.Module, alpha: float | None) -> Any:
    """Let the word embeddings (B, T, E) of training batches get uniform noise of up to α/√(T·E); return the hook.

    NEFTune (Jain et al., 2023, https://arxiv.org/abs/2310.05914); None adds none.
    """

    def hook(module: nn.Module, _: Any, x: Tensor) -> Tensor | None:
        if not module.training:
            return None
        bound = alpha / torch.sqrt(torch.tensor(x.size(1) * x.size(2)))
        return x + torch.zeros_like(x).uniform_(-bound, bound)

    return None if alpha is None else model.get_input_embeddings().register_forward_hook(hook)


def make_clip(optimizer: torch.optim.Optimizer, args: TrainingArguments) -> Callable[[nn.Module], Tensor]:
    """Make the function that clips a model's gradients and returns the norm that they had."""
    clip = clipping_in_update(optimizer) if args.clip_in_update else nn.utils.clip_grad_norm_
    return lambda model: clip(model.parameters(), args.max_grad_norm or math.inf)


def autocast(args: TrainingArguments) -> contextlib.AbstractContextManager:
    """Compute what is in the `with` block in the precision that the arguments ask for."""
    if args.bf16 and has_bf16(args):
        return torch.autocast(args.device.type, dtype=torch.bfloat16)
    if args.fp16 and args.device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.float16)
    return contextlib.nullcontext()

"""One optimizer step: forward and backward for each batch; average, clip, optimizer, schedule, zero."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from minift.distributed.exchange import sum_over_ranks
from minift.fast.casts import keep_casts
from minift.train.callbacks import CallbackHandler
from minift.train.checkpoint import get_last_checkpoint
from minift.train.columns import count_labels
from minift.train.run import Run

Batch = Mapping[str, Tensor]


class NotFinite(ValueError):
    """A loss or a gradient is NaN or infinite."""

    is_failed_work = True  # not a mistake in how something was called


class Hooks(Protocol):
    """What a step asks of the Trainer, whose subclasses may do it in another way."""

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: int) -> Tensor:
        """Do the forward and the backward pass of a batch; return its share of the step's loss."""

    def floating_point_ops(self, inputs: Batch) -> float:
        """Count the operations of a batch."""


def update(run: Run, batches: list[Batch], hooks: Hooks, callbacks: CallbackHandler) -> None:
    """Take one optimizer step on one batch, or on several whose gradients add up to those of their union.

    `hooks` is the `Trainer`, which does the forward and the backward pass of a batch.
    """
    run.model_in_use.train()
    num_items = count_work(run, batches, hooks)
    with keep_casts():
        for batch in batches:
            is_last = batch is batches[-1]
            forward_and_backward(run, batch, num_items, hooks, is_last)
            if not is_last:
                callbacks.on_substep_end(run)
    average(run)
    clip(run)
    callbacks.on_pre_optimizer_step(run)
    is_taken = step_optimizer(run)
    callbacks.on_optimizer_step(run)
    step_schedule(run, is_taken)
    zero(run)


def count_work(run: Run, batches: list[Batch], hooks: Hooks) -> int:
    """Add the step's operations to the run's, and return the number of labels that its loss is a mean over."""
    num_items = sum(count_labels(batch, run.label_names) for batch in batches)
    flops = float(sum(hooks.floating_point_ops(batch) for batch in batches))
    tokens = sum(count_tokens(batch, run.args.include_num_input_tokens_seen) for batch in batches)
    all_items, all_flops, all_tokens = sum_over_ranks(num_items, flops, tokens)
    run.state.total_flos += all_flops
    run.state.num_input_tokens_seen += int(all_tokens)
    return int(all_items) if run.args.average_tokens_across_devices else num_items


def count_tokens(batch: Batch, which: str) -> int:
    """Count the tokens of a batch, "all" or those that are "non_padding"."""
    if which == "no" or "input_ids" not in batch:
        return 0
    if which == "non_padding" and "attention_mask" in batch:
        return int(batch["attention_mask"].sum())
    return batch["input_ids"].numel()


def forward_and_backward(run: Run, batch: Batch, num_items: int, hooks: Hooks, is_last: bool) -> None:
    """Add a batch's gradients to those of the step, and its loss to the running loss.

    Raises:
        NotFinite: the loss is NaN or infinite, unless `logging_nan_inf_filter` says to go on.
    """
    # Only the last batch's backward pass sends gradients to the other ranks: what the others add waits for it.
    with nullcontext() if is_last else run.averaging.no_sync():
        loss = hooks.training_step(run.model_in_use, batch, num_items)
    if torch.isfinite(loss):
        run.running_loss += loss
    elif run.args.logging_nan_inf_filter:  # the mean of the losses so far stands in for it, as in transformers
        run.running_loss += run.running_loss / (1 + run.state.global_step - run.logged_step)
    else:
        step = run.state.global_step + 1
        raise NotFinite(f"the loss is {loss.item()} at step {step}: lower the learning rate, check the labels")


def average(run: Run) -> None:
    """Make every gradient the mean over all ranks, and take the scale of float16 off it."""
    run.averaging.finish()
    run.scaler.unscale_(run.optimizer)


def clip(run: Run) -> None:
    """Scale the gradients down so that their common norm is at most `max_grad_norm`; keep the norm they had.

    Raises:
        NotFinite: the norm is NaN or infinite, unless `logging_nan_inf_filter` says to go on, or float16's scale is at
            fault. The weights are still those of the step before.
    """
    run.grad_norm = run.clip(run.model)
    goes_on = run.args.logging_nan_inf_filter or run.scaler.is_enabled()
    if not goes_on and not torch.isfinite(run.grad_norm):
        last = get_last_checkpoint(run.args.output_dir)
        raise NotFinite(
            f"the gradient is {run.grad_norm.item()} at step {run.state.global_step + 1}, which is not taken; "
            + (f"the last checkpoint is {last}" if last else "there is no checkpoint yet")
        )


def step_optimizer(run: Run) -> bool:
    """Update the weights, unless float16 gradients overflowed; return whether they were updated."""
    scale = run.scaler.get_scale()
    run.scaler.step(run.optimizer)
    run.scaler.update()
    return run.scaler.get_scale() >= scale  # it falls when they overflowed


def step_schedule(run: Run, is_taken: bool) -> None:
    """Note the learning rate of this step and, if it was taken, set that of the next one."""
    run.learning_rate = run.lr_scheduler.get_last_lr()[0]
    if is_taken and not isinstance(run.lr_scheduler, ReduceLROnPlateau):  # which steps after evaluations
        run.lr_scheduler.step()


def zero(run: Run) -> None:
    """Forget the gradients."""
    run.model.zero_grad()

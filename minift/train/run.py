"""What a run has: one dataclass, which the Trainer makes and everything around the loop gets."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from minift.distributed.gradients import Averaging
from minift.train.arguments import TrainingArguments
from minift.train.loader import Loader
from minift.train.state import TrainerControl, TrainerState


@dataclass
class Run:
    """The settings, the model, and what `Trainer.train` makes of them."""

    args: TrainingArguments
    """The settings."""
    model: nn.Module
    """The model whose weights are trained and saved."""
    model_in_use: nn.Module
    """What computes: the model itself, or its compiled form."""
    label_names: list[str]
    """The arguments of the model's forward that are labels."""
    data_collator: Callable
    """Rows to a batch; its generator, if it has one, is in the checkpoints."""
    processing_class: Any = None
    """The tokenizer, which is saved with the model."""
    state: TrainerState = dataclasses.field(default_factory=TrainerState)
    """How far the run has come: what ``trainer_state.json`` holds."""
    control: TrainerControl = dataclasses.field(default_factory=TrainerControl)
    """The switches that callbacks set."""

    # From here on, made when training starts
    loader: Loader | None = None
    """Gives the batches; its `position` says which one comes next."""
    optimizer: torch.optim.Optimizer | None = None
    """Turns gradients into weights."""
    lr_scheduler: Any = None
    """Sets the learning rate of the next step."""
    clip: Callable[[nn.Module], Tensor] | None = None
    """Clips the gradients of the model, and returns the norm that they had."""
    scaler: torch.amp.GradScaler | None = None
    """Scales losses for float16 gradients; does nothing in other precisions."""
    averaging: Averaging | None = None
    """Averages gradients over the ranks; does nothing on one."""
    running_loss: Tensor | None = None
    """Sum of the losses of the steps since the last log entry, on this rank; a scalar."""
    total_loss: float = 0.0
    """Sum of the losses of the steps up to the last log entry, over all ranks."""
    logged_step: int = 0
    """The step of the last log entry."""
    grad_norm: Tensor | None = None
    """Norm of the gradients of the last step, before clipping; a scalar."""
    learning_rate: float = 0.0
    """The learning rate of the last step."""
    epoch: int = 0
    """The number of the epoch, from 0."""
    epoch_ended: bool = False
    """Whether its last batch has been used."""


def new_state(args: TrainingArguments) -> TrainerState:
    """Make the state of a run that has not begun."""
    return TrainerState(
        is_world_process_zero=args.process_index == 0, is_local_process_zero=args.local_process_index == 0
    )

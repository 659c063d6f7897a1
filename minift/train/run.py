"""What a run has: one dataclass, which the Trainer makes and everything around the loop gets."""

from collections.abc import Callable
from dataclasses import dataclass, field
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
    model: nn.Module  # its weights are trained and saved
    model_in_use: nn.Module  # what computes: the model itself, or its compiled form
    label_names: list[str]  # the arguments of the model's forward that are labels
    data_collator: Callable  # rows to a batch; its generator, if it has one, is in the checkpoints
    processing_class: Any = None  # the tokenizer, which is saved with the model
    state: TrainerState = field(default_factory=TrainerState)  # how far the run has come: trainer_state.json
    control: TrainerControl = field(default_factory=TrainerControl)  # the switches that callbacks set

    # Made when training starts
    loader: Loader | None = None  # gives the batches; its `position` says which one comes next
    eval_loader: Any = None  # that of the last evaluation, for callbacks
    optimizer: torch.optim.Optimizer | None = None  # turns gradients into weights
    lr_scheduler: Any = None  # sets the learning rate of the next step
    clip: Callable[[nn.Module], Tensor] | None = None  # clips the gradients, and returns the norm that they had
    scaler: torch.amp.GradScaler | None = None  # scales losses for float16 gradients; otherwise does nothing
    noise: Any = None  # the hook that adds noise to embeddings (`neftune_noise_alpha`), until the run has ended
    averaging: Averaging | None = None  # averages gradients over the ranks; on one it does nothing

    saved: set[str] = field(default_factory=set)  # names of the checkpoints that it has written

    # Changed by every step
    running_loss: Tensor | None = None  # sum of the losses since the last log entry, on this rank; a scalar
    total_loss: float = 0.0  # sum of the losses up to the last log entry, over all ranks
    logged_step: int = 0  # the step of the last log entry
    grad_norm: Tensor | None = None  # norm of the gradients of the last step, before clipping; a scalar
    learning_rate: float = 0.0  # of the last step
    epoch: int = 0  # its number, from 0
    epoch_ended: bool = False  # whether its last batch has been used


def new_state(args: TrainingArguments) -> TrainerState:
    """Make the state of a run that has not begun."""
    return TrainerState(
        is_world_process_zero=args.process_index == 0, is_local_process_zero=args.local_process_index == 0
    )

"""The training loop, with everything around it: logging, evaluation, checkpoints, uploads."""

import logging
import math
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from minift.batches.collate import DataCollatorWithPadding, default_data_collator
from minift.distributed.exchange import broadcast_module, mean_over_ranks
from minift.distributed.gradients import make_averaging
from minift.model.checks import check_vocabulary
from minift.optim.adamw import decay_parameter_names
from minift.train import checkpoint, report
from minift.train.accelerate import TrainerAccelerator
from minift.train.agreement import check_agreement
from minift.train.arguments import TrainingArguments
from minift.train.callbacks import CallbackHandler, DefaultFlowCallback, TrainerCallback
from minift.train.columns import count_labels, find_label_names
from minift.train.evaluate import speed_metrics
from minift.train.evaluator import Evaluator, of_run
from minift.train.hooks import check_hooks
from minift.train.items import NotedNumber
from minift.train.loader import Loader, PlainLoader
from minift.train.memory import with_a_batch_that_fits
from minift.train.optimizers import optimizer_class
from minift.train.progress import PrinterCallback, ProgressCallback
from minift.train.run import Run, new_state
from minift.train.seed import set_seed
from minift.train.setup import (
    add_noise,
    call_model_init,
    make_clip,
    make_loader,
    make_optimizer,
    make_schedule,
    place_model,
)
from minift.train.state import watched_metric
from minift.train.step import update
from minift.train.surface import TrainerSurface
from minift.train.tracking import trackers_of

logger = logging.getLogger(__name__)


class TrainOutput(NamedTuple):
    """What `Trainer.train` returns."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


class Trainer(TrainerSurface, Evaluator):
    """Fine-tunes a model (transformers' `Trainer`, its arguments in its order).

    The order of random draws is the library's: seeds are set here, after the user's model exists; the rows of epoch e
    are ``randperm`` of a generator seeded with seed + e; every pass over a loader, training or evaluation, draws one
    integer from torch's global generator; batches are collated one ahead.

    Started by torchrun, several processes train together, each on its own batches: gradients are averaged before they
    are clipped, evaluation sees every row once, and the first process alone logs, shows progress and saves.

    Args:
        model: a module whose output has the loss first, or under "loss", when the batch has labels.
        args: the settings; None takes all defaults.
        data_collator: rows to batch; None pads with the tokenizer, or stacks if there is none.
        train_dataset, eval_dataset: sized, indexable; `eval_dataset` may be a dict of several.
        processing_class: the tokenizer, saved with the model (`tokenizer` is its former name).
        model_init: makes the model anew at each `train`, after seeding; instead of `model`.
        compute_loss_func: ``(outputs, labels, num_items_in_batch) -> loss``, which divides by the last.
        compute_metrics: `EvalPrediction` to a dict of numbers.
        callbacks: instances or classes of `TrainerCallback`.
        optimizers: an optimizer and a schedule to use instead of the arguments' (either may be None).
        optimizer_cls_and_kwargs: the class of the optimizer, and its arguments besides the parameters.
        preprocess_logits_for_metrics: ``(logits, labels) -> logits``, applied before logits are kept.
    """

    optimizer, lr_scheduler = of_run("optimizer"), of_run("lr_scheduler")

    def __init__(
        self,
        model: nn.Module | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        model_init: Callable[[], nn.Module] | None = None,
        compute_loss_func: Callable | None = None,
        compute_metrics: Callable | None = None,
        callbacks: list[TrainerCallback | type[TrainerCallback]] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, Any] = (None, None),
        optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable | None = None,
        *,
        tokenizer: Any = None,
    ):
        check_hooks(type(self), Trainer)
        args = args if args is not None else TrainingArguments()
        if not isinstance(args, TrainingArguments):
            raise TypeError(f"Trainer's args must be TrainingArguments, not {args!r}")
        set_seed(args.seed, args.full_determinism)
        if (model is None) == (model_init is None):
            raise ValueError("Trainer needs either a model or a model_init, not both and not neither")
        if args.eval_strategy != "no" and eval_dataset is None:
            raise ValueError(f"eval_strategy={args.eval_strategy!r} needs an eval_dataset")
        if args.fp16 and args.device.type == "cpu":
            logger.warning("fp16 needs a GPU: training in float32 instead")
        model, model_in_use = place_model(model if model is not None else call_model_init(model_init), args)
        tokenizer = processing_class if processing_class is not None else tokenizer
        if tokenizer is not None and hasattr(model, "config"):
            check_vocabulary(len(tokenizer), model.config)
        if data_collator is None:
            data_collator = default_data_collator if tokenizer is None else DataCollatorWithPadding(tokenizer)
        label_names = args.label_names or find_label_names(model)
        run = Run(args, model, model_in_use, label_names, data_collator, tokenizer, new_state(args))
        reporter = PrinterCallback if args.disable_tqdm else ProgressCallback
        reporters = [reporter] if run.state.is_world_process_zero else []
        told = [DefaultFlowCallback, *trackers_of(args.report_to), *(callbacks or []), *reporters]  # who prints, last
        handler = CallbackHandler(told, run)
        super().__init__(run, handler, eval_dataset, compute_loss_func, compute_metrics, preprocess_logits_for_metrics)
        self.train_dataset, self.model_init = train_dataset, model_init
        self.optimizer, self.lr_scheduler = self.given_optimizers = optimizers
        self.optimizer_cls_and_kwargs, self.ignore_keys_for_eval = optimizer_cls_and_kwargs, None
        self.accelerator = TrainerAccelerator(run)
        handler.on_init_end(run)

    # -- training -----------------------------------------------------------------------------------------------

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: None = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Train, from the start or from a checkpoint (a folder, or True for the newest in `output_dir`).

        `ignore_keys_for_eval` goes to `evaluate`; a `trial` of a hyper-parameter search is refused.

        A resumed run goes on with the same weights, moments, rows, masks and dropout as if it had never stopped. Under
        a torchrun that restarts failed runs (``--max-restarts``), True means the newest checkpoint if there is one.

        Raises:
            ValueError: there is no training set, it is empty, a loss is NaN or infinite, there is no checkpoint, or
                `clear_way` refuses to write among those of another run.
            FileNotFoundError: the checkpoint is not complete.
            RuntimeError: with `auto_find_batch_size`, no batch fits into memory.
        """
        args, run = self.args, self.run
        if trial is not None:
            raise ValueError("Trainer.train does not support trial=: there is no hyper-parameter search")
        self.ignore_keys_for_eval = ignore_keys_for_eval
        check_agreement(run, self.train_dataset)
        if resume_from_checkpoint is True:
            resume_from_checkpoint = checkpoint.find_checkpoint(args.output_dir)
        if not resume_from_checkpoint:
            checkpoint.clear_way(run)
        if args.auto_find_batch_size:
            return with_a_batch_that_fits(args, lambda: self.train_from(resume_from_checkpoint), resume_from_checkpoint)
        return self.train_from(resume_from_checkpoint)

    def train_from(self, resume_from_checkpoint: str | Path | None) -> TrainOutput:
        """Run the loop: epochs, in them steps; see `train`."""
        args, run, callbacks = self.args, self.run, self.callback_handler
        self.start()
        self.is_in_train = True
        epoch, position = 0, None
        if resume_from_checkpoint:
            epoch, position = checkpoint.resume(resume_from_checkpoint, run, callbacks)
        first_step, start = self.state.global_step, time.time()
        report.announce(run)

        callbacks.on_train_begin(run)
        if args.eval_on_start and not resume_from_checkpoint:
            self.evaluate(ignore_keys=self.ignore_keys_for_eval)
        while epoch < self.state.num_train_epochs and not self.control.should_training_stop:
            callbacks.on_epoch_begin(run)
            run.epoch, run.epoch_ended = epoch, False
            batches = run.loader.epoch(epoch, position)
            while group := list(islice(batches, args.gradient_accumulation_steps)):
                if self.state.global_step >= self.state.max_steps:  # resumed at its end
                    break
                callbacks.on_step_begin(run)
                update(run, group, self, callbacks)
                self.state.global_step += 1
                self.state.epoch = epoch + run.loader.position["batches"] / len(run.loader)
                callbacks.on_step_end(run)
                self.log_evaluate_save()
                if self.control.should_epoch_stop or self.control.should_training_stop:
                    break
            epoch, position = epoch + 1, None
            run.epoch_ended = run.loader.position["batches"] == len(run.loader)
            if run.loader.position["batches"] == 0:
                raise ValueError("the training set gave no batch in a whole epoch")
            callbacks.on_epoch_end(run)
            self.log_evaluate_save()
        return self.finish(start, self.state.global_step - first_step)

    def start(self) -> None:
        """Make what a run needs: batches, optimizer and schedule, the averaging over ranks, a fresh state."""
        args, run = self.args, self.run
        if self.train_dataset is None:
            raise ValueError("Trainer.train needs a train_dataset")
        if self.model_init is not None:
            set_seed(args.seed, args.full_determinism)
            run.model, run.model_in_use = place_model(self.call_model_init(), args)
        run.loader = self.get_train_dataloader()
        if not isinstance(run.loader, Loader):
            run.loader = PlainLoader(run.loader, args.max_steps * args.gradient_accumulation_steps, args.device)
        steps_per_epoch = math.ceil(len(run.loader) / args.gradient_accumulation_steps)
        if steps_per_epoch == 0:
            raise ValueError("dataloader_drop_last leaves no training batch: the set is smaller than a batch")
        max_steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * steps_per_epoch)
        broadcast_module(run.model)
        run.averaging = make_averaging(run.model, args.ddp_averaging, args.ddp_bucket_cap_mb or 25.0)
        self.optimizer, self.lr_scheduler = self.given_optimizers
        self.create_optimizer_and_scheduler(max_steps)
        run.clip = make_clip(run.optimizer, args)
        if run.noise is not None:  # of a run that an error ended
            run.noise.remove()
        run.noise = add_noise(run.model, args.neftune_noise_alpha)
        run.scaler = torch.amp.GradScaler(enabled=args.fp16 and args.device.type == "cuda")
        run.state = new_state(args)
        run.state.train_batch_size = args.per_device_train_batch_size
        run.state.num_train_epochs = math.ceil(max_steps / steps_per_epoch) if run.loader.is_sized else sys.maxsize
        run.state.set_intervals(args, max_steps)
        run.running_loss, run.total_loss, run.logged_step = torch.zeros((), device=args.device), 0.0, 0

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: int | None = None) -> Tensor:
        """Forward and backward of one batch; returns its share of the step's loss, detached.

        The loss of a batch is a mean over its labels. Weighting it by its share of `num_items_in_batch`, the labels
        of all batches of the step, on all ranks, gives the mean over all of them, also if the last batch is smaller. A
        `compute_loss` that divides by this number itself is seen to use it, and its loss is taken as it is.
        """
        items = NotedNumber(num_items_in_batch) if num_items_in_batch else None
        inputs = self._prepare_inputs(inputs)
        labels = count_labels(inputs, self.label_names)  # before compute_loss, which may take them out
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs, num_items_in_batch=items)
        weight = 1.0 if items is None or items.was_used else labels / num_items_in_batch
        if num_items_in_batch == 0:  # chance has hidden no token in the whole step
            weight = 0.0
        if self.args.average_tokens_across_devices:
            weight *= self.args.world_size  # averaging will divide by it
        if weight == 0.0:  # no label in this batch: its own mean is NaN, and its part in the step's mean nothing
            return torch.zeros_like(loss)
        if weight != 1.0:
            loss = loss * weight
        self.run.scaler.scale(loss).backward()
        return loss.detach()

    def floating_point_ops(self, inputs: dict[str, Any]) -> float:
        """Count the operations of a training step on a batch: the model's own count, or 0."""
        return float(self.model.floating_point_ops(inputs)) if hasattr(self.model, "floating_point_ops") else 0.0

    def call_model_init(self, trial: None = None) -> nn.Module:
        """Make the model anew: the first thing that `train` does with a `model_init`."""
        return call_model_init(self.model_init)

    def create_optimizer_and_scheduler(self, num_training_steps: int) -> None:
        """Make the optimizer and the schedule, unless the user gave them."""
        if self.optimizer is not None and self.args.shard_optimizer:
            raise ValueError("shard_optimizer shards the optimizer that the arguments name, not one given as an object")
        self.create_optimizer()
        self.create_scheduler(num_training_steps, optimizer=self.optimizer)

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Make the optimizer that the arguments name, unless there is one."""
        if self.optimizer is None:
            model = model if model is not None else self.model
            decaying = self.get_decay_parameter_names(model)
            given = self.optimizer_cls_and_kwargs
            if given is None and type(self).get_optimizer_cls_and_kwargs is not Trainer.get_optimizer_cls_and_kwargs:
                given = self.get_optimizer_cls_and_kwargs(self.args, model)
            self.optimizer = make_optimizer(model, self.args, given, decaying)
        return self.optimizer

    @staticmethod
    def get_optimizer_cls_and_kwargs(
        args: TrainingArguments, model: nn.Module | None = None
    ) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
        """Return the class of torch's optimizer that `args.optim` names, and its arguments besides the parameters."""
        return optimizer_class(args)

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        """Make the schedule that the arguments name, unless there is one."""
        if self.lr_scheduler is None:
            optimizer = optimizer if optimizer is not None else self.optimizer
            self.lr_scheduler = make_schedule(optimizer, self.args, num_training_steps)
        return self.lr_scheduler

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """List the parameters that decay: all but biases and LayerNorms."""
        return decay_parameter_names(model)

    def log_evaluate_save(self) -> None:
        """Do what the callbacks have switched on at this step."""
        run, state, control = self.run, self.state, self.control
        if control.should_log and state.global_step > run.logged_step:
            loss, steps = mean_over_ranks(run.running_loss).item(), state.global_step - run.logged_step
            run.running_loss.zero_()
            run.total_loss += loss
            run.logged_step = state.global_step
            self.log({"loss": loss / steps, "grad_norm": run.grad_norm.item(), "learning_rate": run.learning_rate})
        if self.control.should_evaluate:
            metrics = self.evaluate(ignore_keys=self.ignore_keys_for_eval)
            is_best = state.note_best(self.args, metrics)
            if isinstance(run.lr_scheduler, ReduceLROnPlateau):
                watches = self.args.metric_for_best_model is not None
                run.lr_scheduler.step(watched_metric(self.args, metrics) if watches else metrics["eval_loss"])
            if self.args.save_strategy == "best":
                self.control.should_save = is_best
        if self.control.should_save:
            folder = self._save_checkpoint(self.model)
            if self.args.push_to_hub:
                self._push_from_checkpoint(str(folder))
            self.callback_handler.on_save(run)

    def finish(self, start: float, steps: int) -> TrainOutput:
        """Log the summary, go back to the best weights if asked for, and upload."""
        args, run, state = self.args, self.run, self.state
        run.averaging.remove()
        if run.noise is not None:
            run.noise.remove()
        train_loss = (run.total_loss + mean_over_ranks(run.running_loss).item()) / max(state.global_step, 1)
        step_rows = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        rows = state.max_steps * step_rows if args.max_steps > 0 else len(self.train_dataset) * args.num_train_epochs
        metrics = speed_metrics("train", start, rows * steps / state.max_steps, steps)
        metrics |= {"total_flos": state.total_flos, "train_loss": train_loss}
        self.is_in_train = False
        self.log(metrics)
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            self._load_best_model()
        self.callback_handler.on_train_end(run)
        if args.push_to_hub:
            self.push_to_hub()
        return TrainOutput(state.global_step, train_loss, metrics)

    def get_train_dataloader(self) -> Any:
        """Make the loader of the training set. A subclass may return any iterable of batches, such as a DataLoader."""
        sampler = self._get_train_sampler(self.train_dataset)
        return make_loader(self.train_dataset, self.data_collator, self.model, self.args, "training", True, sampler)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Choose the rows of an epoch and their order; None is the order that the arguments name."""

    # -- files, which the first of several processes writes -------------------------------------------------------

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the model, the tokenizer and the arguments, so that minift and transformers can load them."""
        if self.is_world_process_zero():
            self._save(output_dir or self.args.output_dir)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Write the files of `save_model`; a `state_dict` of other weights is refused."""
        if state_dict is not None:
            raise ValueError("Trainer._save does not support state_dict=: it writes the model's own weights")
        checkpoint.save_model(output_dir or self.args.output_dir, self.model, self.processing_class, self.args)

    def _save_checkpoint(self, model: nn.Module, trial: None = None) -> Path:
        """Write a checkpoint of the run at this step; returns its folder."""
        return checkpoint.write_checkpoint(self.run, self.callback_handler, self.save_model)

    def _load_best_model(self) -> None:
        """Go back to the weights of the best checkpoint."""
        checkpoint.load_weights(self.state.best_model_checkpoint, self.model)

    def save_state(self) -> None:
        """Write ``trainer_state.json``."""
        if self.is_world_process_zero():
            checkpoint.note_callbacks(self.state, self.callback_handler)
            checkpoint.save_state(self.args.output_dir, self.state, self.control)

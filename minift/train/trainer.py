"""The training loop: forward, backward, clip, step, schedule, zero; with logging, evaluation and checkpoints."""

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch.nn import functional as F

from minift.batches.collate import DataCollatorWithPadding, default_data_collator
from minift.distributed import exchange as distributed
from minift.distributed.gradients import make_averaging
from minift.fast.clipping import clip_in_update
from minift.model.checks import check_vocabulary
from minift.optim.schedule import get_scheduler
from minift.train import checkpoint as ckpt
from minift.train import report
from minift.train.arguments import TrainingArguments
from minift.train.callbacks import (
    CallbackHandler,
    DefaultFlowCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerState,
)
from minift.train.evaluate import PredictionOutput, count_labels, evaluation_loop, speed_metrics, unpack_single
from minift.train.loader import Loader
from minift.train.report import TrainOutput
from minift.train.saving import Saving
from minift.train.seed import set_seed
from minift.train.setup import autocast, find_label_names, keep_casts, make_loader, make_optimizer, set_fast_path

logger = logging.getLogger(__name__)


class Trainer(Saving, CallbackHandler):
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
        preprocess_logits_for_metrics: ``(logits, labels) -> logits``, applied before logits are kept.
    """

    def __init__(
        self,
        model: torch.nn.Module | None = None,
        args: TrainingArguments | None = None,
        data_collator: Callable | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        model_init: Callable[[], torch.nn.Module] | None = None,
        compute_loss_func: Callable | None = None,
        compute_metrics: Callable | None = None,
        callbacks: list[TrainerCallback | type[TrainerCallback]] | None = None,
        optimizers: tuple[torch.optim.Optimizer | None, Any] = (None, None),
        optimizer_cls_and_kwargs: tuple[type[torch.optim.Optimizer], dict[str, Any]] | None = None,
        preprocess_logits_for_metrics: Callable | None = None,
        *,
        tokenizer: Any = None,
    ):
        self.args = args if args is not None else TrainingArguments()
        if not isinstance(self.args, TrainingArguments):
            raise TypeError(f"Trainer's args must be TrainingArguments, not {args!r}")
        set_seed(self.args.seed, self.args.full_determinism)
        if (model is None) == (model_init is None):
            raise ValueError("Trainer needs either a model or a model_init, not both and not neither")
        self.model_init = model_init
        self.place_model(model if model is not None else model_init())
        self.processing_class = processing_class if processing_class is not None else tokenizer
        if self.processing_class is not None and hasattr(self.model, "config"):
            check_vocabulary(len(self.processing_class), self.model.config)
        if data_collator is None:
            padding = self.processing_class is not None
            data_collator = DataCollatorWithPadding(self.processing_class) if padding else default_data_collator
        self.data_collator, self.train_dataset, self.eval_dataset = data_collator, train_dataset, eval_dataset
        self.compute_loss_func, self.compute_metrics = compute_loss_func, compute_metrics
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics
        self.optimizer, self.lr_scheduler = self.given_optimizers = optimizers
        self.optimizer_cls_and_kwargs = optimizer_cls_and_kwargs
        if self.args.eval_strategy != "no" and eval_dataset is None:
            raise ValueError(f"eval_strategy={self.args.eval_strategy!r} needs an eval_dataset")
        if self.args.fp16 and self.args.device.type == "cpu":
            logger.warning("fp16 needs a GPU: training in float32 instead")
        self.state = self._new_state()
        reporter = PrinterCallback if self.args.disable_tqdm else ProgressCallback
        reporters = [reporter] if self.is_world_process_zero() else []
        super().__init__([DefaultFlowCallback, *reporters, *(callbacks or [])])
        self.fire("on_init_end")

    def place_model(self, model: torch.nn.Module) -> None:
        """Move a model to the device and make it the one to train; compiled, if the arguments say so."""
        self.model = set_fast_path(model, self.args).to(self.args.device)
        self.model_in_use = torch.compile(self.model) if self.args.torch_compile else self.model
        self.label_names = self.args.label_names or find_label_names(self.model)
        self.counts_flops = hasattr(self.model, "floating_point_ops")

    def _new_state(self, **fields: Any) -> TrainerState:
        here = dict(
            is_world_process_zero=self.is_world_process_zero(), is_local_process_zero=self.is_local_process_zero()
        )
        return TrainerState(**here, **fields)

    def train(self, resume_from_checkpoint: str | bool | None = None) -> TrainOutput:
        """Train, from the start or from a checkpoint (a folder, or True for the newest in `output_dir`).

        A resumed run goes on with the same weights, moments, rows, masks and dropout as if it had never stopped. Under
        a torchrun that restarts failed runs (``--max-restarts``), True means the newest checkpoint if there is one.

        Raises:
            ValueError: there is no training set, it is empty, a loss is NaN or infinite, or there is no checkpoint.
            FileNotFoundError: the checkpoint is not complete.
        """
        args = self.args
        if self.train_dataset is None:
            raise ValueError("Trainer.train needs a train_dataset")
        if self.model_init is not None:
            set_seed(args.seed, args.full_determinism)
            self.place_model(self.model_init())
        if resume_from_checkpoint is True:
            resume_from_checkpoint = ckpt.find_checkpoint(args.output_dir)
        self.loader = loader = self.get_train_dataloader()
        steps_per_epoch = math.ceil(len(loader) / args.gradient_accumulation_steps)
        if steps_per_epoch == 0:
            raise ValueError("dataloader_drop_last leaves no training batch: the set is smaller than a batch")
        max_steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * steps_per_epoch)
        num_epochs = math.ceil(max_steps / steps_per_epoch)
        distributed.broadcast_module(self.model)
        self.averaging = make_averaging(self.model, args.ddp_averaging, args.ddp_bucket_cap_mb)
        self.create_optimizer_and_scheduler(max_steps)
        self.scaler = torch.amp.GradScaler(enabled=args.fp16 and args.device.type == "cuda")

        self.state = self._new_state(train_batch_size=args.per_device_train_batch_size, num_train_epochs=num_epochs)
        self.state.set_intervals(args, max_steps)
        self.running_loss = torch.zeros((), device=args.device)  # since the last entry of the log
        self.total_loss, self.logged_step = 0.0, 0
        first_epoch, position = ckpt.resume(resume_from_checkpoint, self) if resume_from_checkpoint else (0, None)
        first_step, start = self.state.global_step, time.time()
        report.announce_training(self, len(loader.dataset))

        self.fire("on_train_begin")
        if args.eval_on_start and not resume_from_checkpoint:
            self.evaluate()
        for epoch in range(first_epoch, num_epochs):
            self.fire("on_epoch_begin")
            self.epoch, self.epoch_ended = epoch, False
            batches = loader.epoch(epoch, position)
            while group := list(islice(batches, args.gradient_accumulation_steps)):
                self.fire("on_step_begin")
                self.update(group)
                self.state.global_step += 1
                self.state.epoch = epoch + loader.position["batches"] / len(loader)
                self.fire("on_step_end")
                self._log_evaluate_save()
                if self.control.should_epoch_stop or self.control.should_training_stop:
                    break
            position, self.epoch_ended = None, loader.position["batches"] == len(loader)
            self.fire("on_epoch_end")
            self._log_evaluate_save()
            if self.control.should_training_stop:
                break
        return self._finish(start, self.state.global_step - first_step)

    def update(self, group: list[dict[str, Any]]) -> None:
        """One optimizer step on one batch, or on several whose gradients add up to those of their union."""
        args, model = self.args, self.model_in_use
        model.train()
        num_items = sum(count_labels(batch, self.label_names) for batch in group)
        flops = float(sum(self.model.floating_point_ops(batch) for batch in group)) if self.counts_flops else 0.0
        all_items, all_flops = distributed.sum_over_ranks(num_items, flops)
        self.state.total_flos += all_flops
        if args.average_tokens_across_devices:
            num_items = int(all_items)
        with keep_casts():
            for batch in group:
                # Only the last batch's backward pass sends gradients: what the others add waits for it.
                with nullcontext() if batch is group[-1] else self.averaging.no_sync():
                    loss = self.training_step(model, batch, num_items)
                if torch.isfinite(loss):
                    self.running_loss += loss
                elif args.logging_nan_inf_filter:
                    self.running_loss += self.running_loss / (1 + self.state.global_step - self.logged_step)
                else:
                    step = self.state.global_step + 1
                    raise ValueError(
                        f"the loss is {loss.item()} at step {step}: lower the learning rate, check the labels"
                    )
        self.averaging.finish()
        self.scaler.unscale_(self.optimizer)
        clip = partial(clip_in_update, self.optimizer) if args.clip_in_update else torch.nn.utils.clip_grad_norm_
        self.grad_norm = clip(self.model.parameters(), args.max_grad_norm or math.inf)
        self.fire("on_pre_optimizer_step")
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if args.clip_in_update:
            self.optimizer.grad_scale = None
        self.fire("on_optimizer_step")
        self.learning_rate = self.lr_scheduler.get_last_lr()[0]
        if self.scaler.get_scale() >= scale:  # it falls when float16 gradients overflowed and the step was left out
            self.lr_scheduler.step()
        self.model.zero_grad()

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], num_items_in_batch: int | None = None
    ) -> torch.Tensor:
        """Forward and backward of one batch; returns its share of the step's loss, detached.

        The loss of a batch is a mean over its labels. Weighting it by its share of `num_items_in_batch`, the labels
        of all batches of the step, on all ranks, gives the mean over all of them, also if the last batch is smaller.
        """
        weight = 1.0
        if num_items_in_batch and self.compute_loss_func is None:  # which divides by num_items_in_batch itself
            weight = count_labels(inputs, self.label_names) / num_items_in_batch
        if self.args.average_tokens_across_devices:
            weight *= self.args.world_size  # averaging will divide by it
        with autocast(self.args):
            loss = self.compute_loss(model, inputs, num_items_in_batch=num_items_in_batch)
        if weight == 0.0:  # no label in this batch: its own mean is NaN, and its part in the step's mean nothing
            return torch.zeros_like(loss)
        if weight != 1.0:
            loss = loss * weight
        self.scaler.scale(loss).backward()
        return loss.detach()

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: int | None = None,
    ) -> Any:
        """The loss of a batch, a mean over its labels, and on request the model's output; made to be overridden.

        Raises:
            ValueError: the output has no loss, as when the batch has no labels.
        """
        labels = None
        if (self.args.label_smoothing_factor or self.compute_loss_func) and "labels" in inputs:
            labels = inputs["labels"]
            inputs = {name: value for name, value in inputs.items() if name != "labels"}
        outputs = model(**inputs)
        if self.compute_loss_func is not None:
            loss = self.compute_loss_func(outputs, labels, num_items_in_batch=num_items_in_batch)
        elif labels is not None:
            logits = outputs["logits"]
            loss = F.cross_entropy(
                logits.view(-1, logits.shape[-1]), labels.view(-1), label_smoothing=self.args.label_smoothing_factor
            )
        elif isinstance(outputs, tuple):
            loss = outputs[0]
        elif outputs.get("loss") is None:
            raise ValueError(f"the model gave no loss for a batch of {sorted(inputs)}: are there labels in it?")
        else:
            loss = outputs["loss"]
        return (loss, outputs) if return_outputs else loss

    def create_optimizer_and_scheduler(self, num_training_steps: int) -> None:
        """Make the optimizer and the schedule that the arguments name, unless the user gave them."""
        args = self.args
        self.optimizer, self.lr_scheduler = self.given_optimizers
        if self.optimizer is not None and args.shard_optimizer:
            raise ValueError("shard_optimizer shards the optimizer that the arguments name, not one given as an object")
        if self.optimizer is None:
            self.optimizer = make_optimizer(self.model, args, self.optimizer_cls_and_kwargs)
        if self.lr_scheduler is None:
            self.lr_scheduler = get_scheduler(
                args.lr_scheduler_type,
                self.optimizer,
                num_warmup_steps=args.get_warmup_steps(num_training_steps),
                num_training_steps=num_training_steps,
                scheduler_specific_kwargs=args.lr_scheduler_kwargs,
            )

    def _log_evaluate_save(self) -> None:
        """Do what the callbacks have switched on at this step."""
        if self.control.should_log and self.state.global_step > self.logged_step:
            loss = distributed.mean_over_ranks(self.running_loss).item()
            steps = self.state.global_step - self.logged_step
            self.running_loss.zero_()
            self.total_loss += loss
            self.logged_step = self.state.global_step
            self.log({"loss": loss / steps, "grad_norm": self.grad_norm.item(), "learning_rate": self.learning_rate})
        if self.control.should_evaluate:
            is_best = self.state.note_best(self.args, self.evaluate())
            if self.args.save_strategy == "best":
                self.control.should_save = is_best
        if self.control.should_save:
            self.save_checkpoint()
            self.fire("on_save")

    def _finish(self, start: float, steps: int) -> TrainOutput:
        """The summary, the best weights if asked for, and the upload."""
        args, state = self.args, self.state
        self.averaging.remove()
        running_loss = distributed.mean_over_ranks(self.running_loss).item()
        train_loss = (self.total_loss + running_loss) / max(state.global_step, 1)
        by_steps = args.max_steps > 0
        step_rows = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        rows = state.max_steps * step_rows
        samples = (rows if by_steps else len(self.train_dataset) * args.num_train_epochs) * steps / state.max_steps
        metrics = speed_metrics("train", start, samples, steps)
        metrics |= {"total_flos": state.total_flos, "train_loss": train_loss}
        self.log(metrics)
        if args.load_best_model_at_end and state.best_model_checkpoint is not None:
            ckpt.load_weights(state.best_model_checkpoint, self.model)
        self.fire("on_train_end")
        if args.push_to_hub:
            self.push_to_hub()
        return TrainOutput(state.global_step, train_loss, metrics)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add an entry to the log, with the epoch and the step, and tell the callbacks."""
        logs["epoch"] = self.state.epoch
        self.state.log_history.append({**logs, "step": self.state.global_step})
        self.fire("on_log", logs=logs)

    def evaluate(self, eval_dataset: Any = None, metric_key_prefix: str = "eval") -> dict[str, float]:
        """Losses and metrics on `eval_dataset` (None: the Trainer's), each under ``{prefix}_name``.

        For a dict of data sets, each is evaluated in turn under ``{prefix}_{key}_name``.
        """
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        if dataset is None:
            raise ValueError("Trainer.evaluate needs an eval_dataset")
        if isinstance(dataset, dict):
            parts = [self.evaluate(part, f"{metric_key_prefix}_{name}") for name, part in dataset.items()]
            return {name: value for part in parts for name, value in part.items()}
        loss_only = self.compute_metrics is None or self.args.prediction_loss_only
        loader = self.get_eval_dataloader(dataset)
        metrics = evaluation_loop(self, loader, metric_key_prefix, loss_only).metrics
        self.log(metrics)
        self.fire("on_evaluate", metrics=metrics)
        return metrics

    def predict(self, test_dataset: Any, metric_key_prefix: str = "test") -> PredictionOutput:
        """Logits for every row of `test_dataset`, in its order; labels and metrics too, where there are labels."""
        loader = self.get_test_dataloader(test_dataset)
        output = evaluation_loop(self, loader, metric_key_prefix, loss_only=False, keep_logits=True)
        self.fire("on_predict", metrics=output.metrics)
        return PredictionOutput(output.predictions, output.label_ids, output.metrics)

    @torch.no_grad()
    def prediction_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], prediction_loss_only: bool
    ) -> tuple[torch.Tensor | None, Any, Any]:
        """Loss, logits and labels of a batch; what is absent, or not asked for, is None."""
        labels = [inputs.get(name) for name in self.label_names]
        has_labels = bool(labels) and all(label is not None for label in labels)
        with autocast(self.args):
            loss, outputs = self.compute_loss(model, inputs, True) if has_labels else (None, model(**inputs))
        if prediction_loss_only:
            return loss, None, None
        if isinstance(outputs, dict):
            logits = tuple(value for name, value in outputs.items() if name != "loss")
        else:
            logits = outputs[1:] if has_labels else outputs
        return loss, unpack_single(logits), unpack_single(labels) if has_labels else None

    def get_train_dataloader(self) -> Loader:
        return make_loader(self.train_dataset, self.data_collator, self.model, self.args, "training", training=True)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Loader:
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        return make_loader(dataset, self.data_collator, self.model, self.args, "evaluation", training=False)

    def get_test_dataloader(self, test_dataset: Any) -> Loader:
        return make_loader(test_dataset, self.data_collator, self.model, self.args, "test", training=False)

    def is_world_process_zero(self) -> bool:
        return self.args.process_index == 0

    def is_local_process_zero(self) -> bool:
        return self.args.local_process_index == 0

"""A model with what evaluation needs: batches, a loss, metrics, and callbacks that hear of it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minift.train.callbacks import CallbackHandler, TrainerCallback
from minift.train.columns import count_labels
from minift.train.evaluate import EvalLoopOutput, PredictionOutput, evaluation_loop, to_numpy
from minift.train.loader import Loader, to_device
from minift.train.run import Run
from minift.train.setup import autocast, make_loader


def of_run(name: str) -> property:
    """An attribute that is a field of `run`."""
    return property(lambda self: getattr(self.run, name), lambda self, value: setattr(self.run, name, value))


class Evaluator:
    """The half of `Trainer` that does not train: losses, metrics and predictions on data sets.

    The model and the settings are in `run`; the other arguments are those of `Trainer`.
    """

    args, state, control = of_run("args"), of_run("state"), of_run("control")
    model, model_in_use = of_run("model"), of_run("model_in_use")
    data_collator, processing_class = of_run("data_collator"), of_run("processing_class")
    label_names = of_run("label_names")

    def __init__(
        self,
        run: Run,
        callback_handler: CallbackHandler,
        eval_dataset: Any = None,
        compute_loss_func: Callable | None = None,
        compute_metrics: Callable | None = None,
        preprocess_logits_for_metrics: Callable | None = None,
    ):
        self.run, self.callback_handler, self.eval_dataset = run, callback_handler, eval_dataset
        self.is_in_train = False
        self.compute_loss_func, self.compute_metrics = compute_loss_func, compute_metrics
        self.preprocess_logits_for_metrics = preprocess_logits_for_metrics

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Compute losses and metrics on `eval_dataset` (None: the Trainer's), each under ``{prefix}_name``.

        For a dict of data sets, each is evaluated in turn under ``{prefix}_{key}_name``. `ignore_keys` are fields of
        the model's output that are no logits.
        """
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        if dataset is None:
            raise ValueError("Trainer.evaluate needs an eval_dataset")
        if isinstance(dataset, dict):
            metrics = {}
            for name, part in dataset.items():  # by keyword: a subclass may have other places for them
                metrics |= self.evaluate(
                    eval_dataset=part, ignore_keys=ignore_keys, metric_key_prefix=f"{metric_key_prefix}_{name}"
                )
            return metrics
        loss_only = self.compute_metrics is None or self.args.prediction_loss_only
        output = self.evaluation_loop(
            self.get_eval_dataloader(dataset),
            description="Evaluation",
            prediction_loss_only=loss_only or None,
            ignore_keys=ignore_keys,
            metric_key_prefix=metric_key_prefix,
        )
        metrics = output.metrics
        self.log(metrics)
        self.callback_handler.on_evaluate(self.run, metrics=metrics)
        return metrics

    def predict(
        self, test_dataset: Any, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """Give the logits of every row of `test_dataset`, in its order; with labels, these and the metrics too."""
        loader = self.get_test_dataloader(test_dataset)
        output = self.evaluation_loop(
            loader,
            description="Prediction",
            ignore_keys=ignore_keys,
            metric_key_prefix=metric_key_prefix,
        )
        self.callback_handler.on_predict(self.run, metrics=output.metrics)
        return PredictionOutput(output.predictions, output.label_ids, output.metrics)

    def evaluation_loop(
        self,
        dataloader: Loader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Run `train.evaluate.evaluation_loop` on this model and a loader.

        `prediction_loss_only` None is that of the arguments. `description` is "Evaluation", for which logits are not
        kept where metrics are computed batch by batch, or another.
        """
        self.run.eval_loader = dataloader
        if not self.is_in_train and (self.args.bf16_full_eval or self.args.fp16_full_eval):
            self.model.to(torch.bfloat16 if self.args.bf16_full_eval else torch.float16)
        loss_only = self.args.prediction_loss_only if prediction_loss_only is None else prediction_loss_only
        keep_logits = description != "Evaluation"
        with_inputs = not loss_only and "inputs" in self.args.include_for_metrics

        def predict(batch: dict[str, Tensor]) -> dict[str, Any]:
            loss, logits, labels = self.prediction_step(self.model_in_use, batch, loss_only, ignore_keys=ignore_keys)
            if not loss_only and self.preprocess_logits_for_metrics is not None:
                logits = self.preprocess_logits_for_metrics(logits, labels)
            return {
                "rows": len(next(iter(batch.values()))),
                "loss": None if loss is None else loss.item(),
                "num_labels": count_labels(batch, self.label_names),
                "logits": to_numpy(logits),
                "labels": to_numpy(labels),
                "inputs": to_numpy(batch["input_ids"]) if with_inputs else None,
            }

        self.model_in_use.eval()
        return evaluation_loop(
            predict,
            dataloader,
            self.args,
            metric_key_prefix,
            loss_only,
            self.compute_metrics,
            keep_logits,
            after_batch=lambda: self.callback_handler.on_prediction_step(self.run, eval_dataloader=dataloader),
        )

    @torch.no_grad()
    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Tensor | None, Any, Any]:
        """Compute loss, logits and labels of a batch; what is absent, or not asked for, is None."""
        inputs = self._prepare_inputs(inputs)
        labels = tuple(inputs.get(name) for name in self.label_names)
        has_labels = bool(labels) and all(label is not None for label in labels)
        with self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, inputs, True) if has_labels else (None, model(**inputs))
        if prediction_loss_only:
            return loss, None, None
        if isinstance(outputs, dict):
            logits = tuple(value for name, value in outputs.items() if name not in ("loss", *(ignore_keys or ())))
        else:
            logits = outputs[1:] if has_labels else outputs
        alone = lambda values: values[0] if len(values) == 1 else values  # noqa: E731
        return loss, alone(logits), alone(labels) if has_labels else None

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: int | None = None,
    ) -> Any:
        """Compute the loss of a batch, a mean over its labels, and on request the model's output. Override it freely.

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
            logits = outputs["logits"].flatten(0, -2)  # (N, C)
            loss = F.cross_entropy(logits, labels.view(-1), label_smoothing=self.args.label_smoothing_factor)
        elif isinstance(outputs, tuple):
            loss = outputs[0]
        elif outputs.get("loss") is None:
            raise ValueError(f"the model gave no loss for a batch of {sorted(inputs)}: are there labels in it?")
        else:
            loss = outputs["loss"]
        return (loss, outputs) if return_outputs else loss

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Move a batch to the device."""
        return to_device(inputs, self.args.device)

    def compute_loss_context_manager(self) -> Any:
        """Make the context in which a loss is computed: the precision that the arguments name."""
        return autocast(self.args)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Make the loader of an evaluation set. A subclass may return any sized iterable of batches."""
        dataset = eval_dataset if eval_dataset is not None else self.eval_dataset
        sampler = self._get_eval_sampler(dataset)
        return make_loader(dataset, self.data_collator, self.model, self.args, "evaluation", False, sampler)

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """Choose the rows that are evaluated and their order; None is that of the data set."""

    def get_test_dataloader(self, test_dataset: Any) -> Loader:
        return make_loader(test_dataset, self.data_collator, self.model, self.args, "test", training=False)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add an entry to the log, with the epoch and the step, and tell the callbacks."""
        logs["epoch"] = self.state.epoch
        if self.args.include_num_input_tokens_seen != "no":
            logs["num_input_tokens_seen"] = self.state.num_input_tokens_seen
        self.state.log_history.append({**logs, "step": self.state.global_step})
        self.callback_handler.on_log(self.run, logs=logs)

    # -- callbacks: see CallbackHandler

    def add_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        self.callback_handler.add_callback(callback)

    def pop_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> TrainerCallback | None:
        return self.callback_handler.pop_callback(callback)

    def remove_callback(self, callback: TrainerCallback | type[TrainerCallback]) -> None:
        self.callback_handler.pop_callback(callback)

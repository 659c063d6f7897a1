"""What `TrainingArguments` mean to Keras: an optimizer, and a `fit` that reports as `Trainer` does."""

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from minift.batches.mask import IGNORED
from minift.files import write_json
from minift.metrics.losses import weighted_mean
from minift.tf.callbacks import EpochTable, Evaluation, PushToHubCallback, SaveCheckpoints, StopAtStep
from minift.tf.optim import AdamW, PolynomialDecay, WarmUp
from minift.tf.pretrained import TFPreTrainedModel
from minift.tokenizer.tokenizer import Tokenizer
from minift.train.arguments import TrainingArguments

# fields of TrainingArguments that are obeyed here; of the others only the default is accepted
SUPPORTED = {
    *("output_dir", "per_device_train_batch_size", "per_device_eval_batch_size", "num_train_epochs", "max_steps"),
    *("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "warmup_ratio", "weight_decay"),
    *("adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "bf16", "fp16", "seed", "data_seed"),
    *("disable_tqdm", "dataloader_drop_last", "eval_strategy", "evaluation_strategy", "save_strategy", "save_steps"),
    *("logging_strategy", "push_to_hub", "hub_model_id", "hub_token", "report_to", "overwrite_output_dir"),
    *("do_train", "do_eval", "do_predict"),
}
# field -> the values of it that are obeyed
VALUES = {
    "eval_strategy": ("no", "epoch"),
    "save_strategy": ("no", "steps", "epoch"),
    "logging_strategy": ("epoch", "steps"),  # "steps" as the default: the progress bar shows every step
    "lr_scheduler_type": ("linear", "polynomial", "constant", "constant_with_warmup"),
}


def check_arguments(args: TrainingArguments) -> None:
    """Raise a ValueError that names the first setting that the TensorFlow path does not support."""
    default = TrainingArguments(eval_strategy=args.eval_strategy)
    for field in dataclasses.fields(args):
        value = getattr(args, field.name)
        if field.name not in SUPPORTED and value != getattr(default, field.name):
            raise ValueError(f"{field.name}={value!r} is not supported with framework tf; leave it out")
        if field.name in VALUES and value not in VALUES[field.name]:
            choices = ", ".join(VALUES[field.name])
            raise ValueError(f"{field.name}={value!r} is not supported with framework tf; there are: {choices}")
    if args.lr_scheduler_kwargs and args.lr_scheduler_type != "polynomial":
        raise ValueError(f"lr_scheduler_kwargs: the schedule {args.lr_scheduler_type!r} has no further arguments")


def make_optimizer(args: TrainingArguments, steps: int) -> AdamW:
    """The optimizer for a run of so many `steps`: `AdamW` with schedule, decay and clipping as `Trainer` has them."""
    rate, kind = args.learning_rate, args.lr_scheduler_type
    warmup = 0 if kind == "constant" else args.get_warmup_steps(steps)
    falling = max(steps - warmup, 1)
    schedule = {
        "linear": lambda: PolynomialDecay(rate, falling, end_learning_rate=0.0),
        "polynomial": lambda lr_end=1e-7, power=1.0: PolynomialDecay(rate, falling, lr_end, power),
        "constant": lambda: PolynomialDecay(rate, 1, end_learning_rate=rate),
        "constant_with_warmup": lambda: PolynomialDecay(rate, 1, end_learning_rate=rate),
    }[kind](**(args.lr_scheduler_kwargs or {}))
    if warmup:
        schedule = WarmUp(rate, schedule, warmup)
    return AdamW(
        schedule,
        beta_1=args.adam_beta1,
        beta_2=args.adam_beta2,
        epsilon=args.adam_epsilon,
        weight_decay=args.weight_decay,
        global_clipnorm=args.max_grad_norm or None,
    )


def model_dtype(args: TrainingArguments) -> str | None:
    """The `dtype` for `from_pretrained`: Keras' policy for mixed precision, where the arguments ask for it."""
    return "mixed_bfloat16" if args.bf16 else "mixed_float16" if args.fp16 else None


def evaluate(
    forward: Callable[[dict[str, tf.Tensor]], Any],
    batches: tf.data.Dataset,
    compute_metrics: Callable[..., dict[str, float]] | None = None,
) -> dict[str, float]:
    """The losses and metrics of batches with labels; nothing is kept of a batch but its part in them.

    Args:
        forward: `compiled_forward(model, batches)`.
        compute_metrics: called as ``compute_metrics((logits, labels), compute_result=last)`` for each batch.

    Returns:
        the metrics, ``loss``, where each row counts alike, and ``weighted_loss``, where each label does.
    """
    losses, rows, weights, metrics = [], [], [], {}
    for number, batch in enumerate(batches, 1):
        output = forward(batch)
        losses.append(float(output["loss"]))
        rows.append(len(batch["labels"]))
        weights.append((losses[-1], int(np.count_nonzero(batch["labels"] != IGNORED))))
        if compute_metrics is not None:
            seen = (output["logits"].numpy(), batch["labels"].numpy())
            metrics = compute_metrics(seen, compute_result=number == len(batches))
    return {"loss": float(np.average(losses, weights=rows)), "weighted_loss": weighted_mean(weights), **metrics}


def compiled_forward(model: TFPreTrainedModel, batches: tf.data.Dataset) -> Callable[[dict[str, tf.Tensor]], Any]:
    """The model without dropout, as one graph for all batches, whatever their lengths."""
    return tf.function(lambda batch: dict(model(batch, training=False)), input_signature=[batches.element_spec])


def train(
    model: TFPreTrainedModel,
    args: TrainingArguments,
    batches: tf.data.Dataset,
    tokenizer: Tokenizer,
    evaluate: Callable[[], dict[str, float]] | None = None,
) -> dict[str, float]:
    """Compile and fit the model on batches with labels, print the table by epoch, and save to ``args.output_dir``.

    Args:
        evaluate: what to do after each epoch; its numbers appear in the table.

    Returns:
        the summary of the training, under the names of `Trainer`, and the number of graphs that were traced.

    Raises:
        ValueError: the loss is NaN or infinite.
    """
    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * len(batches))
    callbacks = [StopAtStep(steps)]
    if evaluate is not None:
        callbacks.append(Evaluation(evaluate))
    callbacks.append(EpochTable())
    save_steps = math.ceil(steps * args.save_steps) if args.save_steps < 1 else int(args.save_steps)
    strategy = {"save_strategy": args.save_strategy, "save_steps": save_steps, "tokenizer": tokenizer}
    callbacks.append(SaveCheckpoints(args.output_dir, **strategy))
    if args.push_to_hub:
        hub = {"hub_model_id": args.hub_model_id, "hub_token": args.hub_token}
        callbacks.append(PushToHubCallback(args.output_dir, **strategy, **hub))
    model.compile(optimizer=make_optimizer(args, steps))
    traced = count_traces(model)
    start = time.time()
    epochs = math.ceil(steps / len(batches))
    history = model.fit(batches, epochs=epochs, callbacks=callbacks, verbose=0 if args.disable_tqdm else "auto").history
    runtime = time.time() - start
    model.save_pretrained(args.output_dir)
    tokenizer.save_pretrained(args.output_dir)

    log = []
    for epoch in range(epochs):
        place = {"epoch": min((epoch + 1.0), steps / len(batches)), "step": min((epoch + 1) * len(batches), steps)}
        values = {name: numbers[epoch] for name, numbers in history.items()}
        evaluated = {f"eval_{name[4:]}": value for name, value in values.items() if name.startswith("val_")}
        log.append({name: value for name, value in values.items() if not name.startswith("val_")} | place)
        log += [evaluated | place] if evaluated else []
    state = {"global_step": steps, "epoch": steps / len(batches), "log_history": log}
    write_json(Path(args.output_dir, "trainer_state.json"), state)
    sizes = np.diff([0, *(min((epoch + 1) * len(batches), steps) for epoch in range(epochs))])
    return {
        "global_step": steps,
        "epoch": steps / len(batches),
        "train_loss": float(np.average(history["loss"], weights=sizes)),
        "train_runtime": round(runtime, 4),
        "train_samples_per_second": round(steps * args.per_device_train_batch_size / runtime, 3),
        "train_steps_per_second": round(steps / runtime, 3),
        "traced_graphs": len(traced),
    }


def count_traces(model: TFPreTrainedModel) -> list[Any]:
    """A list that grows by the shapes of a batch whenever TensorFlow makes a graph of the training step."""
    step, traced = model.train_step, []

    def train_step(data: Any) -> Any:
        traced.append(tf.nest.map_structure(lambda tensor: tensor.shape, data))
        return step(data)

    model.train_step = train_step
    return traced

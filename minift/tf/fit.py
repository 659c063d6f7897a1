"""What `TrainingArguments` mean to Keras: batches, an optimizer, and a `fit` that reports as `Trainer` does."""

import math
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from minift.batches.mask import IGNORED
from minift.data.dataset import Dataset
from minift.files import check_writable, write_json
from minift.metrics.losses import weighted_mean
from minift.tasks.output import write_page
from minift.tf.backend import tf
from minift.tf.batches import to_tf_dataset
from minift.tf.callbacks import EpochTable, Evaluation, PushToHubCallback, SaveCheckpoints, StopAtStep
from minift.tf.optim import AdamW, PolynomialDecay, WarmUp
from minift.tf.pretrained import TFPreTrainedModel
from minift.tokenizer.tokenizer import Tokenizer
from minift.train.arguments import TrainingArguments

# fields of TrainingArguments that are obeyed here; of the others only the default is accepted
SUPPORTED = """
    output_dir overwrite_output_dir do_train do_eval do_predict seed data_seed bf16 fp16 report_to disable_tqdm run_name
    per_device_train_batch_size per_device_eval_batch_size dataloader_drop_last num_train_epochs max_steps
    learning_rate lr_scheduler_type lr_scheduler_kwargs warmup_steps warmup_ratio
    weight_decay adam_beta1 adam_beta2 adam_epsilon max_grad_norm
    eval_strategy evaluation_strategy save_strategy save_steps logging_strategy push_to_hub hub_model_id hub_token
""".split()  # noqa: SIM905 - a list of 32 lines
# field -> the values of it that are obeyed
VALUES = {
    "eval_strategy": ("no", "epoch"),
    "report_to": ("none", None, [], ["none"]),
    "save_strategy": ("no", "steps", "epoch"),
    "logging_strategy": ("epoch", "steps"),  # "steps" as the default: the progress bar shows every step
    "lr_scheduler_type": ("linear", "polynomial", "constant", "constant_with_warmup"),
}

Measure = Callable[[], dict[str, float]]


def check_arguments(args: TrainingArguments) -> None:
    """Raise an error that names the first setting that the TensorFlow path does not support, or a bad output folder."""
    default = TrainingArguments(eval_strategy=args.eval_strategy)
    for field in fields(args):
        value = getattr(args, field.name)
        if field.name not in SUPPORTED and value != getattr(default, field.name):
            raise ValueError(f"{field.name}={value!r} is not supported with framework tf; leave it out")
        if field.name in VALUES and value not in VALUES[field.name]:
            choices = ", ".join(VALUES[field.name])
            raise ValueError(f"{field.name}={value!r} is not supported with framework tf; there are: {choices}")
    if args.lr_scheduler_kwargs and args.lr_scheduler_type != "polynomial":
        raise ValueError(f"lr_scheduler_kwargs: the schedule {args.lr_scheduler_type!r} has no further arguments")
    check_writable(args.output_dir)  # better now than after hours of training


def model_dtype(args: TrainingArguments) -> str | None:
    """The `dtype` for `from_pretrained`: Keras' policy for mixed precision, where the arguments ask for it."""
    return "mixed_bfloat16" if args.bf16 else "mixed_float16" if args.fp16 else None


def train_batches(dataset: Dataset, args: TrainingArguments, collate_fn: Callable) -> tf.data.Dataset:
    """Make the batches that `Trainer` would train on, in its order."""
    return to_tf_dataset(
        dataset,
        args.per_device_train_batch_size,
        shuffle=True,
        collate_fn=collate_fn,
        drop_remainder=args.dataloader_drop_last,
        seed=args.seed if args.data_seed is None else args.data_seed,
    )


def make_evaluation(
    model: TFPreTrainedModel, batches: tf.data.Dataset, compute_metrics: Callable[..., dict[str, float]] | None = None
) -> Measure:
    """Make a function that measures a model on batches with labels; of a batch only its part in the numbers is kept.

    The function returns ``loss``, where each row counts alike, ``weighted_loss``, where each label does, and the
    metrics of ``compute_metrics((logits, labels), compute_result=last)``, which is called for each batch.
    """

    @tf.function(input_signature=[batches.element_spec])  # one graph for all batches, whatever their lengths
    def forward(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return dict(model(batch, training=False))

    def measure() -> dict[str, float]:
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

    return measure


def make_optimizer(args: TrainingArguments, steps: int) -> AdamW:
    """Make the optimizer for a run of so many `steps`: schedule, decay and clipping as `Trainer` has them."""
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
    betas = {"beta_1": args.adam_beta1, "beta_2": args.adam_beta2}
    clipping = args.max_grad_norm or None
    return AdamW(schedule, **betas, epsilon=args.adam_epsilon, weight_decay=args.weight_decay, global_clipnorm=clipping)


def train(
    model: TFPreTrainedModel,
    args: TrainingArguments,
    batches: tf.data.Dataset,
    tokenizer: Tokenizer,
    evaluate: Measure | None = None,
) -> dict[str, float]:
    """Compile and fit the model on batches with labels, print the table by epoch, and save to ``args.output_dir``.

    The numbers of `evaluate`, which is called after each epoch, appear in the table. Returns the summary of the
    training, under the names of `Trainer`, and the number of graphs that were traced.

    Raises:
        ValueError: the loss is NaN or infinite.
    """
    steps = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * len(batches))
    save_steps = math.ceil(steps * args.save_steps) if args.save_steps < 1 else int(args.save_steps)
    strategy = {"save_strategy": args.save_strategy, "save_steps": save_steps, "tokenizer": tokenizer}
    callbacks = [StopAtStep(steps), *([Evaluation(evaluate)] if evaluate else []), EpochTable()]
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

    ends = [min((epoch + 1) * len(batches), steps) for epoch in range(epochs)]  # the last step of each epoch
    log = []
    for epoch, step in enumerate(ends):
        place = {"epoch": step / len(batches), "step": step}
        values = {name: numbers[epoch] for name, numbers in history.items()}
        evaluated = {f"eval_{name[4:]}": value for name, value in values.items() if name.startswith("val_")}
        log.append({name: value for name, value in values.items() if not name.startswith("val_")} | place)
        log += [evaluated | place] if evaluated else []
    summary = {"global_step": steps, "epoch": steps / len(batches)}
    write_json(Path(args.output_dir, "trainer_state.json"), summary | {"log_history": log})
    write_page(args, log, {"framework": "tf"})
    return summary | {
        "train_loss": float(np.average(history["loss"], weights=np.diff([0, *ends]))),
        "train_runtime": round(runtime, 4),
        "train_samples_per_second": round(steps * args.per_device_train_batch_size / runtime, 3),
        "train_steps_per_second": round(steps / runtime, 3),
        "traced_graphs": len(traced),
    }


def count_traces(model: TFPreTrainedModel) -> list[Any]:
    """Return a list that grows by the shapes of a batch whenever TensorFlow makes a graph of the training step."""
    step, traced = model.train_step, []

    def train_step(data: Any) -> Any:
        traced.append(tf.nest.map_structure(lambda tensor: tensor.shape, data))
        return step(data)

    model.train_step = train_step
    return traced

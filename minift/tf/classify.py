"""Fine-tune a checkpoint on a classification data set in Keras: `minift.tasks.classify` with another model and loop."""

from pathlib import Path
from typing import Any

import keras

from minift.batches.collate import DataCollatorWithPadding
from minift.files import check_writable
from minift.tasks.rows import load_rows, without_evaluation
from minift.tasks.task import metrics_of
from minift.tf.auto import TFAutoModelForSequenceClassification
from minift.tf.batches import to_tf_dataset
from minift.tf.fit import check_arguments, compiled_forward, evaluate, model_dtype, train
from minift.tf.pretrained import TFPreTrainedModel
from minift.train.arguments import TrainingArguments


def finetune(
    model: str | Path, dataset: str | Path, args: TrainingArguments, **options: Any
) -> tuple[TFPreTrainedModel, dict[str, float]]:
    """Load, tokenise, train, evaluate each epoch, and save to ``args.output_dir``.

    Arguments and errors are those of `minift.tasks.classify.finetune`; the order of the rows is the same, too.

    Returns:
        The trained model, and the summary of the training.

    Raises:
        ValueError: also for a training argument that the TensorFlow path does not support; the message names it.
    """
    check_arguments(args)
    check_writable(args.output_dir)  # better now than after hours of training
    rows = load_rows(model, dataset, args, **options)
    args = without_evaluation(args, rows)

    keras.utils.set_random_seed(args.seed)
    dtype = model_dtype(args)
    model = TFAutoModelForSequenceClassification.from_pretrained(model, dtype=dtype, **rows.task.model_options)
    collator = DataCollatorWithPadding(rows.tokenizer, return_tensors="tf")
    batches = to_tf_dataset(
        rows.train,
        args.per_device_train_batch_size,
        shuffle=True,
        collate_fn=collator,
        drop_remainder=args.dataloader_drop_last,
        seed=args.seed if args.data_seed is None else args.data_seed,
    )
    after_epoch = None
    if args.eval_strategy == "epoch":
        held_out = to_tf_dataset(rows.evaluation, args.per_device_eval_batch_size, collate_fn=collator)
        forward, metrics = compiled_forward(model, held_out), metrics_of(rows.task)

        def after_epoch() -> dict[str, float]:
            return evaluate(forward, held_out, metrics)

    return model, train(model, args, batches, rows.tokenizer, after_epoch)

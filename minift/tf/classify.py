"""Fine-tune a checkpoint on a classification data set in Keras: `minift.tasks.classify` with another model and loop."""

import logging
from dataclasses import replace
from pathlib import Path

import keras

from minift.batches.collate import DataCollatorWithPadding
from minift.files import check_writable
from minift.tasks.task import load_task, metrics_of, tokenize_for
from minift.tf.auto import TFAutoModelForSequenceClassification
from minift.tf.batches import to_tf_dataset
from minift.tf.fit import check_arguments, compiled_forward, evaluate, model_dtype, train
from minift.tf.pretrained import TFPreTrainedModel
from minift.tokenizer.tokenizer import AutoTokenizer
from minift.train.arguments import TrainingArguments

logger = logging.getLogger(__name__)


def finetune(
    model: str | Path,
    dataset: str | Path,
    args: TrainingArguments,
    config: str | None = None,
    text_columns: list[str] | None = None,
    label_column: str | None = None,
    max_length: int | None = None,
    max_train_samples: int | None = None,
    max_eval_samples: int | None = None,
) -> tuple[TFPreTrainedModel, dict[str, float]]:
    """Load, tokenise, train, evaluate each epoch, and save to ``args.output_dir``.

    Arguments and errors are those of `minift.tasks.classify.finetune`; the rows are visited in the same order.

    Returns:
        The trained model, and the summary of the training.

    Raises:
        ValueError: also for a training argument that the TensorFlow path does not support; the message names it.
    """
    check_arguments(args)
    check_writable(args.output_dir)  # better now than after hours of training
    task, data = load_task(
        dataset, config, text_columns, label_column, max_train_samples, max_eval_samples, seed=args.seed
    )
    tokenizer = AutoTokenizer.from_pretrained(model)
    keras.utils.set_random_seed(args.seed)
    model = TFAutoModelForSequenceClassification.from_pretrained(model, dtype=model_dtype(args), **task.model_options)
    tokenised = tokenize_for(model.config, data, task, tokenizer, max_length)
    if task.eval_split is None and args.eval_strategy != "no":
        logger.warning("only the split 'train' has labels: training without evaluation")
        args = replace(args, eval_strategy="no", evaluation_strategy=None)

    collator = DataCollatorWithPadding(tokenizer, return_tensors="tf")
    batches = to_tf_dataset(
        tokenised["train"],
        args.per_device_train_batch_size,
        shuffle=True,
        collate_fn=collator,
        drop_remainder=args.dataloader_drop_last,
        seed=args.seed if args.data_seed is None else args.data_seed,
    )
    after_epoch = None
    if args.eval_strategy == "epoch":
        held_out = to_tf_dataset(tokenised[task.eval_split], args.per_device_eval_batch_size, collate_fn=collator)
        forward, metrics = compiled_forward(model, held_out), metrics_of(task)

        def after_epoch() -> dict[str, float]:
            return evaluate(forward, held_out, metrics)

    return model, train(model, args, batches, tokenizer, after_epoch)

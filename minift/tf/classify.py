"""Fine-tune a checkpoint on a classification data set in Keras: `minift.tasks.classify` with another model and loop."""

import logging
from pathlib import Path
from typing import Any

from minift.batches.collate import DataCollatorWithPadding
from minift.tasks.output import write_options
from minift.tasks.rows import load_rows, without_evaluation
from minift.tasks.task import metrics_of
from minift.tf.auto import TFAutoModelForSequenceClassification
from minift.tf.backend import keras
from minift.tf.batches import to_tf_dataset
from minift.tf.fit import check_arguments, make_evaluation, model_dtype, train, train_batches
from minift.tf.pretrained import TFPreTrainedModel
from minift.train.arguments import TrainingArguments

logger = logging.getLogger(__name__)


def finetune(
    model: str | Path, dataset: str | Path, args: TrainingArguments, **options: Any
) -> tuple[TFPreTrainedModel, dict[str, float]]:
    """Load, tokenise, train, evaluate each epoch, and save to ``args.output_dir``; return the model and the summary.

    Arguments, errors and the order of the rows are those of `minift.tasks.classify.finetune`; besides, a training
    argument that the TensorFlow path does not support is a ValueError.
    """
    check_arguments(args)
    rows = load_rows(model, dataset, args, **options)
    columns = {"text_columns": rows.task.text_columns, "label_column": rows.task.label_column}
    write_options(args, {"model": str(model), "dataset": dataset} | options | columns)
    args = without_evaluation(args, rows)
    if rows.more:
        logger.warning("the TensorFlow path evaluates one split: %s is left out", ", ".join(rows.more))

    keras.utils.set_random_seed(args.seed)
    options = {"dtype": model_dtype(args), **rows.task.model_options}
    model = TFAutoModelForSequenceClassification.from_pretrained(model, **options)
    collator = DataCollatorWithPadding(rows.tokenizer, return_tensors="tf")
    batches = train_batches(rows.train, args, collator)
    evaluate = None
    if args.eval_strategy == "epoch":
        held_out = to_tf_dataset(rows.evaluation, args.per_device_eval_batch_size, collate_fn=collator)
        evaluate = make_evaluation(model, held_out, metrics_of(rows.task))
    return model, train(model, args, batches, rows.tokenizer, evaluate)

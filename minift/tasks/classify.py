"""Fine-tune a checkpoint on a classification data set: from two names to a saved model."""

import logging
from dataclasses import replace
from pathlib import Path

from minift.batches.collate import DataCollatorWithPadding
from minift.distributed.main_first import main_process_first
from minift.files import check_writable
from minift.model.auto import AutoModelForSequenceClassification
from minift.tasks.task import load_task, metrics_of, tokenize_for
from minift.tokenizer.tokenizer import AutoTokenizer
from minift.train.arguments import TrainingArguments
from minift.train.progress import EpochTable
from minift.train.seed import set_seed
from minift.train.trainer import Trainer, TrainOutput

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
) -> tuple[Trainer, TrainOutput]:
    """Load, tokenise, train, evaluate each epoch, and save to ``args.output_dir``.

    Args:
        model, dataset: a folder or a Hub name each.
        args: the training arguments; without a split to evaluate on, its `eval_strategy` counts as "no".
        config: the data set's configuration, such as "mrpc".
        text_columns: one or two columns to feed; None finds them.
        label_column: the column to predict; None finds it.
        max_length: tokens to cut a row to; None takes what the model can read.
        max_train_samples, max_eval_samples: rows to draw at random, with ``args.seed``; None takes all.

    Returns:
        The trainer, with the trained model, and the summary of the training.

    Raises:
        ValueError: the data set poses no task (see `find_task`), the tokenizer has tokens that the model has no
            embedding for, or `max_length` is more than the model can read.
        OSError: `args.output_dir` cannot be written to.
    """
    check_writable(args.output_dir)  # better now than after hours of training
    with main_process_first():
        task, data = load_task(
            dataset, config, text_columns, label_column, max_train_samples, max_eval_samples, seed=args.seed
        )
    tokenizer = AutoTokenizer.from_pretrained(model)
    set_seed(args.seed)
    model = AutoModelForSequenceClassification.from_pretrained(model, **task.model_options)
    with main_process_first():  # the others map what it has tokenised into memory
        tokenised = tokenize_for(model.config, data, task, tokenizer, max_length)
    args = replace(args, batch_eval_metrics=True)  # the metrics below add up batch by batch; no logits are kept
    if task.eval_split is None and args.eval_strategy != "no":
        logger.warning("only the split 'train' has labels: training without evaluation")
        args = replace(args, eval_strategy="no", evaluation_strategy=None)
    trainer = Trainer(
        model,
        args,
        data_collator=DataCollatorWithPadding(tokenizer),
        train_dataset=tokenised["train"],
        eval_dataset=tokenised[task.eval_split] if task.eval_split else None,
        processing_class=tokenizer,
        compute_metrics=metrics_of(task),
        callbacks=[EpochTable],
    )
    output = trainer.train(args.resume_from_checkpoint)
    trainer.save_model()
    trainer.save_state()
    return trainer, output

"""Fine-tune a checkpoint on a classification data set: from two names to a saved model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from minift.batches.collate import DataCollatorWithPadding
from minift.distributed.exchange import main_process_first
from minift.files import check_writable
from minift.model.auto import AutoModelForSequenceClassification
from minift.tasks.rows import load_rows, without_evaluation
from minift.tasks.task import metrics_of
from minift.train.arguments import TrainingArguments
from minift.train.progress import EpochTable
from minift.train.seed import set_seed
from minift.train.trainer import Trainer, TrainOutput


def finetune(
    model: str | Path, dataset: str | Path, args: TrainingArguments, **options: Any
) -> tuple[Trainer, TrainOutput]:
    """Load, tokenise, train, evaluate each epoch, and save to ``args.output_dir``; arguments as for `load_rows`.

    Returns the trainer and the summary of the training. An output folder that cannot be written to is an OSError.
    """
    check_writable(args.output_dir)  # better now than after hours of training
    with main_process_first():  # the other processes map what it has tokenised into memory
        rows = load_rows(model, dataset, args, **options)
    args = without_evaluation(args, rows)
    args = replace(args, batch_eval_metrics=True)  # the metrics add up batch by batch; no logits are kept

    set_seed(args.seed)
    trainer = Trainer(
        AutoModelForSequenceClassification.from_pretrained(model, **rows.task.model_options),
        args,
        data_collator=DataCollatorWithPadding(rows.tokenizer),
        train_dataset=rows.train,
        eval_dataset=rows.evaluation,
        processing_class=rows.tokenizer,
        compute_metrics=metrics_of(rows.task),
        callbacks=[EpochTable],
    )
    output = trainer.train(args.resume_from_checkpoint)
    trainer.save_model()
    trainer.save_state()
    return trainer, output

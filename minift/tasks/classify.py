"""Fine-tune a checkpoint on a classification data set: from two names to a saved model and its report."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from minift.batches.collate import DataCollatorWithPadding
from minift.data.dataset import Dataset
from minift.distributed.exchange import main_process_first
from minift.model.auto import AutoModelForSequenceClassification
from minift.report.run_page import Predictions
from minift.tasks.labels import ONE
from minift.tasks.output import check_output, write_options, write_page
from minift.tasks.rows import Rows, load_rows, row_lengths, without_evaluation
from minift.tasks.show import Show, add_console, train
from minift.tasks.task import metrics_of
from minift.train.arguments import TrainingArguments
from minift.train.report import stage, tell
from minift.train.seed import set_seed
from minift.train.trainer import Trainer, TrainOutput

SHOWN = ("loss", "accuracy")  # of a further evaluation set
MOST_PREDICTED = 5000  # rows of the evaluation set that the report looks at


def finetune(
    model: str | Path,
    dataset: str | Path | list[str] | None,
    args: TrainingArguments,
    show: Show | None = None,
    **options: Any,
) -> tuple[Trainer, TrainOutput]:
    """Load, tokenise, train, evaluate each epoch, and save to ``args.output_dir``; arguments as for `load_rows`.

    Returns the trainer and the summary of the training. An output folder that cannot be written to is an OSError; one
    that holds another run, a ValueError. `Interrupted` says that a signal has stopped the training, with a checkpoint.
    """
    check_output(args)
    with main_process_first():  # the other processes map what it has tokenised into memory
        rows = load_rows(model, dataset, args, **options)
    columns = {"text_columns": rows.task.text_columns, "label_column": rows.task.label_column}
    write_options(args, {"model": str(model), "dataset": dataset} | options | columns)
    args = without_evaluation(args, rows)
    args = replace(args, batch_eval_metrics=True)  # the metrics add up batch by batch; no logits are kept

    set_seed(args.seed)
    with stage("model") as lines:
        network = AutoModelForSequenceClassification.from_pretrained(model, **rows.task.model_options)
        lines.append(f"{type(network).__name__} from {model}, {network.num_parameters():,} parameters")
    trainer = Trainer(
        network,
        args,
        data_collator=DataCollatorWithPadding(rows.tokenizer),
        train_dataset=rows.train,
        eval_dataset=rows.evaluation,
        processing_class=rows.tokenizer,
        compute_metrics=metrics_of(rows.task),
    )
    output = train(trainer, add_console(trainer, show))
    for split, part in rows.more.items():
        prefix = f"eval_{split.removeprefix('validation_')}"
        metrics = trainer.evaluate(part, metric_key_prefix=prefix)
        tell("scores", f"{split}: " + ", ".join(f"{name} {metrics[f'{prefix}_{name}']:.4g}" for name in SHOWN))
    trainer.save_model()
    trainer.save_state()
    with stage("report") as lines:
        seen = report(trainer, rows, str(model))
        lines.append(f"{args.output_dir}/report.html, with the answers to {seen:,} rows")
    return trainer, output


def report(trainer: Trainer, rows: Rows, model: str) -> int:
    """Write ``report.html`` beside the model (*collective*); return for how many rows it has the model's answers."""
    predictions = None
    if rows.task.problem_type == ONE and rows.evaluation is not None:
        predictions = predict(trainer, rows)
    settings = {"model": model, "text": ", ".join(rows.task.text_columns), "label": rows.task.label_column}
    write_page(trainer.args, trainer.state.log_history, settings, row_lengths(rows.train), predictions)
    return 0 if predictions is None else len(predictions.labels)


def predict(trainer: Trainer, rows: Rows) -> Predictions:
    """Return the classes' probabilities for rows of the evaluation set, the first `MOST_PREDICTED`."""
    kept = range(min(MOST_PREDICTED, len(rows.evaluation)))
    output = trainer.predict(rows.evaluation.select(kept))
    probabilities = torch.from_numpy(output.predictions).float().softmax(dim=-1).numpy()  # (N, C)
    texts = joined_texts(rows.texts.select(kept), rows.task.text_columns)
    return Predictions(rows.task.label_names, probabilities, output.label_ids, texts)


def joined_texts(rows: Dataset, columns: list[str]) -> list[str]:
    return [" — ".join(texts) for texts in zip(*(rows[column] for column in columns), strict=True)]

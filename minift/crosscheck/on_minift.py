"""The job on minift: data are prepared by the functions of `minift finetune` and `minift mlm`."""

from dataclasses import replace
from functools import partial
from typing import Any

import minift
from minift.crosscheck.job import Job
from minift.crosscheck.run import Side, choose, each, run
from minift.tasks.blocks import MAP_ROWS, find_text_column
from minift.tasks.blocks import tokenize as tokenize_texts
from minift.tasks.mlm import MaskedLMTrainer
from minift.tasks.rows import tokenize as tokenize_rows
from minift.tasks.task import Task, find_task, metrics_of
from minift.train.progress import PrinterCallback


def run_minift(job: Job, folder: str) -> tuple[Task, dict[str, Any]]:
    """Run the job; return the task found in the data, so that the other side does the same, and what stages compare."""
    data = minift.load_dataset(job.dataset, job.config, cache_dir=folder)
    if job.task == "mlm":  # one column of texts, no labels
        eval_split = next((split for split in ("validation", "test") if split in data), None)
        task = Task([find_text_column(data["train"].features)], "", [], eval_split, None)
        trainer = MaskedLMTrainer
    else:
        task, labelled = find_task(data, job.config)
        trainer = partial(minift.Trainer, compute_metrics=metrics_of(replace(task, glue=None)))

    def token_ids(tokenizer: Any) -> dict[str, Any]:
        if job.task == "mlm":
            return each(lambda rows: tokenize_texts(rows, tokenizer, task.text_columns[0]), choose(data, task, job))
        return tokenize_rows(choose(labelled, task, job), task, tokenizer)

    side = Side(
        library=minift,
        data=data,
        token_ids=token_ids,
        blocks=lambda rows, size: minift.chunk_dataset(rows, size, batch_size=MAP_ROWS),
        row_numbers=lambda loader: loader.batches,
        trainer=trainer,
        printer=PrinterCallback,
        arguments={"batch_eval_metrics": job.task != "mlm"},
    )
    return task, run(side, job, task, folder)

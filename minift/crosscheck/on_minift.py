"""The job on minift."""

from dataclasses import replace
from typing import Any

from minift.batches.chunk import chunk_dataset
from minift.batches.collate import DataCollatorWithPadding
from minift.batches.mask import DataCollatorForLanguageModeling
from minift.crosscheck.job import BLOCK_SIZE, MLM_PROBABILITY, Job, metric_names
from minift.crosscheck.observe import choose, observe, table
from minift.data.load import load_dataset
from minift.model.auto import AutoModelForMaskedLM, AutoModelForSequenceClassification
from minift.model.checks import check_vocabulary
from minift.tasks.blocks import MAP_ROWS, find_text_column
from minift.tasks.blocks import tokenize as tokenize_texts
from minift.tasks.mlm import MaskedLMTrainer
from minift.tasks.rows import tokenize as tokenize_rows
from minift.tasks.task import Task, find_task, metrics_of
from minift.tokenizer.tokenizer import AutoTokenizer
from minift.train.arguments import TrainingArguments
from minift.train.progress import PrinterCallback
from minift.train.seed import set_seed
from minift.train.trainer import Trainer


def run_minift(job: Job, folder: str) -> tuple[Task, dict[str, Any]]:
    """Run the job; files that it needs on the way go to `folder`.

    Returns:
        The task that was found in the data, so that the other side does the same, and what each stage compares.

    Raises:
        ValueError, KeyError, FileNotFoundError: no such model, weights, data set or task, as `tasks.classify.finetune`
            and `tasks.mlm.mlm` raise them.
    """
    is_mlm = job.task == "mlm"
    data = load_dataset(job.dataset, job.config, cache_dir=folder)
    if is_mlm:  # one column of texts, no labels
        eval_split = next((split for split in ("validation", "test") if split in data), None)
        task = Task([find_text_column(data["train"].features)], "", [], eval_split, None)
        labelled = data
    else:
        task, labelled = find_task(data, job.config)
    tokenizer = AutoTokenizer.from_pretrained(job.model)
    set_seed(job.seed)
    auto, head = AutoModelForMaskedLM, {}
    if not is_mlm:
        auto = AutoModelForSequenceClassification
        head = {"num_labels": task.num_labels, "problem_type": task.problem_type}
    model, loading = auto.from_pretrained(job.model, dtype="float32", output_loading_info=True, **head)
    check_vocabulary(len(tokenizer), model.config)
    longest = model.config.max_position_embeddings
    tokenizer.model_max_length = min(tokenizer.model_max_length, longest)

    seen: dict[str, Any] = {"rows and features": {use: table(rows) for use, rows in choose(data, task, job).items()}}
    rows = choose(labelled, task, job)
    if is_mlm:
        tokenised = {use: tokenize_texts(texts, tokenizer, task.text_columns[0]) for use, texts in rows.items()}
        size = min(BLOCK_SIZE, longest)
        rows = {use: chunk_dataset(texts, size, batch_size=MAP_ROWS) for use, texts in tokenised.items()}
        rows["evaluation"] = rows["evaluation"].take(job.max_eval_rows)
        seen["blocks"] = {use: blocks[:] for use, blocks in rows.items()}
        collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=MLM_PROBABILITY)
    else:
        rows = tokenised = tokenize_rows(rows, task, tokenizer)
        collator = DataCollatorWithPadding(tokenizer)
    seen["token ids"] = {use: part[:] for use, part in tokenised.items()}

    trainer = (MaskedLMTrainer if is_mlm else Trainer)(
        model,
        TrainingArguments(**job.training_arguments(folder), batch_eval_metrics=not is_mlm),
        collator,
        train_dataset=rows["train"],
        eval_dataset=rows["evaluation"],
        compute_metrics=None if is_mlm else metrics_of(replace(task, glue=None)),
    )
    trainer.remove_callback(PrinterCallback)
    return task, seen | observe(
        trainer, loading["missing_keys"], lambda loader: loader.batches, metric_names(job.task, task)
    )

"""The job on transformers, datasets and accelerate: data are prepared as their documentation and the course do."""

import math
from functools import partial
from itertools import chain
from typing import Any

import datasets
import numpy as np
import torch
import transformers

from minift.crosscheck.job import LEARNING_RATE, Job
from minift.crosscheck.run import Side, choose, each, run
from minift.tasks.blocks import MAP_ROWS
from minift.tasks.task import Task

# The default, torch's fused kernel, rounds in another order than the formula: its last bit differs from a loop over
# the parameters, torch's own included. minift's AdamW is compared with that loop.
PLAIN_ADAMW = (torch.optim.AdamW, {"lr": LEARNING_RATE, "betas": (0.9, 0.999), "eps": 1e-8, "foreach": False})


def run_libraries(job: Job, task: Task, folder: str) -> dict[str, Any]:
    """Run the job; return what each stage compares. The task, columns and classes, is what minift has found."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    is_mlm = job.task == "mlm"
    data = datasets.load_dataset(job.dataset, job.config, cache_dir=folder)
    tokenize = tokenize_texts if is_mlm else tokenize_rows
    scores = None if is_mlm else class_scores if task.label_names else number_scores
    side = Side(
        library=transformers,
        data=data,
        token_ids=lambda tokenizer: each(lambda rows: tokenize(rows, tokenizer, task), choose(data, task, job)),
        blocks=into_blocks,
        row_numbers=lambda loader: loader.batch_sampler,
        trainer=partial(transformers.Trainer, compute_metrics=scores, optimizer_cls_and_kwargs=PLAIN_ADAMW),
        printer=transformers.PrinterCallback,
    )
    seen = run(side, job, task, folder)
    if is_mlm:  # which the course computes from the loss
        seen["metrics"] = {"perplexity": math.exp(seen["evaluation loss"])}
    return seen


def tokenize_rows(rows: datasets.Dataset, tokenizer: Any, task: Task) -> datasets.Dataset:
    """Return the token ids of one text or a pair, and the label as the model takes it."""

    def encode(batch: dict[str, list]) -> dict[str, list]:
        return tokenizer(*(batch[column] for column in task.text_columns), truncation=True)

    label, text = task.label_column, task.text_columns
    rows = rows.select_columns([*text, label])
    kind = getattr(rows.features[label], "dtype", None)
    if kind == "bool":
        rows = rows.cast_column(label, datasets.Value("int64"))
    elif kind in ("string", "large_string"):
        rows = rows.cast_column(label, datasets.ClassLabel(names=task.label_names))
    rows = rows.map(encode, batched=True, remove_columns=text)
    return rows if label in ("label", "labels") else rows.rename_column(label, "labels")


def tokenize_texts(rows: datasets.Dataset, tokenizer: Any, task: Task) -> datasets.Dataset:
    """Return whole texts as token ids, instead of all columns."""
    column = task.text_columns[0]
    return rows.map(lambda batch: tokenizer(batch[column]), batched=True, remove_columns=rows.column_names)


def into_blocks(rows: datasets.Dataset, size: int) -> datasets.Dataset:
    """Join the texts of 1,000 rows and cut them into blocks; the rest is dropped. Labels are the tokens."""

    def cut(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        joined = {name: list(chain.from_iterable(lists)) for name, lists in batch.items()}
        whole = len(joined["input_ids"]) // size * size
        blocks = {name: [values[i : i + size] for i in range(0, whole, size)] for name, values in joined.items()}
        return {**blocks, "labels": blocks["input_ids"]}

    return rows.map(cut, batched=True, batch_size=MAP_ROWS)


def class_scores(prediction: transformers.EvalPrediction) -> dict[str, float]:
    """Accuracy, and F1 of class 1 of two classes or the mean of all classes' F1, from the definitions."""
    logits, labels = prediction
    guesses = logits.argmax(-1)

    def f1(label: int) -> float:
        hits = ((guesses == label) & (labels == label)).sum()
        total = (guesses == label).sum() + (labels == label).sum()
        return 2 * hits / total if total else 0.0

    classes = [1] if logits.shape[-1] == 2 else np.union1d(guesses, labels)
    return {"accuracy": (guesses == labels).mean(), "f1": np.mean([f1(label) for label in classes])}


def number_scores(prediction: transformers.EvalPrediction) -> dict[str, float]:
    """Mean squared error and Pearson's correlation, from the definitions."""
    guesses, labels = prediction.predictions[:, 0].astype(np.float64), prediction.label_ids.astype(np.float64)
    return {"mse": ((guesses - labels) ** 2).mean(), "pearsonr": np.corrcoef(guesses, labels)[0, 1]}

"""The job on transformers, datasets and accelerate, as their documentation and the course write it."""

import math
from itertools import chain
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from transformers.trainer_callback import PrinterCallback

from minift.crosscheck.job import BLOCK_SIZE, LEARNING_RATE, MLM_PROBABILITY, Job, metric_names
from minift.crosscheck.observe import choose, observe, table
from minift.tasks.blocks import MAP_ROWS
from minift.tasks.task import Task

# The default, torch's fused kernel, rounds in another order than the formula: its last bit differs from a loop over
# the parameters, torch's own included. minift's AdamW is compared with that loop.
PLAIN_ADAMW = (torch.optim.AdamW, {"lr": LEARNING_RATE, "betas": (0.9, 0.999), "eps": 1e-8, "foreach": False})


def run_libraries(job: Job, task: Task, folder: str) -> dict[str, Any]:
    """Run the job on the libraries; files that it needs on the way go to `folder`.

    Args:
        task: the columns of texts and the label that minift has found; a part of the job.

    Returns:
        What each stage compares.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    is_mlm = job.task == "mlm"
    rows = choose(datasets.load_dataset(job.dataset, job.config, cache_dir=folder), task, job)
    seen: dict[str, Any] = {"rows and features": {use: table(part) for use, part in rows.items()}}

    tokenizer = transformers.AutoTokenizer.from_pretrained(job.model)
    transformers.set_seed(job.seed)
    auto, head = transformers.AutoModelForMaskedLM, {}
    if not is_mlm:
        auto = transformers.AutoModelForSequenceClassification
        head = {"num_labels": task.num_labels, "problem_type": task.problem_type}
    model, loading = auto.from_pretrained(job.model, dtype=torch.float32, output_loading_info=True, **head)
    longest = model.config.max_position_embeddings

    if is_mlm:
        tokenised = {use: tokenize_texts(part, tokenizer, task.text_columns[0]) for use, part in rows.items()}
        rows = {use: into_blocks(part, min(BLOCK_SIZE, longest)) for use, part in tokenised.items()}
        evaluated = rows["evaluation"]
        rows["evaluation"] = evaluated.select(range(min(len(evaluated), job.max_eval_rows)))
        seen["blocks"] = {use: part[:] for use, part in rows.items()}
        collator = transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=MLM_PROBABILITY)
    else:
        longest = min(longest, tokenizer.model_max_length)
        rows = tokenised = {use: tokenize_rows(part, tokenizer, task, longest) for use, part in rows.items()}
        collator = transformers.DataCollatorWithPadding(tokenizer)
    seen["token ids"] = {use: part[:] for use, part in tokenised.items()}

    trainer = transformers.Trainer(
        model,
        transformers.TrainingArguments(**job.training_arguments(folder)),
        collator,
        train_dataset=rows["train"],
        eval_dataset=rows["evaluation"],
        compute_metrics=None if is_mlm else class_scores if task.label_names else number_scores,
        optimizer_cls_and_kwargs=PLAIN_ADAMW,
    )
    trainer.remove_callback(PrinterCallback)
    metrics = metric_names(job.task, task)
    seen |= observe(trainer, loading["missing_keys"], lambda loader: loader.batch_sampler, metrics)
    if is_mlm:  # which the course computes from the loss
        seen["metrics"] = {"perplexity": math.exp(seen["evaluation loss"])}
    return seen


def tokenize_rows(
    rows: datasets.Dataset, tokenizer: transformers.PreTrainedTokenizerBase, task: Task, max_length: int
) -> datasets.Dataset:
    """Return the token ids of one text or a pair, and the label as the model takes it."""

    def encode(batch: dict[str, list]) -> dict[str, list]:
        return tokenizer(*(batch[column] for column in task.text_columns), truncation=True, max_length=max_length)

    label, text = task.label_column, task.text_columns
    rows = rows.select_columns([*text, label])
    kind = getattr(rows.features[label], "dtype", None)
    if kind == "bool":
        rows = rows.cast_column(label, datasets.Value("int64"))
    elif kind in ("string", "large_string"):
        rows = rows.cast_column(label, datasets.ClassLabel(names=task.label_names))
    rows = rows.map(encode, batched=True, remove_columns=text)
    return rows if label in ("label", "labels") else rows.rename_column(label, "labels")


def tokenize_texts(rows: datasets.Dataset, tokenizer: Any, column: str) -> datasets.Dataset:
    """Return whole texts as token ids, instead of all columns."""
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

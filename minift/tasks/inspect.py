"""What is in a checkpoint, in a data set, and in a batch of it, as lines for the terminal."""

import re
from collections.abc import Mapping, Sequence
from shutil import get_terminal_size
from typing import Any

import numpy as np

from minift.batches.collate import DataCollatorWithPadding
from minift.data.dataset import Dataset, DatasetDict
from minift.hub import repository_folder
from minift.model.config import AutoConfig
from minift.model.files.folder import OLD_PATTERNS, PATTERNS, Stored, read_checkpoint
from minift.model.files.names import TIED
from minift.model.files.parameters import map_file
from minift.report.charts import sparkline
from minift.report.run_page import padding_share
from minift.tasks.rows import row_lengths, tokenize
from minift.tasks.task import Task, find_task
from minift.tokenizer.classes import AutoTokenizer

BINS = 40  # of the histogram of lengths
NOT_LEARNED = ("position_ids", "token_type_ids")  # buffers in older checkpoints


def describe_checkpoint(name: str, tensors: bool = False) -> list[str]:
    """Describe a checkpoint: architecture, parameters by part, head, whose names; with `tensors` every tensor."""
    config = AutoConfig.from_pretrained(name)
    folder = repository_folder(name, ["config.json", *PATTERNS, *OLD_PATTERNS])
    stored = read_checkpoint(folder, map_file)
    learned = {key: one for key, one in stored.items() if not key.endswith(NOT_LEARNED)}
    parts = parts_of(learned, config.model_type)
    heads, hidden = config.num_attention_heads, config.hidden_size
    most = config.max_position_embeddings
    lines = [
        f"checkpoint    {name}",
        f"architecture  {', '.join(config.architectures or ['not said'])} ({config.model_type})",
        f"sizes         {config.num_hidden_layers} layers, hidden {hidden}, {heads} heads of {hidden // heads}, "
        f"vocabulary {config.vocab_size:,}, {most} tokens",
        f"files         {', '.join(sorted({one.file.name for one in stored.values()}))}, {dtypes(learned)}",
        f"names         {whose_names(stored, config.model_type)}",
    ]
    ties = [copy for copy in TIED.get(config.model_type, {}) if config.tie_word_embeddings and copy not in stored]
    is_tied = any(key.startswith("cls.predictions") or key.startswith("vocab_") for key in stored) and ties
    lines.append(f"tied          {', '.join(ties) if is_tied else 'nothing'}")
    if "head" in parts:
        names = sorted({re.sub(r"\.(weight|bias|gamma|beta)$", "", key) for key in parts["head"]})
        labels = f"; labels: {', '.join(list(config.id2label.values())[:8])}" if "classifier" in names else ""
        lines.append(f"head          {', '.join(names)}{labels}")
    else:
        lines.append("head          none: the encoder alone")
    sizes = {part: sum(one.tensor.numel() for one in group.values()) for part, group in parts.items()}
    lines += ["", f"{'part':<12}{'tensors':>9}{'parameters':>14}{'share':>8}"]
    for part, size in sizes.items():
        lines.append(f"{part:<12}{len(parts[part]):>9,}{size:>14,}{size / sum(sizes.values()):>8.1%}")
    lines.append(f"{'all':<12}{len(learned):>9,}{sum(sizes.values()):>14,}{1:>8.1%}")
    if tensors:
        lines += ["", *(f"{key}  {tuple(one.tensor.shape)}" for key, one in stored.items())]
    return lines


def parts_of(stored: Mapping[str, Stored], model_type: str) -> dict[str, dict[str, Stored]]:
    """Group tensors by the part of the model that they belong to, in the order of a forward pass."""
    parts: dict[str, dict[str, Stored]] = {part: {} for part in ("embeddings", "layers", "pooler", "head")}
    for key, one in stored.items():
        inner = key.removeprefix(f"{model_type}.")
        layer = re.match(r"(encoder|transformer)\.layer\.", inner)
        part = "layers" if layer else inner.split(".")[0]
        parts[part if part in parts else "head"][key] = one
    return {part: group for part, group in parts.items() if group}


def whose_names(stored: Mapping[str, Stored], model_type: str) -> str:
    has_prefix = any(key.startswith(f"{model_type}.") for key in stored)
    told = (
        f"with the prefix {model_type}., as transformers saves a model with a head" if has_prefix else "without prefix"
    )
    return told + ("; gamma and beta, as TensorFlow has them" if any(key.endswith(".gamma") for key in stored) else "")


def dtypes(stored: Mapping[str, Stored]) -> str:
    found = sorted({str(one.tensor.dtype).removeprefix("torch.") for one in stored.values()})
    size = sum(one.tensor.numel() * one.tensor.element_size() for one in stored.values())
    return f"{' and '.join(found)}, {size / 1e6:,.1f} MB"


def describe_data(
    splits: DatasetDict, split: str, config: str | None, text_columns: list[str] | None, label_column: str | None
) -> list[str]:
    """Describe a data set: splits, columns, the first row, and what a classifier would learn from it."""
    if split not in splits:
        raise ValueError(f"there is no split {split!r}; expected one of {', '.join(splits)}")
    rows = splits[split]
    lines = ["splits   " + ", ".join(f"{name} {len(part):,} rows" for name, part in splits.items()), ""]
    width = max(map(len, rows.column_names))
    first = rows[0] if len(rows) else {}
    for name, feature in rows.features.items():
        lines.append(f"{name:<{width}}  {feature!r}")
        lines.append(f"{'':<{width}}  {shortened(first.get(name), width + 2)}")
    try:
        task, numbered = find_task(DatasetDict({"train": rows}), config, text_columns, label_column)
    except ValueError as error:
        return [*lines, "", f"no task: {error}"]
    lines += ["", f"texts    {' and '.join(task.text_columns)} ({task.reasons['text']})"]
    lines.append(f"label    {task.label_column} ({task.reasons['label']}): {task.kind}")
    return lines + balance(task, numbered["train"])


def balance(task: Task, rows: Dataset) -> list[str]:
    """Say how many rows each class has, or how numbers are spread."""
    labels = np.asarray(rows[task.label_column], dtype=float)
    if not task.label_names:
        return [f"         from {labels.min():g} to {labels.max():g}, mean {labels.mean():.4g}"]
    counts = labels.sum(0) if labels.ndim == 2 else np.bincount(labels.astype(int), minlength=task.num_labels)
    width = max(map(len, task.label_names))
    lines = []
    for name, count in zip(task.label_names, counts.tolist(), strict=True):
        bar = "█" * round(30 * count / max(counts))
        lines.append(f"         {name:<{width}}  {count:>8,.0f}  {count / len(labels):>6.1%}  {bar}")
    return lines


def describe_batch(
    splits: DatasetDict,
    split: str,
    config: str | None,
    model: str,
    batch_size: int,
    text_columns: list[str] | None,
    label_column: str | None,
) -> list[str]:
    """Describe the tokens of a split: lengths, what padding costs, and its first batch side by side."""
    task, data = find_task(DatasetDict({"train": splits[split]}), config, text_columns, label_column)
    tokenizer = AutoTokenizer.from_pretrained(model)
    rows = tokenize(data, task, tokenizer)["train"]
    lengths = row_lengths(rows)
    counts, _ = np.histogram(lengths, bins=min(BINS, int(lengths.max() - lengths.min()) + 1))
    spread = f"{lengths.min()} {sparkline(counts.tolist())} {lengths.max()}"
    lines = ["", f"lengths  {spread} tokens, mean {lengths.mean():.1f}"]
    for size in (8, 16, 32, 64):
        random = padding_share(np.random.default_rng(0).permutation(lengths), size)
        by_length = padding_share(np.sort(lengths), size)
        lines.append(f"padding  in batches of {size:>2}: {random:>4.0%} in random order, {by_length:>4.0%} by length")
    collator = DataCollatorWithPadding(tokenizer, return_tensors="np")
    batch = collator([rows[row] for row in range(min(batch_size, len(rows)))])
    by_shape: dict[tuple, list[str]] = {}
    for name, values in batch.items():
        by_shape.setdefault(tuple(values.shape), []).append(name)
    lines += ["", "batch    " + "; ".join(f"{', '.join(names)} {shape}" for shape, names in by_shape.items())]
    for row in range(len(batch["input_ids"])):
        lines += batch_row(batch, row, tokenizer)
    return lines


def batch_row(batch: Mapping[str, Any], row: int, tokenizer: Any) -> list[str]:
    """Write the tokens of a row of a batch that fit in a line; below each its id, its type, and whether it is real."""
    ids = batch["input_ids"][row].tolist()
    names = {"input_ids": "ids", "token_type_ids": "types", "attention_mask": "mask"}
    values = {short: batch[name][row].tolist() for name, short in names.items() if name in batch}
    values = {"tokens": tokenizer.convert_ids_to_tokens(ids)} | values
    widths = [max(len(str(column[place])) for column in values.values()) for place in range(len(ids))]
    ends = np.cumsum(widths) + np.arange(1, len(ids) + 1)
    shown = int((ends <= get_terminal_size().columns - 12).sum())  # beside the name, and a sign that there is more
    more = " …" if shown < len(ids) else ""
    label = [] if "labels" not in batch else [f"  label   {batch['labels'][row].tolist()}"]
    return ["", *(f"  {name:<7}" + cells(column[:shown], widths) + more for name, column in values.items()), *label]


def cells(values: Sequence[Any], widths: Sequence[int]) -> str:
    return "".join(f" {value!s:>{width}}" for value, width in zip(values, widths, strict=False))


def shortened(value: Any, used: int) -> str:
    length = get_terminal_size().columns - used - 1
    text = " ".join(str(value).split())
    return text if len(text) <= length else f"{text[:length]}…"

"""Rows with a label for each token, or with several texts, to batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minift.batches.mask import IGNORED
from minift.tensors import as_tensor, tensor_kind
from minift.tokenizer.batch_encoding import BatchEncoding
from minift.tokenizer.padding import as_columns, inside_rows, row_lengths


@dataclass
class DataCollatorForTokenClassification:
    """Pad the rows of a batch and the labels of their tokens, to ``labels`` (B, T), int64, -100 on padding.

    Takes a list of dicts or a dict of lists; the labels are the column ``labels`` or ``label``, which keeps its name.
    Re-implements transformers/data/data_collator.py.
    """

    tokenizer: Any  # gives the pad token and the padding side
    padding: bool | str = True  # True or "longest", "max_length", or False
    max_length: int | None = None  # T for padding="max_length"
    pad_to_multiple_of: int | None = None  # T is rounded up to a multiple of this
    label_pad_token_id: int = IGNORED
    return_tensors: str = "pt"  # or "np", "tf"

    def __call__(self, features: Any, return_tensors: str | None = None) -> BatchEncoding:
        kind = tensor_kind(return_tensors or self.return_tensors)
        columns = as_columns(features)
        name = "label" if "label" in columns else "labels"
        rows = columns.pop(name, None)
        batch = self.tokenizer.pad(
            columns,
            padding=self.padding,
            max_length=self.max_length,
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_tensors=kind,
        )
        if rows is None:
            return batch
        labels = np.full(tuple(batch["input_ids"].shape), self.label_pad_token_id, dtype=np.int64)  # (B, T)
        lengths = row_lengths(rows)
        if lengths.max() > labels.shape[1]:
            row = int(lengths.argmax())
            raise ValueError(f"row {row} has {lengths[row]} labels; the batch is {labels.shape[1]} tokens long")
        values = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
        labels[inside_rows(lengths, labels.shape[1], self.tokenizer.padding_side)] = values
        batch[name] = as_tensor(labels, kind)
        return batch


@dataclass
class DataCollatorForMultipleChoice:
    """Pad rows of C texts each, to columns of shape (B, C, T); ``label`` or ``labels`` become ``labels`` (B,), int64.

    Re-implements transformers/data/data_collator.py.
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: Any, return_tensors: str | None = None) -> dict[str, Any]:
        kind = tensor_kind(return_tensors or self.return_tensors)
        columns = as_columns(features)
        labels = columns.pop("label", columns.pop("labels", None))
        counts = {len(row) for row in columns["input_ids"]}
        if len(counts) > 1:
            raise ValueError(f"the rows have different numbers of choices: {sorted(counts)}")
        flat = {name: [choice for row in rows for choice in row] for name, rows in columns.items()}
        batch = self.tokenizer.pad(
            flat,
            padding=self.padding,
            max_length=self.max_length,
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_tensors="np",
        )
        shape = len(columns["input_ids"]), counts.pop(), -1
        result = {name: as_tensor(np.asarray(column).reshape(shape), kind) for name, column in batch.items()}
        if labels is not None:
            result["labels"] = as_tensor(np.asarray(labels, dtype=np.int64), kind)
        return result


class DataCollatorWithFlattening:
    """Put all rows of a batch end to end, without padding: ``input_ids``, ``labels``, ``position_ids`` (1, B·T).

    Positions begin again in every row, and the first label of a row is `separator_id`. With `return_seq_idx`,
    ``seq_idx`` (1, B·T) holds the number of each token's row; with `return_flash_attn_kwargs`, ``cu_seq_lens_q`` and
    ``_k`` (B + 1,) hold where rows begin, ``max_length_q`` and ``_k`` the longest. Re-implements
    transformers/data/data_collator.py.
    """

    def __init__(
        self,
        return_position_ids: bool = True,
        separator_id: int = IGNORED,
        return_flash_attn_kwargs: bool = False,
        return_seq_idx: bool = False,
        position_ids_start: int = 0,
        return_tensors: str = "pt",
    ):
        self.return_position_ids, self.position_ids_start = return_position_ids, position_ids_start
        self.separator_id, self.return_tensors = separator_id, return_tensors
        self.return_flash_attn_kwargs, self.return_seq_idx = return_flash_attn_kwargs, return_seq_idx

    def __call__(
        self, features: list[Mapping], return_tensors: str | None = None, separator_id: int | None = None
    ) -> dict[str, Any]:
        kind = tensor_kind(return_tensors or self.return_tensors)
        if kind == "tf":
            raise ValueError("DataCollatorWithFlattening: return_tensors='tf' is not supported, only 'pt' or 'np'")
        rows = [np.asarray(row["input_ids"], dtype=np.int64) for row in features]
        labels = [np.array(row.get("labels", row["input_ids"]), dtype=np.int64) for row in features]
        for row in labels:
            row[0] = self.separator_id if separator_id is None else separator_id
        batch: dict[str, Any] = {"input_ids": np.concatenate(rows)[None], "labels": np.concatenate(labels)[None]}
        lengths = np.array([len(row) for row in rows])
        if self.return_position_ids:
            positions = [np.arange(length) + self.position_ids_start for length in lengths]
            batch["position_ids"] = np.concatenate(positions)[None]
        if self.return_seq_idx:
            batch["seq_idx"] = np.repeat(np.arange(len(rows), dtype=np.int32), lengths)[None]
        if self.return_flash_attn_kwargs:
            starts = np.append(0, np.cumsum(lengths)).astype(np.int32)
            batch |= {"cu_seq_lens_q": starts, "cu_seq_lens_k": starts}
        batch = {name: as_tensor(column, kind) for name, column in batch.items()}
        if self.return_flash_attn_kwargs:
            batch |= dict.fromkeys(("max_length_q", "max_length_k"), int(lengths.max()))
        return batch

"""Rows to batches: the collators that pad, and the one that only stacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minift.tensors import as_tensor, tensor_kind
from minift.tokenizer.batch_encoding import BatchEncoding, column_to_tensor
from minift.tokenizer.padding import as_columns

LABEL_COLUMNS = ("label", "label_ids")  # datasets' names for the column that models take as ``labels``


@dataclass
class DataCollatorWithPadding:
    """Pad the rows of a batch to one length (dynamic padding), and make tensors of shape (B, T).

    Takes a list of dicts or a dict of lists. The tokenizer pads ``input_ids``, ``attention_mask``, ``token_type_ids``
    and ``special_tokens_mask``; other columns are stacked; ``label`` and ``label_ids`` become ``labels``. A ValueError
    names a column that holds strings or rows of different lengths. Re-implements transformers/data/data_collator.py.
    """

    tokenizer: Any  # gives the pad token and the padding side
    padding: bool | str = True  # True or "longest", "max_length", or False
    max_length: int | None = None  # T for padding="max_length"
    pad_to_multiple_of: int | None = None  # T is rounded up to a multiple of this
    return_tensors: str = "pt"  # or "np", "tf"

    def __call__(self, features: Any, return_tensors: str | None = None) -> BatchEncoding:
        batch = self.tokenizer.pad(
            features,
            padding=self.padding,
            max_length=self.max_length,
            pad_to_multiple_of=self.pad_to_multiple_of,
            return_tensors=return_tensors or self.return_tensors,
        )
        for name in LABEL_COLUMNS:
            if name in batch:
                batch["labels"] = batch.pop(name)
        return batch


def default_data_collator(features: Any, return_tensors: str = "pt") -> dict[str, Any]:
    """Stack rows of one length: dicts, objects with attributes, or a dict of columns.

    ``label`` (numbers) or ``label_ids`` come first, as ``labels``: int64 for integers and booleans, float32 otherwise.
    Columns of strings, and columns that are None in row 0, are left out. A ValueError names a column whose rows differ
    in length. Re-implements transformers/data/data_collator.py.
    """
    kind = tensor_kind(return_tensors)
    if not isinstance(features, Mapping) and len(features) and not isinstance(features[0], Mapping):
        features = [vars(row) for row in features]
    columns = {name: rows for name, rows in as_columns(features).items() if len(rows) and rows[0] is not None}
    batch = {}
    label = next((name for name in LABEL_COLUMNS if name in columns), None)
    if label is not None:
        labels = column_to_tensor(label, columns[label], "np")
        narrow = {np.dtype(np.float64): np.float32, np.dtype(bool): np.int64}.get(labels.dtype, labels.dtype)
        batch["labels"] = as_tensor(labels.astype(narrow, copy=False), kind)
    for name, rows in columns.items():
        if name not in LABEL_COLUMNS and not isinstance(rows[0], str):
            batch[name] = column_to_tensor(name, rows, kind)
    return batch


@dataclass
class DefaultDataCollator:
    """`default_data_collator` for one type of tensors."""

    return_tensors: str = "pt"

    def __call__(self, features: Any, return_tensors: str | None = None) -> dict[str, Any]:
        return default_data_collator(features, return_tensors or self.return_tensors)

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
    """Pads the rows of a batch to one length (dynamic padding) and makes tensors of shape (B, T).

    Takes a list of dicts or a dict of lists. The tokenizer pads ``input_ids``, ``attention_mask``, ``token_type_ids``
    and ``special_tokens_mask``; other columns are stacked; ``label`` and ``label_ids`` become ``labels``. Re-implements
    transformers/data/data_collator.py, ``DataCollatorWithPadding``.

    Args:
        tokenizer: gives the pad token and the padding side.
        padding: True or ``longest``, ``max_length``, or False.
        max_length: the width T for ``padding="max_length"``.
        pad_to_multiple_of: round T up to a multiple of this.
        return_tensors: ``pt``, ``np`` or ``tf``.

    Raises:
        ValueError: no rows, or a column that is not padded holds strings or rows of different lengths.
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

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
    """Stack rows of one length; columns of strings, and columns that are None in row 0, are left out.

    ``label`` (a number) or ``label_ids`` (numbers) come first, as ``labels``: int64 for integers, float32 otherwise.
    Re-implements transformers/data/data_collator.py, ``default_data_collator``.

    Args:
        features: a list of dicts, a dict of lists, or a list of objects with attributes.

    Raises:
        ValueError: no rows, or the rows of a column differ in length; the message names it.
    """
    kind = tensor_kind(return_tensors)
    if not isinstance(features, Mapping) and len(features) and not isinstance(features[0], Mapping):
        features = [vars(row) for row in features]
    columns = {name: rows for name, rows in as_columns(features).items() if len(rows) and rows[0] is not None}
    batch = {}
    for name in LABEL_COLUMNS:
        if name in columns and "labels" not in batch:
            batch["labels"] = _labels(name, columns[name], kind)
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


def _labels(name: str, rows: Any, kind: str) -> Any:
    labels = column_to_tensor(name, rows, "np")
    if labels.dtype == np.float64:
        labels = labels.astype(np.float32)
    return as_tensor(labels, kind)

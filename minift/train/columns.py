"""Which columns of a data set a model takes, and which of those are labels."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn


def forward_arguments(model: nn.Module) -> list[str]:
    """List the argument names of a model's forward."""
    return list(inspect.signature(model.forward).parameters)


POSITIONS = ("start_positions", "end_positions")  # the labels of question answering


def find_label_names(model: nn.Module) -> list[str]:
    """List those arguments of a model's forward that are labels (transformers' `find_labels`)."""
    return [name for name in forward_arguments(model) if "label" in name or name in POSITIONS]


def count_labels(batch: Mapping[str, Tensor], label_names: list[str]) -> int:
    """Count the labels in a batch that the loss averages over: all but -100; where there are no labels, the rows."""
    found = [batch[name] for name in label_names if batch.get(name) is not None]
    return int((found[0] != -100).sum()) if found else len(next(iter(batch.values())))


def used_columns(model: nn.Module, label_names: list[str] | None = None) -> set[str]:
    """Name what a model's forward takes, and the labels in any of their spellings, also those that the user names."""
    return {*forward_arguments(model), "label", "label_ids", *find_label_names(model), *(label_names or ())}


def keep_used_columns(
    dataset: Any, collate: Callable, model: nn.Module, label_names: list[str] | None = None
) -> tuple[Any, Callable, list[str]]:
    """Restrict rows to what the model's forward takes, plus the labels in any of their spellings.

    Returns:
        The data set, the collator (one of the two restricts the rows) and the names of the columns left out.

    Raises:
        ValueError: no column is left.
    """
    used = used_columns(model, label_names)
    if not hasattr(dataset, "column_names"):
        return dataset, CollateUsedColumns(collate, used), []
    unused = [name for name in dataset.column_names if name not in used]
    if len(unused) == len(dataset.column_names):
        raise ValueError(
            f"none of the columns {dataset.column_names} is an argument of {type(model).__name__}.forward, which "
            f"takes {sorted(used)}; tokenise the data set first, or set remove_unused_columns=False"
        )
    return dataset.remove_columns(unused), collate, unused


class CollateUsedColumns:
    """A collator that sees only some of its rows' columns; in all else it is the one it wraps."""

    def __init__(self, collate: Callable, used: set[str]):
        self.collate, self.used = collate, used

    def __call__(self, rows: list[Mapping[str, Any]]) -> Any:
        return self.collate([{name: value for name, value in row.items() if name in self.used} for row in rows])

    def __getattr__(self, name: str) -> Any:
        return getattr(self.collate, name)

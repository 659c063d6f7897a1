"""Rows to a batch, and what the model made of a batch to rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

# what stands on padding; every other tensor has 0 there
FILLED = {"input_ids": "pad_token_id", "token_type_ids": "pad_token_type_id"}


class Output(dict):
    """What a model returned, with what came in beside it: by name, and by attribute (``output.logits``)."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name!r}; there are: {', '.join(self)}") from None


def tokens_of(row: Any) -> int:
    """Return the number of tokens of a row; 0 if it has none."""
    ids = row.get("input_ids") if isinstance(row, Mapping) else None
    return ids.shape[1] if isinstance(ids, Tensor) and ids.ndim > 1 else 0


def collate(rows: Sequence[Mapping[str, Any]], tokenizer: Any) -> dict[str, Any]:
    """Make a batch of B rows: tensors (1, T, ...), padded at the tokenizer's side, to (B, T, ...); others to lists.

    A single row stays as it is.
    """
    if len(rows) == 1:
        return dict(rows[0])
    batch: dict[str, Any] = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        if not all(isinstance(value, Tensor) for value in values):
            batch[name] = values
            continue
        longest = max(value.shape[1] for value in values) if values[0].ndim > 1 else 0
        fill = getattr(tokenizer, FILLED[name]) if name in FILLED else int(name == "special_tokens_mask")
        batch[name] = torch.cat([padded(value, longest, fill, tokenizer) for value in values])
    return batch


def padded(row: Tensor, length: int, fill: int, tokenizer: Any) -> Tensor:
    """Pad a tensor (1, T, ...) to (1, length, ...)."""
    missing = length - row.shape[1] if row.ndim > 1 else 0
    if missing == 0:
        return row
    sides = (missing, 0) if tokenizer is not None and tokenizer.padding_side == "left" else (0, missing)
    return pad(row, (*[0] * (2 * (row.ndim - 2)), *sides), value=fill)


def row_of(output: Any, number: int, count: int) -> Any:
    """Return what belongs to one of `count` rows of a batch; tensors keep their first axis: (1, ...)."""
    if count == 1:
        return output
    if isinstance(output, Mapping):
        return Output({name: row_of(value, number, count) for name, value in output.items()})
    if isinstance(output, Tensor):
        return output[number : number + 1]
    if isinstance(output, tuple):  # hidden states, a tensor for each layer
        return tuple(row_of(value, number, count) for value in output)
    return output[number]


def on_device(value: Any, device: torch.device) -> Any:
    """Return nested tensors on a device; everything else as it is."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        moved = {name: on_device(part, device) for name, part in value.items()}
        return moved if type(value) is dict else type(value)(moved)
    if isinstance(value, list | tuple):
        return type(value)(on_device(part, device) for part in value)
    return value

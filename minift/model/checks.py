"""Input errors found before they fail inside a kernel; on a GPU they would cost a wait for the device, so CPU only.

The arrays are torch tensors or numpy arrays: what is used here, both have.
"""

from typing import Any

import numpy as np

from minift.model.config import PretrainedConfig

# The TensorFlow path also needs these texts inside its graphs, where there are no values yet.
OUTSIDE = "{name}{place} is {value}, outside [0, {limit}) ({limit_name}={limit})"
NO_TOKENS = "the input has no tokens: not even an empty text has none, [CLS] and [SEP] surround it"
TOO_LONG = (
    "the input has {length} tokens, but the model takes at most {limit} (max_position_embeddings): "
    "tokenise with truncation=True, max_length={limit}"
)
NO_CLASS = "row {row}: label {label} is not one of the {classes} classes (0 to {last}) of the model"


def check_vocabulary(tokens: int, config: PretrainedConfig) -> None:
    """Raise a ValueError when a tokenizer of so many `tokens` can make ids that the model has no embedding for."""
    if tokens > config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokens} tokens, but the model has embeddings for {config.vocab_size} (vocab_size): "
            "use the model's own tokenizer, or model.resize_token_embeddings(len(tokenizer))"
        )


def check_ids(name: str, ids: Any, limit: int, limit_name: str) -> None:
    """Raise a ValueError that names the first of `ids` (B, T) that is not in [0, limit)."""
    if ids is None or str(ids.device) != "cpu" or 0 in ids.shape:
        return
    if ids.min() < 0 or ids.max() >= limit:
        place = _first((ids < 0) | (ids >= limit))
        value = ids[tuple(place)].item()
        raise ValueError(OUTSIDE.format(name=name, place=place, value=value, limit=limit, limit_name=limit_name))


def check_input(input_ids: Any, inputs_embeds: Any, limit: int) -> None:
    """Raise a ValueError for anything but one batch: ids (B, T), or embeddings (B, T, E), with 0 < T <= `limit`."""
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give exactly one of input_ids and inputs_embeds")
    if input_ids is not None and (len(input_ids.shape) != 2 or not str(input_ids.dtype).endswith(("int64", "int32"))):
        raise ValueError(
            f"input_ids must be integers of shape (B, T), not {input_ids.dtype} of shape {tuple(input_ids.shape)}"
        )
    if inputs_embeds is not None and len(inputs_embeds.shape) != 3:
        raise ValueError(f"inputs_embeds must have the shape (B, T, E), not {tuple(inputs_embeds.shape)}")
    length = (inputs_embeds if input_ids is None else input_ids).shape[1]
    if length == 0:
        raise ValueError(NO_TOKENS)
    if length > limit:
        raise ValueError(TOO_LONG.format(length=length, limit=limit))


def check_labels(labels: Any, classes: int, ignored: int = -100) -> None:
    """Raise a ValueError that names the row and the label when one of `labels` is neither a class nor `ignored`."""
    if "int" not in str(labels.dtype):
        raise ValueError(f"class labels must be integers, not {labels.dtype}")
    if str(labels.device) != "cpu" or 0 in labels.shape:
        return
    if labels.min() >= 0 and labels.max() < classes:
        return
    wrong = ((labels < 0) & (labels != ignored)) | (labels >= classes)
    if wrong.any():
        place = _first(wrong)
        label = labels[tuple(place)].item()
        raise ValueError(NO_CLASS.format(row=place[0], label=label, classes=classes, last=classes - 1))


def _first(wrong: Any) -> list[int]:
    """Where the first True of a boolean array is."""
    return np.argwhere(np.asarray(wrong))[0].tolist()

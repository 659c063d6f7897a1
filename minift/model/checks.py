"""Input errors found before they fail inside a kernel; on a GPU they would cost a wait for the device, so CPU only."""

import torch
from torch import Tensor

from minift.model.config import PretrainedConfig


def check_vocabulary(tokens: int, config: PretrainedConfig) -> None:
    """Raise a ValueError when a tokenizer of so many `tokens` can make ids that the model has no embedding for."""
    if tokens > config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokens} tokens, but the model has embeddings for {config.vocab_size} (vocab_size): "
            "use the model's own tokenizer, or model.resize_token_embeddings(len(tokenizer))"
        )


def check_ids(name: str, ids: Tensor | None, limit: int, limit_name: str) -> None:
    """Raise a ValueError that names the first of `ids` (B, T) that is not in [0, limit)."""
    if ids is None or ids.device.type != "cpu" or ids.numel() == 0:
        return
    low, high = ids.aminmax()
    if low < 0 or high >= limit:
        place = ((ids < 0) | (ids >= limit)).nonzero()[0].tolist()
        raise ValueError(f"{name}{place} is {ids[tuple(place)].item()}, outside [0, {limit}) ({limit_name}={limit})")


def check_input(input_ids: Tensor | None, inputs_embeds: Tensor | None, limit: int) -> None:
    """Raise a ValueError for anything but one batch: ids (B, T), or embeddings (B, T, E), with 0 < T <= `limit`."""
    if (input_ids is None) == (inputs_embeds is None):
        raise ValueError("give exactly one of input_ids and inputs_embeds")
    if input_ids is not None and (input_ids.dim() != 2 or input_ids.dtype not in (torch.long, torch.int)):
        raise ValueError(
            f"input_ids must be integers of shape (B, T), not {input_ids.dtype} of shape {tuple(input_ids.shape)}"
        )
    if inputs_embeds is not None and inputs_embeds.dim() != 3:
        raise ValueError(f"inputs_embeds must have the shape (B, T, E), not {tuple(inputs_embeds.shape)}")
    length = (inputs_embeds if input_ids is None else input_ids).shape[1]
    if length == 0:
        raise ValueError("the input has no tokens: not even an empty text has none, [CLS] and [SEP] surround it")
    if length > limit:
        raise ValueError(
            f"the input has {length} tokens, but the model takes at most {limit} (max_position_embeddings): "
            f"tokenise with truncation=True, max_length={limit}"
        )


def check_labels(labels: Tensor, classes: int, ignored: int = -100) -> None:
    """Raise a ValueError that names the row and the label when one of `labels` is neither a class nor `ignored`."""
    if labels.dtype.is_floating_point or labels.dtype is torch.bool:
        raise ValueError(f"class labels must be integers, not {labels.dtype}")
    if labels.device.type != "cpu" or labels.numel() == 0:
        return
    low, high = labels.aminmax()
    if high < classes and low >= 0:
        return
    wrong = ((labels < 0) & (labels != ignored)) | (labels >= classes)
    if wrong.any():
        place = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"row {place[0]}: label {labels[tuple(place)].item()} is not one of the {classes} classes "
            f"(0 to {classes - 1}) of the model"
        )

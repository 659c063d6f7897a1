"""Input errors found before they fail inside a kernel; on a GPU they would cost a wait for the device, so CPU only."""

import torch
from torch import Tensor


def check_ids(name: str, ids: Tensor | None, limit: int, limit_name: str) -> None:
    """Raise a ValueError that names the first of `ids` (B, T) that is not in [0, limit)."""
    if ids is None or ids.device.type != "cpu" or ids.numel() == 0:
        return
    low, high = ids.aminmax()
    if low < 0 or high >= limit:
        place = ((ids < 0) | (ids >= limit)).nonzero()[0].tolist()
        raise ValueError(f"{name}{place} is {ids[tuple(place)].item()}, outside [0, {limit}) ({limit_name}={limit})")


def check_length(length: int, limit: int) -> None:
    """Raise a ValueError when an input has no tokens, or more than the model has positions."""
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

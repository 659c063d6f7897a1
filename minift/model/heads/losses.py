"""The losses of the heads: a mean over the labels of a batch, or a sum divided by a number that the caller gives."""

import torch
from torch import Tensor
from torch.nn import functional as F

from minift.model.checks import check_labels
from minift.model.config import PretrainedConfig

IGNORED = -100  # the label of a token that is not to be predicted


def classification_loss(
    logits: Tensor, labels: Tensor, config: PretrainedConfig, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Compute the loss of a batch of texts, a scalar, by `config.problem_type`.

    Where that is None, it is inferred from the labels and kept: C = 1 is regression, integer labels are
    single_label_classification, others multi_label_classification.

    Args:
        logits: (B, C).
        labels: single_label_classification: (B,) integers below C; multi_label_classification: (B, C) of 0 and 1;
            regression: (B,) or, for C > 1, (B, C) numbers.
        num_items_in_batch: divide the summed loss by this number, not by the batch's own number of labels.

    Raises:
        ValueError: a label is no class (its row is named), or the labels have the wrong shape.
    """
    B, C = logits.shape
    labels = labels.to(logits.device)
    if config.problem_type is None:
        config.problem_type = infer_problem_type(labels, C)
    if config.problem_type == "single_label_classification":
        if labels.numel() != B:
            raise ValueError(f"single-label classification needs one label a row: got {tuple(labels.shape)} for {B}")
        check_labels(labels.view(-1), C)
        return cross_entropy(logits, labels.view(-1), num_items_in_batch)
    if labels.numel() != logits.numel():
        raise ValueError(f"{config.problem_type} needs {C} labels a row: got shape {tuple(labels.shape)} for {B} rows")
    loss = F.mse_loss if config.problem_type == "regression" else F.binary_cross_entropy_with_logits
    total = loss(logits, labels.view(B, C).to(logits.dtype), reduction="mean" if num_items_in_batch is None else "sum")
    return total if num_items_in_batch is None else total / num_items_in_batch


def infer_problem_type(labels: Tensor, classes: int) -> str:
    """Name the problem that labels of this type pose to a head with this many outputs."""
    if classes == 1:
        return "regression"
    integers = labels.dtype in (torch.long, torch.int)
    return "single_label_classification" if integers else "multi_label_classification"


def masked_lm_loss(logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Compute the loss of the tokens to be predicted, a scalar; NaN when there are none.

    Args:
        logits: (B, T, V).
        labels: (B, T), the token's id, or -100 where nothing is to be predicted.
        num_items_in_batch: as for `classification_loss`.

    Raises:
        ValueError: a label is neither -100 nor in the vocabulary (its row is named), or the shape differs.
    """
    check_token_labels(labels, logits.shape)
    return cross_entropy(logits.flatten(0, 1), labels.to(logits.device).flatten(), num_items_in_batch)


def token_loss(logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Compute the loss of tokens that have a class, a scalar: logits (B, T, C), labels (B, T), -100 for none."""
    check_token_labels(labels, logits.shape)
    return cross_entropy(logits.flatten(0, 1), labels.to(logits.device).flatten(), num_items_in_batch)


def span_loss(
    start: Tensor, end: Tensor, start_positions: Tensor | None, end_positions: Tensor | None
) -> Tensor | None:
    """Compute the mean cross-entropy of where answers begin and end, a scalar; None without positions.

    Scores are (B, T), positions (B,) or (B, 1); a position beyond the T tokens does not count, one below 0 is 0.
    """
    if start_positions is None or end_positions is None:
        return None
    T = start.shape[1]
    losses = []
    for scores, positions in ((start, start_positions), (end, end_positions)):
        inside = positions.to(scores.device).reshape(-1).clamp(0, T)
        losses.append(F.cross_entropy(scores, inside, ignore_index=T))
    return (losses[0] + losses[1]) / 2


def check_token_labels(labels: Tensor, shape: tuple[int, ...]) -> None:
    """Raise a ValueError unless `labels` are (B, T), and each is -100 or below V, for logits of `shape` (B, T, V)."""
    if labels.shape != shape[:2]:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, but the input has {tuple(shape[:2])}")
    check_labels(labels, shape[2])


def cross_entropy(logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """Compute the cross-entropy of logits (N, C) and those labels (N,) that are not -100."""
    reduction = "mean" if num_items_in_batch is None else "sum"
    total = F.cross_entropy(logits, labels.long(), ignore_index=IGNORED, reduction=reduction)
    return total if num_items_in_batch is None else total / num_items_in_batch

"""Scores for the masked tokens only: in the place of a masked language model's `loss_and_logits`."""

from torch import Tensor

from minift.model.heads.losses import IGNORED, check_token_labels, cross_entropy
from minift.model.heads.masked_lm import BertForMaskedLM, DistilBertForMaskedLM

MaskedLanguageModel = BertForMaskedLM | DistilBertForMaskedLM


def sparse_loss_and_logits(
    model: MaskedLanguageModel, x: Tensor, labels: Tensor | None, num_items_in_batch: Tensor | int | None
) -> tuple[Tensor | None, Tensor | None]:
    """In training with labels, score the vocabulary at labelled tokens only, about a seventh of all.

    Loss and gradients are equal but for rounding, and there are no logits. Otherwise nothing changes.
    x is the encoder's output (B, T, E); `labels` are (B, T), -100 where nothing is to be predicted.
    """
    if labels is None or not model.training:
        return type(model).loss_and_logits(model, x, labels, num_items_in_batch)
    check_token_labels(labels, (*x.shape[:2], model.config.vocab_size))
    labels = labels.to(x.device)
    labelled = labels != IGNORED  # (B, T), M of them True
    return cross_entropy(model.score(x[labelled]), labels[labelled], num_items_in_batch), None  # of (M, V), (M,)

"""Masked language modelling: an encoder, a transform, and a product with the word embeddings."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minift.model.bert import ACTIVATION, BertModel
from minift.model.checks import check_labels
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.distilbert import EPS, DistilBertModel, DistilBertPreTrainedModel
from minift.model.heads.classification import layer_outputs
from minift.model.outputs import MaskedLMOutput, finish
from minift.model.pretrained import PreTrainedModel

IGNORED = -100  # the label of tokens that are not to be predicted


def head_and_loss(
    model: PreTrainedModel,
    head: Callable[[Tensor], Tensor],
    x: Tensor,
    labels: Tensor | None,
    num_items_in_batch: Tensor | int | None,
) -> dict[str, Tensor | None]:
    """The logits (B, T, V) that `head` makes of the encoder's output x (B, T, E), and their loss if there are labels.

    With `sparse_mlm_head`, training computes the head at the labelled tokens only, about a seventh of all: a loss and
    gradients that are equal but for rounding, and no logits.
    """
    if labels is None or not (model.config.sparse_mlm_head and model.training):
        logits = head(x)  # (B, T, V)
        loss = None if labels is None else masked_lm_loss(logits, labels, num_items_in_batch)
        return {"loss": loss, "logits": logits}
    check_mlm_labels(labels, x.shape[:2], model.config.vocab_size)
    labels = labels.to(x.device)
    labelled = labels != IGNORED  # (B, T)
    return {"loss": _mean_loss(head(x[labelled]), labels[labelled], num_items_in_batch)}  # of M labelled: (M, V), (M,)


class BertPredictions(nn.Module):
    """Dense, activation, LayerNorm, then a score for every word of the vocabulary."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        E, V = config.hidden_size, config.vocab_size
        norm = nn.LayerNorm(E, eps=config.layer_norm_eps)
        self.transform = nn.ModuleDict({"dense": nn.Linear(E, E), "LayerNorm": norm})
        self.activation = ACTIVATION[config.hidden_act]
        self.decoder = nn.Linear(E, V)  # its weight is tied to the word embeddings, its bias to the one below
        self.bias = nn.Parameter(torch.zeros(V))

    def forward(self, x: Tensor) -> Tensor:
        """(…, E) -> (…, V)."""
        x = self.activation(self.transform["dense"](x))  # (…, E)
        return self.decoder(self.transform["LayerNorm"](x))  # (…, V)


class BertForMaskedLM(PreTrainedModel):
    """BERT with the head that it was pre-trained with (transformers/models/bert/modeling_bert.py)."""

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.cls = nn.ModuleDict({"predictions": BertPredictions(config)})
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> MaskedLMOutput | tuple[Tensor, ...]:
        """Predict tokens; inputs as for `BertModel.forward`, `labels` and the loss as for `masked_lm_loss`."""
        encoded = self.bert(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        scored = head_and_loss(self, self.cls["predictions"], encoded.last_hidden_state, labels, num_items_in_batch)
        return finish(MaskedLMOutput(**scored, **layer_outputs(encoded)), self.config, return_dict)


class DistilBertForMaskedLM(DistilBertPreTrainedModel):
    """DistilBERT with its head (transformers/models/distilbert/modeling_distilbert.py)."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.activation = ACTIVATION[config.activation]
        self.distilbert = DistilBertModel(config)
        self.vocab_transform = nn.Linear(config.dim, config.dim)
        self.vocab_layer_norm = nn.LayerNorm(config.dim, eps=EPS)
        self.vocab_projector = nn.Linear(config.dim, config.vocab_size)  # its weight is tied to the word embeddings
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        num_items_in_batch: Tensor | int | None = None,
    ) -> MaskedLMOutput | tuple[Tensor, ...]:
        """Predict tokens; inputs as for `DistilBertModel.forward`, `labels` as for `masked_lm_loss`."""
        encoded = self.distilbert(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        scored = head_and_loss(self, self.score, encoded.last_hidden_state, labels, num_items_in_batch)
        return finish(MaskedLMOutput(**scored, **layer_outputs(encoded)), self.config, return_dict)

    def score(self, x: Tensor) -> Tensor:
        """(…, E) -> (…, V): dense, activation, LayerNorm, then a score for every word of the vocabulary."""
        x = self.activation(self.vocab_transform(x))  # (…, E)
        return self.vocab_projector(self.vocab_layer_norm(x))  # (…, V)


def masked_lm_loss(logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None = None) -> Tensor:
    """The mean cross-entropy of the tokens to be predicted.

    Args:
        logits: (B, T, V).
        labels: (B, T), the token's id, or -100 where nothing is to be predicted.
        num_items_in_batch: divide the summed loss by this number instead of the batch's own count.

    Returns:
        A scalar; NaN when there is nothing to predict.

    Raises:
        ValueError: a label is neither -100 nor in the vocabulary (its row is named), or the shape differs.
    """
    check_mlm_labels(labels, logits.shape[:2], logits.shape[-1])
    return _mean_loss(logits.flatten(0, 1), labels.to(logits.device).flatten(), num_items_in_batch)


def check_mlm_labels(labels: Tensor, shape: Sequence[int], vocab_size: int) -> None:
    """Raise a ValueError unless `labels` have the input's `shape` (B, T), and each is -100 or in the vocabulary."""
    if labels.shape != shape:
        raise ValueError(f"labels have shape {tuple(labels.shape)}, but the input has {tuple(shape)}")
    check_labels(labels, vocab_size)


def _mean_loss(logits: Tensor, labels: Tensor, num_items_in_batch: Tensor | int | None) -> Tensor:
    """`masked_lm_loss` of logits (N, V) and labels (N,)."""
    reduction = "mean" if num_items_in_batch is None else "sum"
    total = F.cross_entropy(logits, labels.long(), ignore_index=IGNORED, reduction=reduction)
    return total if num_items_in_batch is None else total / num_items_in_batch

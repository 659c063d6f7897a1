"""Sequence classification: an encoder, one vector a text, and a linear layer to the classes; and its losses."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minift.fast.dropout import Dropout
from minift.model.bert import BertModel
from minift.model.checks import check_labels
from minift.model.config import BertConfig, DistilBertConfig, PretrainedConfig
from minift.model.distilbert import DistilBertModel, DistilBertPreTrainedModel
from minift.model.outputs import SequenceClassifierOutput, finish
from minift.model.pretrained import PreTrainedModel


class BertForSequenceClassification(PreTrainedModel):
    """Pooled [CLS], dropout, classifier (transformers/models/bert/modeling_bert.py, the class of this name)."""

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config)
        rate = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = Dropout(rate, config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
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
    ) -> SequenceClassifierOutput | tuple[Tensor, ...]:
        """Classify a batch; inputs as for `BertModel.forward`, `labels` and the loss as for `classification_loss`."""
        encoded = self.bert(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            first_only=True,
        )
        logits = self.classifier(self.dropout(encoded.pooler_output))  # (B, num_labels)
        loss = None if labels is None else classification_loss(logits, labels, self.config, num_items_in_batch)
        output = SequenceClassifierOutput(loss=loss, logits=logits, **layer_outputs(encoded))
        return finish(output, self.config, return_dict)


class DistilBertForSequenceClassification(DistilBertPreTrainedModel):
    """[CLS], dense, ReLU, dropout, classifier (transformers/models/distilbert/modeling_distilbert.py)."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.distilbert = DistilBertModel(config)
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.classifier = nn.Linear(config.dim, config.num_labels)
        self.dropout = Dropout(config.seq_classif_dropout, config)
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
    ) -> SequenceClassifierOutput | tuple[Tensor, ...]:
        """Classify a batch; inputs as for `DistilBertModel.forward`, `labels` as for `classification_loss`."""
        encoded = self.distilbert(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            first_only=True,
        )
        first = encoded.last_hidden_state[:, 0]  # (B, E)
        pooled = F.relu(self.pre_classifier(first))  # (B, E)
        logits = self.classifier(self.dropout(pooled))  # (B, num_labels)
        loss = None if labels is None else classification_loss(logits, labels, self.config, num_items_in_batch)
        output = SequenceClassifierOutput(loss=loss, logits=logits, **layer_outputs(encoded))
        return finish(output, self.config, return_dict)


def classification_loss(
    logits: Tensor, labels: Tensor, config: PretrainedConfig, num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """The mean loss of a batch, by `config.problem_type`, which is inferred from the first labels and kept.

    Args:
        logits: (B, C).
        labels: single_label_classification: (B,) integers below C; multi_label_classification: (B, C) of 0 and 1;
            regression: (B,) or, for C > 1, (B, C) numbers. Inferred: C = 1 is regression, integers are
            single_label_classification, other labels multi_label_classification.
        config: the model's configuration.
        num_items_in_batch: divide the summed loss by this number instead of the batch's own, as for a batch that is
            one of several accumulated.

    Returns:
        A scalar.

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
        total = F.cross_entropy(logits, labels.view(-1).long(), reduction=_reduction(num_items_in_batch))
    else:
        if labels.numel() != logits.numel():
            raise ValueError(
                f"{config.problem_type} needs {C} labels a row: got shape {tuple(labels.shape)} for {B} rows"
            )
        loss = F.mse_loss if config.problem_type == "regression" else F.binary_cross_entropy_with_logits
        total = loss(logits, labels.view(B, C).to(logits.dtype), reduction=_reduction(num_items_in_batch))
    return total if num_items_in_batch is None else total / num_items_in_batch


def infer_problem_type(labels: Tensor, classes: int) -> str:
    """Name the problem that labels of this type pose to a head with this many outputs."""
    if classes == 1:
        return "regression"
    integers = labels.dtype in (torch.long, torch.int)
    return "single_label_classification" if integers else "multi_label_classification"


def layer_outputs(encoded: Any) -> dict[str, Any]:
    """What a head passes on from its encoder."""
    return {"hidden_states": encoded.hidden_states, "attentions": encoded.attentions}


def _reduction(num_items_in_batch: Tensor | int | None) -> str:
    return "mean" if num_items_in_batch is None else "sum"

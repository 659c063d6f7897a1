"""Sequence classification: an encoder, one vector a text, and a linear layer to the classes."""

from torch import Tensor, nn
from torch.nn import functional as F

from minift.model.bert import BertModel, BertPreTrainedModel
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.distilbert import DistilBertModel, DistilBertPreTrainedModel
from minift.model.heads.losses import classification_loss
from minift.model.outputs import SequenceClassifierOutput, finish, of_layers


class BertForSequenceClassification(BertPreTrainedModel):
    """Pooled [CLS], dropout, classifier (transformers/models/bert/modeling_bert.py, the class of this name)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config)
        rate = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = nn.Dropout(rate)
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
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        logits = self.classifier(self.dropout(encoded.pooler_output))  # (B, num_labels)
        loss = None if labels is None else classification_loss(logits, labels, self.config, num_items_in_batch)
        output = SequenceClassifierOutput(loss=loss, logits=logits, **of_layers(encoded))
        return finish(output, self.config, return_dict)


class DistilBertForSequenceClassification(DistilBertPreTrainedModel):
    """[CLS], dense, ReLU, dropout, classifier (transformers/models/distilbert/modeling_distilbert.py)."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.distilbert = DistilBertModel(config)
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.classifier = nn.Linear(config.dim, config.num_labels)
        self.dropout = nn.Dropout(config.seq_classif_dropout)
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
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        first = encoded.last_hidden_state[:, 0]  # (B, E)
        pooled = F.relu(self.pre_classifier(first))  # (B, E)
        logits = self.classifier(self.dropout(pooled))  # (B, num_labels)
        loss = None if labels is None else classification_loss(logits, labels, self.config, num_items_in_batch)
        output = SequenceClassifierOutput(loss=loss, logits=logits, **of_layers(encoded))
        return finish(output, self.config, return_dict)

"""Token classification: an encoder, and a linear layer to the classes of each token."""

from torch import Tensor, nn

from minift.model.bert import BertModel, BertPreTrainedModel
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.distilbert import DistilBertModel, DistilBertPreTrainedModel
from minift.model.heads.losses import token_loss
from minift.model.outputs import TokenClassifierOutput, finish, of_layers


class BertForTokenClassification(BertPreTrainedModel):
    """Dropout, classifier (transformers/models/bert/modeling_bert.py, the class of this name)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config, add_pooling_layer=False)
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
    ) -> TokenClassifierOutput | tuple[Tensor, ...]:
        """Classify tokens; inputs as for `BertModel.forward`, `labels` (B, T), -100 where a token has none."""
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
        logits = self.classifier(self.dropout(encoded.last_hidden_state))  # (B, T, num_labels)
        loss = None if labels is None else token_loss(logits, labels, num_items_in_batch)
        return finish(TokenClassifierOutput(loss=loss, logits=logits, **of_layers(encoded)), self.config, return_dict)


class DistilBertForTokenClassification(DistilBertPreTrainedModel):
    """Dropout, classifier (transformers/models/distilbert/modeling_distilbert.py)."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.distilbert = DistilBertModel(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.dim, config.num_labels)
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
    ) -> TokenClassifierOutput | tuple[Tensor, ...]:
        """Classify tokens; inputs as for `DistilBertModel.forward`, `labels` (B, T), -100 where a token has none."""
        encoded = self.distilbert(
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        logits = self.classifier(self.dropout(encoded.last_hidden_state))  # (B, T, num_labels)
        loss = None if labels is None else token_loss(logits, labels, num_items_in_batch)
        return finish(TokenClassifierOutput(loss=loss, logits=logits, **of_layers(encoded)), self.config, return_dict)

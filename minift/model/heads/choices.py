"""Multiple choice: each of C texts gets a score, and the row's answer is the text of the highest."""

from torch import Tensor, nn
from torch.nn import functional as F

from minift.model.bert import BertModel, BertPreTrainedModel
from minift.model.checks import check_labels
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.distilbert import DistilBertModel, DistilBertPreTrainedModel
from minift.model.heads.losses import cross_entropy
from minift.model.outputs import MultipleChoiceModelOutput, finish, of_layers


def one_a_row(values: Tensor | None) -> Tensor | None:
    """Put the C texts of each row below each other: (B, C, T, …) -> (B · C, T, …)."""
    return None if values is None else values.flatten(0, 1)


def choice_loss(logits: Tensor, labels: Tensor | None, num_items_in_batch: Tensor | int | None) -> Tensor | None:
    """Compute the cross-entropy of scores (B, C) and the right choices (B,); None without labels."""
    if labels is None:
        return None
    check_labels(labels, logits.shape[1])
    return cross_entropy(logits, labels.to(logits.device), num_items_in_batch)


class BertForMultipleChoice(BertPreTrainedModel):
    """Pooled [CLS], dropout, a score (transformers/models/bert/modeling_bert.py, the class of this name)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        rate = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = nn.Dropout(rate)
        self.classifier = nn.Linear(config.hidden_size, 1)
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
    ) -> MultipleChoiceModelOutput | tuple[Tensor, ...]:
        """Score choices; inputs as for `BertModel.forward`, but (B, C, T); `labels` (B,) number the right ones."""
        choices = (input_ids if input_ids is not None else inputs_embeds).shape[1]  # C
        encoded = self.bert(
            one_a_row(input_ids),
            one_a_row(attention_mask),
            one_a_row(token_type_ids),
            one_a_row(position_ids),
            one_a_row(inputs_embeds),
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        logits = self.classifier(self.dropout(encoded.pooler_output)).view(-1, choices)  # (B, C)
        loss = choice_loss(logits, labels, num_items_in_batch)
        output = MultipleChoiceModelOutput(loss=loss, logits=logits, **of_layers(encoded))
        return finish(output, self.config, return_dict)


class DistilBertForMultipleChoice(DistilBertPreTrainedModel):
    """[CLS], dense, ReLU, dropout, a score (transformers/models/distilbert/modeling_distilbert.py)."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.distilbert = DistilBertModel(config)
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.classifier = nn.Linear(config.dim, 1)
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
    ) -> MultipleChoiceModelOutput | tuple[Tensor, ...]:
        """Score choices; inputs as for `DistilBertModel.forward`, but (B, C, T); `labels` (B,) are the right ones."""
        choices = (input_ids if input_ids is not None else inputs_embeds).shape[1]  # C
        encoded = self.distilbert(
            one_a_row(input_ids),
            one_a_row(attention_mask),
            one_a_row(inputs_embeds),
            one_a_row(position_ids),
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        pooled = F.relu(self.pre_classifier(encoded.last_hidden_state[:, 0]))  # (B · C, E)
        logits = self.classifier(self.dropout(pooled)).view(-1, choices)  # (B, C)
        loss = choice_loss(logits, labels, num_items_in_batch)
        output = MultipleChoiceModelOutput(loss=loss, logits=logits, **of_layers(encoded))
        return finish(output, self.config, return_dict)

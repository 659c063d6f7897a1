"""Question answering: an encoder, and two scores a token, that an answer begins and that it ends there."""

from torch import Tensor, nn

from minift.model.bert import BertModel, BertPreTrainedModel
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.distilbert import DistilBertModel, DistilBertPreTrainedModel
from minift.model.heads.losses import span_loss
from minift.model.outputs import QuestionAnsweringModelOutput, finish, of_layers


class BertForQuestionAnswering(BertPreTrainedModel):
    """A linear layer to two scores (transformers/models/bert/modeling_bert.py, the class of this name)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.bert = BertModel(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> QuestionAnsweringModelOutput | tuple[Tensor, ...]:
        """Score spans; inputs as for `BertModel.forward`, positions (B,) as for `span_loss`."""
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
        scores = self.qa_outputs(encoded.last_hidden_state)  # (B, T, 2)
        start, end = (scores[..., i].contiguous() for i in (0, 1))  # (B, T) each: copies, which users may write to
        loss = span_loss(start, end, start_positions, end_positions)
        output = QuestionAnsweringModelOutput(loss=loss, start_logits=start, end_logits=end, **of_layers(encoded))
        return finish(output, self.config, return_dict)


class DistilBertForQuestionAnswering(DistilBertPreTrainedModel):
    """Dropout, a linear layer to two scores (transformers/models/distilbert/modeling_distilbert.py)."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.distilbert = DistilBertModel(config)
        self.qa_outputs = nn.Linear(config.dim, 2)
        self.dropout = nn.Dropout(config.qa_dropout)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> QuestionAnsweringModelOutput | tuple[Tensor, ...]:
        """Score spans; inputs as for `DistilBertModel.forward`, positions (B,) as for `span_loss`."""
        encoded = self.distilbert(
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        scores = self.qa_outputs(self.dropout(encoded.last_hidden_state))  # (B, T, 2)
        start, end = (scores[..., i].contiguous() for i in (0, 1))  # (B, T) each: copies, which users may write to
        loss = span_loss(start, end, start_positions, end_positions)
        output = QuestionAnsweringModelOutput(loss=loss, start_logits=start, end_logits=end, **of_layers(encoded))
        return finish(output, self.config, return_dict)

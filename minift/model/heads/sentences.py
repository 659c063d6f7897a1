"""Whether the second text follows the first, alone and beside the masked words: what BERT was pre-trained on."""

from torch import Tensor, nn

from minift.model.bert import BertModel, BertPreTrainedModel
from minift.model.config import BertConfig
from minift.model.heads.losses import masked_lm_loss, token_loss
from minift.model.heads.masked_lm import BertPredictions
from minift.model.outputs import BertForPreTrainingOutput, NextSentencePredictorOutput, finish, of_layers


class BertForNextSentencePrediction(BertPreTrainedModel):
    """A linear layer from the pooler to two classes: 0, the second text follows the first; 1, it is another's.

    Source: transformers/models/bert/modeling_bert.py, as for the class below.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        self.cls = nn.ModuleDict({"seq_relationship": nn.Linear(config.hidden_size, 2)})
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
    ) -> NextSentencePredictorOutput | tuple[Tensor, ...]:
        """Classify pairs; inputs as for `BertModel.forward`, `labels` (B,) of 0 and 1."""
        encoder_inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        encoded = self.bert(*encoder_inputs, output_attentions, output_hidden_states, return_dict=True)
        logits = self.cls["seq_relationship"](encoded.pooler_output)  # (B, 2)
        loss = None if labels is None else token_loss(logits[:, None], labels.view(-1, 1))
        output = NextSentencePredictorOutput(loss=loss, logits=logits, **of_layers(encoded))
        return finish(output, self.config, return_dict)


class BertForPreTraining(BertPreTrainedModel):
    """Both heads: the loss is the sum of theirs."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config)
        heads = {"predictions": BertPredictions(config), "seq_relationship": nn.Linear(config.hidden_size, 2)}
        self.cls = nn.ModuleDict(heads)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        next_sentence_label: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> BertForPreTrainingOutput | tuple[Tensor, ...]:
        """Predict words and pairs; `labels` (B, T), -100 where no word is asked for, `next_sentence_label` (B,)."""
        encoder_inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        encoded = self.bert(*encoder_inputs, output_attentions, output_hidden_states, return_dict=True)
        words = self.cls["predictions"](encoded.last_hidden_state)  # (B, T, V)
        pairs = self.cls["seq_relationship"](encoded.pooler_output)  # (B, 2)
        loss = None
        if labels is not None and next_sentence_label is not None:
            loss = masked_lm_loss(words, labels) + token_loss(pairs[:, None], next_sentence_label.view(-1, 1))
        logits = {"prediction_logits": words, "seq_relationship_logits": pairs}
        output = BertForPreTrainingOutput(loss=loss, **logits, **of_layers(encoded))
        return finish(output, self.config, return_dict)

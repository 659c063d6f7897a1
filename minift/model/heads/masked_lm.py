"""Masked language modelling: an encoder, a transform, and a product with the word embeddings."""

import torch
from torch import Tensor, nn

from minift.model.bert import ACTIVATION, BertModel, BertPreTrainedModel
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.distilbert import EPS, DistilBertModel, DistilBertPreTrainedModel
from minift.model.heads.losses import masked_lm_loss
from minift.model.outputs import MaskedLMOutput, finish, of_layers


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


class BertForMaskedLM(BertPreTrainedModel):
    """BERT with the head that it was pre-trained with (transformers/models/bert/modeling_bert.py)."""

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
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            inputs_embeds,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        loss, logits = self.loss_and_logits(encoded.last_hidden_state, labels, num_items_in_batch)
        return finish(MaskedLMOutput(loss=loss, logits=logits, **of_layers(encoded)), self.config, return_dict)

    def score(self, x: Tensor) -> Tensor:
        """(…, E) -> (…, V): a score for every word of the vocabulary."""
        return self.cls["predictions"](x)

    def loss_and_logits(self, x: Tensor, labels: Tensor | None, num_items_in_batch: Tensor | int | None):
        """The encoder's output (B, T, E) -> the loss (None without labels), and the logits (B, T, V)."""
        logits = self.score(x)  # (B, T, V)
        return (None if labels is None else masked_lm_loss(logits, labels, num_items_in_batch)), logits


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
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        loss, logits = self.loss_and_logits(encoded.last_hidden_state, labels, num_items_in_batch)
        return finish(MaskedLMOutput(loss=loss, logits=logits, **of_layers(encoded)), self.config, return_dict)

    def score(self, x: Tensor) -> Tensor:
        """(…, E) -> (…, V): dense, activation, LayerNorm, then a score for every word of the vocabulary."""
        x = self.activation(self.vocab_transform(x))  # (…, E)
        return self.vocab_projector(self.vocab_layer_norm(x))  # (…, V)

    def loss_and_logits(self, x: Tensor, labels: Tensor | None, num_items_in_batch: Tensor | int | None):
        """The encoder's output (B, T, E) -> the loss (None without labels), and the logits (B, T, V)."""
        logits = self.score(x)  # (B, T, V)
        return (None if labels is None else masked_lm_loss(logits, labels, num_items_in_batch)), logits

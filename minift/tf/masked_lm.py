"""Masked language modelling: an encoder, a transform, and a product with the word embeddings."""

import keras
import tensorflow as tf
from tensorflow import Tensor

from minift.batches.mask import IGNORED
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.outputs import MaskedLMOutput, finish, of_layers
from minift.tf.bert import TFBertModel
from minift.tf.checks import check_labels
from minift.tf.distilbert import EPS, TFDistilBertModel, TFDistilBertPreTrainedModel
from minift.tf.layers import ACTIVATION, Embedding, LayerNorm, Linear
from minift.tf.pretrained import TFPreTrainedModel


class TFDecoder(keras.layers.Layer):
    """A score for every word of the vocabulary. The weight is (V, E) as in torch, so that it can be the embeddings'.

    Without `weight` or `bias` it gets one of its own.
    """

    def __init__(
        self, V: int, E: int, weight: keras.Variable | None = None, bias: keras.Variable | None = None
    ) -> None:
        super().__init__()
        self.weight = self.add_weight(name="weight", shape=(V, E), initializer="zeros") if weight is None else weight
        self.bias = self.add_weight(name="bias", shape=(V,), initializer="zeros") if bias is None else bias
        self.built = True

    def call(self, x: Tensor) -> Tensor:
        V, E = self.weight.shape
        table = tf.cast(self.weight, x.dtype)  # (V, E)
        y = tf.matmul(tf.reshape(x, (-1, E)), table, transpose_b=True)  # (B * T, V)
        return tf.reshape(tf.nn.bias_add(y, self.bias), (-1, tf.shape(x)[1], V))  # (B, T, V)


class TFBertPredictions(keras.layers.Layer):
    """Dense, activation, LayerNorm, then a score for every word of the vocabulary."""

    def __init__(self, config: BertConfig, words: Embedding) -> None:
        super().__init__()
        E, V, tied = config.hidden_size, config.vocab_size, config.tie_word_embeddings
        self.bias = self.add_weight(name="bias", shape=(V,), initializer="zeros", trainable=tied)  # untied: not used
        self.transform = {"dense": Linear(E, E), "LayerNorm": LayerNorm(E, eps=config.layer_norm_eps)}
        self.activation = ACTIVATION[config.hidden_act]
        self.decoder = TFDecoder(V, E, words.weight, self.bias) if tied else TFDecoder(V, E)

    def call(self, x: Tensor) -> Tensor:
        x = self.activation(self.transform["dense"](x))  # (B, T, E)
        return self.decoder(self.transform["LayerNorm"](x))  # (B, T, V)


class TFBertForMaskedLM(TFPreTrainedModel):
    """BERT with the head that it was pre-trained with; to be read beside `model.mlm.BertForMaskedLM`."""

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = TFBertModel(config, add_pooling_layer=False)
        self.cls = {"predictions": TFBertPredictions(config, self.bert.embeddings.word_embeddings)}
        self.post_init()

    def call(
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
        training: bool | None = None,
    ) -> MaskedLMOutput | tuple[Tensor, ...]:
        """Predict tokens; inputs as for `TFBertModel.call`, `labels` and the loss as for `masked_lm_loss`."""
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
        logits = tf.cast(self.cls["predictions"](encoded.last_hidden_state), tf.float32)  # (B, T, V)
        loss = None if labels is None else self.own_loss(logits, labels)
        return finish(MaskedLMOutput(loss=loss, logits=logits, **of_layers(encoded)), self.config, return_dict)

    def own_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return masked_lm_loss(logits, labels)


class TFDistilBertForMaskedLM(TFDistilBertPreTrainedModel):
    """DistilBERT with its head."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        E, V = config.dim, config.vocab_size
        self.activation = ACTIVATION[config.activation]
        self.distilbert = TFDistilBertModel(config)
        self.vocab_transform = Linear(E, E)
        self.vocab_layer_norm = LayerNorm(E, eps=EPS)
        words = self.distilbert.embeddings.word_embeddings.weight if config.tie_word_embeddings else None
        self.vocab_projector = TFDecoder(V, E, words)
        self.post_init()

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> MaskedLMOutput | tuple[Tensor, ...]:
        """Predict tokens; inputs as for `TFDistilBertModel.call`, `labels` as for `masked_lm_loss`."""
        encoded = self.distilbert(
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            output_attentions,
            output_hidden_states,
            return_dict=True,
        )
        x = self.activation(self.vocab_transform(encoded.last_hidden_state))  # (B, T, E)
        logits = tf.cast(self.vocab_projector(self.vocab_layer_norm(x)), tf.float32)  # (B, T, V)
        loss = None if labels is None else self.own_loss(logits, labels)
        return finish(MaskedLMOutput(loss=loss, logits=logits, **of_layers(encoded)), self.config, return_dict)

    def own_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return masked_lm_loss(logits, labels)


def masked_lm_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy of the tokens to be predicted.

    Args:
        logits: (B, T, V) float32.
        labels: (B, T), the token's id, or -100 where nothing is to be predicted.

    Returns:
        A scalar; NaN when there is nothing to predict.

    Raises:
        ValueError: a label is neither -100 nor in the vocabulary (its row is named), or the shape differs.
    """
    if not labels.shape.is_compatible_with(logits.shape[:2]):
        raise ValueError(f"labels have shape {tuple(labels.shape)}, but the input has {tuple(logits.shape[:2])}")
    labels = check_labels(labels, logits.shape[2])
    chosen = labels != IGNORED  # (B, T)
    targets = tf.where(chosen, labels, 0)  # (B, T)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)  # (B, T)
    chosen = tf.cast(chosen, losses.dtype)
    return tf.reduce_sum(losses * chosen) / tf.reduce_sum(chosen)

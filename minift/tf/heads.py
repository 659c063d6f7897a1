"""An encoder with a head on it: to logits and loss; to be read beside model/heads."""

from abc import abstractmethod
from typing import Any, ClassVar

from minift.model.config import BertConfig, DistilBertConfig
from minift.model.outputs import EncoderOutput, MaskedLMOutput, ModelOutput, SequenceClassifierOutput, finish, of_layers
from minift.tf.backend import Tensor, keras, tf
from minift.tf.bert import TFBertModel
from minift.tf.distilbert import EPS, TFDistilBertModel
from minift.tf.layers import ACTIVATION, Dropout, Embedding, LayerNorm, Linear
from minift.tf.losses import classification_loss, masked_lm_loss
from minift.tf.pretrained import TFPreTrainedModel


class TFHead(TFPreTrainedModel):
    """An encoder with a head on it; a subclass says how its logits are computed."""

    output_class: ClassVar[type[ModelOutput]]
    flattens: ClassVar[bool] = False  # the inputs are (B, C, T): C texts a row, each with one logit

    @abstractmethod
    def score(self, encoded: EncoderOutput) -> Tensor:
        """Compute the logits."""

    def own_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return classification_loss(logits, labels, self.config)

    def each_text(self, values: Tensor | None) -> Tensor | None:
        """Put the C texts of each row below each other, if there are several: (B, C, T, …) -> (B · C, T, …)."""
        if values is None or not self.flattens:
            return values
        return tf.reshape(values, tf.concat([[-1], tf.shape(values)[2:]], 0))

    def finish(
        self, encoded: EncoderOutput, labels: Tensor | None, return_dict: bool | None, choices: Any = None
    ) -> ModelOutput | tuple:
        """The encoder's output, and labels if there are any -> logits, always in float32, and loss."""
        logits = tf.cast(self.score(encoded), tf.float32)
        if self.flattens:
            logits = tf.reshape(logits, (-1, choices))  # (B, C)
        loss = None if labels is None else self.own_loss(logits, labels)
        output = self.output_class(loss=loss, logits=logits, **of_layers(encoded))
        return finish(output, self.config, return_dict)


def second_axis(ids: Tensor | None, embeds: Tensor | None) -> Any:
    """Return the size of the second axis: C where a row has several texts."""
    values = embeds if ids is None else ids
    return tf.shape(values)[1] if values.shape[1] is None else values.shape[1]


class TFBertHead(TFHead):
    """A head on BERT."""

    config_class = BertConfig

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.bert = TFBertModel(config, add_pooling_layer)

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
    ) -> ModelOutput | tuple[Tensor, ...]:
        """Score a batch; inputs as for `TFBertModel.call`, `labels` and the loss as in `losses.py`."""
        tensors = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        texts = map(self.each_text, tensors)
        encoded = self.bert(*texts, output_attentions, output_hidden_states, return_dict=True)
        return self.finish(encoded, labels, return_dict, second_axis(input_ids, inputs_embeds))


class TFDistilBertHead(TFHead):
    """A head on DistilBERT."""

    config_class = DistilBertConfig

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.distilbert = TFDistilBertModel(config)

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
    ) -> ModelOutput | tuple[Tensor, ...]:
        """Score a batch; inputs as for `TFDistilBertModel.call`, `labels` and the loss as in `losses.py`."""
        tensors = (input_ids, attention_mask, inputs_embeds, position_ids)
        texts = map(self.each_text, tensors)
        encoded = self.distilbert(*texts, output_attentions, output_hidden_states, return_dict=True)
        return self.finish(encoded, labels, return_dict, second_axis(input_ids, inputs_embeds))


# -- sequence classification: one vector a text, and a linear layer to the classes


class TFBertForSequenceClassification(TFBertHead):
    """Pooled [CLS], dropout, classifier."""

    output_class = SequenceClassifierOutput

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        rate = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = Dropout(rate)
        self.classifier = Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def score(self, encoded: EncoderOutput) -> Tensor:
        return self.classifier(self.dropout(encoded.pooler_output))  # (B, num_labels)


class TFDistilBertForSequenceClassification(TFDistilBertHead):
    """[CLS], dense, ReLU, dropout, classifier."""

    output_class = SequenceClassifierOutput

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.pre_classifier = Linear(config.dim, config.dim)
        self.classifier = Linear(config.dim, config.num_labels)
        self.dropout = Dropout(config.seq_classif_dropout)
        self.post_init()

    def score(self, encoded: EncoderOutput) -> Tensor:
        first = encoded.last_hidden_state[:, 0]  # (B, E)
        pooled = tf.nn.relu(self.pre_classifier(first))  # (B, E)
        return self.classifier(self.dropout(pooled))  # (B, num_labels)


# -- masked language modelling: a transform, and a product with the word embeddings


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


class TFBertForMaskedLM(TFBertHead):
    """BERT with the head that it was pre-trained with."""

    output_class = MaskedLMOutput
    own_loss = staticmethod(masked_lm_loss)

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config, add_pooling_layer=False)
        self.cls = {"predictions": TFBertPredictions(config, self.bert.embeddings.word_embeddings)}
        self.post_init()

    def score(self, encoded: EncoderOutput) -> Tensor:
        return self.cls["predictions"](encoded.last_hidden_state)  # (B, T, V)


class TFDistilBertForMaskedLM(TFDistilBertHead):
    """DistilBERT with its head."""

    output_class = MaskedLMOutput
    own_loss = staticmethod(masked_lm_loss)

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        E, V = config.dim, config.vocab_size
        self.activation = ACTIVATION[config.activation]
        self.vocab_transform = Linear(E, E)
        self.vocab_layer_norm = LayerNorm(E, eps=EPS)
        words = self.distilbert.embeddings.word_embeddings.weight if config.tie_word_embeddings else None
        self.vocab_projector = TFDecoder(V, E, words)
        self.post_init()

    def score(self, encoded: EncoderOutput) -> Tensor:
        x = self.activation(self.vocab_transform(encoded.last_hidden_state))  # (B, T, E)
        return self.vocab_projector(self.vocab_layer_norm(x))  # (B, T, V)

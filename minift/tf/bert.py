"""BERT: Devlin et al., https://arxiv.org/abs/1810.04805; to be read beside model/bert.py.

A legend for the shapes: B batch, T tokens, H heads, D head size, E hidden (E = H · D), V vocabulary.

Nested dictionaries give parameters their names (`encoder.layer.0.attention.self.query.weight`): Keras follows them.
"""

import keras
import tensorflow as tf
from tensorflow import Tensor

from minift.model.config import BertConfig
from minift.model.outputs import EncoderOutput, finish
from minift.tf.attention import attention, merge_heads, run_layers, split_heads
from minift.tf.layers import ACTIVATION, Dropout, Embedding, LayerNorm, Linear
from minift.tf.pretrained import TFPreTrainedModel


class TFBertEmbeddings(keras.layers.Layer):
    """LayerNorm(word + type + position), then dropout."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        E = config.hidden_size
        self.word_embeddings = Embedding(config.vocab_size, E, padding_idx=config.pad_token_id)
        self.position_embeddings = Embedding(config.max_position_embeddings, E)
        self.token_type_embeddings = Embedding(config.type_vocab_size, E)
        self.LayerNorm = LayerNorm(E, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def call(self, words: Tensor, token_type_ids: Tensor | None, position_ids: Tensor | None) -> Tensor:
        B, T = tf.unstack(tf.shape(words)[:2])
        if token_type_ids is None:
            token_type_ids = tf.zeros((B, T), tf.int32)  # (B, T)
        if position_ids is None:
            position_ids = tf.range(T)[None]  # (1, T)
        x = words + self.token_type_embeddings(token_type_ids)  # (B, T, E)
        x += self.position_embeddings(position_ids)  # (B, T, E)
        return self.dropout(self.LayerNorm(x))  # (B, T, E)


class TFBertLayer(keras.layers.Layer):
    """Attention, then a feed-forward net; each followed by dropout, residual and LayerNorm."""

    output = None  # hides the property that Keras has under the name of a part below

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        E, intermediate, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        self.attention = {
            "self": {name: Linear(E, E) for name in ("query", "key", "value")},
            "output": {"dense": Linear(E, E), "LayerNorm": LayerNorm(E, eps=eps)},
        }
        self.intermediate = {"dense": Linear(E, intermediate)}
        self.output = {"dense": Linear(intermediate, E), "LayerNorm": LayerNorm(E, eps=eps)}
        self.activation = ACTIVATION[config.hidden_act]
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.attention_dropout = Dropout(config.attention_probs_dropout_prob)

    def call(self, x: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, T, E) -> (B, T, E), and the attention probabilities (B, H, T, T)."""
        project, output = self.attention["self"], self.attention["output"]
        q = split_heads(project["query"](x), self.heads)  # (B, H, T, D)
        k = split_heads(project["key"](x), self.heads)  # (B, H, T, D)
        v = split_heads(project["value"](x), self.heads)  # (B, H, T, D)
        attended, probabilities = attention(q, k, v, padding, self.attention_dropout)
        attended = output["dense"](merge_heads(attended))  # (B, T, E)
        x = output["LayerNorm"](self.dropout(attended) + x)  # (B, T, E)
        wide = self.activation(self.intermediate["dense"](x))  # (B, T, intermediate_size)
        x = self.output["LayerNorm"](self.dropout(self.output["dense"](wide)) + x)  # (B, T, E)
        return x, probabilities


class TFBertModel(TFPreTrainedModel):
    """The encoder: token ids to one vector a token, and one for the text (the pooler: tanh of a dense [CLS])."""

    config_class = BertConfig

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = TFBertEmbeddings(config)
        self.encoder = {"layer": [TFBertLayer(config) for _ in range(config.num_hidden_layers)]}
        E = config.hidden_size
        self.pooler = {"dense": Linear(E, E)} if add_pooling_layer else None
        self.post_init()

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> EncoderOutput | tuple[Tensor, ...]:
        """Encode a batch.

        Args:
            input_ids: (B, T) integers, or `inputs_embeds` (B, T, E) in their place.
            attention_mask: (B, T), 1 for tokens and 0 for padding; None: no padding.
            token_type_ids: (B, T), 0 for the first text and 1 for the second; None: all 0.
            position_ids: (B, T) or (1, T); None: 0, 1, 2, …
            output_attentions: return the probabilities.
            output_hidden_states: return the embeddings and the output of each layer.
            return_dict: False: a tuple.
            training: True: with dropout.

        Raises:
            ValueError: an id outside its table, an input that is too long, a mask of another shape.
        """
        config = self.config
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, E)
        x = self.embeddings(words, token_type_ids, position_ids)  # (B, T, E)
        layers = self.encoder["layer"]
        encoded = run_layers(layers, x, attention_mask, config, output_attentions, output_hidden_states)
        if self.pooler is not None:
            first = encoded.last_hidden_state[:, 0]  # (B, E)
            encoded = EncoderOutput(**encoded, pooler_output=tf.tanh(self.pooler["dense"](first)))  # (B, E)
        return finish(encoded, config, return_dict)

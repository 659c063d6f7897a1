"""DistilBERT: Sanh et al., https://arxiv.org/abs/1910.01108; to be read beside model/distilbert.py.

A legend for the shapes: B batch, T tokens, H heads, D head size, E hidden (E = H · D), V vocabulary.
"""

from collections.abc import Collection

import keras
import numpy as np
import tensorflow as tf
from tensorflow import Tensor

from minift.model.config import DistilBertConfig
from minift.model.outputs import EncoderOutput, finish
from minift.tf.attention import attention, merge_heads, run_layers, split_heads
from minift.tf.layers import ACTIVATION, Dropout, Embedding, LayerNorm, Linear
from minift.tf.pretrained import TFPreTrainedModel

EPS = 1e-12  # of every LayerNorm; the configuration has no field for it


class TFDistilBertEmbeddings(keras.layers.Layer):
    """LayerNorm(word + position), then dropout."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.word_embeddings = Embedding(config.vocab_size, config.dim, padding_idx=config.pad_token_id)
        self.position_embeddings = Embedding(config.max_position_embeddings, config.dim)
        self.LayerNorm = LayerNorm(config.dim, eps=EPS)
        self.dropout = Dropout(config.dropout)

    def call(self, words: Tensor, position_ids: Tensor | None) -> Tensor:
        if position_ids is None:
            position_ids = tf.range(tf.shape(words)[1])[None]  # (1, T)
        x = words + self.position_embeddings(position_ids)  # (B, T, E)
        return self.dropout(self.LayerNorm(x))  # (B, T, E)


class TFDistilBertLayer(keras.layers.Layer):
    """Attention, residual and LayerNorm, without dropout between; then the feed-forward net, with it."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        E = config.dim
        self.heads = config.n_heads
        self.attention = {name: Linear(E, E) for name in ("q_lin", "k_lin", "v_lin", "out_lin")}
        self.sa_layer_norm = LayerNorm(E, eps=EPS)
        self.ffn = {"lin1": Linear(E, config.hidden_dim), "lin2": Linear(config.hidden_dim, E)}
        self.output_layer_norm = LayerNorm(E, eps=EPS)
        self.activation = ACTIVATION[config.activation]
        self.dropout = Dropout(config.dropout)
        self.attention_dropout = Dropout(config.attention_dropout)

    def call(self, x: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, T, E) -> (B, T, E), and the attention probabilities (B, H, T, T)."""
        q = split_heads(self.attention["q_lin"](x), self.heads)  # (B, H, T, D)
        k = split_heads(self.attention["k_lin"](x), self.heads)  # (B, H, T, D)
        v = split_heads(self.attention["v_lin"](x), self.heads)  # (B, H, T, D)
        attended, probabilities = attention(q, k, v, padding, self.attention_dropout)
        attended = self.attention["out_lin"](merge_heads(attended))  # (B, T, E)
        x = self.sa_layer_norm(attended + x)  # (B, T, E)
        wide = self.activation(self.ffn["lin1"](x))  # (B, T, hidden_dim)
        x = self.output_layer_norm(self.dropout(self.ffn["lin2"](wide)) + x)  # (B, T, E)
        return x, probabilities


class TFDistilBertPreTrainedModel(TFPreTrainedModel):
    """What the encoder and its heads share."""

    config_class = DistilBertConfig

    def init_weights(self, names: Collection[str]) -> None:
        super().init_weights(names)
        if self.config.sinusoidal_pos_embds:
            for name, parameter in self.named_parameters():
                if name in names and name.endswith("position_embeddings.weight"):
                    parameter.assign(sinusoids(*parameter.shape))


class TFDistilBertModel(TFDistilBertPreTrainedModel):
    """The encoder: token ids to one vector a token."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.embeddings = TFDistilBertEmbeddings(config)
        self.transformer = {"layer": [TFDistilBertLayer(config) for _ in range(config.n_layers)]}
        self.post_init()

    def call(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> EncoderOutput | tuple[Tensor, ...]:
        """Encode a batch; arguments and errors are those of `TFBertModel.call`, without token types."""
        config = self.config
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, E)
        x = self.embeddings(words, position_ids)  # (B, T, E)
        layers = self.transformer["layer"]
        encoded = run_layers(layers, x, attention_mask, config, output_attentions, output_hidden_states)
        return finish(encoded, config, return_dict)


def sinusoids(positions: int, size: int) -> np.ndarray:
    """Position p, components 2i and 2i+1: sin and cos of p / 10000^(2i / size) (arXiv 1706.03762, section 3.5)."""
    position = np.arange(positions)[:, None]  # (positions, 1)
    component = np.arange(size)  # (size,)
    angle = position / 10000 ** (component // 2 * 2 / size)  # (positions, size)
    return np.where(component % 2 == 0, np.sin(angle), np.cos(angle))  # (positions, size)

"""DistilBERT: Sanh et al., https://arxiv.org/abs/1910.01108; to be read beside model/distilbert.py.

A legend for the shapes: B batch, T tokens, H heads, D head size, E hidden (E = H · D), V vocabulary.
"""

from minift.model.config import DistilBertConfig
from minift.model.outputs import EncoderOutput, finish
from minift.tf.attention import attention, merge_heads, split_heads
from minift.tf.backend import Tensor, keras, tf
from minift.tf.bert import TFEncoder
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

    def call(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """(B, T) ids, or (B, T, E) vectors in their place -> (B, T, E)."""
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, E)
        if position_ids is None:
            position_ids = tf.range(tf.shape(words)[1])[None]  # (1, T)
        x = words + self.position_embeddings(position_ids)  # (B, T, E)
        return self.dropout(self.LayerNorm(x))  # (B, T, E)


class TFDistilBertLayer(keras.layers.Layer):
    """Self-attention with residual and LayerNorm, but no dropout; then a feed-forward net with all three."""

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

    def call(self, x: Tensor, padding: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, E), and what `padding_scores` made -> (B, T, E), and the attention probabilities (B, H, T, T)."""
        x, probabilities = self.self_attention(x, padding)
        return self.feed_forward(x), probabilities

    def self_attention(self, x: Tensor, padding: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Let each token look at the others: (B, T, E) -> (B, T, E), and the probabilities (B, H, T, T)."""
        project = self.attention
        q, k, v = (split_heads(project[name](x), self.heads) for name in ("q_lin", "k_lin", "v_lin"))  # (B, H, T, D)
        attended, probabilities = attention(q, k, v, padding, self.attention_dropout)
        return self.sa_layer_norm(project["out_lin"](merge_heads(attended)) + x), probabilities

    def feed_forward(self, x: Tensor) -> Tensor:
        """Transform each token by itself: (B, T, E) -> (B, T, E)."""
        wide = self.activation(self.ffn["lin1"](x))  # (B, T, hidden_dim)
        return self.output_layer_norm(self.dropout(self.ffn["lin2"](wide)) + x)  # (B, T, E)


class TFDistilBertModel(TFPreTrainedModel):
    """Encode token ids as one vector a token."""

    config_class = DistilBertConfig

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.embeddings = TFDistilBertEmbeddings(config)
        self.transformer = TFEncoder(config, TFDistilBertLayer)
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
        x = self.embeddings(input_ids, inputs_embeds, position_ids)  # (B, T, E)
        asked = {"output_attentions": output_attentions, "output_hidden_states": output_hidden_states}
        return finish(self.transformer(x, attention_mask, **asked), self.config, return_dict)

"""BERT: Devlin et al., https://arxiv.org/abs/1810.04805; to be read beside model/bert.py.

A legend for the shapes: B batch, T tokens, H heads, D head size, E hidden (E = H · D), V vocabulary.

Nested dictionaries give parameters their names (`encoder.layer.0.attention.self.query.weight`): Keras follows them.
"""

from minift.model.config import BertConfig, PretrainedConfig
from minift.model.outputs import EncoderOutput, choose, finish
from minift.tf.attention import attention, merge_heads, padding_scores, split_heads
from minift.tf.backend import Tensor, keras, tf
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

    def call(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """(B, T) ids, or (B, T, E) vectors in their place -> (B, T, E)."""
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, E)
        B, T = tf.unstack(tf.shape(words)[:2])
        if token_type_ids is None:
            token_type_ids = tf.zeros((B, T), tf.int32)  # (B, T)
        if position_ids is None:
            position_ids = tf.range(T)[None]  # (1, T)
        x = words + self.token_type_embeddings(token_type_ids)  # (B, T, E)
        x += self.position_embeddings(position_ids)  # (B, T, E)
        return self.dropout(self.LayerNorm(x))  # (B, T, E)


class TFBertLayer(keras.layers.Layer):
    """Self-attention, then a feed-forward net; each is followed by dropout, residual and LayerNorm."""

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

    def call(self, x: Tensor, padding: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, E), and what `padding_scores` made -> (B, T, E), and the attention probabilities (B, H, T, T)."""
        x, probabilities = self.self_attention(x, padding)
        return self.feed_forward(x), probabilities

    def self_attention(self, x: Tensor, padding: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Let each token look at the others: (B, T, E) -> (B, T, E), and the probabilities (B, H, T, T)."""
        project, output = self.attention["self"], self.attention["output"]
        q, k, v = (split_heads(project[name](x), self.heads) for name in ("query", "key", "value"))  # (B, H, T, D)
        attended, probabilities = attention(q, k, v, padding, self.attention_dropout)
        attended = output["dense"](merge_heads(attended))  # (B, T, E)
        return output["LayerNorm"](self.dropout(attended) + x), probabilities

    def feed_forward(self, x: Tensor) -> Tensor:
        """Transform each token by itself: (B, T, E) -> (B, T, E)."""
        wide = self.activation(self.intermediate["dense"](x))  # (B, T, intermediate_size)
        return self.output["LayerNorm"](self.dropout(self.output["dense"](wide)) + x)  # (B, T, E)


class TFEncoder(keras.layers.Layer):
    """The layers, one after the other."""

    def __init__(self, config: PretrainedConfig, layer_class: type[keras.layers.Layer]) -> None:
        super().__init__()
        self.config = config
        self.layer = [layer_class(config) for _ in range(config.num_hidden_layers)]

    def call(
        self,
        x: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
    ) -> EncoderOutput:
        """Embeddings (B, T, E), and a mask (B, T) -> `last_hidden_state` (B, T, E), and what else is asked for."""
        padding = padding_scores(attention_mask, x)  # (B, 1, 1, T) or None
        hidden_states, attentions = (x,), ()
        for layer in self.layer:
            x, probabilities = layer(x, padding)  # (B, T, E), (B, H, T, T)
            hidden_states += (x,)
            attentions += (probabilities,)
        return EncoderOutput(
            last_hidden_state=x,
            hidden_states=hidden_states if choose(output_hidden_states, self.config.output_hidden_states) else None,
            attentions=attentions if choose(output_attentions, self.config.output_attentions) else None,
        )


class TFBertPooler(keras.layers.Layer):
    """One vector for a text: tanh of a dense layer on its first token, [CLS]."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, config.hidden_size)

    def call(self, x: Tensor) -> Tensor:
        """(B, T, E) -> (B, E)."""
        return tf.tanh(self.dense(x[:, 0]))


class TFBertModel(TFPreTrainedModel):
    """Encode token ids as one vector a token and, by the pooler, one a text."""

    config_class = BertConfig

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = TFBertEmbeddings(config)
        self.encoder = TFEncoder(config, TFBertLayer)
        self.pooler = TFBertPooler(config) if add_pooling_layer else None
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
        """Encode a batch, with dropout if `training`; else arguments and errors are those of `BertModel.forward`."""
        x = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds)  # (B, T, E)
        asked = {"output_attentions": output_attentions, "output_hidden_states": output_hidden_states}
        encoded = self.encoder(x, attention_mask, **asked)
        if self.pooler is not None:
            encoded = EncoderOutput(**encoded, pooler_output=self.pooler(encoded.last_hidden_state))  # (B, E)
        return finish(encoded, self.config, return_dict)

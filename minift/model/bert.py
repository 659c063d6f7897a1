"""BERT: Devlin et al., https://arxiv.org/abs/1810.04805.

A legend for the shapes: B batch, T tokens, H heads, D head size, E hidden (E = H · D), V vocabulary.

`nn.ModuleDict` gives parameters their nested names (`encoder.layer.0.attention.self.query.weight`) without a class for
each level. Names, order, random draws and arithmetic are those of transformers/models/bert/modeling_bert.py.
"""

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minift.model.attention import ATTENTION, is_exported, key_mask, merge_heads, split_heads
from minift.model.checks import check_ids, check_input
from minift.model.config import BertConfig
from minift.model.outputs import EncoderOutput, choose, finish
from minift.model.pretrained import PreTrainedModel
from minift.model.watch import watch

ACTIVATION = {
    "gelu": F.gelu,
    "gelu_new": partial(F.gelu, approximate="tanh"),
    "gelu_pytorch_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


class BertEmbeddings(nn.Module):
    """LayerNorm(word + type + position), then dropout."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        E = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, E, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, E)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, E)
        self.LayerNorm = nn.LayerNorm(E, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:
        """(B, T) ids, or (B, T, E) vectors in their place -> (B, T, E)."""
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, E)
        B, T, _ = words.shape
        if token_type_ids is None:
            token_type_ids = torch.zeros(B, T, dtype=torch.long, device=words.device)  # (B, T)
        if position_ids is None:
            position_ids = torch.arange(T, device=words.device)[None]  # (1, T)
        x = words + self.token_type_embeddings(token_type_ids)  # (B, T, E)
        x = x + self.position_embeddings(position_ids)  # (B, T, E)
        return self.dropout(self.LayerNorm(x))  # (B, T, E)


class BertLayer(nn.Module):
    """Self-attention, then a feed-forward net; each is followed by dropout, residual and LayerNorm."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        E, intermediate, eps = config.hidden_size, config.intermediate_size, config.layer_norm_eps
        self.heads = config.num_attention_heads
        self.attention = nn.ModuleDict(
            {
                "self": nn.ModuleDict({name: nn.Linear(E, E) for name in ("query", "key", "value")}),
                "output": nn.ModuleDict({"dense": nn.Linear(E, E), "LayerNorm": nn.LayerNorm(E, eps=eps)}),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(E, intermediate)})
        self.output = nn.ModuleDict({"dense": nn.Linear(intermediate, E), "LayerNorm": nn.LayerNorm(E, eps=eps)})
        self.activation = ACTIVATION[config.hidden_act]
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.attend = ATTENTION[config.attn_implementation]
        self.attention_dropout = config.attention_probs_dropout_prob

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, E), and the mask of `key_mask` -> (B, T, E)."""
        return self.feed_forward(self.self_attention(x, mask))

    def self_attention(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let each token look at the others: (B, T, E) -> (B, T, E)."""
        query, key, value = self.projections()
        q = split_heads(query(x), self.heads)  # (B, H, T, D)
        k = split_heads(key(x), self.heads)  # (B, H, T, D)
        v = split_heads(value(x), self.heads)  # (B, H, T, D)
        attended = self.attend(q, k, v, mask, self.attention_dropout if self.training else 0.0)  # (B, H, T, D)
        return self.add_attended(x, merge_heads(attended))  # (B, T, E)

    def projections(self) -> tuple[nn.Module, nn.Module, nn.Module]:
        """The linear layers that make queries, keys and values of the tokens."""
        project = self.attention["self"]
        return project["query"], project["key"], project["value"]

    def add_attended(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what a token has seen to what it was: both (B, T, E) -> (B, T, E)."""
        output = self.attention["output"]
        return output["LayerNorm"](self.dropout(output["dense"](attended)) + x)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Transform each token by itself: (B, T, E) -> (B, T, E)."""
        wide = self.activation(self.intermediate["dense"](x))  # (B, T, intermediate_size)
        return self.output["LayerNorm"](self.dropout(self.output["dense"](wide)) + x)  # (B, T, E)


class Encoder(nn.Module):
    """The layers, one after the other."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layer = nn.ModuleList(layers)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> EncoderOutput:
        """The embeddings (B, T, E), and the mask of `key_mask` -> `last_hidden_state` (B, T, E)."""
        for layer in self.layer:
            x = layer(x, mask)  # (B, T, E)
        return EncoderOutput(last_hidden_state=x)


class BertPooler(nn.Module):
    """One vector for a text: tanh of a dense layer on its first token, [CLS]."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, E) -> (B, E)."""
        return torch.tanh(self.dense(x[:, 0]))


class BertPreTrainedModel(PreTrainedModel):
    """What BERT's models share, and a base for heads of the user's own."""

    config_class = BertConfig


class BertModel(BertPreTrainedModel):
    """Encode token ids as one vector a token and, by the pooler, one a text."""

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = BertEmbeddings(config)
        self.encoder = Encoder(BertLayer(config) for _ in range(config.num_hidden_layers))
        self.pooler = BertPooler(config) if add_pooling_layer else None
        self.post_init()

    @property
    def layers(self) -> nn.ModuleList:
        return self.encoder.layer

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> EncoderOutput | tuple[Tensor, ...]:
        """Encode a batch.

        Args:
            input_ids: (B, T) int64, or `inputs_embeds` (B, T, E) in their place.
            attention_mask: (B, T), 1 for tokens and 0 for padding; None: no padding. More forms: `key_mask`.
            token_type_ids: (B, T), 0 for the first text and 1 for the second; None: all 0.
            position_ids: (B, T) or (1, T); None: 0, 1, 2, …
            output_attentions, output_hidden_states: also return what `watch` notes; None: as the configuration says.
            return_dict: False: a tuple.

        Raises:
            ValueError: an id outside its table, an input that is too long, a mask of another shape.
        """
        config = self.config
        check_input(input_ids, inputs_embeds, config.max_position_embeddings)
        if not is_exported():
            check_ids("input_ids", input_ids, config.vocab_size, "vocab_size")
            check_ids("token_type_ids", token_type_ids, config.type_vocab_size, "type_vocab_size")
            check_ids("position_ids", position_ids, config.max_position_embeddings, "max_position_embeddings")

        encoded = self.encode(
            {
                "input_ids": input_ids,
                "token_type_ids": token_type_ids,
                "position_ids": position_ids,
                "inputs_embeds": inputs_embeds,
            },
            attention_mask,
            choose(output_attentions, config.output_attentions),
            choose(output_hidden_states, config.output_hidden_states),
        )
        if self.pooler is not None:
            encoded = EncoderOutput(**encoded, pooler_output=self.pooler(encoded.last_hidden_state))  # (B, E)
        return finish(encoded, config, return_dict)

    def encode(
        self, inputs: dict[str, Tensor | None], attention_mask: Tensor | None, attentions: bool, hidden_states: bool
    ) -> EncoderOutput:
        """Embed the inputs and send them through the layers; `attentions` and `hidden_states` are for `watch`."""
        x = self.embeddings(**inputs)  # (B, T, E)
        mask = key_mask(attention_mask, x)  # (B, 1, T, T) or None
        with watch(self.layers, hidden_states, attentions) as seen:
            encoded = self.encoder(x, mask)
        return EncoderOutput(**encoded, **seen)

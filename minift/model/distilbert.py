"""DistilBERT: Sanh et al., https://arxiv.org/abs/1910.01108: BERT with half the layers, no token types and no pooler.

A legend for the shapes: B batch, T tokens, H heads, D head size, E hidden (E = H · D), V vocabulary.

Names, order, random draws and arithmetic are those of transformers/models/distilbert/modeling_distilbert.py.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from minift.model.attention import ATTENTION, is_exported, key_mask, merge_heads, split_heads
from minift.model.bert import ACTIVATION, Encoder
from minift.model.checks import check_ids, check_input
from minift.model.config import DistilBertConfig
from minift.model.outputs import EncoderOutput, choose, finish
from minift.model.pretrained import PreTrainedModel
from minift.model.watch import watch

EPS = 1e-12  # of every LayerNorm; the configuration has no field for it


class DistilBertEmbeddings(nn.Module):
    """LayerNorm(word + position), then dropout."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.dim, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.dim)
        self.LayerNorm = nn.LayerNorm(config.dim, eps=EPS)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
    ) -> Tensor:
        """(B, T) ids, or (B, T, E) vectors in their place -> (B, T, E)."""
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, E)
        if position_ids is None:
            position_ids = torch.arange(words.shape[1], device=words.device)[None]  # (1, T)
        x = words + self.position_embeddings(position_ids)  # (B, T, E)
        return self.dropout(self.LayerNorm(x))  # (B, T, E)


class DistilBertLayer(nn.Module):
    """Self-attention with residual and LayerNorm, but no dropout; then a feed-forward net with all three."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        E = config.dim
        self.heads = config.n_heads
        self.attention = nn.ModuleDict({name: nn.Linear(E, E) for name in ("q_lin", "k_lin", "v_lin", "out_lin")})
        self.sa_layer_norm = nn.LayerNorm(E, eps=EPS)
        self.ffn = nn.ModuleDict({"lin1": nn.Linear(E, config.hidden_dim), "lin2": nn.Linear(config.hidden_dim, E)})
        self.output_layer_norm = nn.LayerNorm(E, eps=EPS)
        self.activation = ACTIVATION[config.activation]
        self.dropout = nn.Dropout(config.dropout)
        self.attend = ATTENTION[config.attn_implementation]
        self.attention_dropout = config.attention_dropout

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
        return self.attention["q_lin"], self.attention["k_lin"], self.attention["v_lin"]

    def add_attended(self, x: Tensor, attended: Tensor) -> Tensor:
        """Add what a token has seen to what it was: both (B, T, E) -> (B, T, E)."""
        return self.sa_layer_norm(self.attention["out_lin"](attended) + x)

    def feed_forward(self, x: Tensor) -> Tensor:
        """Transform each token by itself: (B, T, E) -> (B, T, E)."""
        wide = self.activation(self.ffn["lin1"](x))  # (B, T, hidden_dim)
        return self.output_layer_norm(self.dropout(self.ffn["lin2"](wide)) + x)  # (B, T, E)


class DistilBertPreTrainedModel(PreTrainedModel):
    """What the encoder and its heads share."""

    config_class = DistilBertConfig

    @torch.no_grad()
    def init_weights(self, names: Collection[str]) -> None:
        super().init_weights(names)
        for name in names:
            if self.config.sinusoidal_pos_embds and name.endswith("position_embeddings.weight"):
                table = self.get_parameter(name)
                table.copy_(sinusoids(*table.shape))


class DistilBertModel(DistilBertPreTrainedModel):
    """Encode token ids as one vector a token."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.embeddings = DistilBertEmbeddings(config)
        self.transformer = Encoder(DistilBertLayer(config) for _ in range(config.n_layers))
        self.post_init()

    @property
    def layers(self) -> nn.ModuleList:
        return self.transformer.layer

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> EncoderOutput | tuple[Tensor, ...]:
        """Encode a batch; arguments and errors are those of `BertModel.forward`, without token types."""
        config = self.config
        check_input(input_ids, inputs_embeds, config.max_position_embeddings)
        if not is_exported():
            check_ids("input_ids", input_ids, config.vocab_size, "vocab_size")
            check_ids("position_ids", position_ids, config.max_position_embeddings, "max_position_embeddings")

        encoded = self.encode(
            {"input_ids": input_ids, "inputs_embeds": inputs_embeds, "position_ids": position_ids},
            attention_mask,
            choose(output_attentions, config.output_attentions),
            choose(output_hidden_states, config.output_hidden_states),
        )
        return finish(encoded, config, return_dict)

    def encode(
        self, inputs: dict[str, Tensor | None], attention_mask: Tensor | None, attentions: bool, hidden_states: bool
    ) -> EncoderOutput:
        """Embed the inputs and send them through the layers; `attentions` and `hidden_states` are for `watch`."""
        x = self.embeddings(**inputs)  # (B, T, E)
        mask = key_mask(attention_mask, x)  # (B, 1, T, T) or None
        with watch(self.layers, hidden_states, attentions) as seen:
            encoded = self.transformer(x, mask)
        return EncoderOutput(**encoded, **seen)


def sinusoids(positions: int, size: int) -> Tensor:
    """Position p, components 2i and 2i+1: sin and cos of p / 10000^(2i / size) (arXiv 1706.03762, section 3.5)."""
    position = torch.arange(positions, dtype=torch.float64)[:, None]  # (positions, 1)
    component = torch.arange(size)  # (size,)
    angle = position / 10000 ** (component // 2 * 2 / size).double()  # (positions, size)
    return torch.where(component % 2 == 0, angle.sin(), angle.cos())  # (positions, size)

"""DistilBERT: Sanh et al., https://arxiv.org/abs/1910.01108: BERT with half the layers, no token types and no pooler.

A legend for the shapes: B batch, T tokens, H heads, D head size, E hidden (E = H · D), V vocabulary.

Names, order, random draws and arithmetic are those of transformers/models/distilbert/modeling_distilbert.py.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn

from minift.fast.dropout import Dropout
from minift.fast.packing import packing_of
from minift.model.attention import Attention, merge_heads, run_layers, split_heads
from minift.model.bert import ACTIVATION
from minift.model.checks import check_ids, check_input
from minift.model.config import DistilBertConfig
from minift.model.outputs import EncoderOutput, finish
from minift.model.pretrained import PreTrainedModel

EPS = 1e-12  # of every LayerNorm; the configuration has no field for it


class DistilBertEmbeddings(nn.Module):
    """LayerNorm(word + position), then dropout."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.dim, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.dim)
        self.LayerNorm = nn.LayerNorm(config.dim, eps=EPS)
        self.dropout = Dropout(config.dropout, config)

    def forward(self, words: Tensor, position_ids: Tensor | None) -> Tensor:
        if position_ids is None:
            position_ids = torch.arange(words.shape[1], device=words.device)[None]  # (1, T)
        x = words + self.position_embeddings(position_ids)  # (B, T, E)
        return self.dropout(self.LayerNorm(x))  # (B, T, E)


class DistilBertLayer(nn.Module):
    """Attention, residual and LayerNorm, without dropout between; then the feed-forward net, with it."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        E = config.dim
        self.heads = config.n_heads
        self.attention = nn.ModuleDict({name: nn.Linear(E, E) for name in ("q_lin", "k_lin", "v_lin", "out_lin")})
        self.sa_layer_norm = nn.LayerNorm(E, eps=EPS)
        self.ffn = nn.ModuleDict({"lin1": nn.Linear(E, config.hidden_dim), "lin2": nn.Linear(config.hidden_dim, E)})
        self.output_layer_norm = nn.LayerNorm(E, eps=EPS)
        self.activation = ACTIVATION[config.activation]
        self.dropout = Dropout(config.dropout, config)
        self.attention_dropout = config.attention_dropout

    def forward(
        self, x: Tensor, mask: Tensor | None, attend: Attention, queries: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, E) -> (B, T, E), and the attention probabilities (B, H, T, T) where `attend` returns them.

        `queries` are those of the tokens that an output is wanted for; None: all of them.
        """
        queries = x if queries is None else queries  # (B, T, E)
        q = split_heads(self.attention["q_lin"](queries), self.heads)  # (B, H, T, D)
        k = split_heads(self.attention["k_lin"](x), self.heads)  # (B, H, T, D)
        v = split_heads(self.attention["v_lin"](x), self.heads)  # (B, H, T, D)
        attended, probabilities = attend(q, k, v, mask, self.attention_dropout if self.training else 0.0)
        attended = self.attention["out_lin"](merge_heads(attended))  # (B, T, E)
        x = self.sa_layer_norm(attended + queries)  # (B, T, E)
        wide = self.activation(self.ffn["lin1"](x))  # (B, T, hidden_dim)
        x = self.output_layer_norm(self.dropout(self.ffn["lin2"](wide)) + x)  # (B, T, E)
        return x, probabilities


class DistilBertPreTrainedModel(PreTrainedModel):
    """What the encoder and its heads share."""

    config_class = DistilBertConfig

    @torch.no_grad()
    def init_weights(self, names: Collection[str]) -> None:
        super().init_weights(names)
        if self.config.sinusoidal_pos_embds:
            for name in names:
                if name.endswith("position_embeddings.weight"):
                    table = self.get_parameter(name)
                    table.copy_(sinusoids(*table.shape))


class DistilBertModel(DistilBertPreTrainedModel):
    """The encoder: token ids to one vector a token."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.embeddings = DistilBertEmbeddings(config)
        layers = [DistilBertLayer(config) for _ in range(config.n_layers)]
        self.transformer = nn.ModuleDict({"layer": nn.ModuleList(layers)})
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        first_only: bool = False,
    ) -> EncoderOutput | tuple[Tensor, ...]:
        """Encode a batch; arguments and errors are those of `BertModel.forward`, without token types."""
        config = self.config
        check_input(input_ids, inputs_embeds, config.max_position_embeddings)
        check_ids("input_ids", input_ids, config.vocab_size, "vocab_size")
        check_ids("position_ids", position_ids, config.max_position_embeddings, "max_position_embeddings")

        inputs = input_ids if inputs_embeds is None else inputs_embeds
        packing = packing_of(config, inputs, attention_mask, output_attentions)
        if packing is not None:  # from here on, B is 1 and T the number of real tokens
            input_ids, inputs_embeds, position_ids, _ = packing.pack_inputs(input_ids, inputs_embeds, position_ids)

        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, E)
        x = self.embeddings(words, position_ids)  # (B, T, E)
        layers = self.transformer["layer"]
        encoded = run_layers(
            layers, x, attention_mask, config, output_attentions, output_hidden_states, packing, first_only
        )
        return finish(encoded, config, return_dict)


def sinusoids(positions: int, size: int) -> Tensor:
    """Position p, components 2i and 2i+1: sin and cos of p / 10000^(2i / size) (arXiv 1706.03762, section 3.5)."""
    position = torch.arange(positions, dtype=torch.float64)[:, None]  # (positions, 1)
    component = torch.arange(size)  # (size,)
    angle = position / 10000 ** (component // 2 * 2 / size).double()  # (positions, size)
    return torch.where(component % 2 == 0, angle.sin(), angle.cos())  # (positions, size)

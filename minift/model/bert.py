"""BERT: Devlin et al., https://arxiv.org/abs/1810.04805.

A legend for the shapes: B batch, T tokens, H heads, D head size, E hidden (E = H · D), V vocabulary.

`nn.ModuleDict` gives parameters their nested names (`encoder.layer.0.attention.self.query.weight`) without a class for
each level. Names, order, random draws and arithmetic are those of transformers/models/bert/modeling_bert.py.
"""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minift.fast.dropout import Dropout
from minift.fast.packing import packing_of
from minift.model.attention import Attention, merge_heads, run_layers, split_heads
from minift.model.checks import check_ids, check_input
from minift.model.config import BertConfig
from minift.model.outputs import EncoderOutput, finish
from minift.model.pretrained import PreTrainedModel

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
        self.dropout = Dropout(config.hidden_dropout_prob, config)

    def forward(self, words: Tensor, token_type_ids: Tensor | None, position_ids: Tensor | None) -> Tensor:
        B, T, _ = words.shape
        if token_type_ids is None:
            token_type_ids = torch.zeros(B, T, dtype=torch.long, device=words.device)  # (B, T)
        if position_ids is None:
            position_ids = torch.arange(T, device=words.device)[None]  # (1, T)
        x = words + self.token_type_embeddings(token_type_ids)  # (B, T, E)
        x = x + self.position_embeddings(position_ids)  # (B, T, E)
        return self.dropout(self.LayerNorm(x))  # (B, T, E)


class BertLayer(nn.Module):
    """Attention, then a feed-forward net; each followed by dropout, residual and LayerNorm."""

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
        self.dropout = Dropout(config.hidden_dropout_prob, config)
        self.attention_dropout = config.attention_probs_dropout_prob

    def forward(
        self, x: Tensor, mask: Tensor | None, attend: Attention, queries: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """(B, T, E) -> (B, T, E), and the attention probabilities (B, H, T, T) where `attend` returns them.

        `queries` are those of the tokens that an output is wanted for; None: all of them.
        """
        queries = x if queries is None else queries  # (B, T, E)
        project, output = self.attention["self"], self.attention["output"]
        q = split_heads(project["query"](queries), self.heads)  # (B, H, T, D)
        k = split_heads(project["key"](x), self.heads)  # (B, H, T, D)
        v = split_heads(project["value"](x), self.heads)  # (B, H, T, D)
        attended, probabilities = attend(q, k, v, mask, self.attention_dropout if self.training else 0.0)
        attended = output["dense"](merge_heads(attended))  # (B, T, E)
        x = output["LayerNorm"](self.dropout(attended) + queries)  # (B, T, E)
        wide = self.activation(self.intermediate["dense"](x))  # (B, T, intermediate_size)
        x = self.output["LayerNorm"](self.dropout(self.output["dense"](wide)) + x)  # (B, T, E)
        return x, probabilities


class BertModel(PreTrainedModel):
    """The encoder: token ids to one vector a token, and one for the text (the pooler: tanh of a dense [CLS])."""

    config_class = BertConfig

    def __init__(self, config: BertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = BertEmbeddings(config)
        layers = [BertLayer(config) for _ in range(config.num_hidden_layers)]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(layers)})
        E = config.hidden_size
        self.pooler = nn.ModuleDict({"dense": nn.Linear(E, E)}) if add_pooling_layer else None
        self.post_init()

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
        first_only: bool = False,
    ) -> EncoderOutput | tuple[Tensor, ...]:
        """Encode a batch.

        Args:
            input_ids: (B, T) int64, or `inputs_embeds` (B, T, E) in their place.
            attention_mask: (B, T), 1 for tokens and 0 for padding; None: no padding.
            token_type_ids: (B, T), 0 for the first text and 1 for the second; None: all 0.
            position_ids: (B, T) or (1, T); None: 0, 1, 2, …
            output_attentions: return probabilities, for which attention runs in its eager form.
            output_hidden_states: return the embeddings and the output of each layer.
            return_dict: False: a tuple.
            first_only: the caller reads the first token only. With `padding_free`, and unless hidden states are asked
                for, the last layer then computes no other, and `last_hidden_state` is (B, 1, E).

        Raises:
            ValueError: an id outside its table, an input that is too long, a mask of another shape.
        """
        config = self.config
        check_input(input_ids, inputs_embeds, config.max_position_embeddings)
        check_ids("input_ids", input_ids, config.vocab_size, "vocab_size")
        check_ids("token_type_ids", token_type_ids, config.type_vocab_size, "type_vocab_size")
        check_ids("position_ids", position_ids, config.max_position_embeddings, "max_position_embeddings")

        inputs = input_ids if inputs_embeds is None else inputs_embeds
        packing = packing_of(config, inputs, attention_mask, output_attentions)
        if packing is not None:  # from here on, B is 1 and T the number of real tokens
            input_ids, inputs_embeds, position_ids, token_type_ids = packing.pack_inputs(
                input_ids, inputs_embeds, position_ids, token_type_ids
            )

        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds  # (B, T, E)
        x = self.embeddings(words, token_type_ids, position_ids)  # (B, T, E)
        layers = self.encoder["layer"]
        encoded = run_layers(
            layers, x, attention_mask, config, output_attentions, output_hidden_states, packing, first_only
        )
        if self.pooler is not None:
            first = encoded.last_hidden_state[:, 0]  # (B, E)
            encoded = EncoderOutput(**encoded, pooler_output=torch.tanh(self.pooler["dense"](first)))  # (B, E)
        return finish(encoded, config, return_dict)

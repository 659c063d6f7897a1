"""Small models on which a wrong step shows: wide weights, no zero bias, no LayerNorm weight of one, a ragged batch.

With weights of standard deviation 0.02 and zero biases, a tanh-GELU, a wrong epsilon or a forgotten bias changes a
result by less than the tolerance of any comparison.
"""

import zlib

import numpy as np
import torch
from torch import Tensor, nn

from minift.fast.options import use_fast_path
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.heads.classification import BertForSequenceClassification, DistilBertForSequenceClassification
from minift.model.heads.masked_lm import BertForMaskedLM, DistilBertForMaskedLM

CLASSES = {
    cls.__name__: cls
    for cls in (
        BertForSequenceClassification,
        DistilBertForSequenceClassification,
        BertForMaskedLM,
        DistilBertForMaskedLM,
    )
}
NAMES = list(CLASSES)
FAST_OPTIONS = ("padding_free", "sparse_mlm_head", "fast_dropout")
_COMMON = {"vocab_size": 37, "max_position_embeddings": 16, "initializer_range": 0.2, "num_labels": 3}
VALUES = {
    BertConfig: {
        **_COMMON,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 33,
    },
    DistilBertConfig: {**_COMMON, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 33},
}


def values(name: str) -> dict:
    """Configuration values of the class `name`, which minift and transformers both take."""
    return VALUES[CLASSES[name].config_class]


def build(name: str, **overrides) -> nn.Module:
    """A minift model, filled and in evaluation mode; `overrides` are configuration values, and fast options."""
    fast = {option: overrides.pop(option) for option in FAST_OPTIONS if option in overrides}
    model = CLASSES[name](CLASSES[name].config_class(**{**values(name), **overrides}))
    fill(model)
    return use_fast_path(model.eval(), **fast)


@torch.no_grad()
def fill(model: nn.Module) -> None:
    """Give every parameter numbers that depend on its name only, the same on every machine."""
    for name, parameter in model.named_parameters():
        numbers = np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.2, tuple(parameter.shape))
        is_scale = parameter.dim() == 1 and name.endswith("weight")
        parameter.copy_(torch.from_numpy(numbers + is_scale))


def batch(name: str, padded: bool = True) -> dict[str, Tensor]:
    """Three rows of 9, 5 and 2 tokens (or all of 9), with labels for the class `name`."""
    rng = np.random.default_rng(7)
    ids = rng.integers(1, 37, (3, 9))
    mask = np.ones_like(ids)
    if padded:
        mask[1, 5:] = mask[2, 2:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if not name.startswith("Distil"):
        inputs["token_type_ids"] = rng.integers(0, 2, ids.shape)
    chosen = (rng.random(ids.shape) < 0.4) & (mask == 1)
    inputs["labels"] = np.where(chosen, ids, -100) if name.endswith("MaskedLM") else np.array([2, 0, 1])
    return {key: torch.from_numpy(value) for key, value in inputs.items()}


def results(model: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Everything that a comparison looks at: each layer's output, logits, loss, and the gradient of each parameter."""
    model.zero_grad()
    output = model(**inputs, output_hidden_states=True)
    output.loss.backward()
    layers = {f"hidden.{i}": x.detach() for i, x in enumerate(output.hidden_states)}
    gradients = {f"gradient.{name}": p.grad for name, p in model.named_parameters() if p.grad is not None}
    return {"logits": output.logits.detach(), "loss": output.loss.detach(), **layers, **gradients}


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], atol: float = 1e-5) -> None:
    """Compare results by name, without any relative tolerance."""
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, atol=atol, rtol=0, msg=lambda text, n=name: f"{n}: {text}")

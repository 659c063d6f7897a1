"""What a model is made of: the sizes, rates and labels that config.json holds."""

import json
import os
from copy import deepcopy
from dataclasses import dataclass, fields
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self

from minift.files import read_json, write_json
from minift.hub import snapshot

PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh")
ATTENTION_IMPLEMENTATIONS = ("sdpa", "eager")

# Arguments of from_pretrained that say where the file is; all others change the configuration.
HUB_ARGUMENTS = ("revision", "token", "cache_dir", "local_files_only")

# Keys of a config.json that would change the arithmetic -> the values that leave it as it is written here.
_ONLY = {
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "position_embedding_type": ("absolute",),
    "is_encoder_decoder": (False,),
}


@dataclass(init=False, repr=False, kw_only=True)
class PretrainedConfig:
    """The fields that every model shares, and how a configuration is read, checked, changed and written.

    Keys of a config.json that have no field are kept in `extra` and written back. Re-implements
    transformers/configuration_utils.py.
    """

    model_type: ClassVar[str] = ""
    aliases: ClassVar[dict[str, str]] = {}

    architectures: list[str] | None = None
    """Names of the classes that the weights beside this file belong to."""
    dtype: str | None = None
    """Type of the stored weights, such as "float32"."""
    id2label: dict[int, str] | None = None
    """Name of each class; setting it sets `label2id` and `num_labels`. None: LABEL_0, LABEL_1."""
    label2id: dict[str, int] | None = None
    """Number of each class name; setting it sets `id2label`."""
    problem_type: str | None = None
    """One of PROBLEM_TYPES; None: the sequence-classification head infers it from its first labels."""
    output_attentions: bool = False
    """Return the attention probabilities of every layer."""
    output_hidden_states: bool = False
    """Return the embeddings and the output of every layer."""
    return_dict: bool = True
    """Return a `ModelOutput`; False: a tuple."""
    tie_word_embeddings: bool = True
    """The masked-language-model head multiplies by the word embeddings instead of a matrix of its own."""
    attn_implementation: str = "sdpa"
    """One of ATTENTION_IMPLEMENTATIONS. Not written to the file: it is not about the weights."""
    name_or_path: str = ""
    """Where the configuration was read. Not written to the file."""

    def __init__(self, **values: Any) -> None:
        """Take the fields by keyword, and `num_labels`; all have defaults.

        Raises:
            TypeError: a name is no field.
            ValueError: a value is not possible.
        """
        object.__setattr__(self, "extra", {})
        values = {self.aliases.get(name, name): value for name, value in values.items()}
        num_labels = values.pop("num_labels", None)
        known = {field.name: field.default for field in fields(self)}
        if unknown := sorted(values.keys() - known.keys()):
            raise TypeError(f"{type(self).__name__} has no field {', '.join(unknown)}; it has: {', '.join(known)}")
        for name, default in known.items():
            object.__setattr__(self, name, default)
        self.num_labels = 2
        for name, value in values.items():
            if not (name in ("id2label", "label2id") and value is None):
                setattr(self, name, value)
        forward, backward = values.get("id2label"), values.get("label2id")
        if forward and backward and {int(i): name for i, name in forward.items()} != self.id2label:
            raise ValueError(f"id2label and label2id disagree: {forward} and {backward}")
        if num_labels is not None:
            if (forward or backward) and num_labels != self.num_labels:
                raise ValueError(f"num_labels={num_labels}, but id2label names {self.num_labels} classes")
            self.num_labels = num_labels
        self.validate()

    def __setattr__(self, name: str, value: Any) -> None:
        """Resolve aliases, and keep id2label and label2id inverse to each other."""
        name = self.aliases.get(name, name)
        try:
            if name == "id2label":
                value = {int(i): label for i, label in value.items()}  # JSON turns the keys into strings
                object.__setattr__(self, "label2id", {label: i for i, label in value.items()})
            elif name == "label2id":
                value = {label: int(i) for label, i in value.items()}
                object.__setattr__(self, "id2label", {i: label for label, i in value.items()})
        except (AttributeError, TypeError, ValueError):
            raise ValueError(f"{name} must be a dict between class numbers and names, not {value!r}") from None
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Aliases, and the keys that were read and have no field."""
        if name in type(self).aliases:
            return getattr(self, type(self).aliases[name])
        extra = self.__dict__.get("extra", {})
        if name in extra:
            return extra[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def num_labels(self) -> int:
        """Number of classes; setting it renames them LABEL_0, LABEL_1, … unless their number stays the same."""
        return len(self.id2label or {})

    @num_labels.setter
    def num_labels(self, number: int) -> None:
        if not isinstance(number, Integral) or number < 1:
            raise ValueError(f"num_labels must be a positive integer, not {number!r}")
        if number != self.num_labels:
            self.id2label = {i: f"LABEL_{i}" for i in range(number)}

    def validate(self) -> None:
        """Raise a ValueError that names the first field whose value is not possible."""
        sizes = ("vocab_size", "max_position_embeddings", "hidden_size", "num_hidden_layers", "num_attention_heads")
        for name in (*sizes, *self._more_sizes):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size={self.hidden_size} is not divisible by num_attention_heads={self.num_attention_heads}"
            )
        for name in self._rates:
            value = getattr(self, name)
            if not (value is None and name == "classifier_dropout") and not (_is_number(value) and 0 <= value < 1):
                raise ValueError(f"{name} must be a probability in [0, 1), not {value!r}")
        for name in ("initializer_range", *self._more_numbers):
            value = getattr(self, name)
            if not _is_number(value) or value < 0:
                raise ValueError(f"{name} must be a number that is not negative, not {value!r}")
        if self.pad_token_id is not None and not 0 <= self.pad_token_id < self.vocab_size:
            raise ValueError(f"pad_token_id={self.pad_token_id} is outside the vocabulary of {self.vocab_size}")
        _one_of("problem_type", self.problem_type, (None, *PROBLEM_TYPES))
        _one_of("attn_implementation", self.attn_implementation, ATTENTION_IMPLEMENTATIONS)
        _one_of(self._activation, getattr(self, self._activation), ACTIVATIONS)
        if sorted(self.id2label) != list(range(self.num_labels)):
            raise ValueError(f"id2label must name the classes 0 to {self.num_labels - 1}, not {self.id2label}")
        if self.problem_type == "single_label_classification" and self.num_labels == 1:
            raise ValueError('problem_type="single_label_classification" needs num_labels of at least 2')
        for name, allowed in _ONLY.items():
            if name in self.extra:
                _one_of(name, self.extra[name], allowed)

    @classmethod
    def from_dict(cls, content: dict[str, Any], **overrides: Any) -> Self:
        """Build from the content of a config.json; unknown keys go to `extra`, unknown overrides raise TypeError."""
        content = {cls.aliases.get(name, name): value for name, value in content.items() if name != "model_type"}
        old_dtype = content.pop("torch_dtype", None)  # the name of `dtype` in files written before 2025
        content["dtype"] = content.get("dtype") or old_dtype
        overrides = {name: value for name, value in overrides.items() if value is not None}
        renamed = {"id2label", "label2id"} & overrides.keys()
        stored = content.get("id2label") or ()
        if renamed or overrides.get("num_labels", len(stored)) != len(stored):  # the new classes replace the file's
            content = {name: value for name, value in content.items() if name not in ("id2label", "label2id")}
        known = {field.name for field in fields(cls)} | {"num_labels"}
        config = cls(**{**{name: value for name, value in content.items() if name in known}, **overrides})
        config.extra.update(
            {name: value for name, value in content.items() if name not in known and name != "_name_or_path"}
        )
        config.validate()
        return config

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **overrides: Any) -> Self:
        """Read config.json from a folder or a Hub repository.

        Args:
            name_or_path: a folder, or a repository's name.
            **overrides: fields to change, `num_labels`, and the Hub arguments `revision`, `token`, `cache_dir`,
                `local_files_only`.

        Raises:
            FileNotFoundError: there is no such folder, repository or config.json.
            ValueError: the file is not JSON, or is the configuration of another kind of model.
            TypeError: an override is no field.
        """
        content, overrides = read_config(name_or_path, overrides)
        model_type = content.get("model_type", cls.model_type)
        if model_type != cls.model_type:
            raise ValueError(f"{name_or_path} is a {model_type!r} model, not a {cls.model_type!r} one")
        return cls.from_dict(content, **overrides, name_or_path=str(name_or_path))

    def changed(self, **overrides: Any) -> Self:
        """A copy with other values for some fields; errors as for the constructor."""
        unwritten = {name: getattr(self, name) for name in _NOT_WRITTEN}
        return self.from_dict(self.to_dict(), **(unwritten | overrides))

    def to_dict(self) -> dict[str, Any]:
        """All fields, `extra` and the model type, as plain values."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NOT_WRITTEN}
        return deepcopy({**self.extra, **values, "model_type": self.model_type})

    def to_json_string(self) -> str:
        """What config.json holds: `to_dict` without the shared fields that have their default value."""
        values = self.to_dict()
        defaults = {f.name: f.default for f in fields(PretrainedConfig) if f.name != "tie_word_embeddings"}
        if self.id2label == {0: "LABEL_0", 1: "LABEL_1"}:
            defaults |= {"id2label": self.id2label, "label2id": self.label2id}
        kept = {k: v for k, v in values.items() if k not in defaults or v != defaults[k]}
        return json.dumps(kept, indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, save_directory: str | os.PathLike) -> None:
        """Write `save_directory`/config.json in one step, in the form that transformers reads."""
        self.validate()
        write_json(Path(save_directory) / "config.json", json.loads(self.to_json_string()))

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


_NOT_WRITTEN = ("attn_implementation", "name_or_path")


@dataclass(init=False, repr=False, kw_only=True)
class BertConfig(PretrainedConfig):
    """BERT (arXiv 1810.04805); the defaults are bert-base-uncased."""

    model_type: ClassVar[str] = "bert"
    _more_sizes: ClassVar[tuple[str, ...]] = ("intermediate_size", "type_vocab_size")
    _rates: ClassVar[tuple[str, ...]] = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")
    _more_numbers: ClassVar[tuple[str, ...]] = ("layer_norm_eps",)
    _activation: ClassVar[str] = "hidden_act"

    vocab_size: int = 30522
    """V: number of tokens in the vocabulary."""
    hidden_size: int = 768
    """E: length of the vector of a token."""
    num_hidden_layers: int = 12
    """Number of encoder layers."""
    num_attention_heads: int = 12
    """H: attention heads a layer; a head has D = E / H components."""
    intermediate_size: int = 3072
    """Width of the feed-forward net of a layer."""
    hidden_act: str = "gelu"
    """One of ACTIVATIONS, in the feed-forward net and in the masked-language-model head."""
    hidden_dropout_prob: float = 0.1
    """Dropout of the embeddings and of the outputs of attention and feed-forward net."""
    attention_probs_dropout_prob: float = 0.1
    """Dropout of the attention probabilities."""
    max_position_embeddings: int = 512
    """Longest input in tokens."""
    type_vocab_size: int = 2
    """Number of token types (first text, second text)."""
    initializer_range: float = 0.02
    """Standard deviation of newly drawn weights."""
    layer_norm_eps: float = 1e-12
    """Added to the variance in LayerNorm."""
    pad_token_id: int | None = 0
    """Token whose embedding starts as zero and gets no gradient."""
    classifier_dropout: float | None = None
    """Dropout before the classifier; None: `hidden_dropout_prob`."""


@dataclass(init=False, repr=False, kw_only=True)
class DistilBertConfig(PretrainedConfig):
    """DistilBERT (arXiv 1910.01108); the defaults are distilbert-base-uncased."""

    model_type: ClassVar[str] = "distilbert"
    aliases: ClassVar[dict[str, str]] = {
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
    }
    _more_sizes: ClassVar[tuple[str, ...]] = ("hidden_dim",)
    _rates: ClassVar[tuple[str, ...]] = ("dropout", "attention_dropout", "seq_classif_dropout")
    _more_numbers: ClassVar[tuple[str, ...]] = ()
    _activation: ClassVar[str] = "activation"

    vocab_size: int = 30522
    """V: number of tokens in the vocabulary."""
    max_position_embeddings: int = 512
    """Longest input in tokens."""
    sinusoidal_pos_embds: bool = False
    """New position embeddings are sines and cosines instead of random numbers."""
    n_layers: int = 6
    """Number of encoder layers."""
    n_heads: int = 12
    """H: attention heads a layer; a head has D = E / H components."""
    dim: int = 768
    """E: length of the vector of a token."""
    hidden_dim: int = 3072
    """Width of the feed-forward net of a layer."""
    dropout: float = 0.1
    """Dropout of the embeddings and of the output of the feed-forward net."""
    attention_dropout: float = 0.1
    """Dropout of the attention probabilities."""
    activation: str = "gelu"
    """One of ACTIVATIONS, in the feed-forward net and in the masked-language-model head."""
    initializer_range: float = 0.02
    """Standard deviation of newly drawn weights."""
    seq_classif_dropout: float = 0.2
    """Dropout before the classifier."""
    pad_token_id: int | None = 0
    """Token whose embedding starts as zero and gets no gradient."""


CONFIGS = {config.model_type: config for config in (BertConfig, DistilBertConfig)}


class AutoConfig:
    """Reads the configuration of whichever model a folder or a Hub repository holds."""

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **overrides: Any) -> PretrainedConfig:
        """As `PretrainedConfig.from_pretrained`; the class follows the file's `model_type`."""
        content, overrides = read_config(name_or_path, overrides)
        config_class = _class_for(content.get("model_type"), name_or_path)
        return config_class.from_dict(content, **overrides, name_or_path=str(name_or_path))

    @classmethod
    def for_model(cls, model_type: str, **values: Any) -> PretrainedConfig:
        """The configuration of a model type, with the given fields."""
        return _class_for(model_type, "for_model")(**values)


def read_config(name_or_path: str | Path, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of a config.json, and those of `arguments` that do not say where to find it."""
    hub = {name: arguments[name] for name in HUB_ARGUMENTS if name in arguments}
    file = snapshot(str(name_or_path), allow_patterns=["config.json"], **hub) / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{name_or_path} has no config.json")
    content = read_json(file)
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold a JSON object, not a {type(content).__name__}")
    return content, {name: value for name, value in arguments.items() if name not in HUB_ARGUMENTS}


def _class_for(model_type: str | None, where: str | Path) -> type[PretrainedConfig]:
    if model_type not in CONFIGS:
        raise ValueError(f"{where}: unknown model_type {model_type!r}; minift has {', '.join(CONFIGS)}")
    return CONFIGS[model_type]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is not supported: expected one of {', '.join(map(repr, allowed))}")

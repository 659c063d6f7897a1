"""What a model is made of: the sizes, rates and labels that config.json holds."""

import json
import logging
import os
from copy import deepcopy
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from minift.files import read_json_object, write_json
from minift.hub import push_to_hub, repository_folder
from minift.libraries.keywords import drops_keywords
from minift.ranges import AT_LEAST_0, POSITIVE_INTEGER, PROBABILITY, one_of

logger = logging.getLogger("minift.model")

# The types of the fields: Python's type, and the range of the values.
Size = Annotated[int, POSITIVE_INTEGER]
Rate = Annotated[float, PROBABILITY]
Number = Annotated[float, AT_LEAST_0]
Activation = Annotated[str, one_of("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "tanh")]
Attention = Annotated[str, one_of("sdpa", "eager")]
ProblemType = Annotated[
    str | None, one_of(None, "regression", "single_label_classification", "multi_label_classification")
]

# Keys of a config.json that would change the arithmetic -> the only value that minift computes with.
ONLY = {
    "add_cross_attention": False,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "position_embedding_type": "absolute",
}
# Fields of transformers that change nothing in an encoder, with their defaults: to be read, and kept when they are set.
NEUTRAL = {"bos_token_id": None, "chunk_size_feed_forward": 0, "eos_token_id": None, "use_cache": True}
# Fields that are not about the weights: they are not in the file.
NOT_WRITTEN = ("attn_implementation", "name_or_path")
# Arguments of from_pretrained that say where the file is; all others change the configuration.
HUB_ARGUMENTS = ("revision", "token", "cache_dir", "local_files_only", "subfolder")


@dataclass(init=False, repr=False, kw_only=True)
class PretrainedConfig:
    """The fields that every model shares, and how a configuration is read, checked, changed and written.

    Keys of a config.json that have no field are kept in `extra` and written back. Re-implements
    transformers/configuration_utils.py.
    """

    model_type: ClassVar[str] = ""
    aliases: ClassVar[dict[str, str]] = {}

    architectures: list[str] | None = None  # names of the classes that the weights belong to
    dtype: Any = None  # type of the stored weights, such as "float32"; of a loaded model, torch's
    id2label: dict[int, str] | None = None  # name of each class; None: LABEL_0, LABEL_1. Sets label2id and num_labels
    label2id: dict[str, int] | None = None  # number of each class name; sets id2label
    problem_type: ProblemType = None  # None: the classifier infers it from its first labels
    output_attentions: bool = False  # return the attention probabilities of every layer
    output_hidden_states: bool = False  # return the embeddings and the output of every layer
    return_dict: bool = True  # return a ModelOutput; False: a tuple
    tie_word_embeddings: bool = True  # the masked-language-model head shares the matrix of the word embeddings
    attn_implementation: Attention = "sdpa"  # which function of `attention.py`
    name_or_path: str = ""  # where the configuration was read

    def __init__(self, **values: Any) -> None:
        """Take the fields, `num_labels`, and names of the user's own; raises ValueError for a wrong value."""
        vars(self).setdefault("extra", {})  # a subclass may have set some
        values = {self.aliases.get(name, name): value for name, value in values.items()}
        num_labels = values.pop("num_labels", None)
        known = {field.name: field.default for field in fields(self)}
        for name in values.keys() - known.keys():
            if near := get_close_matches(name, [*known, *self.aliases], 1, cutoff=0.85):
                logger.warning("%s keeps %s, which changes nothing: is it %s?", type(self).__name__, name, near[0])
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
        if name in self._fields() or name in vars(type(self)) or hasattr(type(self), name):
            object.__setattr__(self, name, value)
        else:  # a name of the user's own: it is written to the file, too
            vars(self).setdefault("extra", {})[name] = value

    @classmethod
    def _fields(cls) -> set[str]:
        return {field.name for field in fields(cls)}

    def __getattr__(self, name: str) -> Any:
        """Aliases, and the keys that were read and have no field."""
        if name in type(self).aliases:
            return getattr(self, type(self).aliases[name])
        extra = ONLY | NEUTRAL | self.__dict__.get("extra", {})
        if name in extra:
            return extra[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def num_labels(self) -> int:
        """Number of classes; setting it renames them LABEL_0, LABEL_1, … unless their number stays the same."""
        return len(self.id2label or {})

    @num_labels.setter
    def num_labels(self, number: int) -> None:
        POSITIVE_INTEGER.check("num_labels", number)
        if number != self.num_labels:
            self.id2label = {i: f"LABEL_{i}" for i in range(number)}

    @property
    def use_return_dict(self) -> bool:
        return self.return_dict

    def validate(self) -> None:
        """Raise a ValueError that names the first field whose value is not possible."""
        for field in fields(self):
            for allowed in getattr(field.type, "__metadata__", ()):
                allowed.check(field.name, getattr(self, field.name))
        if hasattr(self, "hidden_size") and hasattr(self, "num_attention_heads"):
            E, H, V = self.hidden_size, self.num_attention_heads, self.vocab_size
            if E % H:
                raise ValueError(f"hidden_size={E} is not divisible by num_attention_heads={H}")
            if self.pad_token_id is not None and not 0 <= self.pad_token_id < V:
                raise ValueError(f"pad_token_id={self.pad_token_id} is outside the vocabulary of {V}")
        if sorted(self.id2label) != list(range(self.num_labels)):
            raise ValueError(f"id2label must name the classes 0 to {self.num_labels - 1}, not {self.id2label}")
        if self.problem_type == "single_label_classification" and self.num_labels == 1:
            raise ValueError('problem_type="single_label_classification" needs num_labels of at least 2')
        for name, value in ONLY.items():
            if self.extra.get(name, value) != value:
                raise ValueError(f"{name}={self.extra[name]!r} is not supported: minift has {value!r} only")

    @classmethod
    def from_dict(cls, content: dict[str, Any], **overrides: Any) -> Self:
        """Build from the content of a config.json, with other values for some of its fields (else a TypeError)."""
        content = {cls.aliases.get(name, name): value for name, value in content.items() if name != "model_type"}
        old_dtype = content.pop("torch_dtype", None)  # the name of `dtype` in files written before 2025
        content["dtype"] = content.get("dtype") or old_dtype
        overrides = {name: value for name, value in overrides.items() if value is not None}
        renamed = {"id2label", "label2id"} & overrides.keys()
        stored = content.get("id2label") or ()
        if renamed or overrides.get("num_labels", len(stored)) != len(stored):  # the new classes replace the file's
            content = {name: value for name, value in content.items() if name not in ("id2label", "label2id")}
        known = cls._fields() | {"num_labels"}
        mine = known | set(cls.aliases) | content.keys() | ONLY.keys() | NEUTRAL.keys()
        if unknown := sorted(overrides.keys() - mine):
            raise TypeError(f"{cls.__name__} has no field {', '.join(unknown)}; it has: {', '.join(sorted(known))}")
        config = cls(**({name: content[name] for name in content.keys() & known} | overrides))
        content |= overrides
        config.extra.update({name: content[name] for name in content if name not in known | {"_name_or_path"}})
        config.validate()
        return config

    @classmethod
    @drops_keywords
    def from_pretrained(cls, name_or_path: str | Path, **overrides: Any) -> Self:
        """Read config.json from a folder or a Hub repository; `overrides` change fields, or are HUB_ARGUMENTS.

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
        unwritten = {name: getattr(self, name) for name in NOT_WRITTEN}
        return self.from_dict(self.to_dict(), **(unwritten | overrides))

    def to_dict(self) -> dict[str, Any]:
        """All fields, `extra` and the model type, as plain values."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NOT_WRITTEN}
        values["dtype"] = self.dtype and str(self.dtype).removeprefix("torch.")
        return deepcopy({**self.extra, **values, "model_type": self.model_type})

    @property
    def torch_dtype(self) -> Any:
        """The former name of `dtype`."""
        return self.dtype

    @torch_dtype.setter
    def torch_dtype(self, dtype: Any) -> None:
        self.dtype = dtype

    def get_text_config(self, *args: Any, **options: Any) -> Self:
        """Return the part for texts: all of it."""
        return self

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload ``config.json`` to a repository of the Hub; options of `minift.hub.upload_folder`."""
        return push_to_hub(self, repo_id, **options)

    def to_json_string(self) -> str:
        """What config.json holds: `to_dict` without the shared fields that have their default value."""
        values = self.to_dict()
        defaults = {f.name: f.default for f in fields(PretrainedConfig) if f.name != "tie_word_embeddings"}
        if self.id2label == {0: "LABEL_0", 1: "LABEL_1"}:
            defaults |= {"id2label": self.id2label, "label2id": self.label2id}
        kept = {k: v for k, v in values.items() if k not in defaults or v != defaults[k]}
        return json.dumps(kept, indent=2, sort_keys=True) + "\n"

    def update(self, config_dict: dict[str, Any]) -> None:
        """Set several fields."""
        for name, value in config_dict.items():
            setattr(self, name, value)

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike) -> Self:
        """Read a file in the form of config.json."""
        return cls.from_dict(read_json_object(json_file))

    def to_json_file(self, json_file_path: str | os.PathLike) -> None:
        """Write what `to_json_string` returns."""
        write_json(json_file_path, json.loads(self.to_json_string()))

    def save_pretrained(self, save_directory: str | os.PathLike) -> None:
        """Write `save_directory`/config.json in one step, in the form that transformers reads."""
        self.validate()
        self.to_json_file(Path(save_directory) / "config.json")

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


@dataclass(init=False, repr=False, kw_only=True)
class BertConfig(PretrainedConfig):
    """BERT (arXiv 1810.04805); the defaults are bert-base-uncased."""

    model_type: ClassVar[str] = "bert"

    vocab_size: Size = 30522  # V, number of tokens in the vocabulary
    hidden_size: Size = 768  # E, length of the vector of a token
    num_hidden_layers: Size = 12
    num_attention_heads: Size = 12  # H, in each layer; a head has D = E / H components
    intermediate_size: Size = 3072  # width of the feed-forward net of a layer
    hidden_act: Activation = "gelu"  # of the feed-forward net and of the masked-language-model head
    hidden_dropout_prob: Rate = 0.1  # of the embeddings and of the outputs of attention and feed-forward net
    attention_probs_dropout_prob: Rate = 0.1
    max_position_embeddings: Size = 512  # longest input in tokens
    type_vocab_size: Size = 2  # number of token types (first text, second text)
    initializer_range: Number = 0.02  # standard deviation of newly drawn weights
    layer_norm_eps: Number = 1e-12  # added to the variance in LayerNorm
    pad_token_id: int | None = 0  # its embedding starts as zero and gets no gradient
    classifier_dropout: Annotated[float | None, PROBABILITY.or_none()] = None  # None: hidden_dropout_prob


@dataclass(init=False, repr=False, kw_only=True)
class DistilBertConfig(PretrainedConfig):
    """DistilBERT (arXiv 1910.01108); the defaults are distilbert-base-uncased."""

    model_type: ClassVar[str] = "distilbert"
    aliases: ClassVar[dict[str, str]] = {
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
    }

    vocab_size: Size = 30522  # V, number of tokens in the vocabulary
    max_position_embeddings: Size = 512  # longest input in tokens
    sinusoidal_pos_embds: bool = False  # new position embeddings are sines and cosines instead of random numbers
    n_layers: Size = 6
    n_heads: Size = 12  # H, in each layer; a head has D = E / H components
    dim: Size = 768  # E, length of the vector of a token
    hidden_dim: Size = 3072  # width of the feed-forward net of a layer
    dropout: Rate = 0.1  # of the embeddings and of the output of the feed-forward net
    attention_dropout: Rate = 0.1  # of the attention probabilities
    activation: Activation = "gelu"  # of the feed-forward net and of the masked-language-model head
    initializer_range: Number = 0.02  # standard deviation of newly drawn weights
    seq_classif_dropout: Rate = 0.2  # before the classifier
    qa_dropout: Rate = 0.1  # before the scores of an answer's begin and end
    pad_token_id: int | None = 0  # its embedding starts as zero and gets no gradient


class AutoConfig:
    """Reads the configuration of whichever model a folder or a Hub repository holds."""

    classes: ClassVar = {config.model_type: config for config in (BertConfig, DistilBertConfig)}

    @classmethod
    @drops_keywords
    def from_pretrained(cls, name_or_path: str | Path, **overrides: Any) -> PretrainedConfig:
        """As `PretrainedConfig.from_pretrained`; the class follows the file's `model_type`."""
        content, overrides = read_config(name_or_path, overrides)
        config_class = _class_for(content.get("model_type"), name_or_path)
        return config_class.from_dict(content, **overrides, name_or_path=str(name_or_path))

    @classmethod
    def register(cls, model_type: str, config: type[PretrainedConfig], exist_ok: bool = False) -> None:
        """Read files of this `model_type` as a configuration class of the user's own."""
        if config.model_type != model_type:
            raise ValueError(f"{config.__name__} has model_type {config.model_type!r}, not {model_type!r}")
        if model_type in cls.classes and not exist_ok:
            raise ValueError(f"AutoConfig has a class for {model_type!r}; pass exist_ok=True")
        cls.classes = {**cls.classes, model_type: config}

    @classmethod
    def for_model(cls, model_type: str, **values: Any) -> PretrainedConfig:
        """The configuration of a model type, with the given fields."""
        return _class_for(model_type, "for_model")(**values)


def read_config(name_or_path: str | Path, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of a config.json, and those of `arguments` that do not say where to find it."""
    hub = {name: arguments[name] for name in HUB_ARGUMENTS if name in arguments}
    file = repository_folder(name_or_path, ["config.json"], **hub) / "config.json"
    if not file.is_file():
        raise FileNotFoundError(f"{name_or_path} has no config.json")
    return read_json_object(file), {name: value for name, value in arguments.items() if name not in HUB_ARGUMENTS}


def _class_for(model_type: str | None, where: str | Path) -> type[PretrainedConfig]:
    if model_type not in AutoConfig.classes:
        raise ValueError(f"{where}: unknown model_type {model_type!r}; minift has {', '.join(AutoConfig.classes)}")
    return AutoConfig.classes[model_type]


PreTrainedConfig = PretrainedConfig  # its name since transformers 5

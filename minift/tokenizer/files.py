"""Reading and writing a tokenizer's files: tokenizer.json, vocab.txt and the JSON files beside them."""

from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from minift.files import atomic_path, read_json_object, write_json
from minift.hub import snapshot
from minift.tokenizer.vocabulary import EXTRA_TOKENS, SPECIAL_NAMES

FILES = ["tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "config.json"]

# tokenizer_class -> the inputs of the model that it belongs to
MODEL_INPUTS = {
    "BertTokenizer": ("input_ids", "token_type_ids", "attention_mask"),
    "DistilBertTokenizer": ("input_ids", "attention_mask"),
}
UNSPECIFIC_CLASSES = (None, "PreTrainedTokenizerFast", "TokenizersBackend")
CLASS_OF_MODEL_TYPE = {"bert": "BertTokenizer", "distilbert": "DistilBertTokenizer"}
BERT_SPECIAL_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
# our option -> the attribute of tokenizers' BertNormalizer
NORMALIZER_OPTIONS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
SETTINGS = ("model_max_length", "padding_side", "truncation_side", "clean_up_tokenization_spaces", "model_input_names")


def load_tokenizer(
    name_or_path: str | Path,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    subfolder: str = "",
    class_name: str | None = None,
    **overrides: Any,
) -> dict[str, Any]:
    """Read a checkpoint's tokenizer files; returns the arguments of `minift.tokenizer.tokenizer.Tokenizer`.

    Each of these goes before the one in front of it: BERT's defaults, ``tokenizer.json``, ``tokenizer_config.json``,
    ``special_tokens_map.json``, `overrides`, which are `SETTINGS`, `NORMALIZER_OPTIONS`, `SPECIAL_NAMES` and
    `EXTRA_TOKENS`. The class is `class_name`, else the config's ``tokenizer_class``, else that of the ``model_type`` in
    ``config.json``, else BERT's. Default special tokens that the vocabulary lacks stay None.

    Raises:
        FileNotFoundError: no such repository or folder, or neither ``tokenizer.json`` nor ``vocab.txt`` in it.
        ValueError: a broken file, or a tokenizer class that is not BERT's or DistilBERT's.
        TypeError: an unknown option.
    """
    known = {*SETTINGS, *NORMALIZER_OPTIONS, *SPECIAL_NAMES, *EXTRA_TOKENS}
    if unknown := sorted(set(overrides) - known):
        names = ", ".join(sorted(known))
        raise TypeError(f"AutoTokenizer.from_pretrained has no option {unknown[0]!r}; its options: {names}")
    hub = {"revision": revision, "token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
    inside = f"{subfolder.strip('/')}/" if subfolder else ""
    folder = snapshot(name_or_path, allow_patterns=[inside + file for file in FILES], **hub) / inside
    config = _read_optional(folder / "tokenizer_config.json")
    class_name = class_name or _class_name(config, folder)
    config = {**config, **_read_optional(folder / "special_tokens_map.json"), **overrides}

    backend = read_backend(folder / "tokenizer.json", folder / "vocab.txt")
    set_normalizer(backend, config, asked_for=overrides)
    _add_missing_tokens(backend, config.get("added_tokens_decoder", {}))
    defaults = {name: text for name, text in BERT_SPECIAL_TOKENS.items() if backend.token_to_id(text) is not None}
    special = defaults | {name: _added_token(config[name]) for name in SPECIAL_NAMES if config.get(name) is not None}
    extra = next((config[name] for name in EXTRA_TOKENS if config.get(name)), [])
    if backend.post_processor is None:
        frame_with_special_tokens(backend, special)
    return {
        "backend": backend,
        "special_tokens": special,
        "extra_special_tokens": [_added_token(text) for text in extra],
        "model_input_names": MODEL_INPUTS[class_name],
        "name_or_path": str(name_or_path),
        "class_name": class_name,
        **{name: config[name] for name in SETTINGS if config.get(name) is not None},
    }


def save_tokenizer(
    backend: tokenizers.Tokenizer, config: dict[str, Any], folder: Path, prefix: str = ""
) -> tuple[str, ...]:
    """Write ``tokenizer.json``, without truncation and padding (calls decide those), and ``tokenizer_config.json``.

    The second holds `config` and the options of a BERT normaliser.
    """
    backend.no_truncation()
    backend.no_padding()
    if isinstance(backend.normalizer, normalizers.BertNormalizer):
        config |= {name: getattr(backend.normalizer, theirs) for name, theirs in NORMALIZER_OPTIONS.items()}
    paths = folder / f"{prefix}tokenizer.json", folder / f"{prefix}tokenizer_config.json"
    with atomic_path(paths[0]) as fresh:
        fresh.write_text(backend.to_str(pretty=True), encoding="utf-8")
    write_json(paths[1], config)
    return tuple(map(str, paths))


def _read_optional(path: Path) -> dict[str, Any]:
    return read_json_object(path) if path.is_file() else {}


def _class_name(config: dict[str, Any], folder: Path) -> str:
    name = config.get("tokenizer_class")
    if name not in UNSPECIFIC_CLASSES:
        plain = name.removesuffix("Fast")
        if plain in MODEL_INPUTS:
            return plain
        raise ValueError(f"{folder}: tokenizer_class {name!r} is not supported; minift has {', '.join(MODEL_INPUTS)}")
    model_type = _read_optional(folder / "config.json").get("model_type", "bert")
    if model_type in CLASS_OF_MODEL_TYPE:
        return CLASS_OF_MODEL_TYPE[model_type]
    there_are = ", ".join(CLASS_OF_MODEL_TYPE)
    raise ValueError(f"{folder}: no tokenizer for model_type {model_type!r}; minift has {there_are}")


def read_backend(whole: Path, words: Path) -> tokenizers.Tokenizer:
    """Read a ``tokenizer.json`` or, where there is none, build BERT's pipeline around the words of a ``vocab.txt``."""
    if whole.is_file():
        try:
            backend = tokenizers.Tokenizer.from_file(str(whole))
            backend.encode("a")  # what refers to a missing token panics here, not in the middle of a run
            return backend
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # the Rust library raises bare Exceptions, and panics
            raise ValueError(f"{whole} is not a tokenizer of the `tokenizers` library: {error}") from error
    if not words.is_file():
        raise FileNotFoundError(f"{words.parent} has neither {whole.name} nor {words.name}")
    try:
        text = words.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{words} is not UTF-8 text: {error}") from error
    # not splitlines(): a vocabulary may hold the characters that Unicode counts as line ends
    vocabulary = {word: i for i, word in enumerate(text.removesuffix("\n").split("\n"))}
    if "[UNK]" not in vocabulary:
        raise ValueError(f"{words} has no [UNK] token (one token a line is expected)")
    return bert_backend(vocabulary, "[UNK]")


def bert_backend(vocabulary: dict[str, int], unk_token: str) -> tokenizers.Tokenizer:
    """Build BERT's pipeline, normalise, split, look up pieces, around a vocabulary: token -> id."""
    backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=unk_token))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    return backend


def set_normalizer(backend: tokenizers.Tokenizer, config: dict[str, Any], asked_for: dict[str, Any]) -> None:
    is_bert = isinstance(backend.normalizer, normalizers.BertNormalizer)
    for option, attribute in NORMALIZER_OPTIONS.items():
        if option in config and is_bert:
            normalizer = backend.normalizer
            setattr(normalizer, attribute, config[option])
            backend.normalizer = normalizer
        elif option in asked_for:
            raise ValueError(f"{option}= needs a BertNormalizer, but tokenizer.json has {backend.normalizer}")


def _add_missing_tokens(backend: tokenizers.Tokenizer, added: dict[str, Any]) -> None:
    """Add the tokens that ``added_tokens_decoder`` lists by id, if the vocabulary lacks them."""
    for _, token in sorted(added.items(), key=lambda item: int(item[0])):
        if backend.token_to_id(token["content"]) is None:
            add = backend.add_special_tokens if token.get("special") else backend.add_tokens
            add([_added_token(token)])


def _added_token(token: str | dict[str, Any] | AddedToken) -> str | AddedToken:
    """Read a token as the files write it: a string, or a dict with its content and how it matches."""
    if not isinstance(token, dict):
        return token
    options = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return AddedToken(token["content"], **{name: token[name] for name in options if name in token})


def frame_with_special_tokens(backend: tokenizers.Tokenizer, special: dict[str, Any]) -> None:
    """Frame texts as [CLS] A [SEP], pairs as [CLS] A [SEP] B [SEP] with token type 1 from B on."""
    try:
        cls, sep = str(special["cls_token"]), str(special["sep_token"])
    except KeyError as error:
        raise ValueError(f"the vocabulary has no {error.args[0]}, which frames every text") from None
    backend.add_special_tokens([special["cls_token"], special["sep_token"]])
    backend.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, backend.token_to_id(cls)), (sep, backend.token_to_id(sep))],
    )

"""The tokenizer classes that scripts name, with what they have beside a call: `AutoTokenizer`, `BertTokenizer`, …"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Self

import tokenizers
from tokenizers import AddedToken

from minift.files import atomic_path
from minift.libraries.keywords import drops_keywords
from minift.tokenizer.batch_encoding import BatchEncoding
from minift.tokenizer.files import (
    BERT_SPECIAL_TOKENS,
    MODEL_INPUTS,
    NORMALIZER_OPTIONS,
    SETTINGS,
    bert_backend,
    frame_with_special_tokens,
    load_tokenizer,
    read_backend,
    set_normalizer,
)
from minift.tokenizer.tokenizer import Tokenizer
from minift.tokenizer.training import trained
from minift.tokenizer.vocabulary import SPECIAL_NAMES


class PreTrainedTokenizerFast(Tokenizer):
    """A `Tokenizer` made of a ``tokenizers.Tokenizer`` (`tokenizer_object`) or of a ``tokenizer.json``.

    `options` are special tokens (``unk_token="[UNK]"``, …) and the other arguments of `Tokenizer`. Re-implements
    transformers/tokenization_utils_tokenizers.py, ``TokenizersBackend``, beside what `Tokenizer` has.
    """

    fixed_class: str | None = None  # the inputs of this class, whatever the files say
    split_special_tokens = False

    def __init__(
        self,
        tokenizer_object: tokenizers.Tokenizer | None = None,
        tokenizer_file: str | Path | None = None,
        split_special_tokens: bool = False,
        **options: Any,
    ):
        if (tokenizer_object is None) == (tokenizer_file is None):
            raise ValueError(f"{type(self).__name__}: pass either tokenizer_object or tokenizer_file")
        if tokenizer_object is None:
            backend = read_backend(Path(tokenizer_file).expanduser(), Path(tokenizer_file).parent / "vocab.txt")
        else:
            backend = tokenizers.Tokenizer.from_str(tokenizer_object.to_str())  # ours to change
        special = {name: options.pop(name) for name in SPECIAL_NAMES if options.get(name) is not None}
        super().__init__(backend, special, **{"model_input_names": ("input_ids", "attention_mask")} | options)
        self.split_special_tokens = split_special_tokens

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> Self:
        """Make one of the arguments of `Tokenizer`."""
        new = cls.__new__(cls)
        Tokenizer.__init__(new, **arguments)
        return new

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Self:
        """Load a checkpoint's tokenizer; the arguments are those of `AutoTokenizer.from_pretrained`."""
        return cls.of(load_tokenizer(pretrained_model_name_or_path, class_name=cls.fixed_class, **options))

    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        text_target: Any = None,
        split_special_tokens: bool | None = None,
        **options: Any,
    ) -> BatchEncoding:
        """Tokenise as `Tokenizer` does; the ids of `text_target` become the column ``labels``.

        With `split_special_tokens`, ``[SEP]`` in a text is text.
        """
        splits = self.split_special_tokens if split_special_tokens is None else split_special_tokens
        self.backend_tokenizer.encode_special_tokens = splits
        if text is None and text_target is not None:
            return super().__call__(text_target, **options)
        encoded = super().__call__(text, text_pair, **options)
        if text_target is not None:
            encoded["labels"] = super().__call__(text_target, **options)["input_ids"]
        return encoded

    encode_plus = batch_encode_plus = __call__

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[Any],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: list[str | AddedToken] | None = None,
        special_tokens_map: dict[str, str] | None = None,
        **options: Any,
    ) -> Self:
        """Make a tokenizer of the same kind with a vocabulary of `vocab_size` tokens of other texts: see `trained`."""
        renamed = special_tokens_map or {}
        arguments = {
            "backend": trained(
                self.backend_tokenizer, text_iterator, vocab_size, length, new_special_tokens, renamed, **options
            ),
            "special_tokens": {name: renamed.get(token, token) for name, token in self.special_tokens_map.items()},
            "extra_special_tokens": [*self.extra_special_tokens, *(new_special_tokens or ())],
            "class_name": self.class_name,
            **{name: getattr(self, name) for name in SETTINGS},
        }
        return type(self).of(arguments)

    # -- what it holds

    @property
    def _tokenizer(self) -> tokenizers.Tokenizer:
        return self.backend_tokenizer

    @property
    def do_lower_case(self) -> bool:
        return bool(getattr(self.backend_tokenizer.normalizer, "lowercase", False))

    @property
    def init_kwargs(self) -> dict[str, Any]:
        """The settings with which the tokenizer could be made again."""
        normalizer = self.backend_tokenizer.normalizer
        options = {name: getattr(normalizer, theirs, None) for name, theirs in NORMALIZER_OPTIONS.items()}
        settings = {name: getattr(self, name) for name in (*SETTINGS, "name_or_path")}
        return {**settings, **self.special_tokens_map, **options}

    @property
    def max_len_single_sentence(self) -> int:
        """The longest text in tokens, without the special ones."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=False)

    @property
    def max_len_sentences_pair(self) -> int:
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id -> token, of the tokens that are matched before a text is split; by id."""
        return dict(sorted(self.backend_tokenizer.get_added_tokens_decoder().items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """Token -> id, by id."""
        return {token.content: number for number, token in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        return self.added_tokens_encoder

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str]:
        """Write ``vocab.txt``, a token a line, in the order of the ids; return its path."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        path = Path(save_directory) / f"{prefix}vocab.txt"
        words = self.backend_tokenizer.get_vocab(with_added_tokens=False)
        with atomic_path(path) as fresh:
            fresh.write_text("".join(f"{word}\n" for word in sorted(words, key=words.get)), encoding="utf-8")
        return (str(path),)


class BertTokenizer(PreTrainedTokenizerFast):
    """BERT's tokenizer, of a vocabulary: the path of a ``vocab.txt``, or a dict token -> id.

    Re-implements transformers/models/bert/tokenization_bert.py.
    """

    fixed_class: str | None = "BertTokenizer"
    vocab_files_names: ClassVar = {"vocab_file": "vocab.txt", "tokenizer_file": "tokenizer.json"}
    slow_tokenizer_class = None  # there is none in Python, as in transformers 5

    def __init__(
        self,
        vocab: str | Path | dict[str, int] | None = None,
        do_lower_case: bool = True,
        unk_token: str = "[UNK]",
        sep_token: str = "[SEP]",
        pad_token: str = "[PAD]",
        cls_token: str = "[CLS]",
        mask_token: str = "[MASK]",
        tokenize_chinese_chars: bool = True,
        strip_accents: bool | None = None,
        vocab_file: str | Path | None = None,
        tokenizer_object: tokenizers.Tokenizer | None = None,
        tokenizer_file: str | Path | None = None,
        **options: Any,
    ):
        special = dict(zip(BERT_SPECIAL_TOKENS, (unk_token, sep_token, pad_token, cls_token, mask_token), strict=True))
        vocab = vocab if vocab_file is None else vocab_file
        if tokenizer_object is None and tokenizer_file is None:
            if vocab is None:
                raise ValueError(f"{type(self).__name__} needs a vocabulary: the path of a vocab.txt, or a dict")
            if isinstance(vocab, dict):
                tokenizer_object = bert_backend(vocab, unk_token)
            else:
                tokenizer_object = read_backend(Path(vocab).parent / "no tokenizer.json", Path(vocab))
            asked = {"do_lower_case": do_lower_case, "tokenize_chinese_chars": tokenize_chinese_chars}
            set_normalizer(tokenizer_object, asked | {"strip_accents": strip_accents}, asked_for={})
            frame_with_special_tokens(tokenizer_object, special)
        options = {"model_input_names": MODEL_INPUTS[self.fixed_class], "class_name": self.fixed_class} | options
        super().__init__(tokenizer_object, tokenizer_file, **special, **options)


class DistilBertTokenizer(BertTokenizer):
    """BERT's tokenizer with DistilBERT's inputs: no token types."""

    fixed_class = "DistilBertTokenizer"


CLASSES = {"BertTokenizer": BertTokenizer, "DistilBertTokenizer": DistilBertTokenizer}
BertTokenizerFast, DistilBertTokenizerFast = BertTokenizer, DistilBertTokenizer
PreTrainedTokenizerBase = Tokenizer


class AutoTokenizer:
    """Makes the tokenizer of a checkpoint."""

    @classmethod
    @drops_keywords
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> PreTrainedTokenizerFast:
        """Load ``tokenizer.json``, or build WordPiece from ``vocab.txt``, with what ``tokenizer_config.json`` says.

        From a folder or a repository of the Hub. `options` are ``revision``, ``token``, ``cache_dir``,
        ``local_files_only``, ``subfolder``, and settings that go before the files' own: see
        `minift.tokenizer.files.load_tokenizer`.
        """
        arguments = load_tokenizer(pretrained_model_name_or_path, **options)
        return CLASSES[arguments["class_name"]].of(arguments)

"""Vocabulary: tokens to ids to text, and which tokens are special."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import tokenizers
from tokenizers import AddedToken

# in the order in which the libraries list them
SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
EXTRA_TOKENS = ("extra_special_tokens", "additional_special_tokens")  # the newer and the older name


def _special_token(name: str) -> tuple[property, property]:
    """Make the attributes ``x_token`` (a string or None, and either can be assigned) and ``x_token_id``."""

    def get(self: "Vocabulary") -> str | None:
        return self.special_tokens_map.get(name)

    def set_(self: "Vocabulary", token: str | None) -> None:
        if token is None:
            self.special_tokens_map.pop(name, None)
        else:
            self.add_special_tokens({name: token})

    def get_id(self: "Vocabulary") -> int | None:
        return self.backend_tokenizer.token_to_id(get(self)) if get(self) is not None else None

    return property(get, set_), property(get_id)


class Vocabulary:
    """The tokens of a ``tokenizers.Tokenizer``, and the roles of the special tokens, which that object does not know.

    Special tokens that `backend`, the Rust object, lacks are added to it: `special_tokens` maps the names of
    `SPECIAL_NAMES` to tokens (``cls_token`` -> ``"[CLS]"``); `extra_special_tokens` have no role, but are never split,
    and `decode` can skip them. `clean_up_tokenization_spaces` is the default of `decode`.
    """

    bos_token, bos_token_id = _special_token("bos_token")
    eos_token, eos_token_id = _special_token("eos_token")
    unk_token, unk_token_id = _special_token("unk_token")
    sep_token, sep_token_id = _special_token("sep_token")
    pad_token, pad_token_id = _special_token("pad_token")
    cls_token, cls_token_id = _special_token("cls_token")
    mask_token, mask_token_id = _special_token("mask_token")
    pad_token_type_id = 0

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        special_tokens: dict[str, str | AddedToken],
        extra_special_tokens: Sequence[str | AddedToken] = (),
        clean_up_tokenization_spaces: bool = False,
    ):
        self.backend_tokenizer = backend
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces
        self.special_tokens_map: dict[str, str] = {}  # name -> token, in the order of SPECIAL_NAMES
        self.extra_special_tokens: list[str] = []
        self.add_special_tokens({**special_tokens, "extra_special_tokens": extra_special_tokens})

    def __len__(self) -> int:
        """The size of the vocabulary with added tokens: what the model's embedding must hold."""
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=True)

    @property
    def vocab_size(self) -> int:
        """The size of the vocabulary without added tokens."""
        return self.backend_tokenizer.get_vocab_size(with_added_tokens=False)

    @cached_property
    def continuing_ids(self) -> frozenset[int]:
        """The ids of WordPiece's pieces that continue a word; tokens that are added later are whole words."""
        pieces = self.backend_tokenizer.get_vocab(with_added_tokens=False)
        return frozenset(i for piece, i in pieces.items() if piece.startswith("##"))

    @property
    def vocab(self) -> dict[str, int]:
        return self.get_vocab()

    def get_vocab(self) -> dict[str, int]:
        """Token -> id, added tokens included."""
        return self.backend_tokenizer.get_vocab(with_added_tokens=True)

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> Any:
        """Look up a token's id, or a list of ids; unknown tokens get the id of ``unk_token``."""
        if not isinstance(tokens, str):
            return [self.convert_tokens_to_ids(token) for token in tokens]
        found = self.backend_tokenizer.token_to_id(tokens)
        return self.unk_token_id if found is None else found

    def convert_ids_to_tokens(self, ids: int | Iterable[int], skip_special_tokens: bool = False) -> Any:
        """Look up the token of an id (None outside the vocabulary), or a list of tokens."""
        if isinstance(ids, int):
            return self.backend_tokenizer.id_to_token(ids) if ids >= 0 else None
        skipped = set(self.all_special_ids) if skip_special_tokens else ()
        return [self.convert_ids_to_tokens(i) for i in map(int, ids) if i not in skipped]

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join tokens to a text: without ``##``, and without spaces before punctuation."""
        return self.backend_tokenizer.decoder.decode(tokens)

    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> Any:
        """Turn ids into text, rows of ids (B, T) into a list of texts; lists, arrays and tensors are accepted.

        `clean_up_tokenization_spaces` drops the spaces before punctuation. A negative id, such as the -100 of labels,
        is a ValueError.
        """
        ids = token_ids.tolist() if hasattr(token_ids, "tolist") else token_ids
        if isinstance(ids, int):
            ids = [ids]
        if len(ids) > 0 and (isinstance(ids[0], list | tuple) or getattr(ids[0], "ndim", 0) > 0):
            return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in ids]
        try:
            text = self.backend_tokenizer.decode([int(i) for i in ids], skip_special_tokens=skip_special_tokens)
        except OverflowError:
            raise ValueError(f"cannot decode the id {min(ids)}: ids are not negative") from None
        if clean_up_tokenization_spaces is None:
            clean_up_tokenization_spaces = self.clean_up_tokenization_spaces
        return _join_punctuation(text) if clean_up_tokenization_spaces else text

    def batch_decode(self, sequences: Any, *args: Any, **options: Any) -> list[str]:
        """Turn rows of ids (B, T) into a list of texts, as `decode`."""
        return [self.decode(row, *args, **options) for row in sequences]

    @property
    def all_special_tokens(self) -> list[str]:
        return list(dict.fromkeys([*self.special_tokens_map.values(), *self.extra_special_tokens]))

    @property
    def all_special_ids(self) -> list[int]:
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def get_special_tokens_mask(
        self, token_ids_0: Sequence[int], token_ids_1: Any = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """Mark special ids by 1, others by 0; other calls than with `already_has_special_tokens` are an error."""
        if not already_has_special_tokens or token_ids_1 is not None:
            raise ValueError("get_special_tokens_mask takes one sequence, with already_has_special_tokens=True")
        special = set(self.all_special_ids)
        return [int(int(token) in special) for token in token_ids_0]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Count the tokens that a call adds around a text, or around and between two."""
        return self.backend_tokenizer.num_special_tokens_to_add(pair)

    def add_tokens(self, new_tokens: Any, special_tokens: bool = False) -> int:
        """Add tokens to the vocabulary (the model's embedding must grow with it); returns how many were new."""
        add = self.backend_tokenizer.add_special_tokens if special_tokens else self.backend_tokenizer.add_tokens
        return add([new_tokens] if isinstance(new_tokens, str | AddedToken) else list(new_tokens))

    def add_special_tokens(self, special_tokens_dict: dict[str, Any]) -> int:
        """Give tokens a special role, and add those that the vocabulary lacks; returns how many were new.

        The dict maps names of `SPECIAL_NAMES` to tokens, and ``extra_special_tokens`` (or
        ``additional_special_tokens``) to a list.
        """
        before = len(self)
        for name, value in special_tokens_dict.items():
            if name not in (*EXTRA_TOKENS, *SPECIAL_NAMES):
                raise ValueError(f"unknown special token {name!r}: expected one of {', '.join(SPECIAL_NAMES)}")
            self.add_tokens(value, special_tokens=True)
            if name in EXTRA_TOKENS:
                self.extra_special_tokens = list(dict.fromkeys([*self.extra_special_tokens, *map(str, value)]))
            else:
                named = {**self.special_tokens_map, name: str(value)}
                self.special_tokens_map = {name: named[name] for name in SPECIAL_NAMES if name in named}
        return len(self) - before


def _join_punctuation(text: str) -> str:
    """Drop the spaces that splitting put before punctuation and English contractions."""
    for spaced in (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're"):
        text = text.replace(spaced, spaced.strip())
    return text

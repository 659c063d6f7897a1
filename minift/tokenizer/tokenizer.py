"""Tokenizer and AutoTokenizer: texts to token ids and back, over the Rust library `tokenizers`."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Encoding

from minift.hub import push_to_hub
from minift.tokenizer.batch_encoding import BatchEncoding
from minift.tokenizer.encode import encode_batch
from minift.tokenizer.padding import as_columns, pad_columns
from minift.tokenizer.tokenizer_files import UNLIMITED, load_tokenizer, save_tokenizer
from minift.tokenizer.vocabulary import Vocabulary

PADDING = ("longest", "max_length", "do_not_pad")
TRUNCATION = ("longest_first", "only_first", "only_second", "do_not_truncate")


class Tokenizer(Vocabulary):
    """Splits texts into the tokens of a vocabulary; callable on a text, a list, pairs, or lists of words.

    Wraps a ``tokenizers.Tokenizer``, which does the work; this class holds what the Rust object does not know (the
    model's inputs and maximum length, which token plays which part) and shapes the result. Re-implements
    transformers/tokenization_utils_tokenizers.py, ``TokenizersBackend``.

    Args:
        backend: normaliser, pre-tokeniser, WordPiece model and post-processor.
        special_tokens: ``cls_token`` -> ``"[CLS]"`` and so on (the names are `SPECIAL_NAMES`); a token that the
            vocabulary lacks is added to it.
        extra_special_tokens: more tokens that are never split and that `decode` can skip.
        model_input_names: the columns that a call returns by default; ``input_ids`` first.
        model_max_length: T that the model can take; the limit of ``truncation=True`` without ``max_length``.
        class_name: the ``tokenizer_class`` that is written when saving.
    """

    is_fast = True

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        special_tokens: dict[str, str | AddedToken],
        extra_special_tokens: Sequence[str | AddedToken] = (),
        model_input_names: Sequence[str] = ("input_ids", "token_type_ids", "attention_mask"),
        model_max_length: int = UNLIMITED,
        padding_side: str = "right",
        truncation_side: str = "right",
        clean_up_tokenization_spaces: bool = False,
        name_or_path: str = "",
        class_name: str = "BertTokenizer",
    ):
        for option, side in [("padding_side", padding_side), ("truncation_side", truncation_side)]:
            _check_choice(option, side, ("right", "left"))
        super().__init__(backend, special_tokens, extra_special_tokens, clean_up_tokenization_spaces)
        self.model_input_names = list(model_input_names)
        self.model_max_length = model_max_length
        self.padding_side = padding_side
        self.truncation_side = truncation_side
        self.name_or_path = name_or_path
        self.class_name = class_name
        backend.no_padding()  # tokenizer.json may carry both; what a call does is decided by its arguments alone
        backend.no_truncation()
        self._single_text_is_type_0 = not any(backend.encode("a").type_ids)
        self._keeps_alignment = False  # set once a caller has asked a batch for its words, see `_align`
        self._warned_of_length = False

    # Encoding

    def __call__(
        self,
        text: str | Iterable[Any],
        text_pair: str | Iterable[Any] | None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Tokenise one text (columns are lists of T numbers) or a batch (columns are B such lists).

        Args:
            text: a string; a list or column of strings, or of ``(first, second)`` pairs; with `is_split_into_words` a
                list of words or a batch of such lists.
            text_pair: the second texts, of the same form.
            padding: True or ``longest``, ``max_length``, or False.
            truncation: True or ``longest_first``, ``only_first``, ``only_second``, or False. Left out, it is
                ``longest_first`` when `max_length` is given and nothing is padded.
            max_length: T for truncation and for ``padding="max_length"``; `model_max_length` when left out.
            stride: tokens that the pieces of `return_overflowing_tokens` share with the piece before.
            return_tensors: ``np``, ``pt`` or ``tf``: columns of shape (B, T) instead of lists.
            return_overflowing_tokens: what truncation cuts off becomes further rows, and the column
                ``overflow_to_sample_mapping`` says whose.

        Raises:
            TypeError: an input that is not a string; the message names its position.
            ValueError: unknown options, texts and pairs of different number, rows of different lengths as a tensor.
        """
        padding, truncation, max_length = self._strategies(padding, truncation, max_length, pad_to_multiple_of, verbose)
        inputs, batched = _as_batch(text, text_pair, is_split_into_words)
        least = self.num_special_tokens_to_add(text_pair is not None) if add_special_tokens else 1
        encode = partial(
            self._encode,
            inputs,
            add_special_tokens=add_special_tokens,
            is_pretokenized=is_split_into_words,
            truncation=self._truncation(truncation, max_length, stride, least),
            padding=self._padding(padding, max_length, pad_to_multiple_of, padding_side or self.padding_side),
        )
        # Words, offsets and token strings cost a third of the time: leave them until someone asks (`_align`).
        ids_only = batched and not (return_offsets_mapping or return_overflowing_tokens or self._keeps_alignment)
        rows = encode(fast=ids_only)
        encodings = partial(self._align, encode) if ids_only else rows
        if return_overflowing_tokens:
            samples = [i for i, row in enumerate(rows) for _ in range(1 + len(row.overflowing))]
            rows = encodings = [piece for row in rows for piece in (row, *row.overflowing)]

        columns: dict[str, Any] = {"input_ids": [row.ids for row in rows]}
        lengths = [len(ids) for ids in columns["input_ids"]]
        if self._wants("token_type_ids", return_token_type_ids):
            all_zero = self._single_text_is_type_0 and all(row.n_sequences == 1 for row in rows)
            columns["token_type_ids"] = [[0] * n for n in lengths] if all_zero else [row.type_ids for row in rows]
        if self._wants("attention_mask", return_attention_mask):
            all_one = padding == "do_not_pad"
            columns["attention_mask"] = [[1] * n for n in lengths] if all_one else [row.attention_mask for row in rows]
        if return_special_tokens_mask:
            columns["special_tokens_mask"] = [row.special_tokens_mask for row in rows]
        if return_offsets_mapping:
            columns["offset_mapping"] = [row.offsets for row in rows]
        if return_length:
            columns["length"] = lengths
        if return_overflowing_tokens:
            columns["overflow_to_sample_mapping"] = samples
        if max_length is None and verbose:
            self._warn_if_too_long(lengths)
        if not batched and return_tensors is None and not return_overflowing_tokens:
            columns = {name: column if name == "length" else column[0] for name, column in columns.items()}
        return BatchEncoding(columns, encodings, tensor_type=return_tensors)

    encode_plus = batch_encode_plus = __call__

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The ``input_ids`` of a call with the same arguments."""
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """The tokens of a text as strings, without special tokens unless asked for."""
        return self(text, pair, add_special_tokens=add_special_tokens, **options).tokens()

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Pad rows that are token ids already: a list of dicts, a dict of lists, or one such row.

        ``input_ids``, ``attention_mask``, ``token_type_ids`` and ``special_tokens_mask`` are padded, every other
        column is kept; an attention mask is made when there is none. Re-implements
        transformers/tokenization_utils_base.py, ``PreTrainedTokenizerBase.pad``.

        Returns:
            int64 tensors (B, T) with `return_tensors` (arrays when the rows are arrays), else lists.

        Raises:
            ValueError: no rows, no ``input_ids``, a row longer than `max_length`, or (for tensors) a column that
                cannot become one; the message names it.
        """
        columns = as_columns(encoded_inputs)
        if "input_ids" not in columns:
            raise ValueError(f"padding needs the column 'input_ids'; there are only {sorted(columns)}")
        if len(columns["input_ids"]) == 0:
            raise ValueError("cannot make a batch of no rows")
        padding, _, max_length = self._strategies(padding, False, max_length, pad_to_multiple_of, verbose)
        add_mask = self._wants("attention_mask", return_attention_mask)
        first = columns["input_ids"][0]
        one_row = not hasattr(first, "__len__") or getattr(first, "ndim", 1) == 0
        if one_row:
            columns = {name: [column] for name, column in columns.items()}
        if padding != "do_not_pad":
            fills = {
                "input_ids": self.pad_token_id,
                "token_type_ids": self.pad_token_type_id,
                "special_tokens_mask": 1,
                "attention_mask": 0,
            }
            side = padding_side or self.padding_side
            columns = pad_columns(columns, fills, padding, side, max_length, pad_to_multiple_of, add_mask)
            if return_tensors is None and not hasattr(first, "dtype"):
                columns.update({name: columns[name].tolist() for name in fills if name in columns})
        elif add_mask and "attention_mask" not in columns:
            columns["attention_mask"] = [[1] * len(ids) for ids in columns["input_ids"]]
        if one_row:
            columns = {name: column[0] for name, column in columns.items()}
        return BatchEncoding(columns, tensor_type=return_tensors)

    def save_pretrained(self, save_directory: str | Path) -> tuple[str, ...]:
        """Write ``tokenizer.json`` and ``tokenizer_config.json``, which minift and transformers load back alike.

        Returns:
            the paths of the two files.
        """
        return save_tokenizer(self, Path(save_directory))

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload what `save_pretrained` writes; see `minift.hub.push_to_hub`."""
        return push_to_hub(self, repo_id, **options)

    def __repr__(self) -> str:
        return (
            f"Tokenizer(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, special_tokens={self.special_tokens_map})"
        )

    # How a call is carried out

    def _encode(
        self,
        inputs: list[Any],
        add_special_tokens: bool,
        is_pretokenized: bool,
        truncation: dict[str, Any] | None,
        padding: dict[str, Any] | None,
        fast: bool = False,
    ) -> list[Encoding]:
        """Set the Rust object up for this call and run it; `fast` leaves out words, offsets and token strings."""
        backend = self.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        if truncation is not None:
            backend.enable_truncation(**truncation)
        if padding is not None:
            backend.enable_padding(**padding)
        try:
            return encode_batch(backend, inputs, is_pretokenized, add_special_tokens, fast)
        except TypeError:
            _check_inputs(inputs, is_pretokenized)
            raise
        except Exception as error:  # the Rust library raises bare Exceptions
            if type(error) is not Exception:
                raise
            raise ValueError(f"cannot tokenize with truncation={truncation}: {error}") from error

    def _align(self, encode: partial) -> list[Encoding]:
        """Encode again with words and offsets, and keep them from now on: who asks for one batch asks for the next."""
        self._keeps_alignment = True
        return encode()

    def _strategies(
        self,
        padding: bool | str,
        truncation: bool | str | None,
        max_length: int | None,
        multiple: int | None,
        verbose: bool,
    ) -> tuple[str, str, int | None]:
        """The three arguments with their defaults and synonyms resolved, as transformers resolves them."""
        if truncation is None:
            truncation = max_length is not None and padding is False
        padding = {True: "longest", False: "do_not_pad"}.get(padding, padding)
        truncation = {True: "longest_first", False: "do_not_truncate"}.get(truncation, truncation)
        _check_choice("padding", padding, PADDING)
        _check_choice("truncation", truncation, TRUNCATION)
        if max_length is None and (padding == "max_length" or truncation != "do_not_truncate"):
            if self.model_max_length < UNLIMITED:
                max_length = self.model_max_length
            else:  # there is no length to pad or to cut to
                padding = "do_not_pad" if padding == "max_length" else padding
                truncation = "do_not_truncate"
        if verbose and max_length is not None and padding == "longest" and truncation == "do_not_truncate":
            warnings.warn(f"max_length={max_length} has no effect: nothing is cut or padded to it", stacklevel=3)
        if padding != "do_not_pad" and self.pad_token_id is None:
            raise ValueError("padding needs a pad token, and this tokenizer has none: set tokenizer.pad_token")
        if padding != "do_not_pad" and truncation != "do_not_truncate" and multiple and max_length % multiple:
            raise ValueError(f"max_length={max_length} is not a multiple of pad_to_multiple_of={multiple}")
        return padding, truncation, max_length

    def _truncation(self, strategy: str, max_length: int | None, stride: int, least: int) -> dict[str, Any] | None:
        if strategy == "do_not_truncate":
            return None
        if max_length < least:  # the Rust library would return the whole text
            raise ValueError(f"max_length={max_length} is too short: at least {least} is needed to truncate")
        return {"max_length": max_length, "stride": stride, "strategy": strategy, "direction": self.truncation_side}

    def _padding(self, strategy: str, max_length: int | None, multiple: int | None, side: str) -> dict[str, Any] | None:
        if strategy == "do_not_pad":
            return None
        return {
            "length": max_length if strategy == "max_length" else None,
            "direction": side,
            "pad_id": self.pad_token_id,
            "pad_token": self.pad_token,
            "pad_type_id": self.pad_token_type_id,
            "pad_to_multiple_of": multiple,
        }

    def _wants(self, column: str, asked: bool | None) -> bool:
        return column in self.model_input_names if asked is None else asked

    def _warn_if_too_long(self, lengths: list[int]) -> None:
        longest = max(lengths, default=0)
        if longest > self.model_max_length and not self._warned_of_length:
            self._warned_of_length = True
            warnings.warn(
                f"a text has {longest} tokens, more than the {self.model_max_length} that the model takes: "
                "use truncation=True, or cut the ids into blocks before they reach the model",
                stacklevel=3,
            )


class AutoTokenizer:
    """Makes the tokenizer that belongs to a checkpoint."""

    class_name: str | None = None  # the tokenizer class; None: what the checkpoint's files say

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Tokenizer:
        """Load ``tokenizer.json``, or build WordPiece from ``vocab.txt``, with what ``tokenizer_config.json`` says.

        Args:
            pretrained_model_name_or_path: a folder, or a repository of the Hub.
            options: ``revision``, ``token``, ``cache_dir``, ``local_files_only`` for the Hub, and settings that
                override the files' own: see `minift.tokenizer.tokenizer_files.load_tokenizer`.
        """
        return Tokenizer(**load_tokenizer(pretrained_model_name_or_path, class_name=cls.class_name, **options))


class BertTokenizer(AutoTokenizer):
    """Makes a tokenizer with BERT's inputs, whatever the files say."""

    class_name = "BertTokenizer"


class DistilBertTokenizer(AutoTokenizer):
    """Makes a tokenizer with DistilBERT's inputs (no token types), whatever the files say."""

    class_name = "DistilBertTokenizer"


BertTokenizerFast, DistilBertTokenizerFast = BertTokenizer, DistilBertTokenizer


def _as_batch(text: Any, text_pair: Any, is_split_into_words: bool) -> tuple[list[Any], bool]:
    """The inputs as a list of texts or of pairs, and whether the caller gave a batch."""
    first, second = _as_list(text, "text"), _as_list(text_pair, "text_pair")
    words_of_one = is_split_into_words and not isinstance(first, str) and (not first or isinstance(first[0], str))
    if isinstance(first, str) or words_of_one:
        if second is not None and isinstance(first, str) != isinstance(second, str):
            raise TypeError("text_pair must be of the same form as text: a string for a string")
        return ([(first, second)] if second else [first]), False
    if second is None:
        return first, True
    if isinstance(second, str):
        raise TypeError("text_pair must be a list when text is a list")
    if len(first) != len(second):
        raise ValueError(f"text has {len(first)} rows and text_pair has {len(second)}")
    return list(zip(first, second, strict=True)), True


def _as_list(texts: Any, argument: str) -> Any:
    """A string or None as it is; a list, tuple, array, or lazy column of a Dataset as a list."""
    if (texts is None and argument == "text_pair") or isinstance(texts, str | list):
        return texts
    if hasattr(texts, "to_pylist"):  # pyarrow
        return texts.to_pylist()
    if isinstance(texts, Iterable) and not isinstance(texts, Mapping | bytes):
        return list(texts)
    raise TypeError(f"{argument} must be a string, or a list or column of strings; got {type(texts).__name__}")


def _check_inputs(inputs: list[Any], is_pretokenized: bool) -> None:
    """Raise the TypeError that names the first input that is not text (the Rust library says only that one is not)."""
    expected = "a list of words" if is_pretokenized else "a string"
    for position, item in enumerate(inputs):
        for part in item if isinstance(item, tuple) else (item,):
            is_list = isinstance(part, list | tuple)
            if is_list != is_pretokenized or not all(isinstance(word, str) for word in (part if is_list else [part])):
                raise TypeError(f"text at position {position} is {part!r:.80}, expected {expected}")


def _check_choice(option: str, value: Any, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"unknown {option}={value!r}: expected one of {', '.join(choices)}")

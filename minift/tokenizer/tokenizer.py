"""Tokenizer: texts to token ids and back, over the Rust library `tokenizers`."""

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, Encoding

from minift.hub import push_to_hub
from minift.libraries.keywords import drops_keywords
from minift.tokenizer.arguments import UNLIMITED, Lengths, as_batch, check_choice, lengths_of_call
from minift.tokenizer.batch_encoding import BatchEncoding
from minift.tokenizer.encode import LateEncodings, encode_batch, words_follow_from_ids
from minift.tokenizer.files import SETTINGS, save_tokenizer
from minift.tokenizer.padding import as_columns, pad_columns
from minift.tokenizer.vocabulary import Vocabulary


class Tokenizer(Vocabulary):
    """Split texts into the tokens of a vocabulary; callable on a text, a list, pairs, or lists of words.

    A ``tokenizers.Tokenizer``, the `backend`, does the work. This class holds what that Rust object does not know and
    shapes the result: `model_input_names` are the columns that a call returns by default, ``input_ids`` first;
    `model_max_length` is the longest T that the model takes; `class_name` is the ``tokenizer_class`` that is written
    when saving. Re-implements transformers/tokenization_utils_tokenizers.py, ``TokenizersBackend``.
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
        check_choice("padding_side", padding_side, ("right", "left"))
        check_choice("truncation_side", truncation_side, ("right", "left"))
        super().__init__(backend, special_tokens, extra_special_tokens, clean_up_tokenization_spaces)
        self.model_input_names = list(model_input_names)
        self.model_max_length = model_max_length
        self.padding_side, self.truncation_side = padding_side, truncation_side
        self.name_or_path, self.class_name = name_or_path, class_name
        backend.no_padding()  # tokenizer.json may hold both; here a call's arguments decide
        backend.no_truncation()
        self._single_text_is_type_0 = not any(backend.encode("a").type_ids)

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
            truncation: True or ``longest_first``, ``only_first``, ``only_second``, or False. None is
                ``longest_first`` if `max_length` is given and nothing is padded, else False.
            max_length: T for truncation and for ``padding="max_length"``; None is `model_max_length`.
            stride: tokens that the pieces of `return_overflowing_tokens` share with the piece before.
            return_tensors: ``np``, ``pt`` or ``tf``: columns of shape (B, T) instead of lists.
            return_overflowing_tokens: what truncation cuts off becomes further rows; the column
                ``overflow_to_sample_mapping`` holds the number of their text.

        Raises a TypeError that names the position of an input that is not a string; a ValueError for unknown options,
        texts and pairs of different number, and rows of different lengths as a tensor.
        """
        lengths = lengths_of_call(self, padding, truncation, max_length, pad_to_multiple_of, verbose)
        least = self.num_special_tokens_to_add(text_pair is not None) if add_special_tokens else 1
        if lengths.truncation and lengths.max_length < least:  # the Rust library would return the whole text
            raise ValueError(f"max_length={lengths.max_length} is too short: at least {least} is needed to truncate")
        inputs, is_batch = as_batch(text, text_pair, is_split_into_words)

        def run(fast: bool = False) -> list[Encoding]:
            self._set_lengths(lengths, stride, padding_side or self.padding_side)
            return encode_batch(self.backend_tokenizer, inputs, is_split_into_words, add_special_tokens, fast)

        is_cut_left = lengths.truncation and self.truncation_side == "left"
        needs_offsets = return_offsets_mapping or return_overflowing_tokens or is_split_into_words or is_cut_left
        fast = is_batch and not needs_offsets and words_follow_from_ids(self.backend_tokenizer)
        rows = run(fast=fast)
        encodings = LateEncodings(rows, run, lambda: self.continuing_ids) if fast else rows
        if return_overflowing_tokens:
            samples = [i for i, row in enumerate(rows) for _ in range(1 + len(row.overflowing))]
            rows = encodings = [piece for row in rows for piece in (row, *row.overflowing)]

        columns: dict[str, Any] = {"input_ids": [row.ids for row in rows]}
        counts = [len(ids) for ids in columns["input_ids"]]
        if self._wants("token_type_ids", return_token_type_ids):
            all_zero = self._single_text_is_type_0 and all(row.n_sequences == 1 for row in rows)
            columns["token_type_ids"] = [[0] * n for n in counts] if all_zero else [row.type_ids for row in rows]
        if self._wants("attention_mask", return_attention_mask):
            is_padded = lengths.padding is not None
            columns["attention_mask"] = [row.attention_mask for row in rows] if is_padded else [[1] * n for n in counts]
        if return_special_tokens_mask:
            columns["special_tokens_mask"] = [row.special_tokens_mask for row in rows]
        if return_offsets_mapping:
            columns["offset_mapping"] = [row.offsets for row in rows]
        if return_length:
            columns["length"] = counts
        if return_overflowing_tokens:
            columns["overflow_to_sample_mapping"] = samples
        if lengths.max_length is None and verbose and max(counts, default=0) > self.model_max_length:
            what = f"a text has more tokens than the {self.model_max_length} that the model takes"
            warnings.warn(f"{what}: use truncation=True, or cut the ids into blocks for the model", stacklevel=3)
        if not is_batch and return_tensors is None and not return_overflowing_tokens:
            columns = {name: column if name == "length" else column[0] for name, column in columns.items()}
        return BatchEncoding(columns, encodings, tensor_type=return_tensors)

    encode_plus = batch_encode_plus = __call__

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """Return the ``input_ids`` of a call with the same arguments."""
        return self(text, text_pair, **options)["input_ids"]

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False, **options: Any
    ) -> list[str]:
        """Split a text into tokens, as strings; without special tokens by default."""
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

        ``input_ids``, ``attention_mask``, ``token_type_ids`` and ``special_tokens_mask`` are padded, other columns are
        kept; if there is no attention mask, one is made. Returns int64 tensors (B, T) with `return_tensors`; without it
        arrays if the rows are arrays, else lists. A ValueError names a column that cannot become a tensor, or a row
        longer than `max_length`. Re-implements transformers/tokenization_utils_base.py,
        ``PreTrainedTokenizerBase.pad``.
        """
        columns = as_columns(encoded_inputs)
        if "input_ids" not in columns:
            raise ValueError(f"padding needs the column 'input_ids'; there are only {sorted(columns)}")
        if len(columns["input_ids"]) == 0:
            raise ValueError("cannot make a batch of no rows")
        lengths = lengths_of_call(self, padding, False, max_length, pad_to_multiple_of, verbose)
        add_mask = self._wants("attention_mask", return_attention_mask)
        first = columns["input_ids"][0]
        one_row = not hasattr(first, "__len__") or getattr(first, "ndim", 1) == 0
        if one_row:
            columns = {name: [column] for name, column in columns.items()}
        if lengths.padding:
            fills = {
                "input_ids": self.pad_token_id,
                "token_type_ids": self.pad_token_type_id,
                "special_tokens_mask": 1,
                "attention_mask": 0,
            }
            columns = pad_columns(columns, fills, lengths, padding_side or self.padding_side, add_mask)
            if return_tensors is None and not hasattr(first, "dtype"):
                columns.update({name: columns[name].tolist() for name in fills if name in columns})
        elif add_mask and "attention_mask" not in columns:
            columns["attention_mask"] = [[1] * len(ids) for ids in columns["input_ids"]]
        if one_row:
            columns = {name: column[0] for name, column in columns.items()}
        return BatchEncoding(columns, tensor_type=return_tensors)

    @drops_keywords
    def save_pretrained(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Write ``tokenizer.json`` and ``tokenizer_config.json`` for minift and transformers; return their paths.

        With `filename_prefix`, their names begin with it and a dash.
        """
        config: dict[str, Any] = {"tokenizer_class": self.class_name, **self.special_tokens_map}
        config.update({name: getattr(self, name) for name in SETTINGS})
        if self.extra_special_tokens:
            config["extra_special_tokens"] = self.extra_special_tokens
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        return save_tokenizer(self.backend_tokenizer, config, Path(save_directory), prefix)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload what `save_pretrained` writes; see `minift.hub.push_to_hub`."""
        return push_to_hub(self, repo_id, **options)

    def __repr__(self) -> str:
        return (
            f"Tokenizer(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"model_max_length={self.model_max_length}, special_tokens={self.special_tokens_map})"
        )

    def _wants(self, column: str, asked: bool | None) -> bool:
        return column in self.model_input_names if asked is None else asked

    def _set_lengths(self, lengths: Lengths, stride: int, padding_side: str) -> None:
        """Tell the Rust object what one call cuts and pads."""
        backend = self.backend_tokenizer
        backend.no_truncation()
        backend.no_padding()
        if lengths.truncation:
            backend.enable_truncation(
                lengths.max_length, stride=stride, strategy=lengths.truncation, direction=self.truncation_side
            )
        if lengths.padding:
            backend.enable_padding(
                direction=padding_side,
                pad_id=self.pad_token_id,
                pad_type_id=self.pad_token_type_id,
                pad_token=self.pad_token,
                length=lengths.max_length if lengths.padding == "max_length" else None,
                pad_to_multiple_of=lengths.multiple,
            )

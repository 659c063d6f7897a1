"""BatchEncoding: the columns that a tokenizer returns, with the alignment of tokens to words and characters."""

from collections import UserDict, namedtuple
from typing import Any

import numpy as np
from tokenizers import Encoding

from minift.tensors import as_tensor, tensor_kind
from minift.tokenizer.encode import LateEncodings

# `start` is included, `end` is not
CharSpan = namedtuple("CharSpan", ["start", "end"])  # characters of the original text
TokenSpan = namedtuple("TokenSpan", ["start", "end"])  # tokens of the encoded sequence


class BatchEncoding(UserDict):
    """A dict of columns (``input_ids``, ``attention_mask``, …), each also an attribute, and the rows' encodings.

    The columns are lists or, with `tensor_type` (``np``, ``pt`` or ``tf``), tensors of shape (B, T). A string key gives
    a column, an integer the row's ``tokenizers.Encoding``, a slice a dict of sliced columns. Re-implements
    transformers/tokenization_utils_base.py, ``BatchEncoding``.
    """

    def __init__(
        self,
        data: dict[str, Any] | None = None,
        encoding: Encoding | list[Encoding] | LateEncodings | None = None,
        tensor_type: str | None = None,
        prepend_batch_axis: bool = False,
    ):
        super().__init__(data)
        self._encodings = [encoding] if isinstance(encoding, Encoding) else encoding
        self.convert_to_tensors(tensor_type, prepend_batch_axis)

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, slice):
            return {name: column[key] for name, column in self.data.items()}
        if isinstance(key, str):
            return self.data[key]
        return self._rows("integer keys")[key]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["data"][name]  # not self.data: while unpickling there is none, and it would recurse
        except KeyError:
            raise AttributeError(f"this BatchEncoding has no attribute or column {name!r}") from None

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self.data, "_encodings": self.encodings}  # complete: the text stays behind

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def encodings(self) -> list[Encoding] | None:
        """The rows' ``tokenizers.Encoding`` objects; None for a batch that no tokenizer has made."""
        return self._encodings.complete if isinstance(self._encodings, LateEncodings) else self._encodings

    @property
    def is_fast(self) -> bool:
        return self._encodings is not None

    @property
    def n_sequences(self) -> int | None:
        """1 for single texts, 2 for pairs, None when unknown."""
        return self.encodings[0].n_sequences if self.encodings else None

    def tokens(self, batch_index: int = 0) -> list[str]:
        """List the row's tokens as strings."""
        return self._rows("tokens()")[batch_index].tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """List for each token of the row the number of its word in the text, None for special tokens."""
        if isinstance(self._encodings, LateEncodings):
            return self._encodings.word_ids(batch_index)
        return self._rows("word_ids()")[batch_index].word_ids

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """List for each token of the row 0 (first text) or 1 (second), None for special tokens."""
        return self._rows("sequence_ids()")[batch_index].sequence_ids

    # Each lookup takes a row and a place in it, or only the place, in row 0.

    def token_to_sequence(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """Which text (0 or 1) a token comes from."""
        return self._look_up("token_to_sequence", batch_or_token_index, token_index)

    def token_to_word(self, batch_or_token_index: int, token_index: int | None = None) -> int | None:
        """The number of a token's word."""
        return self._look_up("token_to_word", batch_or_token_index, token_index)

    def token_to_chars(self, batch_or_token_index: int, token_index: int | None = None) -> CharSpan | None:
        """The characters that a token covers; None for special tokens."""
        return self._look_up("token_to_chars", batch_or_token_index, token_index, span=CharSpan)

    def char_to_token(self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0) -> Any:
        """The token that covers a character; None for white space."""
        return self._look_up("char_to_token", batch_or_char_index, char_index, sequence_index)

    def char_to_word(self, batch_or_char_index: int, char_index: int | None = None, sequence_index: int = 0) -> Any:
        """The word that covers a character; None for white space."""
        return self._look_up("char_to_word", batch_or_char_index, char_index, sequence_index)

    def word_to_tokens(self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0) -> Any:
        """The tokens of a word, a `TokenSpan`."""
        return self._look_up("word_to_tokens", batch_or_word_index, word_index, sequence_index, span=TokenSpan)

    def word_to_chars(self, batch_or_word_index: int, word_index: int | None = None, sequence_index: int = 0) -> Any:
        """The characters of a word, a `CharSpan`."""
        return self._look_up("word_to_chars", batch_or_word_index, word_index, sequence_index, span=CharSpan)

    def _look_up(self, what: str, first: int, second: int | None, *sequence_index: int, span: Any = None) -> Any:
        row, place = (0, first) if second is None else (first, second)
        found = getattr(self._rows(f"{what}()")[row], what)(place, *sequence_index)
        return found if found is None or span is None else span(*found)

    def convert_to_tensors(self, tensor_type: str | None = None, prepend_batch_axis: bool = False) -> "BatchEncoding":
        """Turn every column into a tensor, in place; errors as `column_to_tensor`."""
        if tensor_type is not None:
            for name, column in self.data.items():
                self.data[name] = column_to_tensor(name, [column] if prepend_batch_axis else column, tensor_type)
        return self

    def to(self, device: Any, *, non_blocking: bool = False) -> "BatchEncoding":
        """Move the torch tensors to a device, in place; other columns stay as they are."""
        for name, column in self.data.items():
            if hasattr(column, "to"):
                self.data[name] = column.to(device=device, non_blocking=non_blocking)
        return self

    def _rows(self, what: str) -> list[Encoding]:
        if self.encodings is None:
            raise ValueError(f"{what} needs the encodings of a tokenizer's output; this batch was not tokenized")
        return self.encodings


def column_to_tensor(name: str, column: Any, kind: str) -> Any:
    """Convert a column (numbers, rows of numbers, arrays or tensors) to a tensor.

    Integers become int64. Python floats become float32 in torch and TensorFlow, and float64 in numpy; floats of arrays
    keep their type. A ValueError names a column whose rows differ in length or do not hold numbers.
    """
    kind = tensor_kind(kind)
    if kind == "pt" and hasattr(column, "new_full"):  # already a torch tensor
        return column
    rows_are_typed = isinstance(column, np.ndarray) or (len(column) > 0 and hasattr(column[0], "dtype"))
    try:
        array = np.asarray(column)
    except ValueError as error:
        problem = "its rows have different lengths. Use padding=True and truncation=True, or remove the column"
        raise ValueError(f"unable to create a tensor from column {name!r}: {problem}") from error
    if array.size == 0 and not rows_are_typed:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iufb":
        row = next((row for row, value in enumerate(column) if value is None), None)
        held = "strings" if array.dtype.kind in "US" else "objects" if row is None else f"None in row {row}"
        problem = f"it holds {held}, not numbers; remove it with remove_columns"
        raise ValueError(f"unable to create a tensor from column {name!r}: {problem}")
    if array.dtype.kind in "iu":
        array = array.astype(np.int64, copy=False)
    elif array.dtype == np.float64 and not rows_are_typed and kind != "np":
        array = array.astype(np.float32)
    return as_tensor(array, kind)

"""Run the Rust tokenizer, without what costs time: the normaliser on ASCII texts, and offsets that nobody asks for."""

from collections.abc import Callable, Set
from functools import cached_property, partial
from itertools import accumulate, count
from operator import sub
from typing import Any

import tokenizers
from tokenizers import Encoding, models, pre_tokenizers
from tokenizers.normalizers import BertNormalizer

from minift.tokenizer.arguments import check_inputs

SPACES = str.maketrans("\t\n\r", "   ")
PREFIX = "##"  # WordPiece's mark of a piece that continues a word


def encode_batch(
    backend: tokenizers.Tokenizer, inputs: list[Any], is_pretokenized: bool, add_special_tokens: bool, fast: bool
) -> list[Encoding]:
    """Run the Rust tokenizer on texts, pairs of texts, or lists of words; `fast` leaves out words and offsets.

    BERT's normaliser (control characters, accents, Chinese characters, case) passes over a text four times and notes
    where every character went: a third of all the time. In printable ASCII it changes only the case, and moves
    nothing: such texts are put into lower case here, and encoded without a normaliser.

    Raises a TypeError that names the position of an input that is not text, and a ValueError if the Rust library
    refuses the truncation.
    """
    run = partial(
        backend.encode_batch_fast if fast else backend.encode_batch,
        is_pretokenized=is_pretokenized,
        add_special_tokens=add_special_tokens,
    )
    try:
        if is_pretokenized or not isinstance(backend.normalizer, BertNormalizer):
            return run(inputs)
        return _run_without_normalizer(backend, inputs, run)
    except TypeError:
        check_inputs(inputs, is_pretokenized)
        raise
    except Exception as error:  # the Rust library raises bare Exceptions
        if type(error) is not Exception:
            raise
        raise ValueError(f"cannot tokenize with truncation={backend.truncation}: {error}") from error


def _run_without_normalizer(backend: tokenizers.Tokenizer, inputs: list[Any], run: Callable) -> list[Encoding]:
    normalizer = backend.normalizer
    tokens = [token.content for token in backend.get_added_tokens_decoder().values()]
    added = [spelling.lower() for token in tokens for spelling in {token, normalizer.normalize_str(token)}]
    ready = [_normalized(item, normalizer.lowercase, normalizer.clean_text, added) for item in inputs]
    others = [position for position, item in enumerate(ready) if item is None]
    if others and (backend.padding or len(others) == len(inputs)):  # one call pads all rows to one length
        return run(inputs)
    backend.normalizer = None
    try:
        encodings = run([item for item in ready if item is not None])
    finally:
        backend.normalizer = normalizer
    if others:
        for position, encoding in zip(others, run([inputs[i] for i in others]), strict=True):
            encodings.insert(position, encoding)
    return encodings


def _normalized(item: Any, lowercase: bool, clean_text: bool, added: list[str]) -> Any:
    """Normalise a text, or both texts of a pair, as BERT's normaliser does; None if that takes more than lower case.

    A text that contains one of the `added` tokens (such as [MASK]) is left to the Rust code, which looks for them
    before it normalises.
    """
    if isinstance(item, tuple):
        pair = tuple(_normalized(text, lowercase, clean_text, added) for text in item)
        return None if None in pair else pair
    if not isinstance(item, str) or not item.isascii():
        return None
    text = item.translate(SPACES) if clean_text else item
    lower = text.lower()
    if not text.isprintable() or any(token in lower for token in added):
        return None
    return lower if lowercase else text


class LateEncodings:
    """The encodings of a batch without offsets; complete ones are made if somebody asks for them.

    Offsets and token strings make tokenising a third slower, and most callers want ids, or ids and word ids. `rows` is
    what `encode_batch` returned with ``fast=True``, `encode` tokenises the batch again, completely, and `continuing`
    gives the ids of the pieces that continue a word.
    """

    def __init__(self, rows: list[Encoding], encode: Callable[[], list[Encoding]], continuing: Callable[[], Set[int]]):
        self._rows, self._encode, self._continuing = rows, encode, continuing

    @cached_property
    def complete(self) -> list[Encoding]:
        """The encodings of all rows, with words, offsets and token strings."""
        return self._encode()

    def word_ids(self, row: int) -> list[int | None]:
        """For each token the number of its word in its text, None for special tokens.

        Every token starts a word, except the pieces that continue one: a token's word is its place in the text, less
        the continuing pieces up to there. The beginnings of the texts must not be cut off.
        """
        ids, texts = self._rows[row].ids, self._rows[row].sequence_ids  # texts: 0 or 1, None for special tokens
        words: list[int | None] = [None] * len(ids)
        for text in (0, 1):
            if text in texts:
                start = texts.index(text)
                stop = start + texts.count(text)
                pieces = accumulate(map(self._continuing().__contains__, ids[start:stop]))
                words[start:stop] = map(sub, count(), pieces)
        return words


def words_follow_from_ids(backend: tokenizers.Tokenizer) -> bool:
    """Tell whether `LateEncodings.word_ids` is exact: for BERT's WordPiece, whose words never begin with ``##``."""
    return (
        isinstance(backend.model, models.WordPiece)
        and backend.model.continuing_subword_prefix == PREFIX
        and isinstance(backend.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
        and backend.post_processor is not None  # without one, padding counts as text
        and not any(token.content.startswith(PREFIX) for token in backend.get_added_tokens_decoder().values())
    )

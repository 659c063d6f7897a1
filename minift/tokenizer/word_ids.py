"""Which word each token belongs to, told from the token ids alone."""

from collections.abc import Callable, Set
from functools import cached_property
from itertools import accumulate, count
from operator import sub

import tokenizers
from tokenizers import Encoding, models, pre_tokenizers

PREFIX = "##"  # WordPiece's mark of a piece that continues a word


def word_ids(row: Encoding, continuing: Set[int]) -> list[int | None]:
    """For each token the number of its word in its text, None for special tokens.

    Every token starts a word, except the pieces that continue one: a token's word is its place in the text, less the
    continuing pieces up to there.

    Args:
        row: of `encode_batch_fast`; of its texts, the beginnings must not be cut off.
        continuing: the ids of the pieces that continue a word.
    """
    ids, texts = row.ids, row.sequence_ids  # a token's text: 0 or 1, None for special tokens
    words: list[int | None] = [None] * len(ids)
    for text in (0, 1):
        if text in texts:
            start = texts.index(text)
            stop = start + texts.count(text)
            pieces = accumulate(map(continuing.__contains__, ids[start:stop]))
            words[start:stop] = map(sub, count(), pieces)
    return words


def words_follow_from_ids(backend: tokenizers.Tokenizer) -> bool:
    """Tell whether `word_ids` is exact: for BERT's WordPiece, whose words never begin with ``##``."""
    return (
        isinstance(backend.model, models.WordPiece)
        and backend.model.continuing_subword_prefix == PREFIX
        and isinstance(backend.pre_tokenizer, pre_tokenizers.BertPreTokenizer)
        and backend.post_processor is not None  # without one, padding counts as text
        and not any(token.content.startswith(PREFIX) for token in backend.get_added_tokens_decoder().values())
    )


class LateEncodings:
    """The encodings of a batch without offsets; complete ones are made if somebody asks for them.

    Offsets and token strings make tokenising a third slower, and most callers want ids, or ids and word ids.

    Args:
        rows: what `encode_batch_fast` returned.
        encode: tokenises the batch again, completely.
        continuing: gives the ids of the pieces that continue a word.
    """

    def __init__(self, rows: list[Encoding], encode: Callable[[], list[Encoding]], continuing: Callable[[], Set[int]]):
        self._rows, self._encode, self._continuing = rows, encode, continuing

    @cached_property
    def complete(self) -> list[Encoding]:
        """The encodings of all rows, with words, offsets and token strings."""
        return self._encode()

    def word_ids(self, row: int) -> list[int | None]:
        return word_ids(self._rows[row], self._continuing())

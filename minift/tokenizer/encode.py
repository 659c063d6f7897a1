"""Running the Rust tokenizer. ASCII texts are normalised here, in a hundredth of the time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import tokenizers
from tokenizers import Encoding
from tokenizers.normalizers import BertNormalizer

from minift.tokenizer.inputs import check_inputs

SPACES = str.maketrans("\t\n\r", "   ")


def encode_batch(
    backend: tokenizers.Tokenizer, inputs: list[Any], is_pretokenized: bool, add_special_tokens: bool, fast: bool
) -> list[Encoding]:
    """Run the Rust tokenizer on texts, pairs of texts, or lists of words; `fast` leaves out words and offsets.

    BERT's normaliser (control characters, accents, Chinese characters, case) passes over a text four times and notes
    where every character went: a third of all the time. In printable ASCII it changes only the case, and moves
    nothing: such texts are put into lower case here, and encoded without a normaliser.

    Raises:
        TypeError: an input is not text; the message names its position.
        ValueError: the Rust library refuses the truncation.
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
    added = [token.content.lower() for token in backend.get_added_tokens_decoder().values()]
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

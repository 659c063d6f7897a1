"""What a call of the tokenizer means: one text or a batch, pairs, words; and how long its rows become."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

UNLIMITED = int(1e30)  # what the libraries write for "no maximum length"
PADDING = ("longest", "max_length", "do_not_pad")
TRUNCATION = ("longest_first", "only_first", "only_second", "do_not_truncate")


def as_batch(text: Any, text_pair: Any, is_split_into_words: bool) -> tuple[list[Any], bool]:
    """Bring the inputs into one form: a list of texts or of pairs; and tell whether the caller gave a batch."""
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


def check_inputs(inputs: list[Any], is_pretokenized: bool) -> None:
    """Raise a TypeError that names the first input that is not text; the Rust library's error does not name it."""
    expected = "a list of words" if is_pretokenized else "a string"
    for position, item in enumerate(inputs):
        for part in item if isinstance(item, tuple) else (item,):
            is_list = isinstance(part, list | tuple)
            if is_list != is_pretokenized or not all(isinstance(word, str) for word in (part if is_list else [part])):
                raise TypeError(f"text at position {position} is {part!r:.80}, expected {expected}")


class Lengths(NamedTuple):
    """What a call pads and cuts to."""

    padding: str | None  # one of PADDING; None: nothing is padded
    truncation: str | None  # one of TRUNCATION; None: nothing is cut
    max_length: int | None
    multiple: int | None  # the padded length is rounded up to a multiple of this


def lengths_of_call(
    tokenizer: Any,
    padding: bool | str,
    truncation: bool | str | None,
    max_length: int | None,
    multiple: int | None,
    verbose: bool,
) -> Lengths:
    """Resolve defaults and synonyms, as transformers does (tokenization_utils_base.py).

    A ValueError says that a strategy is unknown, that the `tokenizer` has no pad token to pad with, or that
    `max_length` is not a multiple of `multiple`.
    """
    if truncation is None:
        truncation = max_length is not None and padding is False
    padding = {True: "longest", False: "do_not_pad"}.get(padding, padding)
    truncation = {True: "longest_first", False: "do_not_truncate"}.get(truncation, truncation)
    check_choice("padding", padding, PADDING)
    check_choice("truncation", truncation, TRUNCATION)
    padding = None if padding == "do_not_pad" else padding
    truncation = None if truncation == "do_not_truncate" else truncation
    if max_length is None and (padding == "max_length" or truncation):
        if tokenizer.model_max_length < UNLIMITED:
            max_length = tokenizer.model_max_length
        else:  # there is no length to pad or to cut to
            padding = None if padding == "max_length" else padding
            truncation = None
    if verbose and max_length is not None and padding == "longest" and not truncation:
        warnings.warn(f"max_length={max_length} has no effect: nothing is cut or padded to it", stacklevel=3)
    if padding and tokenizer.pad_token is None:
        raise ValueError("padding needs a pad token, and this tokenizer has none: set tokenizer.pad_token")
    if padding and truncation and multiple and max_length % multiple:
        raise ValueError(f"max_length={max_length} is not a multiple of pad_to_multiple_of={multiple}")
    return Lengths(padding, truncation, max_length, multiple)


def check_choice(option: str, value: Any, choices: Sequence[str]) -> None:
    """Raise a ValueError if `value` is none of `choices`."""
    if value not in choices:
        raise ValueError(f"unknown {option}={value!r}: expected one of {', '.join(choices)}")

"""The texts that a tokenizer is called with: one text or a batch, pairs, lists of words."""

from collections.abc import Iterable, Mapping
from typing import Any


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

"""How long the rows of a call become: `padding`, `truncation` and `max_length`, with transformers' defaults."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

UNLIMITED = int(1e30)  # what the libraries write for "no maximum length"
PADDING = ("longest", "max_length", "do_not_pad")
TRUNCATION = ("longest_first", "only_first", "only_second", "do_not_truncate")


class Lengths(NamedTuple):
    """What a call pads and cuts to."""

    padding: str  # one of PADDING
    truncation: str  # one of TRUNCATION
    max_length: int | None
    multiple: int | None  # the padded length is rounded up to a multiple of this

    @property
    def pads(self) -> bool:
        return self.padding != "do_not_pad"

    @property
    def cuts(self) -> bool:
        return self.truncation != "do_not_truncate"


def lengths_of_call(
    tokenizer: Any,
    padding: bool | str,
    truncation: bool | str | None,
    max_length: int | None,
    multiple: int | None,
    verbose: bool,
) -> Lengths:
    """Resolve defaults and synonyms, as transformers does (tokenization_utils_base.py).

    Args:
        tokenizer: gives `model_max_length` and `pad_token`.

    Raises:
        ValueError: an unknown strategy, padding without a pad token, or a length that is not a multiple.
    """
    if truncation is None:
        truncation = max_length is not None and padding is False
    padding = {True: "longest", False: "do_not_pad"}.get(padding, padding)
    truncation = {True: "longest_first", False: "do_not_truncate"}.get(truncation, truncation)
    check_choice("padding", padding, PADDING)
    check_choice("truncation", truncation, TRUNCATION)
    if max_length is None and (padding == "max_length" or truncation != "do_not_truncate"):
        if tokenizer.model_max_length < UNLIMITED:
            max_length = tokenizer.model_max_length
        else:  # there is no length to pad or to cut to
            padding = "do_not_pad" if padding == "max_length" else padding
            truncation = "do_not_truncate"
    lengths = Lengths(padding, truncation, max_length, multiple)
    if verbose and max_length is not None and padding == "longest" and not lengths.cuts:
        warnings.warn(f"max_length={max_length} has no effect: nothing is cut or padded to it", stacklevel=3)
    if lengths.pads and tokenizer.pad_token is None:
        raise ValueError("padding needs a pad token, and this tokenizer has none: set tokenizer.pad_token")
    if lengths.pads and lengths.cuts and multiple and max_length % multiple:
        raise ValueError(f"max_length={max_length} is not a multiple of pad_to_multiple_of={multiple}")
    return lengths


def check_choice(option: str, value: Any, choices: Sequence[str]) -> None:
    """Raise a ValueError if `value` is none of `choices`."""
    if value not in choices:
        raise ValueError(f"unknown {option}={value!r}: expected one of {', '.join(choices)}")

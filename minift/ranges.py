"""Which values a setting may have: for tables of settings, and for the errors of those that are out of range."""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple


class Range(NamedTuple):
    """A set of values, and the words for it."""

    text: str
    """Completes the sentence "learning_rate must be …"."""
    contains: Callable[[Any], bool]

    def check(self, name: str, value: Any) -> None:
        """Raise a ValueError that names the setting when `value` is not in the range."""
        if not self.contains(value):
            raise ValueError(f"{name} must be {self.text}, not {value!r}")

    def or_none(self) -> "Range":
        """Make the range that None belongs to as well."""
        return Range(f"{self.text} or None", lambda value: value is None or self.contains(value))


def is_number(value: Any, kind: type = Real) -> bool:
    """Say whether `value` is a number of this kind; True and False are none, although Python counts them as such."""
    return isinstance(value, kind) and not isinstance(value, bool)


def one_of(*values: Any) -> Range:
    """Make the range of a setting that has a few possible values."""
    return Range(f"one of {', '.join(map(str, values))}", lambda value: value in values)


POSITIVE_INTEGER = Range("a positive integer", lambda value: is_number(value, Integral) and value >= 1)
PROBABILITY = Range("a probability in [0, 1)", lambda value: is_number(value) and 0 <= value < 1)
AT_LEAST_0 = Range("at least 0", lambda value: is_number(value) and 0 <= value < math.inf)
AT_LEAST_1 = Range("at least 1", lambda value: is_number(value) and 1 <= value < math.inf)
ABOVE_0 = Range("above 0", lambda value: is_number(value) and 0 < value < math.inf)

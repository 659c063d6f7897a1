"""Scores of texts: the share that equal their reference."""

import re
import string
from typing import Any, Self

from minift.metrics.inputs import check_not_empty


class Texts:
    """Keep all pairs of texts."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    def update(self, predictions: Any, references: Any) -> Self:
        """Add a batch: B strings on both sides."""
        if len(predictions) != len(references):
            raise ValueError(f"{len(predictions)} predictions but {len(references)} references")
        for side, texts in (("predictions", predictions), ("references", references)):
            for row, text in enumerate(texts):
                if not isinstance(text, str):
                    raise ValueError(f"{side}[{row}] is {text!r}, expected a string")
        self.pairs.extend(zip(predictions, references, strict=True))
        return self

    def exact_match(
        self,
        regexes_to_ignore: list[str] | None = None,
        ignore_case: bool = False,
        ignore_punctuation: bool = False,
        ignore_numbers: bool = False,
    ) -> float:
        """Return the share of equal pairs, after what matches the expressions is taken out, and what is ignored."""
        left_out = string.punctuation * ignore_punctuation + string.digits * ignore_numbers

        def plain(text: str) -> str:
            for expression in regexes_to_ignore or ():
                text = re.sub(expression, "", text)
            return (text.lower() if ignore_case else text).translate(str.maketrans("", "", left_out))

        equal = sum(plain(one) == plain(other) for one, other in self.pairs)
        return equal / check_not_empty(len(self.pairs))

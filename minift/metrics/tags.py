"""Scores of tagged sentences: an entity counts if its type and both its ends are right."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from minift.metrics.inputs import check_not_empty


class Tags:
    """Count the entities of sentences, and the right tags.

    A tag is O, or says B(egin), I(nside), E(nd) or S(ingle) and the type of the entity: B-PER. Every scheme of such
    tags is read the same way: what cannot go on an entity begins one. Re-implements seqeval 1.2 in its default mode
    (metrics/sequence_labeling.py), which follows the Perl script conlleval; the strict mode is not there.
    """

    def __init__(self) -> None:
        self.sentences: list[tuple[list[str], list[str]]] = []

    def update(self, predictions: Any, references: Any) -> Self:
        """Add B sentences, a list of tags each, of the same lengths on both sides."""
        if len(predictions) != len(references):
            raise ValueError(f"{len(predictions)} predictions but {len(references)} references")
        pairs = []
        for row, sides in enumerate(zip(predictions, references, strict=True)):
            if any(isinstance(side, str) or not all(isinstance(tag, str) and tag for tag in side) for side in sides):
                raise ValueError(f"sentence {row}: expected two lists of tags such as B-PER, not {sides!r}")
            if len(sides[0]) != len(sides[1]):
                raise ValueError(f"sentence {row} has {len(sides[0])} predicted tags, but {len(sides[1])} references")
            pairs.append(tuple([str(tag) for tag in side] for side in sides))
        self.sentences += pairs
        return self

    def scores(self, suffix: bool = False, zero_division: int | str = "warn") -> dict[str, Any]:
        """Score each type, and all entities together.

        Returns:
            for each type a dict of ``precision``, ``recall``, ``f1`` and the ``number`` of entities in the references,
            and ``overall_precision``, ``overall_recall``, ``overall_f1``, ``overall_accuracy`` (of tags).

        Args:
            suffix: the type stands before the mark, as in PER-B.
            zero_division: 0 or 1, for a score whose denominator is 0; "warn" is 0 with a warning.
        """
        if zero_division not in (0, 1, "warn"):
            raise ValueError(f"zero_division={zero_division!r} must be 0, 1 or 'warn'")
        found, wanted, right = Counter(), Counter(), Counter()
        tags = check_not_empty(sum(len(reference) for _, reference in self.sentences))
        same = 0
        for predicted, reference in self.sentences:
            same += sum(one == other for one, other in zip(predicted, reference, strict=True))
            ours, theirs = set(entities(predicted, suffix)), set(entities(reference, suffix))
            for counts, spans in ((found, ours), (wanted, theirs), (right, ours & theirs)):
                counts.update(kind for kind, _, _ in spans)
        results: dict[str, Any] = {}
        for kind in sorted(found.keys() | wanted.keys()):
            of_kind = ratios(right[kind], found[kind], wanted[kind], zero_division)
            results[kind] = {**of_kind, "number": wanted[kind]}
        overall = ratios(right.total(), found.total(), wanted.total(), zero_division)
        results |= {f"overall_{name}": score for name, score in overall.items()}
        return results | {"overall_accuracy": same / tags}


def entities(tags: Iterable[str], suffix: bool = False) -> list[tuple[str, int, int]]:
    """The entities of a sentence: type, first and last place.

    >>> entities(["B-PER", "I-PER", "O", "B-LOC"])
    [('PER', 0, 1), ('LOC', 3, 3)]
    """
    spans, begin, last = [], 0, ("O", "_")
    for place, tag in enumerate([*tags, "O"]):
        now = mark_and_type(tag, suffix)
        if ends(last, now):
            spans.append((last[1], begin, place - 1))
        if begins(last, now):
            begin = place
        last = now
    return spans


def mark_and_type(tag: str, suffix: bool) -> tuple[str, str]:
    """B-PER (or with `suffix` PER-B) -> B, PER; a tag without a type has the type _."""
    marks = tuple(f"-{mark}" for mark in "BIES") if suffix else tuple(f"{mark}-" for mark in "BIES")
    if tag not in ("O", "B", "I", "E", "S") and not (tag.endswith(marks) if suffix else tag.startswith(marks)):
        warnings.warn(f"{tag} seems not to be a tag of an entity, such as B-PER", stacklevel=2)
    if suffix:
        return tag[-1], tag[:-1].rsplit("-", maxsplit=1)[0] or "_"
    return tag[0], tag[1:].split("-", maxsplit=1)[-1] or "_"


def ends(last: Sequence[str], now: Sequence[str]) -> bool:
    """Whether an entity ends between two tags."""
    return last[0] in "ES" or (last[0] in "BI" and now[0] in "BSO") or (last[0] not in "O." and last[1] != now[1])


def begins(last: Sequence[str], now: Sequence[str]) -> bool:
    """Whether an entity begins with the second of two tags."""
    return now[0] in "BS" or (last[0] in "ESO" and now[0] in "EI") or (now[0] not in "O." and last[1] != now[1])


def ratios(right: int, found: int, wanted: int, zero_division: int | str) -> dict[str, float]:
    """Precision, recall and F1 from counts of entities."""
    if zero_division == "warn" and not (found and wanted):
        warnings.warn("precision, recall or F1 of a type without entities is set to 0", stacklevel=4)
    undefined = float(zero_division == 1)
    precision, recall = right / found if found else undefined, right / wanted if wanted else undefined
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1 if found or wanted else undefined}

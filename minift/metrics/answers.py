"""Scores of answers to questions, as SQuAD reports them: equal texts, and shared words."""

import re
import string
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from minift.metrics.inputs import check_not_empty

SIDES = ("predictions", "references")
ARTICLES = re.compile(r"\b(a|an|the)\b")
NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Answers:
    """Keep answers and their references.

    A prediction is ``{"id": …, "prediction_text": …}``, for SQuAD 2 also with ``"no_answer_probability"``; a reference
    ``{"id": …, "answers": {"text": […], …}}``. They belong together by their ids. Re-implements the scripts of SQuAD
    1.1 and 2.0, as evaluate's metrics squad and squad_v2 run them.
    """

    def __init__(self) -> None:
        self.predictions: dict[str, Mapping] = {}
        self.references: dict[str, list[str]] = {}

    def update(self, predictions: Any, references: Any) -> Self:
        """Add a batch: B dicts on both sides; an id that occurs twice on a side is a ValueError."""
        if len(predictions) != len(references):
            raise ValueError(f"{len(predictions)} predictions but {len(references)} references")
        checked = [
            (_checked(one, "prediction_text"), _checked(two, "answers"))
            for one, two in zip(predictions, references, strict=True)
        ]
        for known, side in ((self.predictions, 0), (self.references, 1)):
            seen = set(known)
            for pair in checked:
                if pair[side]["id"] in seen:
                    raise ValueError(f"the id {pair[side]['id']!r} occurs twice among the {SIDES[side]}")
                seen.add(pair[side]["id"])
        for prediction, reference in checked:
            answers = reference["answers"]
            texts = answers["text"] if isinstance(answers, Mapping) else [answer["text"] for answer in answers]
            self.predictions[prediction["id"]] = prediction
            self.references[reference["id"]] = [str(text) for text in texts]
        return self

    def pairs(self) -> list[tuple[Mapping, list[str]]]:
        """Each prediction with the texts that are right."""
        check_not_empty(len(self.references))
        missing = [key for key in self.references if key not in self.predictions]
        if missing:
            raise ValueError(
                f"there is no prediction with the id {missing[0]!r}, and {len(missing)} are missing in all"
            )
        return [(self.predictions[key], texts) for key, texts in self.references.items()]

    def squad(self) -> dict[str, float]:
        """Return ``exact_match`` and ``f1`` in percent: of each answer, the best over its references."""
        pairs, exact, shared = self.pairs(), 0.0, 0.0
        for prediction, texts in pairs:
            if not texts:
                raise ValueError(f"the question {prediction['id']!r} has no answer: use the metric squad_v2")
            text = prediction["prediction_text"]
            exact += max(normalised(text) == normalised(one) for one in texts)
            shared += max(f1_of_words(text, one) for one in texts)
        return {"exact_match": 100.0 * exact / len(pairs), "f1": 100.0 * shared / len(pairs)}

    def squad_v2(self, no_answer_threshold: float = 1.0) -> dict[str, Any]:
        """Score answers of which some are "": there is none.

        A prediction whose ``no_answer_probability`` is above the threshold counts as "". Returns ``exact``, ``f1``
        (percent) and ``total``, the same as ``HasAns_…`` and ``NoAns_…`` for the questions with and without an answer,
        and ``best_exact``, ``best_f1`` with the thresholds that give them, ``…_thresh``.
        """
        pairs = self.pairs()
        answerable = [bool(texts) for _, texts in pairs]
        none = [
            float(_checked(prediction, "no_answer_probability")["no_answer_probability"]) for prediction, _ in pairs
        ]
        raw: dict[str, list[float]] = {"exact": [], "f1": []}
        for prediction, texts in pairs:
            text, right = prediction["prediction_text"], [one for one in texts if normalised(one)] or [""]
            raw["exact"].append(max(int(normalised(text) == normalised(one)) for one in right))
            raw["f1"].append(max(f1_of_words(text, one, empty_is_equal=True) for one in right))
        scores = {
            name: [
                float(not has) if p > no_answer_threshold else one
                for one, has, p in zip(values, answerable, none, strict=True)
            ]
            for name, values in raw.items()
        }
        results: dict[str, Any] = {}
        groups = {"": [True] * len(pairs), "HasAns_": answerable, "NoAns_": [not has for has in answerable]}
        for prefix, chosen in groups.items():
            total = sum(chosen)
            for name, values in scores.items() if total else ():
                results[prefix + name] = 100.0 * sum(v for v, take in zip(values, chosen, strict=True) if take) / total
            results |= {f"{prefix}total": total} if total else {}
        says_nothing = [not prediction["prediction_text"] for prediction, _ in pairs]
        for name, values in raw.items():
            best, threshold = best_threshold(values, none, answerable, says_nothing)
            results |= {f"best_{name}": best, f"best_{name}_thresh": threshold}
        return results


def best_threshold(
    scores: list[float], none: list[float], answerable: list[bool], says_nothing: list[bool]
) -> tuple[float, float]:
    """The threshold on the probability of no answer that gives the best score, in percent; the score comes first."""
    now = best = len(answerable) - sum(answerable)  # every question is said to have no answer
    threshold = 0.0
    for row in sorted(range(len(none)), key=none.__getitem__):
        now += scores[row] if answerable[row] else -1 + says_nothing[row]
        if now > best:
            best, threshold = now, none[row]
    return 100.0 * best / len(scores), threshold


def normalised(text: str) -> str:
    """Lower case, without punctuation, articles and double spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(NO_PUNCTUATION)).split())


def f1_of_words(predicted: str, reference: str, empty_is_equal: bool = False) -> float:
    """F1 of the words that two texts share, each as often as it occurs in both; in SQuAD 2 two empty ones are equal."""
    words, expected = normalised(predicted).split(), normalised(reference).split()
    if empty_is_equal and not (words and expected):
        return float(words == expected)
    shared = (Counter(words) & Counter(expected)).total()
    if shared == 0:
        return 0.0
    precision, recall = shared / len(words), shared / len(expected)
    return 2 * precision * recall / (precision + recall)


def _checked(example: Any, name: str) -> Mapping:
    if not isinstance(example, Mapping) or "id" not in example or name not in example:
        raise ValueError(f"expected a dict with 'id' and {name!r}, not {example!r}")
    return example

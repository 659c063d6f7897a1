"""The logits of windows -> an answer to each question: the best span over all windows of its text, or none."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np

from minift.data.dataset import Dataset


@dataclass(frozen=True)
class SpanOptions:
    """How spans are chosen."""

    n_best_size: int = 20
    """Tokens that are looked at as the first and as the last of an answer, and spans that are kept."""
    max_answer_length: int = 30
    """Tokens of the longest answer."""
    null_score_diff_threshold: float = 0.0
    """How much better than the best span "no answer" must score, where some questions have none."""

    def __post_init__(self) -> None:
        for name in ("n_best_size", "max_answer_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")


BY_DEFAULT = SpanOptions()


def choose_answers(
    texts: Dataset, windows: Dataset, logits: tuple[np.ndarray, np.ndarray], with_none: bool, options: SpanOptions
) -> list[dict[str, Any]]:
    """Choose an answer for each question.

    A span's score is the logit that it begins at its first token plus the logit that it ends at its last. Where
    questions without an answer occur, the lowest score of [CLS] over the windows competes with the best span.
    Re-implements transformers' examples/pytorch/question-answering/utils_qa.py, postprocess_qa_predictions.

    Args:
        texts: Q questions, with their contexts.
        windows: W windows of `windows_of`.
        logits: of starts and of ends, (W, T) each.
        with_none: "" can be an answer.

    Returns a dict for each question: ``text``, ``start`` and ``end`` (characters of the context), ``probability``
    among the spans that are kept, and ``null_score_diff``, by how much "no answer" scores better (None without it).
    """
    of_question = defaultdict(list)
    for window, row in enumerate(windows["row"]):
        of_question[row].append(window)
    offsets, contexts = windows["offsets"], texts["context"]
    answers = []
    for question, context in enumerate(contexts):
        none, spans = np.inf, []
        for window in of_question[question]:
            start, end = logits[0][window], logits[1][window]  # (T,) each
            none = min(none, float(start[0] + end[0]))
            spans += spans_of(start, end, offsets[window], options)
        spans = sorted(spans, key=lambda span: span[0], reverse=True)[: options.n_best_size]
        scores = np.array([score for score, _, _ in spans] + [none] * with_none)
        if not spans:
            answers.append({"text": "", "start": 0, "end": 0, "probability": 1.0, "null_score_diff": None})
            continue
        powers = np.exp(scores - scores.max())
        best, first, last = spans[0]
        has_none = with_none and none - best > options.null_score_diff_threshold
        answers.append(
            {
                "text": "" if has_none else context[first:last],
                "start": 0 if has_none else first,
                "end": 0 if has_none else last,
                "probability": float(powers[-1 if has_none else 0] / powers.sum()),
                "null_score_diff": none - best if with_none else None,
            }
        )
    return answers


def spans_of(
    start: np.ndarray, end: np.ndarray, offsets: list[list[int] | None], options: SpanOptions
) -> list[tuple[float, int, int]]:
    """Return the spans of a window whose ends are among the best: score, first character, character behind the last."""
    starts, ends = (np.argsort(logits)[::-1][: options.n_best_size].tolist() for logits in (start, end))
    inside = {token for token, place in enumerate(offsets) if place is not None}  # of the text, not padding or question
    return [
        (float(start[i] + end[j]), offsets[i][0], offsets[j][1])
        for i in starts
        if i in inside
        for j in ends
        if j in inside and i <= j < i + options.max_answer_length
    ]

"""Answers to questions: equal and shared words, questions without an answer, thresholds."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minift.metrics.answers import best_threshold, f1_of_words, normalised
from minift.metrics.metric import load


def prediction(number, text, none=0.0):
    return {"id": str(number), "prediction_text": text, "no_answer_probability": none}


def reference(number, *texts):
    return {"id": str(number), "answers": {"text": list(texts), "answer_start": [0] * len(texts)}}


def test_words_that_do_not_count():
    assert normalised("  The cat, a  Dog\nand AN-other theatre!") == "cat dog and another theatre"
    assert normalised("a the an.") == ""


def test_squad_takes_the_best_reference():
    predictions = [prediction(0, "The Eiffel Tower."), prediction(1, "in 1889"), prediction(2, "nobody")]
    references = [reference(0, "tower", "eiffel tower"), reference(1, "1889"), reference(2, "Gustave Eiffel")]
    found = load("squad").compute(predictions=predictions, references=references)
    assert found == {"exact_match": pytest.approx(100 / 3), "f1": pytest.approx(100 * (1 + 2 / 3) / 3)}


def test_squad_v2_by_hand():
    predictions = [
        prediction(0, "Paris", 0.1),
        prediction(1, "", 0.9),
        prediction(2, "Rome", 0.3),
        prediction(3, "x", 0.8),
    ]
    references = [reference(0, "Paris"), reference(1), reference(2), reference(3, "old Berlin", "x y")]
    found = load("squad_v2").compute(predictions=predictions, references=references)
    assert (found["exact"], found["total"]) == (50.0, 4)
    assert found["f1"] == pytest.approx(100 * (1 + 1 + 0 + 2 / 3) / 4)
    assert (found["HasAns_exact"], found["HasAns_total"], found["NoAns_exact"], found["NoAns_total"]) == (50, 2, 50, 2)
    assert (found["best_exact"], found["best_exact_thresh"]) == (75.0, 0.1)  # only Paris is answered
    cut = load("squad_v2").compute(predictions=predictions, references=references, no_answer_threshold=0.2)
    assert (cut["exact"], cut["NoAns_exact"], cut["HasAns_exact"]) == (75.0, 100.0, 50.0)


ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 9), st.booleans(), st.booleans()), min_size=1, max_size=7
)


@given(ROWS)
def test_the_best_threshold_is_the_best_of_all(rows):
    """Tried one by one: answers up to the threshold count as they are, the others as "there is none"."""
    rows = [
        (score if has else float(empty), none + place / 10, has, empty)
        for place, (score, none, has, empty) in enumerate(rows)
    ]
    best = best_threshold(*(list(column) for column in zip(*rows, strict=True)))[0]
    tried = []
    for threshold in [-1.0, *(row[1] for row in rows)]:
        tried.append(sum(score if none <= threshold else float(not has) for score, none, has, _ in rows))
    assert best == pytest.approx(100 * max(tried) / len(rows))


@given(*[st.lists(st.sampled_from("xyz"), max_size=5)] * 2)
def test_shared_words_are_the_largest_matching(words, expected):
    """Beside every way to pair words."""
    shorter, longer = sorted((words, expected), key=len)
    most = max(sum(map(str.__eq__, shorter, order)) for order in itertools.permutations(longer, len(shorter)))
    wanted = 2 * most / (len(words) + len(expected)) if most else 0.0
    assert f1_of_words(" ".join(words), " ".join(expected)) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("name", "predictions", "references", "message"),
    [
        ("squad", [prediction(0, "a")], [reference(1, "a")], "there is no prediction with the id '1'"),
        ("squad", [prediction(0, "a")], [reference(0)], "the question '0' has no answer: use the metric squad_v2"),
        ("squad", [{"id": "0", "text": "a"}], [reference(0, "a")], "expected a dict with 'id' and 'prediction_text'"),
        ("squad_v2", [{"id": "0", "prediction_text": "a"}], [reference(0, "a")], "and 'no_answer_probability'"),
        ("squad", [], [], "there is nothing to score"),
        ("squad", [prediction(0, "a")], [], "1 predictions but 0 references"),
        ("squad", [prediction(0, "a"), prediction(0, "b")], [reference(0, "a"), reference(1, "b")], "'0' occurs twice"),
        ("squad", [prediction(0, "a"), prediction(1, "b")], [reference(1, "a"), reference(1, "b")], "the references"),
    ],
)
def test_what_cannot_be_scored(name, predictions, references, message):
    with pytest.raises(ValueError, match=message):
        load(name).compute(predictions=predictions, references=references)

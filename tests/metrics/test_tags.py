"""Entities of tagged sentences: read off every scheme, scored whole; the numbers of seqeval's own example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minift.metrics.metric import load
from minift.metrics.tags import entities

REFERENCES = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
PREDICTIONS = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
SPANS = st.lists(st.tuples(st.sampled_from(["PER", "LOC", "A-B"]), st.integers(1, 4), st.integers(0, 2)), max_size=5)


def tagged(spans, scheme):
    """Tags of spans (type, length, gap after it), and where these are."""
    tags, places = [], []
    for kind, length, gap in spans:
        places.append((kind, len(tags), len(tags) + length - 1))
        marks = ["B"] + ["I"] * (length - 1)
        if scheme == "IOBES":
            marks[-1] = "S" if length == 1 else "E"
        elif scheme == "IOE":
            marks = ["I"] * (length - 1) + ["E"]
        tags += [f"{mark}-{kind}" for mark in marks] + ["O"] * gap
    return tags, places


@given(SPANS, st.sampled_from(["IOB2", "IOBES", "IOE"]), st.booleans())
def test_what_is_tagged_is_found(spans, scheme, suffix):
    tags, places = tagged(spans, scheme)
    if suffix:
        tags = [tag if tag == "O" else "-".join(tag.split("-", 1)[::-1]) for tag in tags]
    assert entities(tags, suffix) == places


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        (["I-PER", "I-PER", "I-LOC"], [("PER", 0, 1), ("LOC", 2, 2)]),  # nothing to go on from: it begins
        (["B-PER", "I-LOC", "B-LOC"], [("PER", 0, 0), ("LOC", 1, 1), ("LOC", 2, 2)]),
        (["E-PER", "E-PER", "S-PER", "I-PER"], [("PER", 0, 0), ("PER", 1, 1), ("PER", 2, 2), ("PER", 3, 3)]),
        (["B", "I", "O", "S"], [("_", 0, 1), ("_", 3, 3)]),
        ([], []),
    ],
)
def test_broken_sequences(tags, found):
    assert entities(tags) == found


def test_the_example_of_seqeval():
    metric = load("seqeval")
    for prediction, reference in zip(PREDICTIONS, REFERENCES, strict=True):
        metric.add(prediction=prediction, reference=reference)
    found = metric.compute()
    assert found["MISC"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 1}
    assert found["PER"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "number": 1}
    overall = {name: found[f"overall_{name}"] for name in ("precision", "recall", "f1", "accuracy")}
    assert overall == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "accuracy": 0.8}
    assert load("seqeval").compute(predictions=PREDICTIONS, references=REFERENCES) == found


def test_a_type_that_only_the_predictions_have():
    with pytest.warns(UserWarning, match="of a type without entities is set to 0"):
        found = load("seqeval").compute(predictions=[["B-LOC", "B-PER"]], references=[["O", "B-PER"]])
    assert found["LOC"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 0}
    assert (found["overall_precision"], found["overall_recall"]) == (0.5, 1.0)
    options = {"predictions": [["O"]], "references": [["B-PER"]], "zero_division": 1}
    assert load("seqeval").compute(**options)["PER"]["precision"] == 1.0


@pytest.mark.parametrize(
    ("predictions", "references", "options", "message"),
    [
        ([["O"]], [["O", "O"]], {}, "sentence 0 has 1 predicted tags, but 2 references"),
        ([["O"]], [["O"], ["O"]], {}, "1 predictions but 2 references"),
        (["O"], ["O"], {}, "expected two lists of tags such as B-PER"),
        ([[0]], [[1]], {}, "expected two lists of tags such as B-PER"),
        ([[]], [[]], {}, "there is nothing to score"),
        ([["O"]], [["O"]], {"zero_division": 2}, "zero_division=2 must be 0, 1 or 'warn'"),
    ],
)
def test_what_cannot_be_scored(predictions, references, options, message):
    with pytest.raises(ValueError, match=message):
        load("seqeval").compute(predictions=predictions, references=references, **options)


def test_the_strict_mode_is_refused_by_name():
    with pytest.raises(TypeError, match="no option 'mode'"):
        load("seqeval").compute(predictions=PREDICTIONS, references=REFERENCES, mode="strict", scheme="IOB2")


def test_a_tag_of_no_scheme_is_said():
    with pytest.warns(UserWarning, match="PER seems not to be a tag of an entity"):
        entities(["PER"])

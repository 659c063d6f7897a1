"""The name map: which stored tensor fills which parameter."""

import pytest

from minift.model.files.names import match_names

WANTED = ["bert.embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.bias", "classifier.weight"]


@pytest.mark.parametrize("prefix", ["", "bert."])
@pytest.mark.parametrize("leaves", [("weight", "bias"), ("gamma", "beta")])
def test_spellings_of_one_encoder(prefix, leaves):
    stored = [f"{prefix}embeddings.LayerNorm.{leaf}" for leaf in leaves]
    report = match_names(stored, WANTED, "bert", {})
    assert report.stored_as == dict(zip(WANTED[:2], stored, strict=True))
    assert report.missing == ["classifier.weight"]
    assert report.unexpected == []


def test_an_encoder_takes_what_is_its_own():
    stored = ["bert.pooler.dense.bias", "cls.predictions.bias", "bert.embeddings.position_ids"]
    report = match_names(stored, ["pooler.dense.bias"], "bert", {})
    assert report.stored_as == {"pooler.dense.bias": "bert.pooler.dense.bias"}
    assert report.unexpected == ["cls.predictions.bias"]


def test_a_second_tensor_for_one_parameter_is_reported():
    stored = ["bert.embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.gamma"]
    report = match_names(stored, WANTED[:1], "bert", {})
    assert report.stored_as == {WANTED[0]: stored[0]}
    assert report.unexpected == [stored[1]]


@pytest.mark.parametrize("stored", [["a"], ["b"], ["a", "b"]])
def test_either_name_of_a_tied_pair_is_enough(stored):
    report = match_names(stored, ["a", "b"], "bert", {"b": "a"})
    assert report.stored_as["a"] == stored[0]
    assert report.missing == report.unexpected == []


def test_a_tied_pair_without_either_name_is_missing_once():
    assert match_names([], ["a", "b"], "bert", {"b": "a"}).missing == ["a"]


def test_the_report_names_everything():
    report = match_names(["x", "a"], ["a", "new", "copy"], "bert", {"copy": "a"})
    report.mismatched.append(("wrong", (2,), (3,)))
    report.where = "folder"
    text = str(report)
    for part in ("folder: 1 tensors loaded", "new", "x", "copy = a", "wrong (stored (2,), wanted (3,))"):
        assert part in text
    assert not report.complete

"""Outputs by attribute, by name and by position."""

import copy

import pytest
import torch

from minift.model.outputs import SequenceClassifierOutput

LOSS, LOGITS = torch.tensor(0.5), torch.zeros(2, 3)


def test_three_ways_to_read():
    out = SequenceClassifierOutput(logits=LOGITS, loss=LOSS)
    assert out.loss is out["loss"] is out[0] is LOSS
    assert out.logits is out["logits"] is out[1] is out[-1] is LOGITS
    assert out[:2] == out.to_tuple() == (LOSS, LOGITS)
    assert list(out) == list(out.keys()) == ["loss", "logits"]
    assert isinstance(out, dict)
    assert copy.copy(out).logits is LOGITS


def test_absent_fields():
    out = SequenceClassifierOutput(logits=LOGITS)
    assert out.loss is None
    assert "loss" not in out
    assert out[0] is LOGITS
    assert len(out) == 1
    out.loss = LOSS
    assert out[0] is LOSS  # in the order of the fields, not of the assignments
    with pytest.raises(KeyError):
        out["attentions"]


def test_unknown_fields():
    with pytest.raises(TypeError, match="no field logit"):
        SequenceClassifierOutput(logit=LOGITS)
    with pytest.raises(AttributeError, match="no field 'logit'; it has: loss, logits"):
        _ = SequenceClassifierOutput(logits=LOGITS).logit
    with pytest.raises(AttributeError, match="no field 'logit'"):
        SequenceClassifierOutput(logits=LOGITS).logit = 1

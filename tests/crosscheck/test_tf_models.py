"""What TensorFlow trained, read by transformers: the same logits and losses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import transformers

from tests.model import small
from tests.model.small import NAMES
from tests.tf.small import batch, build

SHORT = ("BertForSequenceClassification",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SHORT else pytest.mark.long) for name in NAMES]
)
def test_transformers_reads_what_tensorflow_trained(name, tmp_path):
    model, inputs = build(name, tmp_path / "before"), batch(name)
    before = model(inputs).logits
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    model.fit(tf.data.Dataset.from_tensors(inputs), epochs=2, verbose=0)
    model.save_pretrained(tmp_path / "after")
    theirs, info = getattr(transformers, name).from_pretrained(tmp_path / "after", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    with torch.no_grad():
        expected = theirs(**small.batch(name))
    ours = model(inputs)
    np.testing.assert_allclose(ours.logits, expected.logits, atol=1e-5, rtol=0)
    np.testing.assert_allclose(ours.loss, expected.loss, atol=1e-5, rtol=0)
    assert np.abs(ours.logits - before).max() > 0.1

"""Keras' compile, fit, evaluate and predict on the models: losses, metrics, forms of data, graphs, types, devices."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras.losses import SparseCategoricalCrossentropy

from minift.model.config import BertConfig, DistilBertConfig
from minift.tf.bert import TFBertModel
from minift.tf.heads import (
    TFBertForSequenceClassification,
    TFDistilBertForMaskedLM,
    TFDistilBertForSequenceClassification,
)
from minift.tf.pretrained import TFPreTrainedModel
from tests.model import small
from tests.model.small import NAMES, values
from tests.tf.small import CLASSES
from tests.tiny import tiny_rows

BERT, DISTILBERT, BERT_LM, DISTILBERT_LM = NAMES
SIZES = {"vocab_size": 50, "max_position_embeddings": 32, "initializer_range": 0.2}
CONFIG = DistilBertConfig(**SIZES, dim=32, n_layers=1, n_heads=4, hidden_dim=64)


def batches(count=24, size=8, labels="beside", language_model=False):
    """A dataset of padded batches of various lengths; the labels beside the inputs, or among them."""
    rows = tiny_rows(count)
    specs = {name: tf.TensorSpec((None, None), tf.int64) for name in ("input_ids", "attention_mask")}
    target = tf.TensorSpec((None, None) if language_model else (None,), tf.int64)

    def generate():
        for start in range(0, count, size):
            some = rows[start : start + size]
            width = max(len(row["input_ids"]) for row in some)
            x = {name: np.array([row[name] + [0] * (width - len(row[name])) for row in some]) for name in specs}
            y = np.array([row["label"] for row in some])
            if language_model:
                y = np.where((x["input_ids"] % 3 == 0) & (x["attention_mask"] == 1), x["input_ids"], -100)
            yield {**x, "labels": y} if labels == "among" else (x, {"labels": y} if labels == "named" else y)

    signature = {
        "beside": (specs, target),
        "named": (specs, {"labels": target}),
        "among": {**specs, "labels": target},
    }
    data = tf.data.Dataset.from_generator(generate, output_signature=signature[labels])
    return data.apply(tf.data.experimental.assert_cardinality(-(-count // size)))


def model_of(config=CONFIG, cls=TFDistilBertForSequenceClassification, **compiled) -> TFPreTrainedModel:
    keras.utils.set_random_seed(0)
    model = cls(config.changed())  # a copy: the head notes the problem type in it
    model.compile(**{"optimizer": keras.optimizers.Adam(1e-3)} | compiled)
    return model


@pytest.fixture
def traced(monkeypatch):
    """The number of times that a model was called to make a graph of it, as a list of one number."""
    count = [0]
    for cls in (TFBertForSequenceClassification, TFDistilBertForSequenceClassification):
        call = cls.call

        def counted(self, *args, call=call, **options):
            count[0] += not tf.executing_eagerly()
            return call(self, *args, **options)

        monkeypatch.setattr(cls, "call", counted)
    return count


@pytest.mark.parametrize("name", [BERT, DISTILBERT_LM])
def test_steps_equal_those_of_torch(name, tmp_path):
    """Three steps of plain gradient descent without dropout: the losses, and the weights at the end."""
    dropouts = [field for field in vars(small.CLASSES[name].config_class) if "dropout" in field]
    theirs = small.build(name, **{field: 0.0 for field in dropouts})
    theirs.save_pretrained(tmp_path)
    ours = CLASSES[name].from_pretrained(tmp_path)
    ours.compile(optimizer=keras.optimizers.SGD(0.05), run_eagerly=name == DISTILBERT_LM)
    inputs = small.batch(name)
    x = {key: value.numpy() for key, value in inputs.items()}
    losses = ours.fit(tf.data.Dataset.from_tensors(x), epochs=3, verbose=0).history["loss"]
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05)
    expected = []
    for _ in range(3):
        loss = theirs.train()(**inputs).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        expected.append(loss.item())
    np.testing.assert_allclose(losses, expected, atol=1e-5, rtol=0)
    assert expected[2] < expected[0] - 0.1
    for path, parameter in ours.named_parameters():
        np.testing.assert_allclose(parameter.numpy(), theirs.get_parameter(path).detach(), atol=1e-5, rtol=0)


def test_the_call_forms_of_the_course(traced):
    model = model_of(optimizer="adam", loss=SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    data = batches()
    history = model.fit(data, validation_data=data, epochs=3, verbose=0).history
    assert traced[0] == 3  # the shapes of what is computed, a training step, a validation step: whatever the lengths
    assert sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    preds = model.predict(data, verbose=0)["logits"]
    assert traced[0] <= 6  # predict gets tensors instead of a signature: a graph each until the shapes are seen to vary
    assert preds.shape == (24, 2)
    y = np.concatenate([labels for _, labels in data.as_numpy_iterator()])
    loss, accuracy = model.evaluate(data, verbose=0)
    logits = np.concatenate([model(x).logits for x, _ in data.as_numpy_iterator()])
    np.testing.assert_allclose(preds, logits, atol=1e-5)
    assert accuracy == pytest.approx(np.mean(preds.argmax(1) == y))
    log_p = preds - np.log(np.exp(preds).sum(1, keepdims=True))
    assert loss == pytest.approx(-log_p[np.arange(24), y].mean(), abs=1e-5)
    assert history["val_loss"][-1] == pytest.approx(loss, abs=1e-5)


def test_the_losses_of_the_model_and_of_keras_are_the_same():
    """The labels beside the inputs or among them, the loss named or not: one history, dropout and all."""
    options = {"metrics": ["accuracy"], "run_eagerly": True}
    theirs = model_of(loss=SparseCategoricalCrossentropy(from_logits=True), **options)
    expected = theirs.fit(batches(labels="named"), verbose=0).history
    for labels in ("beside", "among"):
        found = model_of(**options).fit(batches(labels=labels), verbose=0).history
        assert found["loss"] == pytest.approx(expected["loss"], abs=1e-6)
        assert found["accuracy"] == expected["accuracy"]
    assert "loss" not in model_of(**options).predict(batches(8, labels="among"), verbose=0)


def test_masked_language_modelling():
    model = model_of(cls=TFDistilBertForMaskedLM, run_eagerly=True)
    history = model.fit(batches(language_model=True, labels="among"), epochs=2, verbose=0).history["loss"]
    assert history[1] < history[0]


@pytest.mark.long
def test_xla():
    """Compiled, draws of dropout included, which are others there: here the rate drops nothing."""
    rates = {"dropout": 1e-9, "attention_dropout": 1e-9, "seq_classif_dropout": 1e-9}
    plain = model_of(CONFIG.changed(**rates), jit_compile="auto", run_eagerly=True)
    compiled = model_of(CONFIG.changed(**rates), jit_compile=True)
    assert (plain.jit_compile, compiled.jit_compile) == (False, True)
    plain, compiled = (model.fit(batches(8), epochs=2, verbose=0).history["loss"] for model in (plain, compiled))
    assert plain == pytest.approx(compiled, abs=1e-4)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", pytest.param("mixed_float16", marks=pytest.mark.long)])
def test_mixed_precision(policy):
    config = CONFIG.changed(dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
    exact = model_of(config, run_eagerly=True).fit(batches(8), verbose=0).history["loss"]
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = model_of(config)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert model.fit(batches(8), verbose=0).history["loss"] == pytest.approx(exact, abs=0.02)
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    out = model([[5, 6]], output_hidden_states=True)
    assert out.logits.dtype == tf.float32
    assert out.hidden_states[1].dtype == policy.removeprefix("mixed_")
    if policy == "mixed_float16":
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        (None, "among"),
        pytest.param(SparseCategoricalCrossentropy(from_logits=True), "beside", marks=pytest.mark.long),
    ],
)
def test_two_replicas_are_one(loss, labels, tmp_path):
    """Half of each batch on each of two devices: the losses and the weights of the whole batch on one."""
    devices = [device.name for device in tf.config.list_logical_devices("CPU")]
    config = CONFIG.changed(dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0)
    TFDistilBertForSequenceClassification(config).save_pretrained(tmp_path)
    found = []
    for some in (devices[:1], devices[:2]):
        with tf.distribute.MirroredStrategy(some).scope():
            model = TFDistilBertForSequenceClassification.from_pretrained(tmp_path, strict=True)
            model.compile(keras.optimizers.SGD(0.05), loss, metrics=["accuracy"], run_eagerly=len(some) == 1)
        losses = model.fit(batches(16, labels=labels), epochs=2, verbose=0).history["loss"]
        assert model.config.problem_type == (None if loss else "single_label_classification")
        model.save_pretrained(tmp_path / str(len(some)))
        found.append((losses, {name: p.numpy() for name, p in model.named_parameters()}))
    (one, weights), (two, others) = found
    np.testing.assert_allclose(one, two, atol=1e-5)
    for name in weights:
        np.testing.assert_allclose(weights[name], others[name], atol=1e-5)


def test_bad_rows_are_named_as_on_the_torch_path():
    data = {"input_ids": np.array([[1, 2], [3, 4]]), "labels": np.array([0, 1])}
    model = model_of()
    model.fit(data, verbose=0)
    with pytest.raises(ValueError, match=r"^row 1: label 2 is not one of the 2 classes \(0 to 1\) of the model$"):
        model.fit(data | {"labels": np.array([0, 2])}, verbose=0)
    with pytest.raises(ValueError, match=r"^input_ids\[1, 0\] is 50, outside \[0, 50\) \(vocab_size=50\)$"):
        model.evaluate(data | {"input_ids": np.array([[1, 2], [50, 4]])}, verbose=0)
    with pytest.raises(ValueError, match=r"the input has 33 tokens, but the model takes at most 32 "):
        model.predict({"input_ids": np.ones((2, 33), int)}, verbose=0)
    model.compile(optimizer="adam", loss=SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"^row 0: label -1 is not one of the 2 classes"):
        model.fit({"input_ids": data["input_ids"]}, np.array([-1, 1]), verbose=0)


def test_losses_that_there_are_not():
    encoder = model_of(BertConfig(**values(BERT)), TFBertModel, run_eagerly=True)
    x, y = np.array([[1, 2]]), np.array([1])
    with pytest.raises(ValueError, match=r"the batches have no labels"):
        model_of(run_eagerly=True).fit({"input_ids": x}, verbose=0)
    with pytest.raises(ValueError, match=r"sample_weight and class_weight need a loss in compile"):
        model_of(run_eagerly=True).fit({"input_ids": x}, y, sample_weight=np.ones(1), verbose=0)
    with pytest.raises(ValueError, match=r"TFBertModel has no logits"):
        encoder.fit({"input_ids": x}, y, verbose=0)
    model = model_of(loss=SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    assert np.isfinite(model.fit({"input_ids": x}, y, sample_weight=np.ones(1), verbose=0).history["loss"])

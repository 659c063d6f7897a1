"""The Keras heads on tokens, spans, choices and pairs of sentences against their torch twins, and how they train."""

import numpy as np
import pytest
import tensorflow as tf
import torch

import minift
from minift.batches.collate_tokens import DataCollatorForMultipleChoice, DataCollatorForTokenClassification
from minift.model.config import BertConfig, DistilBertConfig
from minift.tf import other_heads
from tests.model.small import VALUES, assert_same, fill

TOKENS, SPANS, CHOICES = "ForTokenClassification", "ForQuestionAnswering", "ForMultipleChoice"
NAMES = [kind + head for kind in ("Bert", "DistilBert") for head in (TOKENS, SPANS, CHOICES)]
NAMES += ["BertForNextSentencePrediction", "BertForPreTraining"]
DROPOUT_OF_BERT = ("hidden_dropout_prob", "attention_probs_dropout_prob")
FIELDS = ("loss", "logits", "start_logits", "end_logits", "prediction_logits", "seq_relationship_logits")


def torch_model(name):
    config_class = DistilBertConfig if name.startswith("Distil") else BertConfig
    model = getattr(minift, name)(config_class(**VALUES[config_class]))
    fill(model)
    return model.eval()


def build(name, folder, **overrides):
    torch_model(name).save_pretrained(folder)
    return getattr(minift, f"TF{name}").from_pretrained(folder, strict=True, **overrides)


def batch(name):
    """Three rows of 9, 5 and 2 tokens; of a model that chooses, of four texts each."""
    rng = np.random.default_rng(7)
    shape = (3, 4, 9) if CHOICES in name else (3, 9)
    ids, mask = rng.integers(1, 37, shape), np.ones(shape, dtype=np.int64)
    mask[1, ..., 5:] = mask[2, ..., 2:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if not name.startswith("Distil"):
        inputs["token_type_ids"] = rng.integers(0, 2, shape)
    if SPANS in name:
        return inputs | {"start_positions": np.array([2, -1, 9]), "end_positions": np.array([4, 1, 40])}
    if TOKENS in name:
        return inputs | {"labels": np.where((rng.random(shape) < 0.6) & (mask == 1), ids % 3, -100)}
    if name == "BertForPreTraining":
        words = np.where((rng.random(shape) < 0.4) & (mask == 1), ids, -100)
        return inputs | {"labels": words, "next_sentence_label": np.array([0, 1, 1])}
    return inputs | {"labels": np.array([3, 0, 1] if CHOICES in name else [1, 0, 1])}


def torch_results(name):
    model = torch_model(name)
    output = model(**{key: torch.from_numpy(value) for key, value in batch(name).items()}, output_hidden_states=True)
    output.loss.backward()
    found = {field: output[field].detach() for field in FIELDS if field in output}
    found |= {f"hidden.{i}": x.detach() for i, x in enumerate(output.hidden_states)}
    return found | {f"gradient.{key}": p.grad for key, p in model.named_parameters() if p.grad is not None}


def results(model, inputs):
    with tf.GradientTape() as tape:
        output = model(inputs, output_hidden_states=True)
    parameters = {key: p for key, p in model.named_parameters() if key not in model.tied}
    gradients = tape.gradient(output.loss, [p.variable.value for p in parameters.values()])
    found = {field: output[field] for field in FIELDS if field in output}
    found |= {f"hidden.{i}": x for i, x in enumerate(output.hidden_states)}
    for (key, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        if gradient is not None:
            found[f"gradient.{key}"] = tf.transpose(gradient) if parameter.transposed else gradient
    return {key: torch.from_numpy(np.array(x)) for key, x in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_logits_loss_and_gradients(name, tmp_path):
    assert_same(results(build(name, tmp_path), batch(name)), torch_results(name))


def ignored_tokens_counted(patch):
    right = other_heads.token_loss
    wrong = staticmethod(lambda logits, labels: right(logits, tf.maximum(labels, 0)))
    patch.setattr(other_heads.TFBertForTokenClassification, "own_loss", wrong)


def positions_not_cut(patch):
    right = other_heads.span_loss
    patch.setattr(other_heads, "span_loss", lambda scores, places: right(scores, tf.minimum(places, 8)))


def rows_for_choices(patch):
    """The texts of a row laid out the other way round."""
    right = other_heads.TFBertHead.each_text

    def wrong(self, values):
        return right(self, values if values is None else tf.transpose(values, (1, 0, 2)))

    patch.setattr(other_heads.TFBertHead, "each_text", wrong)


@pytest.mark.parametrize(
    ("mutation", "name"),
    [
        (ignored_tokens_counted, f"Bert{TOKENS}"),
        (positions_not_cut, f"DistilBert{SPANS}"),
        (rows_for_choices, f"Bert{CHOICES}"),
    ],
)
def test_mistakes_are_caught(mutation, name, tmp_path, monkeypatch):
    mutation(monkeypatch)
    with pytest.raises((AssertionError, ValueError)):
        assert_same(results(build(name, tmp_path), batch(name)), torch_results(name))


@pytest.mark.parametrize(("place", "name"), enumerate(NAMES))
def test_training(place, name, tmp_path):
    """Labels among the inputs or beside them: the loss falls, and what is saved is read back."""
    beside = place % 2 == 0
    dropout = ("dropout", "attention_dropout") if "Distil" in name else DROPOUT_OF_BERT
    model = build(name, tmp_path, **dict.fromkeys(dropout, 0.0))
    model.compile(optimizer=tf.keras.optimizers.Adam(1e-2))
    inputs = batch(name)
    labels = {key: inputs.pop(key) for key in list(inputs) if "label" in key or "positions" in key}
    rows = (inputs, labels if len(labels) > 1 else labels["labels"]) if beside else inputs | labels
    data = tf.data.Dataset.from_tensors(rows)
    losses = model.fit(data, epochs=6, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    assert model.evaluate(data, verbose=0) < losses[0]
    output = model.predict(data, verbose=0)
    assert "loss" not in output
    model.save_pretrained(tmp_path / "trained")
    again = getattr(minift, f"TF{name}").from_pretrained(tmp_path / "trained", strict=True)
    field = next(name for name in FIELDS[1:] if name in output)
    np.testing.assert_allclose(again(inputs)[field], output[field], atol=1e-5)
    whole = getattr(minift, name).from_pretrained(tmp_path / "trained", strict=True).eval()
    with torch.no_grad():
        ours = whole(**{key: torch.from_numpy(value) for key, value in inputs.items()})[field]
    np.testing.assert_allclose(ours, output[field], atol=1e-5)


def test_auto_classes(tmp_path):
    for name in NAMES:
        build(name, tmp_path / name)
        head = name.removeprefix("Distil").removeprefix("Bert")
        model = getattr(minift, f"TFAutoModel{head}").from_pretrained(tmp_path / name)
        assert type(model).__name__ == f"TF{name}"
    assert type(
        minift.TFAutoModelForPreTraining.from_config(DistilBertConfig(**VALUES[DistilBertConfig]))
    ).__name__ == ("TFDistilBertForMaskedLM")


class Pads:
    """A tokenizer that pads with 0."""

    padding_side = "right"

    def pad(self, columns, return_tensors=None, **options):
        longest = max(len(row) for row in columns["input_ids"])
        return {name: np.array([[*row, *[0] * (longest - len(row))] for row in rows]) for name, rows in columns.items()}


def test_batches_of_the_collators(tmp_path):
    """Rows of several lengths through to_tf_dataset, as the course does it."""
    from minift.data.dataset import Dataset

    rows = [{"input_ids": [5] * n, "attention_mask": [1] * n, "labels": [1, -100, 2, 0, 1][:n]} for n in (2, 5, 3, 4)]
    collate = DataCollatorForTokenClassification(Pads(), return_tensors="tf")
    names = ["input_ids", "attention_mask", "labels"]
    data = Dataset.from_list(rows).to_tf_dataset(columns=names, batch_size=2, shuffle=False, collate_fn=collate)
    model = build(f"Bert{TOKENS}", tmp_path)
    model.compile(optimizer="adam")
    assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()
    texts = [[[5] * n, [6] * (n + 1)] for n in (2, 4)]
    features = [{"input_ids": row, "attention_mask": [[1] * len(text) for text in row], "label": 1} for row in texts]
    made = DataCollatorForMultipleChoice(Pads(), return_tensors="tf")(features)
    chooser = build(f"Bert{CHOICES}", tmp_path / "choices")
    chooser.compile(optimizer="adam")
    assert np.isfinite(chooser.fit(tf.data.Dataset.from_tensors(dict(made)), verbose=0).history["loss"]).all()


def test_bad_input(tmp_path):
    model = build(f"Bert{SPANS}", tmp_path)
    with pytest.raises(ValueError, match="TFBertForQuestionAnswering trains on its own loss: name no loss"):
        model.compile(optimizer="adam", loss="mse")
    model.compile(optimizer="adam")
    inputs = batch(f"Bert{SPANS}")
    del inputs["end_positions"]
    with pytest.raises(ValueError, match="the batches have no start_positions"):
        model.fit(tf.data.Dataset.from_tensors(inputs), verbose=0)
    tagger = build(f"Bert{TOKENS}", tmp_path / "tags")
    with pytest.raises(ValueError, match="row 0"):
        tagger(batch(f"Bert{TOKENS}") | {"labels": np.full((3, 9), 7)})
    with pytest.raises(ValueError, match="labels have shape"):
        tagger(batch(f"Bert{TOKENS}") | {"labels": np.zeros((3, 4), dtype=np.int64)})

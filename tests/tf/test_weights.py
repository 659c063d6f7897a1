"""Checkpoint files on the TensorFlow path: what the torch path writes, what it reads, and damaged ones."""

import json
import subprocess
import sys

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import torch
from safetensors.numpy import load_file, save_file

from minift.model.auto import AutoModelForSequenceClassification
from minift.model.config import BertConfig
from minift.model.files.names import TIED
from minift.tf.auto import TFAutoModel, TFAutoModelForSequenceClassification
from minift.tf.variables import map_file
from tests.model import small
from tests.model.small import NAMES, values
from tests.tf.small import CLASSES, batch, build

BERT, DISTILBERT, BERT_LM, DISTILBERT_LM = NAMES


def rewrite(folder, change):
    """Apply `change` to the dictionary of tensors in a saved model."""
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize("name", NAMES)
def test_the_file_comes_back_as_it_was(name, tmp_path):
    model = build(name, tmp_path / "torch")
    model.save_pretrained(tmp_path / "tf")
    before, after = (load_file(tmp_path / path / "model.safetensors") for path in ("torch", "tf"))
    assert before.keys() == after.keys()
    for tensor in before:
        np.testing.assert_array_equal(after[tensor], before[tensor])
    configs = [json.loads((tmp_path / path / "config.json").read_text()) for path in ("torch", "tf")]
    assert configs[0] == configs[1]
    assert configs[1]["architectures"] == [name]
    assert sorted(file.name for file in (tmp_path / "tf").iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("name", NAMES)
def test_torch_reads_what_tensorflow_changed(name, tmp_path):
    model, inputs = build(name, tmp_path / "before"), batch(name)
    with tf.GradientTape() as tape:
        loss = model(inputs).loss
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [v.value for v in model.trainable_variables]), strict=True
    ):
        if gradient is not None:
            variable.assign_sub(0.05 * gradient)
    model.save_pretrained(tmp_path / "after")
    loaded = small.CLASSES[name].from_pretrained(tmp_path / "after", strict=True)
    with torch.no_grad():
        theirs = loaded(**small.batch(name))
    ours = model(inputs)
    assert float(ours.loss) < float(loss) - 0.01
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [BERT_LM, DISTILBERT_LM])
def test_tied_parameters_are_one_variable_and_stored_once(name, tmp_path):
    model = build(name, tmp_path)
    parameters = dict(model.named_parameters())
    for copy, source in TIED[model.config.model_type].items():
        assert parameters[copy].variable is parameters[source].variable
    assert model.loading_report.tied == model.tied == TIED[model.config.model_type]
    copy, source = next(iter(model.tied.items()))
    rewrite(tmp_path, lambda tensors: tensors.update({copy: tensors.pop(source)}))  # only the copy is left
    again = CLASSES[name].from_pretrained(tmp_path, strict=True)
    np.testing.assert_array_equal(again(batch(name)).logits, model(batch(name)).logits)
    rewrite(tmp_path, lambda tensors: tensors.update({source: tensors[copy] + 1}))
    with pytest.raises(ValueError, match=r"decoder\.weight and|vocab_projector\.weight and"):
        CLASSES[name].from_pretrained(tmp_path)


@pytest.mark.parametrize("name", [BERT_LM, DISTILBERT_LM])
def test_untied_when_the_configuration_says_so(name, tmp_path):
    theirs = small.build(name, tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path / "torch")
    model = CLASSES[name].from_pretrained(tmp_path / "torch", strict=True)
    with torch.no_grad():
        np.testing.assert_allclose(model(batch(name)).logits, theirs(**small.batch(name)).logits, atol=1e-5)
    model.save_pretrained(tmp_path / "tf")
    assert load_file(tmp_path / "tf" / "model.safetensors").keys() == dict(theirs.named_parameters()).keys()


def test_names_of_the_original_checkpoint(tmp_path):
    """bert-base-uncased: gamma and beta, a pooler, a next-sentence head, position_ids, no decoder."""
    model = build(BERT_LM, tmp_path)

    def age(tensors):
        for name in list(tensors):
            if "LayerNorm" in name:
                tensors[name.replace("weight", "gamma").replace("bias", "beta")] = tensors.pop(name)
        tensors["bert.embeddings.position_ids"] = np.arange(16)[None]
        tensors["cls.seq_relationship.weight"] = np.zeros((2, 32), "f")

    rewrite(tmp_path, age)
    loaded = CLASSES[BERT_LM].from_pretrained(tmp_path)
    np.testing.assert_array_equal(loaded(batch(BERT_LM)).logits, model(batch(BERT_LM)).logits)
    assert loaded.loading_report.unexpected == ["cls.seq_relationship.weight"]
    assert loaded.loading_report.missing == []


def test_a_new_head_is_drawn_and_reported(tmp_path, caplog):
    build(DISTILBERT, tmp_path / "whole")
    TFAutoModel.from_pretrained(tmp_path / "whole").save_pretrained(tmp_path / "encoder")  # names without a prefix

    def load(**options):
        keras.utils.set_random_seed(3)
        return TFAutoModelForSequenceClassification.from_pretrained(tmp_path / "encoder", **options)

    model, info = load(id2label={i: str(i) for i in range(50)}, output_loading_info=True)
    drawn = dict(model.named_parameters())["classifier.weight"].numpy()
    assert drawn.shape == (50, 32)
    assert 0.19 < drawn.std() < 0.21
    assert not model.classifier.bias.numpy().any()
    assert not np.array_equal(drawn[:32], dict(model.named_parameters())["pre_classifier.weight"].numpy())
    np.testing.assert_array_equal(dict(load(num_labels=50).named_parameters())["classifier.weight"].numpy(), drawn)
    assert "classifier.weight" in info["missing_keys"]
    assert "newly initialised" in caplog.text
    assert model.config.label2id["7"] == 7
    with pytest.raises(ValueError, match=r"strict=True[\s\S]*classifier\.weight"):
        load(strict=True)


def test_a_new_model_is_drawn(tmp_path):
    model = TFAutoModelForSequenceClassification.from_config(BertConfig(**values(BERT)))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.numpy().any(), name
        elif "LayerNorm" in name:
            assert (parameter.numpy() == 1).all(), name
        else:
            assert 0.1 < parameter.numpy().std() < 0.3, name
    assert not model.bert.embeddings.word_embeddings.weight.numpy()[0].any()
    model.save_pretrained(tmp_path)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path, strict=True)
    with torch.no_grad():
        np.testing.assert_allclose(model(batch(BERT)).logits, theirs(**small.batch(BERT)).logits, atol=1e-5)


def test_shards(tmp_path):
    model = build(BERT, tmp_path)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert not (tmp_path / "model.safetensors").exists()
    loaded = CLASSES[BERT].from_pretrained(tmp_path, strict=True)
    np.testing.assert_array_equal(loaded(batch(BERT)).logits, model(batch(BERT)).logits)


@pytest.mark.parametrize(
    ("asked", "stored", "computed"),
    [
        (None, "float32", "float32"),
        ("auto", "bfloat16", "bfloat16"),
        (tf.float16, "float16", "float16"),
        ("mixed_bfloat16", "float32", "bfloat16"),
    ],
)
def test_dtype(asked, stored, computed, tmp_path):
    small.build(BERT).bfloat16().save_pretrained(tmp_path)
    model = CLASSES[BERT].from_pretrained(tmp_path, dtype=asked)
    assert {v.dtype for v in model.trainable_variables} == {stored}
    assert model.config.dtype == stored
    assert model.bert(batch(BERT)["input_ids"]).last_hidden_state.dtype == computed
    assert keras.config.dtype_policy().name == "float32"
    mapped = map_file(tmp_path / "model.safetensors")["classifier.weight"]
    assert mapped.dtype == ml_dtypes.bfloat16
    kernel = dict(model.named_parameters())["classifier.weight"].numpy()
    np.testing.assert_array_equal(kernel.astype("f"), mapped.astype("f"))
    model.save_pretrained(tmp_path / "again")
    assert str(map_file(tmp_path / "again" / "model.safetensors")["classifier.weight"].dtype) == stored


def test_training_leaves_the_mapped_file_alone(tmp_path):
    model = build(BERT, tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    for variable in model.trainable_variables:
        variable.assign_add(variable)
    assert (tmp_path / "model.safetensors").read_bytes() == before
    model.save_pretrained(tmp_path)  # over the file that is mapped
    again = CLASSES[BERT].from_pretrained(tmp_path)
    np.testing.assert_array_equal(again(batch(BERT)).logits, model(batch(BERT)).logits)


def test_wrong_shape_and_dtype(tmp_path):
    build(BERT, tmp_path)
    load = TFAutoModelForSequenceClassification.from_pretrained
    with pytest.raises(ValueError) as theirs:  # noqa: PT011 - the text is what is compared
        AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=7)
    with pytest.raises(
        ValueError, match=r"tensor classifier\.weight has shape \(3, 32\), but .* has \(7, 32\)"
    ) as ours:
        load(tmp_path, num_labels=7)
    assert str(ours.value) == str(theirs.value)
    model = load(tmp_path, num_labels=7, ignore_mismatched_sizes=True)
    assert ("classifier.weight", (3, 32), (7, 32)) in model.loading_report.mismatched
    assert model.classifier.weight.numpy().std() > 0.1
    rewrite(tmp_path, lambda tensors: tensors.update({"classifier.bias": np.zeros(3, np.int64)}))
    with pytest.raises(ValueError, match=r"model\.safetensors: tensor classifier\.bias has dtype int64"):
        load(tmp_path)


def test_a_type_that_numpy_has_not(tmp_path):
    build(BERT, tmp_path)
    file = tmp_path / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"dtype":"F32","shape":[3]', b'"dtype":"F8_E4M3","shape":[12]', 1))
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        CLASSES[BERT].from_pretrained(tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_truncated_file(kept, tmp_path):
    build(BERT, tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        CLASSES[BERT].from_pretrained(tmp_path)


def test_arguments_that_are_refused(tmp_path):
    model = build(BERT, tmp_path)
    load = TFAutoModelForSequenceClassification.from_pretrained
    with pytest.raises(ValueError, match="safe_serialization"):
        model.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(ValueError, match="is a file"):
        model.save_pretrained(tmp_path / "config.json")
    with pytest.raises(TypeError, match="from_pt"):
        load(tmp_path, from_pt=True)
    with pytest.raises(ValueError, match="dtype='int64'"):
        load(tmp_path, dtype="int64")
    with pytest.raises(ValueError, match="'bert' model, not a 'distilbert' one"):
        CLASSES[DISTILBERT].from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"neither model\.safetensors nor"):
        load(tmp_path)


WITHOUT_TORCH = """
import sys
import numpy as np
from minift.tf.auto import TFAutoModelForSequenceClassification

model = TFAutoModelForSequenceClassification.from_pretrained(sys.argv[1])
model.compile(optimizer="adam")
inputs = {"input_ids": np.array([[1, 2], [3, 4]]), "labels": np.array([0, 1])}
model.fit(inputs, verbose=0)
assert model.predict(inputs, verbose=0)["logits"].shape == (2, 3)
model.save_pretrained(sys.argv[1])
assert "torch" not in sys.modules
"""


@pytest.mark.long
def test_torch_is_never_imported(tmp_path):
    small.build(DISTILBERT, n_layers=1).save_pretrained(tmp_path)
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]

"""Checkpoints exchanged with transformers, in both directions."""

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import minift.model.auto as ours_auto
from minift.model.auto import AutoModelForSequenceClassification
from minift.model.config import AutoConfig
from tests.hub import MINILM, needs_hub
from tests.model.small import CLASSES, NAMES, batch, build, fill, values

AUTO = ["AutoModel", "AutoModelForSequenceClassification", "AutoModelForMaskedLM"]


def build_theirs(name):
    config_class = getattr(transformers, CLASSES[name].config_class.__name__)
    model = getattr(transformers, name)(config_class(**values(name))).eval()
    fill(model)
    return model


def first(model, name):
    """The first output: logits, or the hidden states of an encoder."""
    inputs = batch(name)
    del inputs["labels"]
    with torch.no_grad():
        return model(**inputs)[0]


def assert_close(ours, theirs, name):
    torch.testing.assert_close(first(ours, name), first(theirs, name), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shard", ["1GB", "20KB"])
@pytest.mark.parametrize("name", NAMES)
def test_ours_loads_there(name, shard, tmp_path):
    model = build(name)
    model.save_pretrained(tmp_path, max_shard_size=shard)
    theirs, info = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values())
    assert_close(model, theirs, name)
    assert theirs.config.architectures == [name]
    encoder = transformers.AutoModel.from_pretrained(tmp_path)
    ours = ours_auto.AutoModel.from_pretrained(tmp_path)
    if name.endswith("MaskedLM"):
        assert_close(ours, encoder, name)  # a BERT pooler is new on both sides; the hidden states are not
    else:
        torch.testing.assert_close(first(ours, name), first(encoder, name), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shard", ["1GB", "20KB"])
@pytest.mark.parametrize("name", NAMES)
def test_theirs_loads_here(name, shard, tmp_path):
    theirs = build_theirs(name)
    theirs.save_pretrained(tmp_path, max_shard_size=shard)
    ours = CLASSES[name].from_pretrained(tmp_path, strict=True)
    assert_close(ours, theirs, name)


@pytest.mark.parametrize("name", NAMES)
def test_theirs_with_the_names_of_old_checkpoints(name, tmp_path):
    theirs = build_theirs(name)
    theirs.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    rename = {".weight": ".gamma", ".bias": ".beta"}
    tensors = {}
    for key, tensor in load_file(file).items():
        stem, leaf = key.rsplit(".", 1)
        tensors[stem + rename[f".{leaf}"] if stem.endswith("LayerNorm") else key] = tensor.clone()
    save_file(tensors, file, metadata={"format": "pt"})
    assert_close(CLASSES[name].from_pretrained(tmp_path, strict=True), theirs, name)
    assert_close(CLASSES[name].from_pretrained(tmp_path), getattr(transformers, name).from_pretrained(tmp_path), name)


@pytest.mark.parametrize("auto", AUTO)
@pytest.mark.parametrize("name", NAMES)
def test_new_parameters_are_drawn_alike(name, auto, tmp_path):
    build_theirs(name).base_model.save_pretrained(tmp_path)  # the encoder alone, its names without prefix
    torch.manual_seed(11)
    theirs = getattr(transformers, auto).from_pretrained(tmp_path).state_dict()
    torch.manual_seed(11)
    ours = getattr(ours_auto, auto).from_pretrained(tmp_path).state_dict()
    assert list(ours) == list(theirs)
    for key, tensor in theirs.items():
        assert torch.equal(ours[key], tensor), key


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("asked", [None, "auto", "float32", torch.bfloat16])
def test_dtype_is_chosen_alike(stored, named, asked, tmp_path):
    name = NAMES[0]
    build_theirs(name).to(stored).save_pretrained(tmp_path)
    if not named:
        config = (tmp_path / "config.json").read_text()
        short = str(stored).removeprefix("torch.")
        (tmp_path / "config.json").write_text(config.replace(f'"dtype": "{short}",', ""))
    options = {} if asked is None else {"dtype": asked}
    theirs = getattr(transformers, name).from_pretrained(tmp_path, **options)
    ours = CLASSES[name].from_pretrained(tmp_path, **options)
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours.classifier.weight, theirs.classifier.weight)


@pytest.mark.parametrize("name", NAMES[:2])
def test_configurations_are_exchanged(name, tmp_path):
    config_class = CLASSES[name].config_class
    labels = {"id2label": {0: "no", 1: "maybe", 2: "yes"}, "problem_type": "single_label_classification"}
    ours = config_class(**{key: x for key, x in values(name).items() if key != "num_labels"}, **labels)
    ours.save_pretrained(tmp_path / "ours")
    theirs = transformers.AutoConfig.from_pretrained(tmp_path / "ours")
    assert type(theirs).__name__ == config_class.__name__
    theirs.save_pretrained(tmp_path / "theirs")
    back = AutoConfig.from_pretrained(tmp_path / "theirs")
    for key, value in ours.to_dict().items():
        assert back.to_dict()[key] == value, key
        if hasattr(theirs, key):
            assert getattr(theirs, key) == value, key
    assert back.num_labels == theirs.num_labels == 3
    assert back.hidden_size == theirs.hidden_size == 32


@needs_hub
def test_real_encoder_under_a_new_head():
    torch.manual_seed(0)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(MINILM, num_labels=2).eval()
    torch.manual_seed(0)
    ours = AutoModelForSequenceClassification.from_pretrained(MINILM, num_labels=2)
    inputs = {"input_ids": torch.tensor([[101, 2023, 2003, 1037, 7099, 102], [101, 2748, 102, 0, 0, 0]])}
    inputs["attention_mask"] = (inputs["input_ids"] > 0).long()
    with torch.no_grad():
        assert torch.equal(ours(**inputs).logits, theirs(**inputs).logits)
    assert ours.loading_report.missing == ["classifier.weight", "classifier.bias"]
    assert ours.loading_report.unexpected == []

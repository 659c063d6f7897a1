"""Configurations: read, checked, changed, written."""

import copy
import json
import pickle
import subprocess
import sys

import pytest
import transformers

from minift.model.config import AutoConfig, BertConfig, DistilBertConfig, PretrainedConfig
from tests.hub import BERT_BASE, DISTILBERT_BASE, MINILM, needs_hub


def test_the_defaults_are_the_base_models():
    assert (BertConfig().hidden_size, BertConfig().num_hidden_layers, BertConfig().vocab_size) == (768, 12, 30522)
    assert (DistilBertConfig().dim, DistilBertConfig().n_layers) == (768, 6)
    assert BertConfig().num_labels == 2
    assert BertConfig().id2label == {0: "LABEL_0", 1: "LABEL_1"}


def test_aliases_of_distilbert():
    config = DistilBertConfig(hidden_size=64, num_attention_heads=4)
    assert (config.dim, config.n_heads, config.num_hidden_layers) == (64, 4, 6)
    config.num_hidden_layers = 3
    assert config.n_layers == 3
    assert "num_hidden_layers" not in config.to_dict()


def test_labels_stay_in_step():
    config = BertConfig(id2label={"0": "no", "1": "yes", "2": "maybe"})
    assert config.num_labels == 3
    assert config.label2id == {"no": 0, "yes": 1, "maybe": 2}
    config.label2id = {"a": 0, "b": 1}
    assert config.id2label == {0: "a", 1: "b"}
    config.num_labels = 2
    assert config.id2label == {0: "a", 1: "b"}
    config.num_labels = 4
    assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2, "LABEL_3": 3}


@pytest.mark.parametrize("config_class", [BertConfig, DistilBertConfig])
def test_written_and_read(config_class, tmp_path):
    config = config_class(num_labels=3, problem_type="regression", initializer_range=0.5)
    config.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["model_type"] == config_class.model_type
    assert content["id2label"] == {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}
    read = AutoConfig.from_pretrained(tmp_path)
    assert type(read) is config_class
    assert read.to_dict() == config.to_dict()
    assert config_class.from_pretrained(tmp_path, num_labels=5).num_labels == 5
    assert copy.deepcopy(read) == read == pickle.loads(pickle.dumps(read))


def test_unknown_keys_are_kept(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert", "use_cache": true, "custom": {"a": [1]}}')
    config = AutoConfig.from_pretrained(tmp_path)
    assert config.custom == {"a": [1]}
    config.save_pretrained(tmp_path / "again")
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    assert written["custom"] == {"a": [1]}
    assert written["use_cache"] is True


def test_labels_given_replace_those_of_the_file(tmp_path):
    BertConfig(id2label={0: "no", 1: "yes"}).save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path, num_labels=2).id2label == {0: "no", 1: "yes"}
    assert AutoConfig.from_pretrained(tmp_path, num_labels=3).id2label[0] == "LABEL_0"
    assert AutoConfig.from_pretrained(tmp_path, id2label={0: "a", 1: "b", 2: "c"}).label2id == {"a": 0, "b": 1, "c": 2}
    assert AutoConfig.from_pretrained(tmp_path, label2id={"a": 0}).id2label == {0: "a"}


def test_old_name_of_dtype():
    assert BertConfig.from_dict({"torch_dtype": "float16"}).dtype == "float16"


def test_changed_copies():
    config = BertConfig(attn_implementation="eager", num_labels=3)
    assert config.changed(hidden_size=24).to_dict() == config.to_dict() | {"hidden_size": 24}
    assert config.changed().attn_implementation == "eager"
    assert config.hidden_size == 768


def test_printed_as_its_file():
    text = repr(BertConfig(num_labels=3))
    assert text.startswith("BertConfig {\n")
    assert json.loads(text.removeprefix("BertConfig "))["label2id"]["LABEL_2"] == 2
    assert "label2id" not in repr(BertConfig())
    assert "attn_implementation" not in text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hidden_size": 30}, "hidden_size=30 is not divisible by num_attention_heads=12"),
        ({"num_labels": 0}, "num_labels must be a positive integer, not 0"),
        ({"num_labels": 2, "id2label": {0: "a"}}, "num_labels=2, but id2label names 1"),
        ({"id2label": {0: "a"}, "label2id": {"b": 0}}, "id2label and label2id disagree"),
        ({"id2label": {1: "a", 2: "b"}}, "id2label must name the classes 0 to 1"),
        ({"vocab_size": -1}, "vocab_size must be a positive integer, not -1"),
        ({"num_hidden_layers": 2.0}, "num_hidden_layers must be a positive integer"),
        ({"hidden_dropout_prob": 1.5}, r"hidden_dropout_prob must be a probability in \[0, 1\)"),
        ({"hidden_dropout_prob": "0.1"}, r"hidden_dropout_prob must be a probability in \[0, 1\), not '0.1'"),
        ({"hidden_dropout_prob": None}, r"hidden_dropout_prob must be a probability in \[0, 1\), not None"),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps must be at least 0, not '1e-12'"),
        ({"initializer_range": None}, "initializer_range must be at least 0, not None"),
        ({"id2label": ["a", "b"]}, r"id2label must be a dict between class numbers and names, not \['a', 'b'\]"),
        ({"label2id": {"a": "b"}}, "label2id must be a dict between class numbers and names"),
        ({"problem_type": "ranking"}, "problem_type must be one of None, regression, .*, not 'ranking'"),
        ({"problem_type": "single_label_classification", "num_labels": 1}, "needs num_labels of at least 2"),
        ({"hidden_act": "swish9"}, "hidden_act must be one of gelu, .*, not 'swish9'"),
        ({"attn_implementation": "flash"}, "attn_implementation must be one of sdpa, eager, not 'flash'"),
        ({"pad_token_id": 40000}, "pad_token_id=40000 is outside the vocabulary"),
    ],
)
def test_impossible_values(values, message):
    with pytest.raises(ValueError, match=message):
        BertConfig(**values)


@pytest.mark.parametrize("config_class", [BertConfig, DistilBertConfig])
def test_fields_of_the_users_own_are_kept_saved_and_loaded(config_class, tmp_path, caplog):
    config = config_class(my_field=5, hidden_sise=3)
    assert "keeps hidden_sise, which changes nothing: is it hidden_size?" in caplog.text
    config.another = {"a": [1]}
    config.update({"my_field": 6})
    config.save_pretrained(tmp_path)
    theirs = getattr(transformers, config_class.__name__).from_pretrained(tmp_path)
    for read in (config_class.from_pretrained(tmp_path), copy.deepcopy(config), theirs):
        assert (read.my_field, read.another, read.hidden_sise) == (6, {"a": [1]}, 3)
    assert config_class.from_pretrained(tmp_path, my_field=7).my_field == 7
    assert (config.is_decoder, config.use_cache, config.chunk_size_feed_forward) == (False, True, 0)
    with pytest.raises(AttributeError, match="hidden_sice"):
        _ = config.hidden_sice
    with pytest.raises(TypeError, match="has no field hidden_sice"):
        config_class.from_pretrained(tmp_path, hidden_sice=7)
    with pytest.raises(ValueError, match="is_decoder=True is not supported"):
        config_class(is_decoder=True)


def test_a_config_of_the_users_own(tmp_path):
    class Own(PretrainedConfig):
        model_type = "own"

        def __init__(self, width=3, **others):
            self.width = width
            super().__init__(**others)

    Own(width=5, num_labels=3).save_pretrained(tmp_path)
    read = Own.from_pretrained(tmp_path)
    assert (read.width, read.num_labels) == (5, 3)
    assert PretrainedConfig(num_labels=3).label2id == transformers.PretrainedConfig(num_labels=3).label2id


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model_type": "gpt2"}, r"unknown model_type 'gpt2'; minift has bert, distilbert"),
        ({}, "unknown model_type None"),
        ({"model_type": "bert", "is_decoder": True}, "is_decoder=True is not supported"),
        ({"model_type": "bert", "position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
    ],
)
def test_files_that_describe_another_model(content, message, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        AutoConfig.from_pretrained(tmp_path)


def test_damaged_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config\.json"):
        AutoConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "be')
    with pytest.raises(ValueError, match=r"config\.json is not valid JSON"):
        AutoConfig.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"config\.json must hold a JSON object"):
        AutoConfig.from_pretrained(tmp_path)


@needs_hub
@pytest.mark.parametrize("folder", [BERT_BASE, DISTILBERT_BASE, MINILM])
def test_real_files(folder):
    content = json.loads((folder / "config.json").read_text())
    config = AutoConfig.from_pretrained(folder)
    for key, value in content.items():
        if not key.startswith("_"):
            assert getattr(config, key) == value


def test_torch_is_not_needed():
    code = "import sys, minift.model.config, minift.model.files.names; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_former_and_neutral_names():
    assert BertConfig(torch_dtype="float32").dtype == BertConfig(dtype="float32").torch_dtype == "float32"
    config = BertConfig()
    assert config.get_text_config() is config

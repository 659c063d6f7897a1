"""Checkpoint files in the forms that are found in the wild, and damaged ones."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from minift.files import parse_size
from minift.model.auto import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification
from minift.model.bert import BertModel
from minift.model.config import BertConfig, DistilBertConfig
from minift.model.files.names import TIED
from tests.model.small import CLASSES, NAMES, batch, build

BERT, DISTILBERT, BERT_LM, DISTILBERT_LM = NAMES


def logits(model, name):
    inputs = batch(name)
    del inputs["labels"]
    with torch.no_grad():
        return model(**inputs).logits


def rewrite(folder, change):
    """Apply `change` to the dictionary of tensors in a saved model."""
    file = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.fixture
def saved(tmp_path):
    """A function that saves a small model and returns it with its folder."""

    def save(name, **options):
        model = build(name)
        model.save_pretrained(tmp_path / name, **options)
        return model, tmp_path / name

    return save


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load(name, saved):
    model, folder = saved(name)
    loaded = CLASSES[name].from_pretrained(folder, strict=True)
    assert torch.equal(logits(loaded, name), logits(model, name))
    assert not loaded.training
    assert loaded.config.architectures == [name]
    assert loaded.loading_report.complete
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("name", [BERT_LM, DISTILBERT_LM])
def test_tied_parameters_are_one_object_and_stored_once(name, saved):
    _, folder = saved(name)
    loaded = CLASSES[name].from_pretrained(folder)
    stored = load_file(folder / "model.safetensors")
    pairs = TIED[loaded.config.model_type]
    for copy, source in pairs.items():
        assert loaded.get_parameter(copy) is loaded.get_parameter(source)
        assert copy not in stored
        assert source in stored
    assert loaded.loading_report.tied == pairs


def test_stored_copy_of_a_tied_parameter(saved):
    model, folder = saved(DISTILBERT_LM)
    copy, source = next(iter(TIED["distilbert"].items()))
    rewrite(folder, lambda tensors: tensors.update({copy: tensors[source].clone()}))
    loaded = CLASSES[DISTILBERT_LM].from_pretrained(folder, strict=True)
    assert loaded.get_parameter(copy) is loaded.get_parameter(source)
    rewrite(folder, lambda tensors: tensors.pop(source))  # only the copy is left
    loaded = CLASSES[DISTILBERT_LM].from_pretrained(folder, strict=True)
    assert torch.equal(logits(loaded, DISTILBERT_LM), logits(model, DISTILBERT_LM))
    rewrite(folder, lambda tensors: tensors.update({source: tensors[copy] + 1}))
    with pytest.raises(ValueError, match=r"vocab_projector\.weight and .*word_embeddings\.weight differ"):
        CLASSES[DISTILBERT_LM].from_pretrained(folder)


def test_untied_when_the_configuration_says_so(saved):
    _, folder = saved(DISTILBERT_LM)
    rewrite(folder, lambda tensors: tensors.update({"vocab_projector.weight": torch.ones(37, 32)}))
    loaded = CLASSES[DISTILBERT_LM].from_pretrained(folder, strict=True, tie_word_embeddings=False)
    assert loaded.vocab_projector.weight is not loaded.get_input_embeddings().weight
    assert (loaded.vocab_projector.weight == 1).all()


def test_names_of_the_original_checkpoint(saved):
    """bert-base-uncased: gamma and beta, a pooler, a next-sentence head, position_ids, no decoder."""
    model, folder = saved(BERT_LM)

    def age(tensors):
        for name in list(tensors):
            if "LayerNorm" in name:
                tensors[name.replace("weight", "gamma").replace("bias", "beta")] = tensors.pop(name)
        tensors["bert.embeddings.position_ids"] = torch.arange(16)[None]
        tensors["cls.seq_relationship.weight"] = torch.zeros(2, 32)

    rewrite(folder, age)
    loaded = CLASSES[BERT_LM].from_pretrained(folder)
    assert torch.equal(logits(loaded, BERT_LM), logits(model, BERT_LM))
    assert loaded.loading_report.unexpected == ["cls.seq_relationship.weight"]
    assert loaded.loading_report.missing == []


@pytest.mark.parametrize("name", NAMES)
def test_encoder_with_and_without_its_prefix(name, saved, tmp_path):
    model, folder = saved(name)
    encoder = AutoModel.from_pretrained(folder)
    assert torch.equal(encoder.embeddings.word_embeddings.weight, model.get_input_embeddings().weight)
    heads = {n.split(".")[0] for n in model.state_dict()} - {model.config.model_type}
    assert {n.split(".")[0] for n in encoder.loading_report.unexpected} == heads
    encoder.save_pretrained(tmp_path / "encoder")  # the names have no prefix now
    head = CLASSES[name].from_pretrained(tmp_path / "encoder")
    assert {n.split(".")[0] for n in head.loading_report.missing} == heads
    for path, parameter in head.base_model.named_parameters():
        assert torch.equal(parameter, encoder.get_parameter(path))


def test_only_new_parameters_draw(saved, tmp_path):
    _, folder = saved(DISTILBERT)
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path / "encoder")
    torch.manual_seed(3)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "encoder", num_labels=5)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(loaded.pre_classifier.weight, torch.empty(32, 32).normal_(0.0, 0.2))
    assert torch.equal(loaded.classifier.weight, torch.empty(5, 32).normal_(0.0, 0.2))
    assert torch.equal(torch.rand(1), after)
    assert not loaded.classifier.bias.any()


def test_report_is_printed_and_strict_raises(saved, tmp_path, caplog):
    _, folder = saved(BERT_LM)
    model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert "bert.pooler.dense.weight" in info["missing_keys"]
    assert "cls.predictions.bias" in info["unexpected_keys"]
    assert "newly initialised" in caplog.text
    assert "classifier.weight" in caplog.text
    assert "unused" in str(model.loading_report)
    with pytest.raises(ValueError, match=r"strict=True[\s\S]*classifier\.weight"):
        AutoModelForSequenceClassification.from_pretrained(folder, strict=True)


def test_shards(saved):
    model, folder = saved(BERT)
    saved(BERT, max_shard_size="20KB")
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    assert len(set(index["weight_map"].values())) > 2
    assert not (folder / "model.safetensors").exists()
    assert index["metadata"]["total_size"] == sum(t.nbytes for t in model.state_dict().values())
    loaded = CLASSES[BERT].from_pretrained(folder, strict=True)
    assert torch.equal(logits(loaded, BERT), logits(model, BERT))
    shard = folder / index["weight_map"]["classifier.bias"]
    tensors = load_file(shard)
    del tensors["classifier.bias"]
    save_file(tensors, shard)
    with pytest.raises(ValueError, match=rf"{shard.name} lacks the tensor classifier\.bias"):
        CLASSES[BERT].from_pretrained(folder)
    shard.unlink()
    (folder / "model-mine.safetensors").touch()  # not a name that a save writes
    with pytest.raises(FileNotFoundError, match=shard.name):
        CLASSES[BERT].from_pretrained(folder)
    index["weight_map"]["classifier.bias"] = "../elsewhere.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"names '\.\./elsewhere\.safetensors', which is not a file beside it"):
        CLASSES[BERT].from_pretrained(folder)
    saved(BERT)
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["config.json", "model-mine.safetensors", "model.safetensors"]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, torch.bfloat16),
        ("auto", torch.bfloat16),
        ("float32", torch.float32),
        (torch.float16, torch.float16),
    ],
)
@pytest.mark.parametrize("argument", ["dtype", "torch_dtype"])
def test_dtype(saved, tmp_path, asked, found, argument):
    model, _ = saved(BERT)
    model.bfloat16().save_pretrained(tmp_path / "half")
    loaded = CLASSES[BERT].from_pretrained(tmp_path / "half", **{argument: asked})
    assert {p.dtype for p in loaded.parameters()} == {found}
    assert torch.equal(loaded.classifier.weight.bfloat16(), model.classifier.weight)


def test_the_configuration_speaks_before_the_file(saved):
    _, folder = saved(BERT)
    config = BertConfig.from_pretrained(folder)
    config.dtype = "bfloat16"
    config.save_pretrained(folder)
    assert CLASSES[BERT].from_pretrained(folder).dtype is torch.bfloat16
    assert CLASSES[BERT].from_pretrained(folder, dtype="float32").dtype is torch.float32


def test_unknown_dtype(saved):
    _, folder = saved(BERT)
    with pytest.raises(ValueError, match="dtype='int64'"):
        CLASSES[BERT].from_pretrained(folder, dtype="int64")


def test_training_leaves_the_mapped_file_alone(saved):
    _, folder = saved(BERT)
    before = (folder / "model.safetensors").read_bytes()
    model = CLASSES[BERT].from_pretrained(folder).train()
    model(**batch(BERT)).loss.backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    changed = logits(model.eval(), BERT)
    assert (folder / "model.safetensors").read_bytes() == before
    model.save_pretrained(folder)  # over the file that is mapped
    assert torch.equal(logits(CLASSES[BERT].from_pretrained(folder), BERT), changed)
    assert torch.equal(logits(model, BERT), changed)


def test_wrong_shape(saved):
    _, folder = saved(BERT)
    with pytest.raises(
        ValueError, match=r"model\.safetensors: tensor classifier\.weight has shape \(3, 32\), but .* has \(7, 32\)"
    ):
        CLASSES[BERT].from_pretrained(folder, num_labels=7)
    model = CLASSES[BERT].from_pretrained(folder, num_labels=7, ignore_mismatched_sizes=True)
    assert ("classifier.weight", (3, 32), (7, 32)) in model.loading_report.mismatched
    assert model.classifier.weight.shape == (7, 32)
    assert model.classifier.weight.std() > 0.1


def test_wrong_dtype(saved):
    _, folder = saved(BERT)
    rewrite(folder, lambda tensors: tensors.update({"classifier.bias": torch.zeros(3, dtype=torch.int64)}))
    with pytest.raises(ValueError, match=r"model\.safetensors: tensor classifier\.bias has dtype torch\.int64"):
        CLASSES[BERT].from_pretrained(folder)


@pytest.mark.parametrize("kept", [0, 5, 1000, -1])
def test_truncated_file(saved, kept):
    _, folder = saved(BERT)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        CLASSES[BERT].from_pretrained(folder)


def test_absent_weights_and_pickles(saved):
    _, folder = saved(BERT)
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"neither model\.safetensors nor"):
        CLASSES[BERT].from_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin is damaged, or holds more than tensors"):
        CLASSES[BERT].from_pretrained(folder)


def test_the_folder_has_the_name_that_transformers_gives_it(saved, tmp_path):
    saved(BERT)[0].save_pretrained(save_directory=tmp_path / "model")
    BertConfig().save_pretrained(save_directory=tmp_path / "config")
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert (tmp_path / "config" / "config.json").is_file()


def test_arguments_that_are_refused(saved, tmp_path):
    model, folder = saved(BERT)
    with pytest.raises(ValueError, match="safe_serialization"):
        model.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(ValueError, match="from_tf=True"):
        AutoModelForSequenceClassification.from_pretrained(folder, from_tf=True)
    with pytest.raises(ValueError, match="is a file"):
        model.save_pretrained(folder / "config.json")
    with pytest.raises(ValueError, match="'bert' model, not a 'distilbert' one"):
        CLASSES[DISTILBERT].from_pretrained(folder)
    with pytest.raises(TypeError, match="takes a BertConfig, not a DistilBertConfig"):
        BertModel(DistilBertConfig())
    with pytest.raises(TypeError, match="from_pretrained"):
        AutoModel()
    with pytest.raises(TypeError, match="takes a configuration such as BertConfig, not a dict"):
        AutoModel.from_config({"model_type": "bert"})


@pytest.mark.parametrize("index", ["[]", "{}", '{"weight_map": {"classifier.bias": 3}}'])
def test_an_index_of_another_form_is_named(saved, index):
    folder = saved(BERT)[1]
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ValueError, match=r"index\.json has no weight_map from tensors to files"):
        CLASSES[BERT].from_pretrained(folder)


def test_a_configuration_given_to_from_pretrained_is_not_changed(saved):
    _, folder = saved(BERT)
    config = BertConfig.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, config=config, id2label={0: "a", 1: "b", 2: "c"}, attn_implementation="eager"
    )
    assert model.config.label2id == {"a": 0, "b": 1, "c": 2}
    assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
    assert config.attn_implementation == "sdpa"


@pytest.mark.parametrize(("size", "found"), [(5, 5), ("5", 5), ("2KB", 2000), ("1.5 MiB", 1572864), ("3gb", 3 * 10**9)])
def test_shard_sizes(size, found):
    assert parse_size(size) == found


@pytest.mark.parametrize("size", ["", "MB", "-1", 0, "5 apples"])
def test_shard_sizes_that_are_none(size):
    with pytest.raises(ValueError, match="max_shard_size"):
        parse_size(size)


@pytest.mark.parametrize("name", [BERT_LM, DISTILBERT_LM])
@pytest.mark.parametrize("size", [30, 50])
def test_resized_vocabulary(name, size, saved, tmp_path):
    model, _ = saved(name)
    before = logits(model, name)
    model.resize_token_embeddings(size)
    assert model.config.vocab_size == model.get_input_embeddings().num_embeddings == size
    kept = min(size, 37)
    inputs = {key: x.clamp(max=29) if key == "input_ids" else x for key, x in batch(name).items() if key != "labels"}
    expected = build(name)(**inputs).logits[..., :kept]
    torch.testing.assert_close(model(**inputs).logits[..., :kept], expected, atol=1e-6, rtol=0)
    assert before.shape[-1] == 37
    model.save_pretrained(tmp_path / "resized")
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path / "resized", strict=True)
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)

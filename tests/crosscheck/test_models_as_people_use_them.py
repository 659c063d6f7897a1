"""Masks, keywords, files and layers of the user's own: the same tensors as from transformers."""

import pickle

import pytest
import torch
import transformers

import minift

SIZES = {"vocab_size": 30, "max_position_embeddings": 32}
BERT = SIZES | {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
DISTILBERT = SIZES | {"dim": 8, "n_layers": 2, "n_heads": 2, "hidden_dim": 8}
IDS = torch.randint(1, 30, (3, 7), generator=torch.Generator().manual_seed(1))
CAUSAL = torch.tril(torch.ones(7, 7))
pytestmark = pytest.mark.usefixtures("one_thread")


def made(library, family="Bert", head="ForSequenceClassification", **settings):
    """A model whose weights depend on nothing but its shapes."""
    sizes = BERT if family == "Bert" else DISTILBERT
    model = getattr(library, family + head)(getattr(library, f"{family}Config")(**sizes, **settings))
    draw = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=draw))
    return model.eval()


def four_dimensions(library, family, attention):
    mask = CAUSAL.expand(3, 1, 7, 7).bool()
    attention = attention if library is minift else "sdpa"  # transformers' eager attention adds 1 where it is True
    return made(library, family, attn_implementation=attention)(IDS, attention_mask=mask).logits


def added_to_scores(library, family, attention):
    mask = ((1 - CAUSAL) * -1e4).expand(3, 1, 7, 7)
    return made(library, family, attn_implementation=attention)(IDS, attention_mask=mask).logits


def embeddings_given(library, family, attention):
    model = made(library, family, attn_implementation=attention)
    return model(inputs_embeds=model.get_input_embeddings()(IDS)).logits


def exported(library, family, attention):
    model = made(library, family, attn_implementation=attention)
    return torch.export.export(model, (IDS,)).module()(IDS).logits


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["Bert", "DistilBert"])
@pytest.mark.parametrize("use", [four_dimensions, added_to_scores, embeddings_given, exported])
def test_inputs(use, family, attention):
    torch.testing.assert_close(use(minift, family, attention), use(transformers, family, attention))


def test_a_mask_for_each_query_without_the_axis_of_heads():
    model = made(minift)
    flat, deep = (
        model(IDS, attention_mask=mask).logits
        for mask in (CAUSAL.expand(3, 7, 7).long(), CAUSAL.expand(3, 1, 7, 7).bool())
    )
    assert torch.equal(flat, deep)
    with pytest.raises(ValueError, match=r"attention_mask has shape \(3, 5, 7\)"):
        model(IDS, attention_mask=torch.ones(3, 5, 7))


def test_keywords_of_decoders_at_the_values_that_change_nothing():
    model = made(minift)
    plain = model(IDS).logits
    neutral = {"use_cache": False, "head_mask": None, "past_key_values": None, "encoder_hidden_states": None}
    assert torch.equal(model(IDS, **neutral).logits, plain)
    with pytest.raises(ValueError, match="use_cache=True"):
        model(IDS, use_cache=True)
    with pytest.raises(TypeError, match="wrong"):
        model(IDS, wrong=None)


def test_a_forward_of_the_users_own_gets_what_it_is_given():
    class Own(minift.BertForSequenceClassification):
        def forward(self, input_ids, head_mask=None, use_cache=None):
            return head_mask, use_cache

    assert Own(minift.BertConfig(**BERT))(IDS, head_mask=3, use_cache=True) == (3, True)


def test_a_configuration_that_was_changed_is_looked_at_again():
    config = minift.BertConfig(**BERT)
    config.is_decoder = True
    with pytest.raises(ValueError, match="is_decoder=True is not supported"):
        minift.BertModel(config)


def own_layers(library):
    class Own(library.BertPreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.bert = library.BertModel(config)
            self.register_buffer("scale", torch.tensor([2.0, 3.0]))
            self.norm, self.prelu = torch.nn.BatchNorm1d(4), torch.nn.PReLU()
            self.post_init()

    return Own


def test_buffers_are_saved_and_loaded(tmp_path):
    """Also from the other library's file."""
    for library, reader in ((minift, minift), (transformers, minift), (minift, transformers)):
        model = own_layers(library)(library.BertConfig(**BERT))
        model.scale.fill_(9.0)
        model.norm.running_mean.fill_(3.0)
        model.norm.num_batches_tracked.fill_(5)
        model.save_pretrained(tmp_path)
        read = own_layers(reader).from_pretrained(tmp_path)
        assert (read.scale.tolist(), read.norm.running_mean.tolist()) == ([9.0, 9.0], [3.0] * 4)
        assert read.norm.num_batches_tracked.item() == 5
        if reader is minift:
            assert read.loading_report.complete


def test_layers_that_are_not_in_the_file_keep_what_their_constructors_made(tmp_path):
    made(minift, head="Model").save_pretrained(tmp_path)
    read = own_layers(minift).from_pretrained(tmp_path)
    assert (read.scale.tolist(), read.prelu.weight.tolist(), read.norm.weight.tolist()) == ([2, 3], [0.25], [1] * 4)


def own_start(library):
    class Own(library.BertPreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.bert = library.BertModel(config)
            self.inner = torch.nn.Sequential(torch.nn.Linear(8, 3), torch.nn.LayerNorm(3))
            self.out = torch.nn.Linear(8, 2)
            self.post_init()

        def _init_weights(self, module):
            if isinstance(module, torch.nn.Linear):
                module.weight.data.uniform_(-1, 1)
            elif isinstance(module, torch.nn.LayerNorm):
                module.weight.data.fill_(0.5)

    return Own


def test_init_weights_of_the_users_own(tmp_path):
    """When built, and when the encoder comes from a file."""
    found = []
    for library in (minift, transformers):
        torch.manual_seed(5)
        found.append(own_start(library)(library.BertConfig(**BERT)).state_dict())
    for name, value in found[1].items():
        assert torch.equal(found[0][name], value), name
    made(minift, head="Model").save_pretrained(tmp_path)
    read = own_start(minift).from_pretrained(tmp_path)
    assert read.inner[1].weight.tolist() == [0.5] * 3
    assert read.out.weight.abs().max() > 0.5  # uniform, and not normal with 0.02


def test_a_bin_file_is_read_and_runs_nothing(tmp_path):
    model = made(transformers)
    model.config.save_pretrained(tmp_path)
    names = list(model.state_dict())
    halves = [{name: model.state_dict()[name] for name in part} for part in (names[:20], names[20:])]
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    read = minift.BertForSequenceClassification.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(read[name], value) for name, value in model.state_dict().items())
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    read = minift.BertForSequenceClassification.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(read[name], value) for name, value in model.state_dict().items())
    (tmp_path / "pytorch_model.bin").unlink()
    shards = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    for file, half in zip(shards, halves, strict=True):
        torch.save(half, tmp_path / file)
    weight_map = {name: file for file, half in zip(shards, halves, strict=True) for name in half}
    (tmp_path / "pytorch_model.bin.index.json").write_text(repr({"weight_map": weight_map}).replace("'", '"'))
    read = minift.AutoModelForSequenceClassification.from_pretrained(tmp_path).state_dict()
    assert all(torch.equal(read[name], value) for name, value in model.state_dict().items())


class Harmful:
    def __reduce__(self):
        return (open, ("/tmp/minift-was-here", "w"))


@pytest.mark.parametrize("content", [Harmful(), [1, 2], {"a": Harmful()}, b"cut"])
def test_a_bin_file_with_anything_else_is_refused(content, tmp_path):
    minift.BertConfig(**BERT).save_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(content if isinstance(content, bytes) else pickle.dumps(content))
    with pytest.raises(ValueError, match=r"pytorch_model\.bin (is damaged|does not hold a dict)"):
        minift.BertForSequenceClassification.from_pretrained(tmp_path)


def test_variants_subfolders_and_tensors_given(tmp_path):
    model = made(minift)
    model.save_pretrained(tmp_path / "inside", variant="fp16", max_shard_size="2KB")
    model.save_pretrained(tmp_path / "inside")
    assert (tmp_path / "inside" / "model.safetensors.index.fp16.json").is_file()  # the second save is of other files
    for library in (minift, transformers):
        for options in ({}, {"variant": "fp16"}):
            read = library.BertForSequenceClassification.from_pretrained(tmp_path, subfolder="inside", **options)
            assert torch.equal(read.classifier.weight, model.classifier.weight)
    weights = {name: 2 * value for name, value in model.state_dict().items()}
    read = minift.BertForSequenceClassification.from_pretrained(None, config=model.config, state_dict=weights)
    assert torch.equal(read.classifier.weight, 2 * model.classifier.weight)
    with pytest.raises(ValueError, match="leads out of"):
        minift.AutoModel.from_pretrained(tmp_path, subfolder="../elsewhere")
    with pytest.raises(ValueError, match="is not a word"):
        model.save_pretrained(tmp_path, variant="../fp16")


def test_the_type_of_the_weights_is_shown_as_torchs(tmp_path):
    for library in (minift, transformers):
        made(library).half().save_pretrained(tmp_path)
        read = library.BertForSequenceClassification.from_pretrained(tmp_path)
        assert (read.dtype, read.config.dtype) == (torch.float16, torch.float16)
        assert library.BertConfig.from_pretrained(tmp_path).to_dict()["dtype"] == "float16"

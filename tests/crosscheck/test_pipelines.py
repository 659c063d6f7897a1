"""Pipelines against transformers' own, on small random checkpoints: the same structure, scores to 1e-6."""

import pytest
import torch
import transformers

from minift.files import write_json
from minift.pipelines.pipeline import pipeline
from tests.pipelines.test_pipelines import PAIR, TEXTS, write_vocabulary

SIZES = {
    "bert": dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64),
    "distilbert": dict(dim=32, n_layers=2, n_heads=4, hidden_dim=64),
}
HEADS = {
    "text-classification": "AutoModelForSequenceClassification",
    "fill-mask": "AutoModelForMaskedLM",
    "feature-extraction": "AutoModel",
}


TOKENIZERS = {"bert": "BertTokenizer", "distilbert": "DistilBertTokenizer"}
MAKERS = (pipeline, transformers.pipeline)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """checkpoint(task, kind, **config): a folder with a random model, as transformers writes it."""

    def make(task, kind="bert", **settings):
        folder = tmp_path_factory.mktemp("checkpoint")
        vocab_size = len(write_vocabulary(folder))
        config = transformers.AutoConfig.for_model(kind, vocab_size=vocab_size, **SIZES[kind], **settings)
        config.initializer_range = 0.5
        torch.manual_seed(0)
        getattr(transformers, HEADS[task]).from_config(config).save_pretrained(folder)
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": TOKENIZERS[kind], "do_lower_case": True})
        return folder

    return make


def both(task, folder, inputs, options, call_options):
    return [make(task, model=str(folder), device="cpu", **options)(inputs, **call_options) for make in MAKERS]


def assert_same(ours, theirs):
    """Equal structure, strings and whole numbers; floats to 1e-6."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, abs=1e-6)
    else:
        assert ours == theirs


@pytest.mark.parametrize("call", [{}, {"top_k": None}, {"top_k": 2}, {"top_k": 1}, {"function_to_apply": "none"}])
@pytest.mark.parametrize(
    "inputs", [TEXTS[0], TEXTS, TEXTS[:1], PAIR, [PAIR, PAIR]], ids=["1", "n", "[1]", "pair", "pairs"]
)
def test_text_classification(checkpoint, inputs, call):
    folder = checkpoint("text-classification", num_labels=3)
    assert_same(*both("sentiment-analysis", folder, inputs, {}, call))
    assert_same(*both("text-classification", folder, inputs, call, {"truncation": True, "max_length": 5}))
    assert_same(*both("text-classification", folder, inputs, {"truncation": True}, {"max_length": 5} | call))


@pytest.mark.parametrize(
    "settings",
    [
        {"num_labels": 1},
        {"num_labels": 1, "problem_type": "regression"},
        {"num_labels": 3, "problem_type": "multi_label_classification"},
        {"id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}},
    ],
)
def test_the_function_follows_the_problem(checkpoint, settings):
    folder = checkpoint("text-classification", "distilbert", **settings)
    assert_same(*both("text-classification", folder, TEXTS, {"top_k": None}, {"batch_size": 2}))


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_fill_mask(checkpoint, kind):
    folder = checkpoint("fill-mask", kind)
    fillers = [make("fill-mask", model=str(folder), device="cpu") for make in MAKERS]
    one, two = "the [MASK] was good", "[MASK] [MASK] was bad"
    for inputs in (one, [one], two, [two], ["a [MASK]", "the film was [MASK]", two]):
        for options in ({}, {"top_k": 2}, {"targets": ["good", "film"]}, {"targets": "bad", "top_k": 3}):
            assert_same(*(fill(inputs, **options) for fill in fillers))


def test_fill_mask_of_a_padded_batch(checkpoint):
    inputs = ["a [MASK]", "the film was [MASK] and the plot was [MASK] bad"]
    assert_same(*both("fill-mask", checkpoint("fill-mask"), inputs, {}, {"batch_size": 2}))


@pytest.mark.parametrize("inputs", [TEXTS[0], TEXTS])
def test_feature_extraction(checkpoint, inputs):
    assert_same(*both("feature-extraction", checkpoint("feature-extraction"), inputs, {}, {}))

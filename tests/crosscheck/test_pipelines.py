"""Pipelines against transformers' own, on small random checkpoints: the same structure, scores to 1e-6."""

import numpy as np
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
    "token-classification": "AutoModelForTokenClassification",
    "zero-shot-classification": "AutoModelForSequenceClassification",
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
    elif isinstance(theirs, float | np.floating):
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
    by_length = sorted(TEXTS, key=len)  # minift sorts: otherwise the batches, and with them the padding, would differ
    assert_same(*both("text-classification", folder, by_length, {"top_k": None}, {"batch_size": 2}))


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


LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "MISC"]
SENTENCES = [
    *(
        "the film was longer and bad",
        "The plot,and the FILM was  good.",
        "",
        "longer longer",
        "a zzz film? ünknown longerer ...",
    ),
    "the film was longer and the plot was longer than a good bad film and a long plot was longer",
]


@pytest.fixture(scope="module")
def taggers(checkpoint):
    folders = [checkpoint("token-classification", kind, id2label=dict(enumerate(LABELS))) for kind in SIZES]
    return [[make("ner", model=str(folder), device="cpu") for make in MAKERS] for folder in folders]


@pytest.mark.parametrize("strategy", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("ignored", [None, [], ["PER", "O", "B-LOC"]])
def test_token_classification(taggers, strategy, ignored):
    for tag in taggers:
        for inputs in [*SENTENCES, SENTENCES]:
            options = {} if ignored is None else {"ignore_labels": ignored}
            assert_same(*(one(inputs, aggregation_strategy=strategy, **options) for one in tag))


@pytest.mark.parametrize("strategy", ["simple", "first", "average", "max"])
@pytest.mark.parametrize("stride", [0, 2, 5])
def test_windows(taggers, strategy, stride):
    for tag in taggers:
        for one in tag:
            one.tokenizer.model_max_length = 11
        assert_same(*(one(SENTENCES, aggregation_strategy=strategy, stride=stride) for one in tag))
        assert_same(*(one(SENTENCES[-1], aggregation_strategy=strategy) for one in tag))  # cut off
        for one in tag:
            one.tokenizer.model_max_length = 512


@pytest.mark.parametrize("strategy", ["none", "simple", "first"])
@pytest.mark.parametrize("options", [{}, {"delimiter": "--"}, {"delimiter": ""}])
def test_words(taggers, strategy, options):
    words = ["the", "longer", "film-plot", "was", "ünknown", "longerer"]
    for tag in taggers:
        for inputs in (words, [words, words[2:]]):
            found = [one(inputs, is_split_into_words=True, aggregation_strategy=strategy, **options) for one in tag]
            assert_same(*found)


def test_wrong_options(taggers):
    for one in taggers[0]:
        with pytest.raises(ValueError, match="stride"):
            one("a film", stride=600, aggregation_strategy="simple")
        with pytest.raises(ValueError, match="stride"):
            one("a film", stride=2, aggregation_strategy="none")
        with pytest.raises(ValueError, match="is_split_into_words"):
            one([["a", "film"]])
        with pytest.raises((ValueError, KeyError)):
            one("a film", aggregation_strategy="some")


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
@pytest.mark.parametrize(
    "names", [["contradiction", "neutral", "entailment"], ["Entailment", "neutral", "contradiction"]]
)
@pytest.mark.parametrize(
    "options",
    [
        {"candidate_labels": ["good", "bad", "long"]},
        {"candidate_labels": "good, bad ,, long", "multi_label": True},
        {"candidate_labels": ["good"]},
        {"candidate_labels": ["good", "bad"], "hypothesis_template": "the plot was {}", "multi_label": False},
    ],
)
def test_zero_shot_classification(checkpoint, kind, names, options):
    folder = checkpoint(
        "zero-shot-classification",
        kind,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
    )
    for inputs in (TEXTS[1], TEXTS, TEXTS[:1], " ".join(TEXTS * 80)):
        for batch_size in (1, 4):
            ask = [make("zero-shot-classification", model=str(folder), device="cpu") for make in MAKERS]
            for one in ask:
                one.tokenizer.model_max_length = 40
            assert_same(*(one(inputs, batch_size=batch_size, **options) for one in ask))
    assert_same(*(one(TEXTS[0], options["candidate_labels"]) for one in ask))


def test_zero_shot_needs_a_model_of_its_kind_and_labels(checkpoint):
    ask = pipeline("zero-shot-classification", model=str(checkpoint("zero-shot-classification", num_labels=3)))
    with pytest.raises(ValueError, match="no label that begins with 'entail', only LABEL_0"):
        ask("a film", ["good"])
    with pytest.raises(ValueError, match="needs candidate_labels"):
        ask("a film")
    with pytest.raises(ValueError, match="needs {}, the place of the label"):
        ask("a film", ["good"], hypothesis_template="this is good")
    with pytest.raises(ValueError, match="needs a model"):
        pipeline("zero-shot-classification")

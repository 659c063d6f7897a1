"""The pipelines' answers on small models with known weights, their inputs, and errors."""

import pytest
import torch

from minift.model.auto import AutoModelForMaskedLM, AutoModelForSequenceClassification
from minift.model.config import BertConfig
from minift.pipelines.pipeline import pipeline
from minift.tokenizer.classes import AutoTokenizer

WORDS = ["the", "a", "film", "plot", "was", "and", "good", "bad", "long", "##er"]
TEXTS = ["the film was good", "the plot was longer and the film was bad", "a"]
PAIR = {"text": "the film was good", "text_pair": "the plot was bad"}


def write_vocabulary(folder) -> list[str]:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    return tokens


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    write_vocabulary(folder)
    return AutoTokenizer.from_pretrained(folder)


def config(**settings) -> BertConfig:
    sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=32)
    return BertConfig(vocab_size=5 + len(WORDS), max_position_embeddings=16, initializer_range=0.5, **sizes, **settings)


@pytest.fixture
def classifier(tokenizer):
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config(id2label={0: "bad", 1: "so-so", 2: "good"}))
    return pipeline("text-classification", model, tokenizer=tokenizer)


@pytest.fixture
def filler(tokenizer):
    torch.manual_seed(0)
    return pipeline("fill-mask", AutoModelForMaskedLM.from_config(config()), tokenizer=tokenizer)


def test_scores_are_the_softmax_of_the_logits(classifier, tokenizer):
    with torch.no_grad():
        logits = classifier.model(**tokenizer(TEXTS[0], return_tensors="pt")).logits[0]
    expected = dict(zip(["bad", "so-so", "good"], logits.softmax(-1).tolist(), strict=True))
    answers = classifier(TEXTS[0], top_k=None)
    assert {answer["label"]: answer["score"] for answer in answers} == pytest.approx(expected, abs=1e-6)
    assert [answer["score"] for answer in answers] == sorted(expected.values(), reverse=True)
    assert classifier(TEXTS[0]) == answers[:1]
    assert [answer["label"] for answer in classifier(TEXTS[0], return_all_scores=True)[0]] == list(expected)


def test_padding_changes_no_answer(classifier):
    one_by_one = [classifier(text)[0] for text in TEXTS]
    batched = classifier(TEXTS, batch_size=3)
    assert [answer["label"] for answer in batched] == [answer["label"] for answer in one_by_one]
    assert [answer["score"] for answer in batched] == pytest.approx(
        [answer["score"] for answer in one_by_one], abs=1e-6
    )


def test_containers(classifier):
    expected = classifier(TEXTS)
    assert classifier(tuple(TEXTS)) == expected
    stream = classifier(text for text in TEXTS)
    assert next(stream) == expected[0]
    assert list(stream) == expected[1:]
    assert classifier([]) == []


def test_the_second_text_matters(classifier):
    assert classifier(PAIR)["score"] != classifier({"text": PAIR["text"]})["score"]


def test_a_call_overrides_the_pipeline(classifier, tokenizer):
    other = pipeline("sentiment-analysis", classifier.model, tokenizer=tokenizer, top_k=2, device=-1)
    assert len(other(TEXTS)[0]) == 2
    assert len(other(TEXTS, top_k=1)[0]) == 1


def test_long_texts_are_cut_when_asked(classifier):
    assert classifier("film " * 40, truncation=True, max_length=16)
    with pytest.raises(ValueError, match="16"):
        classifier("film " * 40)


def test_filling_masks(filler, tokenizer):
    everything = filler("the [MASK] was good", top_k=100)
    assert len(everything) == len(tokenizer)
    assert sum(answer["score"] for answer in everything) == pytest.approx(1, abs=1e-5)
    assert filler("the [MASK] was good") == everything[:5]
    score_of = {answer["token_str"]: answer["score"] for answer in everything}
    answers = filler("the [MASK] was good", targets=["film", "plot"])
    assert {answer["sequence"] for answer in answers} == {"the film was good", "the plot was good"}
    for answer in answers:
        assert answer["score"] == pytest.approx(score_of[answer["token_str"]], abs=1e-6)
        assert tokenizer.convert_ids_to_tokens([answer["token"]]) == [answer["token_str"]]


def test_several_masks_get_a_list_each(filler):
    first, second = filler("the [MASK] was [MASK]", top_k=2)
    assert len(first) == len(second) == 2
    assert "[MASK]" in first[0]["sequence"]


def test_an_unknown_target_is_replaced_with_a_warning(filler, caplog):
    assert filler("the [MASK]", targets=["films"])[0]["token_str"] == "[UNK]"
    assert "'films' is not in the vocabulary" in caplog.text


def test_features_leave_padding_out(classifier, tokenizer):
    extractor = pipeline("feature-extraction", classifier.model.bert, tokenizer=tokenizer, batch_size=2)
    long, short = extractor([TEXTS[1], TEXTS[2]], return_tensors=True)
    assert (long.shape, short.shape) == ((1, 12, 32), (1, 3, 32))
    assert torch.allclose(extractor(TEXTS[2], return_tensors=True), short, atol=1e-6)


def test_the_task_is_read_from_the_checkpoint(classifier, filler, tokenizer, tmp_path):
    for name, expected in (("classifier", classifier), ("filler", filler)):
        expected.model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        assert type(pipeline(model=tmp_path / name)) is type(expected)
    with pytest.raises(ValueError, match="tokenizer: this model was not loaded"):
        pipeline(model=classifier.model)


def test_keywords_without_effect_are_taken(classifier, tokenizer):
    other = dict(framework="pt", use_fast=False, trust_remote_code=False, device_map="auto")
    assert pipeline("text-classification", classifier.model, tokenizer=tokenizer, **other)("a") == classifier("a")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c, f: c(["good", ["a", "b"]]), ValueError, r'expected a text or {"text"'),
        (lambda c, f: c({"text": "a", "pair": "b"}), ValueError, "a pair is"),
        (lambda c, f: c(3), ValueError, "expected a text"),
        (lambda c, f: c("a", top_k=0), ValueError, "top_k must be a positive integer or None, not 0"),
        (lambda c, f: c("a", function_to_apply="relu"), ValueError, "unknown function_to_apply='relu'; there are: sig"),
        (lambda c, f: c("a", trunc=True), TypeError, "unknown argument trunc; this pipeline has: top_k"),
        (lambda c, f: pipeline(None, c.model, tokenizer=c.tokenizer, trunc=True), TypeError, "unknown argument trunc"),
        (lambda c, f: c("a", top_k=True), ValueError, "top_k must be a positive integer or None, not True"),
        (lambda c, f: c(["a"], batch_size=0), ValueError, "batch_size must be at least 1, not 0"),
        (lambda c, f: f("the film"), ValueError, r"No mask_token \(\[MASK\]\) found on the input 'the film'"),
        (lambda c, f: f("[MASK]", targets=[]), ValueError, "names no token"),
        (lambda c, f: f("[MASK]", top=1), TypeError, "unknown argument top; this pipeline has: top_k"),
        (lambda c, f: pipeline("summarization"), ValueError, "'summarization' writes text, which needs a decoder"),
        (lambda c, f: pipeline(), ValueError, "needs a task, or a model"),
        (lambda c, f: pipeline("fill-mask", framework="tf"), ValueError, "framework='tf'"),
        (lambda c, f: pipeline("fill-mask", device_map="cpu", device=0), ValueError, "name one of them"),
        (lambda c, f: pipeline("fill-mask", device_map={"a": 0, "b": 1}), ValueError, "stands on one device"),
        (
            lambda c, f: pipeline("object-detection"),
            ValueError,
            "unknown task 'object-detection'; there are: text-class",
        ),
    ],
)
def test_errors(classifier, filler, call, error, message):
    with pytest.raises(error, match=message):
        call(classifier, filler)

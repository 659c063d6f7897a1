"""Pipelines of the user's own: classes, tasks, the four methods by hand, columns, and batches sorted by length."""

import pytest
import torch

from minift.data.dataset import Dataset
from minift.model.auto import AutoModelForSequenceClassification, AutoModelForTokenClassification
from minift.pipelines.base import ChunkPipeline, Pipeline
from minift.pipelines.key_dataset import KeyDataset, KeyPairDataset
from minift.pipelines.pipeline import pipeline
from minift.pipelines.registry import PIPELINE_REGISTRY
from minift.pipelines.text_classification import TextClassificationPipeline
from tests.pipelines.test_pipelines import PAIR, TEXTS, classifier, config, filler, tokenizer

__all__ = ["classifier", "filler", "tokenizer"]  # fixtures


class Margin(Pipeline):
    """As the library's guide has it: how far the best class of a pair is from the second."""

    def _sanitize_parameters(self, **kwargs):
        before = {"second": kwargs["second"]} if "second" in kwargs else {}
        return before, {}, {"digits": kwargs["digits"]} if "digits" in kwargs else {}

    def preprocess(self, text, second=None):
        return self.tokenizer(text, text_pair=second, return_tensors=self.framework)

    def _forward(self, model_inputs):
        return self.model(**model_inputs)

    def postprocess(self, model_outputs, digits=6):
        best = model_outputs.logits[0].sort(descending=True).values
        return round((best[0] - best[1]).item(), digits)


class Loudest(TextClassificationPipeline):
    def postprocess(self, model_outputs, **options):
        return super().postprocess(model_outputs, **options)["label"].upper()


class Sentences(ChunkPipeline):
    """Two rows of one text, which meet again in `postprocess`."""

    def _sanitize_parameters(self, **kwargs):
        return {}, {}, {}

    def preprocess(self, text):
        for part in text.split(". "):
            yield {**self.tokenizer(part, return_tensors="pt"), "part": part}

    def postprocess(self, outputs):
        return [(output["part"], output["logits"].argmax().item()) for output in outputs]


@pytest.fixture
def folder(classifier, tokenizer, tmp_path):
    classifier.save_pretrained(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def registry():
    """The registry, which the test leaves as it was."""
    before = dict(PIPELINE_REGISTRY.tasks)
    yield PIPELINE_REGISTRY
    PIPELINE_REGISTRY.tasks = before


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_task_of_ones_own(folder, registry, classifier, batch_size):
    registry.register_pipeline("margin", pipeline_class=Margin, pt_model=AutoModelForSequenceClassification)
    assert "margin" in registry.get_supported_tasks()
    margin = pipeline("margin", model=str(folder))
    assert (margin.task, margin.framework, margin.batch_size) == ("margin", "pt", 1)
    scores = [sorted((one["score"] for one in row), reverse=True) for row in classifier(TEXTS, top_k=None)]
    expected = [torch.tensor(row).log().diff().abs()[0].item() for row in scores]
    assert margin(TEXTS, batch_size=batch_size, num_workers=2) == pytest.approx(expected, abs=1e-4)
    assert margin(TEXTS[0], second=TEXTS[2]) != margin(TEXTS[0])
    assert margin(TEXTS[0], digits=1) == round(margin(TEXTS[0]), 1)
    with pytest.raises(ValueError, match="name pt_model="):
        registry.register_pipeline("other", pipeline_class=Margin)


def test_a_class_of_ones_own(folder, classifier):
    loud = pipeline("text-classification", model=str(folder), pipeline_class=Loudest)
    assert loud(TEXTS) == [answer["label"].upper() for answer in classifier(TEXTS)]
    assert pipeline(model=str(folder), pipeline_class=Loudest).predict(TEXTS[0]) == loud(TEXTS[0])
    parts = pipeline("text-classification", classifier.model, tokenizer=classifier.tokenizer, pipeline_class=Sentences)
    texts = ["the film was good. bad. the plot was long and the film was bad", "a. b"]
    for size in (1, 4):
        answers = parts(texts, batch_size=size)
        assert [[part for part, _ in answer] for answer in answers] == [text.split(". ") for text in texts]
        labels = {part: classifier(part)[0]["label"] for text in texts for part in text.split(". ")}
        id2label = classifier.model.config.id2label
        assert all(id2label[number] == labels[part] for answer in answers for part, number in answer)


def test_the_steps_by_hand(classifier, filler, tokenizer):
    for one, item in ((classifier, TEXTS[0]), (classifier, PAIR), (filler, "the [MASK] was good")):
        row = one.preprocess(item)
        assert row["input_ids"].shape[0] == 1
        answer = one.postprocess(one.forward(row))
        assert answer == (one(item)[0] if item == TEXTS[0] else one(item))
    torch.manual_seed(0)
    tagger = AutoModelForTokenClassification.from_config(config(num_labels=3))
    ner = pipeline("ner", tagger, tokenizer=tokenizer, ignore_labels=[])
    rows = [ner.forward(row) for row in ner.preprocess(TEXTS[1])]
    assert [token["word"] for token in ner.postprocess(rows, ignore_labels=[])] == [
        token["word"] for token in ner(TEXTS[1])
    ]


def test_columns_stream(classifier):
    rows = Dataset.from_dict({"text": TEXTS * 20, "other": ["a", "bad", "the film"] * 20})
    answers = classifier(KeyDataset(rows, "text"), batch_size=4)
    assert next(answers) == classifier(TEXTS[0])[0] or not hasattr(answers, "__len__")
    assert [one["label"] for one in answers] == [one["label"] for one in classifier(TEXTS * 20)][1:]
    pairs = list(classifier(KeyPairDataset(rows, "text", "other")))
    one = classifier({"text": TEXTS[0], "text_pair": "a"})
    assert (len(pairs), pairs[0]) == (60, one)
    assert len(list(KeyDataset(rows, "text"))) == 60


def test_a_list_is_sorted_by_length_and_a_generator_is_not(classifier, monkeypatch):
    texts = ["a", "the film was good and the plot was bad", "bad film", "the film was good and long"] * 4
    lengths = []
    forward = type(classifier)._forward

    def watch(self, model_inputs, **options):
        lengths.append(tuple(model_inputs["input_ids"].shape))
        return forward(self, model_inputs, **options)

    monkeypatch.setattr(type(classifier), "_forward", watch)
    expected = [one["score"] for one in classifier(texts)]
    lengths.clear()
    assert [one["score"] for one in classifier(texts, batch_size=4)] == pytest.approx(expected, abs=1e-5)
    assert lengths == [(4, 3), (4, 4), (4, 8), (4, 11)]
    lengths.clear()
    stream = classifier(iter(texts), batch_size=4)
    next(stream)
    assert lengths == [(4, 11)]

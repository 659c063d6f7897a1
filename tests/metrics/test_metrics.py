"""Scores worked out by hand, batches against the whole, evaluate's interface, and errors."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minift.metrics.combined import combine
from minift.metrics.glue import GLUE
from minift.metrics.losses import perplexity, weighted_mean
from minift.metrics.metric import load
from tests.metrics import at_once

PREDICTIONS, REFERENCES = [1, 0, 1, 1, 0, 1], [1, 0, 0, 1, 1, 1]  # 3 true positives, 1 false, 1 missed


def test_binary_scores_by_hand():
    assert at_once.accuracy(PREDICTIONS, REFERENCES) == pytest.approx(4 / 6)
    assert at_once.accuracy(PREDICTIONS, REFERENCES, normalize=False) == 4.0
    assert at_once.f1(PREDICTIONS, REFERENCES) == pytest.approx(6 / 8)
    assert at_once.f1(PREDICTIONS, REFERENCES, pos_label=0) == pytest.approx(2 / 4)
    assert at_once.f1(PREDICTIONS, REFERENCES, average="macro") == pytest.approx((6 / 8 + 2 / 4) / 2)
    assert at_once.f1(PREDICTIONS, REFERENCES, average="weighted") == pytest.approx((4 * 6 / 8 + 2 * 2 / 4) / 6)
    assert at_once.f1(PREDICTIONS, REFERENCES, average="micro") == pytest.approx(4 / 6)
    assert at_once.f1(PREDICTIONS, REFERENCES, average=None, labels=[1, 0]).tolist() == [0.75, 0.5]
    assert at_once.matthews(PREDICTIONS, REFERENCES) == pytest.approx((3 * 1 - 1 * 1) / math.sqrt(4 * 4 * 2 * 2))


def test_weights_are_the_counts_of_the_references():
    weighted = at_once.f1([0, 1, 1, 1], [0, 0, 1, 2], average="weighted")  # each class: 2/3, 1/2, 0
    assert weighted == pytest.approx((2 * 2 / 3 + 1 * 1 / 2 + 1 * 0) / 4)


def test_majority_class_of_mrpc():
    """The published result of a run that learnt nothing."""
    references = [1] * 279 + [0] * 129
    result = load("glue", "mrpc").compute(predictions=[1] * 408, references=references)
    assert {key: round(value, 3) for key, value in result.items()} == {"accuracy": 0.684, "f1": 0.812}
    assert at_once.matthews([1] * 408, references) == 0.0


def test_numbers_by_hand():
    assert at_once.pearson([1, 2, 3], [1, 2, 4]) == pytest.approx(3 / math.sqrt(2 * 14 / 3))
    assert at_once.spearman([1, 2, 3], [1, 20, 400]) == pytest.approx(1)
    assert at_once.spearman([1, 1, 2, 3], [4, 3, 2, 1]) == pytest.approx(-0.9486832980505138)  # two share rank 1.5
    assert at_once.mse([1, 2, 3], [1, 1, 5]) == pytest.approx(5 / 3)
    assert math.isnan(at_once.pearson([0.1] * 3, [1, 2, 3]))
    assert math.isnan(at_once.spearman([1, 2, 3], [7, 7, 7]))
    assert math.isnan(at_once.spearman([1, math.nan, 3], [1, 2, 3]))
    assert math.isnan(at_once.pearson([1, math.nan, 3], [1, 2, 3]))
    assert perplexity(math.log(21.75)) == pytest.approx(21.75)
    assert perplexity(1000.0) == math.inf


def test_a_batch_without_labels_has_no_part_in_the_mean():
    assert weighted_mean([(2.0, 3), (math.nan, 0), (5.0, 1)]) == (2 * 3 + 5) / 4
    assert weighted_mean([(math.nan, 0)]) == 0


@settings(deadline=None, max_examples=60)
@given(data=st.data(), cuts=st.lists(st.integers(0, 40), max_size=4))
def test_batches_give_the_scores_of_the_whole(data, cuts):
    labels = st.lists(st.integers(0, 2), min_size=40, max_size=40)
    numbers = st.lists(st.integers(-1000, 1000).map(lambda n: n / 7), min_size=40, max_size=40)
    bounds = [0, *sorted(cuts), 40]
    for name, values in [("accuracy", labels), ("matthews_correlation", labels), ("pearsonr", numbers)]:
        predictions, references = data.draw(values), data.draw(values)
        metric = load(name)
        for start, stop in itertools.pairwise(bounds):
            metric.add_batch(predictions=predictions[start:stop], references=references[start:stop])
        whole = load(name).compute(predictions=predictions, references=references)
        assert metric.compute() == pytest.approx(whole, abs=1e-9, nan_ok=True)


def test_large_means_lose_no_digits():
    x = np.random.default_rng(0).normal(size=1000)
    y = x + np.random.default_rng(1).normal(size=1000)
    metric = load("pearsonr")
    for part in np.split(np.arange(1000), 10):
        metric.add_batch(predictions=x[part] + 1e6, references=y[part] - 1e6)
    assert metric.compute()["pearsonr"] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)


def test_memory_does_not_grow_with_the_examples():
    accuracy = load("glue", "mnli")
    for _ in range(50):
        accuracy.add_batch(predictions=[0, 1, 2, 1], references=[0, 1, 1, 2])
    (confusion,) = accuracy.statistics.values()
    assert len(confusion.counts) == 4


def test_add_add_batch_and_compute():
    metric = load("accuracy")
    metric.add(prediction=1, reference=1)
    metric.add(prediction=torch.tensor(0), reference=np.int64(1))
    metric.add_batch(predictions=torch.tensor([1, 1]), references=np.array([True, True]))
    metric.add_batch(predictions=[], references=[])
    assert metric.compute(predictions=[0], references=[1]) == {"accuracy": 3 / 5}
    with pytest.raises(ValueError, match="nothing to score"):
        metric.compute()


def test_compute_forgets_also_when_it_fails():
    metric = load("f1")
    metric.add_batch(predictions=[0, 0], references=[0, 1])
    with pytest.raises(ValueError, match="unknown average 'median'"):
        metric.compute(average="median")
    assert metric.compute(predictions=[1, 1, 0], references=[1, 1, 0], average="macro") == {"f1": 1.0}


def test_a_refused_batch_adds_nothing():
    metric = load("glue", "stsb")
    metric.add_batch(predictions=[1.0, 2.0], references=[1.0, 2.0])
    with pytest.raises(ValueError, match="1 predictions but 2 references"):
        metric.add_batch(predictions=[9.0], references=[1.0, 2.0])
    assert metric.compute() == pytest.approx({"pearson": 1.0, "spearmanr": 1.0})


def test_tensors_of_every_kind():
    bfloat16 = torch.tensor([1, 2, 4], dtype=torch.bfloat16, requires_grad=True)
    assert at_once.mse(bfloat16, torch.tensor([1.0, 2.0, 3.0])) == pytest.approx(1 / 3)
    import tensorflow as tf

    assert at_once.accuracy(tf.constant([1, 0]), tf.constant([1, 1])) == 0.5


@pytest.mark.parametrize("config", GLUE)
def test_every_glue_configuration(config):
    task = GLUE[config]
    assert len(task.text_columns) in (1, 2)
    result = load("glue", config).compute(predictions=[0, 1, 1], references=[0, 1, 1])
    assert result == pytest.approx(dict.fromkeys(task.metrics, 1.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: at_once.accuracy([1], [1, 0]), "1 predictions but 2 references"),
        (lambda: at_once.accuracy([], []), "nothing to score"),
        (lambda: at_once.accuracy([], [], normalize=False), "nothing to score"),
        (lambda: at_once.f1([], []), "nothing to score"),
        (lambda: at_once.matthews([], []), "nothing to score"),
        (lambda: at_once.mse([], []), "nothing to score"),
        (lambda: at_once.spearman([], []), "nothing to score"),
        (lambda: at_once.pearson([1], [1]), "at least 2 examples, not 1"),
        (lambda: at_once.accuracy([0.5, 1.0], [0, 1]), r"predictions\[0\] is 0.5, expected integer labels"),
        (lambda: at_once.accuracy([0, 1], ["a", "b"]), r"references\[0\] is 'a', expected integer labels"),
        (lambda: at_once.accuracy([[0.1, 0.9]], [1]), r"predictions has shape \(1, 2\), .*argmax"),
        (lambda: at_once.mse([[0.1], [0.2]], [1, 2]), r"predictions has shape \(2, 1\), .*\[:, 0\]"),
        (lambda: at_once.mse(["a"], [1]), "predictions has dtype <U1, expected real numbers"),
        (lambda: at_once.f1([0, 1, 2], [0, 1, 2]), r"average='binary' with labels \[0, 1, 2\]"),
        (lambda: at_once.f1([0, 2], [0, 2]), r"pos_label=1 is not among the labels \[0, 2\]"),
        (lambda: load("bleu"), "unknown metric 'bleu'; there are: accuracy, .*glue"),
        (lambda: load("pearson"), "unknown metric 'pearson'"),
        (lambda: load("glue"), "unknown GLUE configuration None; there are: cola, sst2"),
        (lambda: load("glue", "sst-2"), "unknown GLUE configuration 'sst-2'"),
        (lambda: load("f1", "macro"), "'f1' has no configuration 'macro'; there are: multilabel"),
        (lambda: load("f1").compute(predictions=[1]), "predictions and references together"),
        (
            lambda: load("glue", "mrpc").compute(predictions=[0, 1], references=[1, -1]),
            r"references\[1\] is -1, expected a label from 0 to 1",
        ),
        (
            lambda: load("glue", "mnli").compute(predictions=[3], references=[0]),
            r"predictions\[0\] is 3, expected a label from 0 to 2",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_unknown_option_is_named():
    with pytest.raises(TypeError, match="'f1' has no option 'beta'; its options are average, pos_label, labels"):
        load("f1").compute(predictions=[1], references=[1], beta=2)
    with pytest.raises(TypeError, match="the metric 'glue' has no option 'average'; it has none"):
        load("glue", "mrpc").compute(predictions=[1], references=[1], average="macro")
    with pytest.raises(ValueError, match="sample_weight weighs the examples of one call"):
        load("f1").compute(sample_weight=[1.0])


def test_importing_metrics_imports_no_framework():
    code = "import sys, minift.metrics.metric; sys.exit(any(name in sys.modules for name in ('torch', 'tensorflow')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_labels_as_floats_and_text():
    """evaluate makes integers of them, too; there 1.7 becomes 1 without a word."""
    assert load("accuracy").compute(predictions=[1.0, 0.0], references=["1", "1"]) == {"accuracy": 0.5}
    with pytest.raises(ValueError, match=r"predictions\[0\] is 1.7, expected integer labels"):
        load("accuracy").compute(predictions=[1.7], references=[1])


def test_exact_match():
    refs, preds = ["the cat", "theater", "YELLING", "agent007"], ["cat?", "theater", "yelling", "agent"]
    values = {"predictions": preds, "references": refs}
    assert load("exact_match").compute(**values) == {"exact_match": 0.25}
    assert load("exact_match").compute(**values, ignore_case=True, ignore_punctuation=True, ignore_numbers=True) == {
        "exact_match": 0.75
    }
    assert load("exact_match").compute(**values, regexes_to_ignore=["the ", "\\?"]) == {"exact_match": 0.5}
    with pytest.raises(ValueError, match=r"references\[1\] is 2, expected a string"):
        load("exact_match").compute(predictions=["a", "b"], references=["a", 2])


def test_combined_metrics():
    both = combine(["accuracy", "f1"])
    for reference, prediction in zip(REFERENCES, PREDICTIONS, strict=True):
        both.add(references=reference, predictions=prediction)
    assert both.compute() == {"accuracy": pytest.approx(4 / 6), "f1": pytest.approx(6 / 8)}
    values = {"predictions": [0, 1], "references": [1, 1]}
    assert combine(["f1", "f1"]).compute(**values).keys() == {"f1_0_f1", "f1_1_f1"}
    assert combine({"one": "f1", "two": "f1"}).compute(**values).keys() == {"one_f1", "two_f1"}
    assert combine(["accuracy", "f1"], force_prefix=True).compute(**values).keys() == {"accuracy_accuracy", "f1_f1"}

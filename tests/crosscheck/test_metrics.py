"""Metrics against scikit-learn's and SciPy's, on random and on degenerate input."""

import math
import warnings

import numpy as np
import pytest
import sklearn.metrics as sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from minift.metrics.metric import load
from tests.metrics import at_once


@pytest.fixture(autouse=True)
def _quiet():
    """The libraries warn about each undefined score; the scores are what is compared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def outcome(function, *args, **kwargs):
    """The result, or that there is none."""
    try:
        return function(*args, **kwargs)
    except ValueError:
        return "ValueError"


def same(ours, theirs) -> bool:
    if isinstance(theirs, str) or isinstance(ours, str):
        return isinstance(ours, str) and isinstance(theirs, str)
    return np.allclose(ours, theirs, rtol=1e-12, atol=1e-12, equal_nan=True)


def pairs(values):
    return st.lists(st.tuples(values, values), max_size=30).map(
        lambda rows: ([a for a, _ in rows], [b for _, b in rows])
    )


@settings(deadline=None, max_examples=80)
@given(pairs(st.integers(0, 1)) | pairs(st.integers(-2, 3)) | pairs(st.just(1)) | pairs(st.just(0)))
def test_classification_equals_sklearn(rows):
    predictions, references = rows
    assert same(
        outcome(at_once.accuracy, predictions, references), outcome(sklearn.accuracy_score, references, predictions)
    )
    assert same(
        outcome(at_once.matthews, predictions, references), outcome(sklearn.matthews_corrcoef, references, predictions)
    )
    for average in ("binary", "macro", "micro", "weighted", None):
        for options in ({}, {"labels": [1, 5, 0]}, {"pos_label": 0}):
            ours = outcome(at_once.f1, predictions, references, average=average, **options)
            theirs = outcome(sklearn.f1_score, references, predictions, average=average, **options)
            assert same(ours, theirs), (average, options, ours, theirs)


def test_many_classes_and_many_rows_equal_sklearn():
    generator = np.random.default_rng(0)
    references = generator.integers(0, 50, size=200_000)
    predictions = np.where(generator.random(200_000) < 0.7, references, generator.integers(0, 60, size=200_000))
    assert same(at_once.matthews(predictions, references), sklearn.matthews_corrcoef(references, predictions))
    for average in ("macro", "micro", "weighted", None):
        ours = at_once.f1(predictions, references, average=average)
        assert same(ours, sklearn.f1_score(references, predictions, average=average))


def pearsonr(predictions, references):
    return stats.pearsonr(predictions, references).statistic


def spearmanr(predictions, references):
    return stats.spearmanr(predictions, references).statistic


@pytest.mark.parametrize("ours", [at_once.pearson, at_once.spearman, at_once.mse])
@pytest.mark.parametrize("size", [2, 3, 10, 1000])
def test_numbers_equal_scipy(ours, size):
    theirs = {"pearson": pearsonr, "spearman": spearmanr, "mse": sklearn.mean_squared_error}[ours.__name__]
    generator = np.random.default_rng(size)
    for scale in (1.0, 1e-6, 1e6):
        x, y = generator.normal(size=(2, size)) * scale
        assert same(ours(x, y), theirs(x, y))
        assert same(ours(x + 3 * scale, x + y), theirs(x + 3 * scale, x + y))
        ties_x, ties_y = generator.integers(0, 5, size=(2, size))
        assert same(ours(ties_x, ties_y), theirs(ties_x, ties_y))
        assert same(ours(x, 2 * x), theirs(x, 2 * x))


@pytest.mark.parametrize("values", [[0.1] * 7, [1, 1, 1], [1, math.nan, 2], [1, math.inf, 2], [math.nan] * 3, [3.0]])
def test_degenerate_numbers_equal_scipy(values):
    other = np.arange(len(values)) % 3
    assert same(outcome(at_once.pearson, values, other), outcome(pearsonr, values, other))
    assert same(outcome(at_once.pearson, other, values), outcome(pearsonr, other, values))
    assert same(outcome(at_once.spearman, values, other), outcome(spearmanr, values, other))
    assert same(outcome(at_once.spearman, other, values), outcome(spearmanr, other, values))


@settings(deadline=None, max_examples=100)
@given(pairs(st.integers(-3, 3)))
def test_ranks_with_ties_equal_scipy(rows):
    predictions, references = rows
    if predictions:  # of nothing, scipy says NaN where minift says that there is nothing
        assert same(at_once.spearman(predictions, references), spearmanr(predictions, references))


# -- through `load`, with their options

AVERAGES = ["binary", "micro", "macro", "weighted", None]


def seeded(function):
    """Run a test on 12 small random inputs: predictions, references and, in every other, weights."""
    return pytest.mark.parametrize("seed", range(12))(function)


def drawn(seed, *shape, classes):
    generator = np.random.default_rng(seed)
    rows = int(generator.integers(1, 12))
    sides = generator.integers(0, classes, (2, rows, *shape))
    weights = {"sample_weight": generator.random(rows).round(2)} if seed % 2 else {}
    return generator, rows, sides, weights


def scored(name, config=None, **values):
    return load(name, config).compute(**values)[name]


@seeded
def test_options_of_class_scores(seed):
    _, _, (predictions, references), weights = drawn(seed, classes=1 + seed % 4)
    both = {"predictions": predictions, "references": references, **weights}
    for average in AVERAGES:
        for labels in (None, [0, 2]):
            options = {"average": average, "labels": labels}
            theirs = outcome(sklearn.f1_score, references, predictions, **options, **weights)
            assert same(outcome(scored, "f1", **both, **options), theirs)
            for zero in (0, 1, np.nan, "warn"):
                for name, score in (("precision", sklearn.precision_score), ("recall", sklearn.recall_score)):
                    theirs = outcome(score, references, predictions, zero_division=zero, **options, **weights)
                    assert same(outcome(scored, name, **both, zero_division=zero, **options), theirs)
    for normalize in (True, False):
        theirs = sklearn.accuracy_score(references, predictions, normalize=normalize, **weights)
        assert same(scored("accuracy", **both, normalize=normalize), theirs)
    assert same(scored("matthews_correlation", **both), sklearn.matthews_corrcoef(references, predictions, **weights))


@seeded
def test_rows_of_several_labels(seed):
    _, _, (predictions, references), weights = drawn(seed, 3, classes=2)
    both = {"predictions": predictions, "references": references, **weights}
    for average in [*AVERAGES, "samples"]:
        for name in ("precision", "recall", "f1"):
            theirs = outcome(getattr(sklearn, f"{name}_score"), references, predictions, average=average, **weights)
            assert same(outcome(scored, name, "multilabel", **both, average=average), theirs)
    assert same(scored("accuracy", "multilabel", **both), sklearn.accuracy_score(references, predictions, **weights))
    columns = zip(predictions.T, references.T, strict=True)
    theirs = [sklearn.matthews_corrcoef(*column, **weights) for column in columns]
    assert same(scored("matthews_correlation", "multilabel", **both), theirs)


@seeded
def test_errors_of_numbers(seed):
    generator, rows, _, weights = drawn(seed, classes=2)
    one, many = generator.random((2, rows)), generator.random((2, rows, 3))
    for name, score in (("mse", sklearn.mean_squared_error), ("mae", sklearn.mean_absolute_error)):
        assert same(scored(name, predictions=one[0], references=one[1], **weights), score(*one, **weights))
        for outputs in ("uniform_average", "raw_values", [0.2, 0.3, 0.5]):
            options = {"multioutput": outputs, **weights}
            ours = scored(name, "multilist", predictions=many[0], references=many[1], **options)
            assert same(ours, score(*many, **options))
    roots = scored("mse", predictions=one[0], references=one[1], squared=False, **weights)
    assert same(roots, sklearn.root_mean_squared_error(*one, **weights))


@seeded
def test_p_values(seed):
    rows = np.random.default_rng(seed).random((2, 3 + seed))
    for name, theirs, key in (
        ("pearsonr", stats.pearsonr, "p-value"),
        ("spearmanr", stats.spearmanr, "spearmanr_pvalue"),
    ):
        ours = load(name).compute(predictions=rows[0], references=rows[1], return_pvalue=True)
        assert same([ours[name], ours[key]], list(theirs(*rows)))


@seeded
def test_area_under_the_curve(seed):
    generator, rows, (references, _), weights = drawn(seed, classes=2)
    scores = generator.random(rows).round(1)
    for max_fpr in (None, 0.3, 0.7, 1):
        options = {"max_fpr": max_fpr, **weights}
        theirs = outcome(sklearn.roc_auc_score, references, scores, **options)
        assert same(outcome(scored, "roc_auc", prediction_scores=scores, references=references, **options), theirs)
    scores = generator.random((rows, 3))
    scores /= scores.sum(axis=1, keepdims=True)
    classes, labels = generator.integers(0, 3, rows), generator.integers(0, 2, (rows, 3))
    for average in ("macro", "weighted", "micro", "samples", None):
        for config, actual in (("multiclass", classes), ("multilabel", labels)):
            for how in ("ovr", "ovo", "raise") if config == "multiclass" else ("raise",):
                options = {"average": average, "multi_class": how, **({} if how == "ovo" else weights)}
                if (config, average) == ("multiclass", "samples") or (how, average) == ("ovo", None):
                    continue
                theirs = outcome(sklearn.roc_auc_score, actual, scores, **options)
                ours = outcome(scored, "roc_auc", config, prediction_scores=scores, references=actual, **options)
                assert same(ours, theirs)

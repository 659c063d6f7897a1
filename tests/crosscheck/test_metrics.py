"""Metrics against scikit-learn's and SciPy's, on random and on degenerate input."""

import math
import warnings

import numpy as np
import pytest
import sklearn.metrics as sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

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

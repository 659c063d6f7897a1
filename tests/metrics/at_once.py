"""The scores of whole arrays, for tests: each statistic made, updated once, and asked."""

from minift.metrics.classes import Confusion
from minift.metrics.numbers import Errors, Values


def accuracy(predictions, references, **options):
    return Confusion().update(predictions, references).accuracy(**options)


def f1(predictions, references, **options):
    return Confusion().update(predictions, references).f1(**options)


def matthews(predictions, references):
    return Confusion().update(predictions, references).matthews()


def pearson(predictions, references):
    return Values().update(predictions, references).pearson()


def spearman(predictions, references):
    return Values().update(predictions, references).spearman()


def mse(predictions, references):
    return Errors().update(predictions, references).mse()

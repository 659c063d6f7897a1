"""Predictions to scores: minift's metrics beside scikit-learn's, which evaluate calls."""

from collections.abc import Iterator

import numpy as np

from benchmarks.checks import close
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings
from minift.metrics.classes import Confusion
from minift.metrics.numbers import Values

BATCH = 64


def cases(settings: Settings) -> Iterator[Case]:
    from scipy.stats import pearsonr, spearmanr
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    for rows in (408, 100_000):
        draw = np.random.default_rng(0)
        references = draw.integers(0, 2, rows)
        predictions = np.where(draw.random(rows) < 0.85, references, 1 - references)

        def theirs(p=predictions, r=references) -> dict:
            return {"accuracy": accuracy_score(r, p), "f1": f1_score(r, p), "matthews": matthews_corrcoef(r, p)}

        def ours(p=predictions, r=references) -> dict:
            counts = Confusion(2).update(p, r)
            return {"accuracy": counts.accuracy(), "f1": counts.f1(), "matthews": counts.matthews()}

        yield Case(
            f"accuracy, F1 and Matthews of {rows:,} rows",
            Side("scikit-learn", theirs),
            [Side("Confusion", ours, close(1e-12), target=1)],
        )
        scores = references + draw.normal(size=rows)
        values = scores + draw.normal(size=rows)

        def theirs(p=values, r=scores) -> dict:
            return {"pearson": pearsonr(p, r).statistic, "spearman": spearmanr(p, r).statistic}

        def ours(p=values, r=scores) -> dict:
            return {"pearson": Values().update(p, r).pearson(), "spearman": Values().update(p, r).spearman()}

        yield Case(
            f"Pearson and Spearman of {rows:,} rows",
            Side("scipy", theirs),
            [Side("metrics", ours, close(1e-9), target=1)],
        )

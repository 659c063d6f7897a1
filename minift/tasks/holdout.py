"""Rows to evaluate on, taken from those to train on."""

import numpy as np

from minift.data.dataset import Dataset
from minift.data.order import stratified_rows
from minift.tasks.labels import ONE


def hold_out(
    rows: Dataset, share: float, seed: int, label_column: str, problem_type: str
) -> tuple[Dataset, Dataset, str]:
    """Split the rows at random, by `seed`, into those to train on and a `share` (0 to 1) to evaluate on.

    Classes keep their shares on both sides (stratified), if each has two rows or more and there is room for all.

    Returns the two, and how they were drawn. A share that leaves no row on one side is a ValueError.
    """
    held_out = round(share * len(rows)) or 1
    if not 0 < held_out < len(rows):
        raise ValueError(f"holdout={share}: of {len(rows)} rows, it leaves none to train on")
    generator = np.random.default_rng(seed)
    if problem_type == ONE:
        classes = np.asarray(rows[label_column])
        counts = np.unique(classes, return_counts=True)[1]
        if counts.min() >= 2 and min(held_out, len(rows) - held_out) >= len(counts):
            for_train, for_test = stratified_rows(classes, len(rows) - held_out, held_out, generator)
            return rows.select(np.sort(for_train)), rows.select(np.sort(for_test)), f"stratified, seed {seed}"
    order = generator.permutation(len(rows))
    return rows.select(np.sort(order[held_out:])), rows.select(np.sort(order[:held_out])), f"at random, seed {seed}"

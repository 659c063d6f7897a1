"""Rows to evaluate on, taken from those to train on."""

import numpy as np

from minift.data.dataset import Dataset, DatasetDict
from minift.data.order import stratified_rows
from minift.tasks.labels import ONE
from minift.train.report import tell


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


def train_and_evaluation(
    data: DatasetDict, share: float, seed: int, max_train: int | None, max_eval: int | None
) -> tuple[Dataset, Dataset | None]:
    """Return the rows to train on and those to evaluate on: the split validation or test, or a `share` held out.

    Of more rows than `max_train` and `max_eval`, so many are drawn at random, by `seed`. A data set without a split
    "train", and a share that is none, is a ValueError.
    """
    check_share(share)
    check_has_train(data)
    evaluation = next((data[name] for name in ("validation", "test") if name in data), None)
    train = data["train"]
    if evaluation is None and share:
        parts = train.train_test_split(share, seed=seed)
        train, evaluation = parts["train"], parts["test"]
        tell("", f"{len(evaluation):,} rows are held out to evaluate on (drawn at random, seed {seed})")
    if max_train is not None:
        train = train.shuffle(seed=seed).take(max_train)
    if max_eval is not None and evaluation is not None:
        evaluation = evaluation.shuffle(seed=seed).take(max_eval)
    return train, evaluation


def check_share(share: float) -> None:
    if not 0 <= share < 1:
        raise ValueError(f"holdout={share} must be a share from 0 to below 1")


def check_has_train(data: DatasetDict) -> None:
    if "train" not in data:
        raise ValueError(f"the data set has no split 'train', only {', '.join(data)}")


def has_labels(rows: Dataset, column: str) -> bool:
    """Whether any row has a label: test sets on the Hub often hold -1 or nothing instead."""
    return column in rows.features and any(label not in (None, -1, "") for label in rows[column])

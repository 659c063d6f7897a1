"""Which rows, in which order: seeds, the rows of a split, the rows of several datasets in turns. Numpy only."""

from collections.abc import Iterator, Sequence
from math import ceil, floor

import numpy as np

STOPPING = ("first_exhausted", "all_exhausted", "all_exhausted_without_replacement")
BLOCK = 1000  # sources that are drawn together


def random_generator(seed: int | None, generator: np.random.Generator | None) -> np.random.Generator:
    """The generator, or a new one of this seed; without both, the seed is a word of numpy's global state.

    So the order repeats after `set_seed`, and is that of `datasets` (Dataset.shuffle). The global state moves on.
    """
    if seed is not None and generator is not None:
        raise ValueError("pass seed or generator, not both")
    if generator is not None:
        return generator
    if seed is None:
        _, words, position, *_ = np.random.get_state()
        seed = words[position if position < len(words) else 0]
        np.random.random()
    return np.random.default_rng(seed)


def split_sizes(rows: int, test_size: float | int | None, train_size: float | int | None) -> tuple[int, int]:
    """Count the rows for training (rounded down) and testing (rounded up), as `datasets` and scikit-learn do."""
    if test_size is None and train_size is None:
        test_size = 0.25
    for name, size in (("test_size", test_size), ("train_size", train_size)):
        if size is not None and not (0 < size < 1 if isinstance(size, float) else 0 < size < rows):
            raise ValueError(f"{name}={size}: expected a float between 0 and 1, or 1 to {rows - 1} of the {rows} rows")
    test = ceil(test_size * rows) if isinstance(test_size, float) else test_size
    train = floor(train_size * rows) if isinstance(train_size, float) else train_size
    test = rows - train if test is None else test
    train = rows - test if train is None else train
    if train + test > rows:
        raise ValueError(f"train_size={train_size} and test_size={test_size} together exceed the {rows} rows")
    if train == 0:
        raise ValueError(f"test_size={test_size} and train_size={train_size} of {rows} rows leave none for training")
    return train, test


def stratified_rows(
    classes: np.ndarray, train: int, test: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Choose rows for training and testing that hold each class in its share; `classes` is a number a row (N,).

    Re-implements scikit-learn's StratifiedShuffleSplit (model_selection/_split.py) with numpy's Generator, as
    `datasets` has it (utils/stratify.py).
    """
    _, number, counts = np.unique(classes, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise ValueError("stratify_by_column: a class has one row; each needs two, one to train and one to test on")
    if min(train, test) < len(counts):
        raise ValueError(f"stratify_by_column: {train} and {test} rows are too few for {len(counts)} classes")
    rows_of_class = np.split(np.argsort(number, kind="stable"), np.cumsum(counts)[:-1])
    to_train = _shares(counts, train, generator)
    to_test = _shares(counts - to_train, test, generator)
    parts: tuple[list, list] = ([], [])
    for rows, first, second in zip(rows_of_class, to_train, to_test, strict=True):
        rows = rows[generator.permutation(len(rows))]
        parts[0].extend(rows[:first])
        parts[1].extend(rows[first : first + second])
    return generator.permutation(parts[0]), generator.permutation(parts[1])


def _shares(counts: np.ndarray, total: int, generator: np.random.Generator) -> np.ndarray:
    """Share `total` draws out over classes of `counts` rows: rounded down, the rest to the largest remainders."""
    exact = total * counts / counts.sum()
    shares = np.floor(exact)
    left, remainders = int(total - shares.sum()), exact - np.floor(exact)
    for value in np.unique(remainders)[::-1]:
        if left == 0:
            break
        tied = np.flatnonzero(remainders == value)
        chosen = generator.choice(tied, size=min(len(tied), left), replace=False)
        shares[chosen] += 1
        left -= len(chosen)
    return shares.astype(np.int64)


def interleaved_rows(
    lengths: Sequence[int], probabilities: Sequence[float] | None, seed: int | None, stopping_strategy: str
) -> np.ndarray:
    """Take a row from each source in turns, or from a source that is drawn: numbers of rows of their concatenation.

    A source that is exhausted begins again or, without replacement, is passed over. The end is where the first source
    is exhausted, or all are. Re-implements `datasets.interleave_datasets` (arrow_dataset.py).
    """
    if stopping_strategy not in STOPPING:
        raise ValueError(f"stopping_strategy={stopping_strategy!r}: expected one of {', '.join(STOPPING)}")
    used = [1.0] * len(lengths) if probabilities is None else probabilities
    if any(length == 0 and p > 0 for length, p in zip(lengths, used, strict=True)):
        if probabilities is None and stopping_strategy == "first_exhausted":
            return np.zeros(0, dtype=np.int64)
        raise ValueError(f"interleave_datasets: a dataset is empty, the others have {list(lengths)} rows")
    if stopping_strategy != "first_exhausted" and not all(used):
        raise ValueError("interleave_datasets: a dataset of probability 0 is never exhausted; leave it out")
    offsets, taken, rows = np.cumsum([0, *lengths[:-1]]), [0] * len(lengths), []
    enough = any if stopping_strategy == "first_exhausted" else all
    for source in _sources(len(lengths), probabilities, seed):
        may_end = probabilities is not None or source == 0  # turns end with a whole round
        if may_end and enough(n >= length for n, length, p in zip(taken, lengths, used, strict=True) if p > 0):
            break
        if stopping_strategy == "all_exhausted_without_replacement" and taken[source] >= lengths[source]:
            continue
        rows.append(offsets[source] + taken[source] % lengths[source])
        taken[source] += 1
    return np.array(rows, dtype=np.int64)


def _sources(count: int, probabilities: Sequence[float] | None, seed: int | None) -> Iterator[int]:
    generator = np.random.default_rng(seed)
    while True:
        if probabilities is None:
            yield from range(count)
        else:
            yield from generator.choice(count, size=BLOCK, p=probabilities)

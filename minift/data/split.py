"""Which rows a split is: the sizes of `train_test_split`, and expressions such as ``train[:10%]+test``."""

import re
from math import ceil, floor

_PART = re.compile(r"(?P<split>[\w.-]+?)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


def split_sizes(rows: int, test_size: float | int | None, train_size: float | int | None) -> tuple[int, int]:
    """How many rows are for training and for testing; a float is a part of `rows`, an int a number of them.

    The test part is rounded up and the training part down, as in `datasets` and scikit-learn.
    """
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


def parse_split(expression: str) -> list[tuple[str, str | None, str | None]]:
    """``train[:10%]+test`` -> ``[("train", None, "10%"), ("test", None, None)]``."""
    parts = [_PART.fullmatch(part.strip()) for part in expression.split("+")]
    if None in parts:
        raise ValueError(f"split={expression!r}: expected a name, name[from:to], name[from%:to%], or a sum of those")
    return [(part["split"], part["start"], part["stop"]) for part in parts]


def split_range(rows: int, start: str | None, stop: str | None) -> range:
    """The rows between two bounds, each a number of rows or a percentage (to the closest row), also from the end."""
    bounds = []
    for text, default in ((start, 0), (stop, rows)):
        if text is None:
            bounds.append(default)
            continue
        if text.endswith("%"):
            percent = int(text[:-1])
            if abs(percent) > 100:
                raise ValueError(f"{text}: a percentage of a split goes from -100 to 100")
            bound = round(percent * rows / 100)
        else:
            bound = int(text)
        bounds.append(min(max(bound + rows, 0) if bound < 0 else bound, rows))
    return range(bounds[0], max(bounds))

"""The values of a label column -> what a model learns: class numbers, numbers, or rows of zeros and ones."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import ClassLabel, Feature, List, Value
from minift.tasks.columns import is_text

ONE, NUMBER, MANY = "single_label_classification", "regression", "multi_label_classification"
MANY_CLASSES = 50  # more integers than that, with gaps between them, are numbers, not classes


def number_labels(data: DatasetDict, column: str, problem_type: str | None = None) -> tuple[str, list[str]]:
    """Replace the labels in `data` by what the model learns.

    Strings, booleans, a `ClassLabel` and integers are classes: numbers from 0 (integers with many values and gaps
    between them, a regression). Floats are a regression. Lists are several labels a row: (C,) zeros and ones, made from
    strings, from class numbers, or kept where they are that already. `problem_type` makes integers a regression, or
    whole floats classes.

    Returns:
        The problem type, as the model's configuration names it, and the names of the classes, [] for a regression.

    Raises:
        ValueError: the column holds something else, or one class only; or a label is not one of the classes, with its
            split and row.
    """
    kind = str(getattr(data["train"].features[column], "dtype", ""))
    if problem_type == NUMBER and kind.startswith(("int", "uint")):
        _cast(data, column, "float64")
    elif problem_type == ONE and kind.startswith("float"):
        _cast(data, column, "int64")  # or an error, if there is a number that is not whole
    feature = data["train"].features[column]
    kind = str(getattr(feature, "dtype", ""))
    if isinstance(feature, List):
        return MANY, _number_lists(data, column, feature)
    if kind.startswith("float"):
        return NUMBER, []
    if isinstance(feature, ClassLabel):
        names = list(feature.names)
    elif is_text(feature):
        names = sorted(data["train"].unique(column))
        _check_classes(column, names, len(data["train"]))
    elif kind == "bool":
        names = ["False", "True"]
    elif kind.startswith(("int", "uint")):
        values = sorted(data["train"].unique(column))
        largest = values[-1] + 1
        if len(values) > MANY_CLASSES and len(values) < largest:
            return NUMBER, []
        if 0 in values and 2 * len(values) > largest:
            names = [str(value) for value in range(largest)]
        else:  # such as the stars from 1 to 5
            names = [str(value) for value in values]
            _replace(data, column, {value: number for number, value in enumerate(values)}, ClassLabel(names=names))
    else:
        raise ValueError(f"the label column {column!r} holds {feature!r}; expected classes, strings, numbers or lists")
    if len(names) < 2:
        raise ValueError(f"the label column {column!r} has the class {', '.join(names)} only: there is nothing to tell")
    for split, rows in data.items():
        if is_text(feature) or kind == "bool":
            try:
                data[split] = rows.cast_column(column, ClassLabel(names=names))
            except ValueError as error:
                raise ValueError(f"split {split!r}, {error}") from error
        for row, label in enumerate(data[split][column]):
            if not 0 <= label < len(names):
                raise ValueError(f"split {split!r}, row {row}: label {label} is not one of the {len(names)} classes")
    return ONE, names


def _cast(data: DatasetDict, column: str, dtype: str) -> None:
    for split, rows in data.items():
        data[split] = rows.cast_column(column, Value(dtype))


def _check_classes(column: str, names: list[str], rows: int) -> None:
    if rows >= 20 and 2 * len(names) > rows:
        raise ValueError(
            f"the label column {column!r} has {len(names)} different strings in {rows} rows, such as {names[0]!r}: "
            "these are no classes"
        )


def _number_lists(data: DatasetDict, column: str, feature: Feature) -> list[str]:
    inner = feature.feature
    kind = str(getattr(inner, "dtype", ""))
    lists = data["train"][column]
    if not (isinstance(inner, ClassLabel) or is_text(inner) or kind.startswith(("int", "uint", "float", "bool"))):
        raise ValueError(
            f"the label column {column!r} holds {feature!r}; expected lists of classes, strings or 0 and 1"
        )
    lengths, values = {len(labels) for labels in lists}, {value for labels in lists for value in labels}
    is_zeros_and_ones = (
        not isinstance(inner, ClassLabel) and len(lengths) == 1 and max(lengths) > 1 and values <= {0, 1}
    )
    if is_zeros_and_ones:
        names = [str(number) for number in range(max(lengths))]
    elif kind.startswith(("float", "bool")):
        raise ValueError(f"the label column {column!r} holds lists of {kind}: expected 0 and 1, as many in each row")
    elif isinstance(inner, ClassLabel):
        names = list(inner.names)
    else:
        names = sorted(values) if is_text(inner) else [str(value) for value in range(max(values, default=0) + 1)]
    if len(names) < 2:
        raise ValueError(f"the label column {column!r} has fewer than two labels: there is nothing to tell")
    known = names if is_text(inner) else range(len(names))
    numbers = {label: number for number, label in enumerate(known)}  # a dict: a list would take -1 for the last class
    for split, rows in data.items():
        encoded = []
        for row, labels in enumerate(rows[column]):
            try:
                if is_zeros_and_ones:
                    encoded.append(_check_length(labels, len(names)))
                else:
                    encoded.append(_zeros_and_ones([numbers[label] for label in labels], len(names)))
            except (LookupError, ValueError):
                raise ValueError(
                    f"split {split!r}, row {row}: {labels!r} is not labels of the {len(names)}: {', '.join(names[:9])}"
                ) from None
        data[split] = _with_column(rows, column, encoded, List(Value("float32")))
    return names


def _check_length(labels: list, length: int) -> list[float]:
    if len(labels) != length or not set(labels) <= {0, 1}:
        raise ValueError(f"expected {length} of 0 and 1")
    return [float(label) for label in labels]


def _zeros_and_ones(present: Iterable[int], length: int) -> list[float]:
    row = np.zeros(length)
    row[list(present)] = 1.0
    return row.tolist()


def _replace(data: DatasetDict, column: str, numbers: dict[Any, int], feature: Feature) -> None:
    for split, rows in data.items():
        encoded = []
        for row, label in enumerate(rows[column]):
            if label not in numbers:
                raise ValueError(f"split {split!r}, row {row}: label {label} is not one of the {len(numbers)} classes")
            encoded.append(numbers[label])
        data[split] = _with_column(rows, column, encoded, feature)


def _with_column(rows: Dataset, column: str, values: list, feature: Feature) -> Dataset:
    return rows.remove_columns(column).add_column(column, values, feature)

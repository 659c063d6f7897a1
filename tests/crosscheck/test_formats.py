"""What the numpy and torch formats hand out: the types, shapes, dtypes and values of `datasets`."""

from datetime import date, datetime

import datasets
import numpy as np
import pytest
import torch

import minift

COLUMNS = {
    "integers": [1, 2, 3],
    "floats": [0.5, 1.5, 2.5],
    "booleans": [True, False, True],
    "text": ["a", "bb", "ccc"],
    "bytes": [b"x", b"yy", b"z"],
    "lists": [[1, 2], [3, 4], [5, 6]],
    "ragged lists": [[1], [2, 3], []],
    "lists of text": [["a"], ["b", "cc"], []],
    "missing integers": [1, None, 3],
    "missing floats": [1.0, None, 2.0],
    "missing text": ["a", None, "c"],
    "structs": [{"x": 1, "y": "q"}] * 3,
    "lists of structs": [[{"a": 1}], [{"a": 2}, {"a": 3}], []],
    "lists of lists": [[[1], [2, 3]]] * 3,
    "times": [datetime(2020, 1, 1)] * 3,
    "dates": [date(2020, 1, 1)] * 3,
}
READ = {
    "row": lambda rows: rows[0],
    "batch": lambda rows: rows[:],
    "column": lambda rows: rows["c"][:],
    "iteration": lambda rows: list(rows)[1],
    "batches": lambda rows: next(iter(rows.iter(2))),
}


def described(value):
    """A value as nested tuples that tell its type, too."""
    if isinstance(value, dict):
        return {name: described(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return ["list", *map(described, value)]
    if isinstance(value, np.ndarray):
        values = list(map(described, value)) if value.dtype == object else value.tolist()
        return "array", str(value.dtype), value.shape, values
    if isinstance(value, torch.Tensor):
        return "tensor", str(value.dtype), tuple(value.shape), value.tolist()
    return type(value).__name__, repr(value)


WITH_DATES = {"numpy": COLUMNS.keys(), "torch": COLUMNS.keys() - {"times", "dates"}}  # datasets refuses them in torch's


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, names in WITH_DATES.items() for name in sorted(names)]
)
def test_values_have_the_types_of_datasets(kind, name):
    rows = [library.Dataset.from_dict({"c": COLUMNS[name]}).with_format(kind) for library in (minift, datasets)]
    for how, read in READ.items():
        ours, theirs = (repr(described(read(dataset))) for dataset in rows)
        assert ours == theirs, how

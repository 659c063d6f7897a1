"""Random rows of random types, and random maps: `datasets` gives the same values and types, or both refuse."""

import math

import datasets
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minift

datasets.disable_progress_bars()
LEAVES = {
    "int": st.integers(-5, 300),
    "whole": st.integers(-5, 5).map(float),
    "float": st.sampled_from([0.5, -1.25, 1e300, math.inf]),
    "bool": st.booleans(),
    "text": st.sampled_from(["", "a", "12", "é", "True"]),
    "null": st.none(),
    "int32": st.integers(-5, 300).map(np.int32),
    "float32": st.sampled_from([0.5, 2.0]).map(np.float32),
}
KINDS = st.recursive(
    st.sampled_from(sorted(LEAVES)),
    lambda inner: st.one_of(
        inner.map(lambda kind: ["list", kind]),
        st.dictionaries(st.sampled_from("xyz"), inner, min_size=1, max_size=2),
    ),
    max_leaves=3,
)


def values_of(kind):
    """A strategy for values of a kind, now and then None."""
    if isinstance(kind, list):
        whole = st.lists(values_of(kind[1]), max_size=3)
    elif isinstance(kind, dict):
        whole = st.fixed_dictionaries({name: values_of(inner) for name, inner in kind.items()})
    else:
        whole = LEAVES[kind]
    return st.one_of(whole, whole, whole, st.none())


def columns(rows):
    return KINDS.flatmap(lambda kind: st.lists(values_of(kind), min_size=rows, max_size=rows))


def result(make):
    """The columns and types that a function makes, or the word "refused"."""
    try:
        dataset = make()
    except Exception:
        return "refused"
    types = {field.name: str(field.type).replace("item", "element") for field in dataset.features.arrow_schema}
    return dataset.column_names, repr(dataset[:]), types


def same(make):
    ours, theirs = result(lambda: make(minift)), result(lambda: make(datasets))
    if "json" not in str(theirs).lower():  # datasets 5.2 can keep a column of mixed types as JSON text; minift refuses
        assert ours == theirs


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.integers(1, 4))
def test_from_dict(data, rows):
    values = data.draw(columns(rows))
    same(lambda library: library.Dataset.from_dict({"a": values}))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.integers(2, 4), st.booleans(), st.sampled_from([1, 2, 1000]))
def test_map(data, rows, batched, batch_size):
    """The column `a` gets other values, the column `b` is new."""
    start, changed, added = (data.draw(columns(rows)) for _ in range(3))

    def by_row(row):
        row["a"] = changed[row["n"]]
        return {"a": row["a"], "b": added[row["n"]]}

    def by_batch(batch):
        return {"a": [changed[n] for n in batch["n"]], "b": [added[n] for n in batch["n"]]}

    def make(library):
        dataset = library.Dataset.from_dict({"a": start, "n": list(range(rows))})
        options = {"batch_size": batch_size} if batched else {}
        return dataset.map(by_batch if batched else by_row, batched=batched, **options)

    same(make)


def is_possible(rows):
    return result(lambda: minift.Dataset.from_dict({"a": rows})) != "refused"


def fits(found, given):
    """Whether a value is what was given, with None for the keys that only others have."""
    if isinstance(given, dict) and isinstance(found, dict):
        return all(fits(value, given.get(name)) for name, value in found.items()) and given.keys() <= found.keys()
    if isinstance(given, list) and isinstance(found, list):
        return len(found) == len(given) and all(map(fits, found, given))
    return found == given


@pytest.mark.parametrize("axis", [0, 1])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_concatenate(axis, data):
    one, other = data.draw(columns(2)), data.draw(columns(2))
    name = data.draw(st.sampled_from("ab"))

    def make(library):
        parts = [library.Dataset.from_dict({"a": one}), library.Dataset.from_dict({name: other})]
        return library.concatenate_datasets(parts, axis=axis)

    types = [str(minift.Dataset.from_dict({"a": rows}).features) for rows in (one, other) if is_possible(rows)]
    if not any("null" in kind for kind in types):
        same(make)  # of None and structs datasets refuses the sum; minift has it, and the next line looks at that
    elif axis == 0 and name == "a" and (ours := result(lambda: make(minift))) != "refused":
        assert all(fits(*pair) for pair in zip(make(minift)["a"], one + other, strict=True)), ours


FEATURES = ["int64", "int8", "float32", "float64", "string", "bool", "null"]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.sampled_from(FEATURES), st.sampled_from(["value", "list", "struct"]), st.booleans())
def test_features_are_obeyed(data, dtype, shape, as_cast):
    """Given types, for new columns and by a cast: nothing is rounded, cut or dropped."""
    values = data.draw(columns(2))

    def make(library):
        feature = library.Value(dtype)
        feature = {"value": feature, "list": library.List(feature), "struct": {"x": feature}}[shape]
        features = library.Features({"a": feature})
        if as_cast:
            return library.Dataset.from_dict({"a": values}).cast(features)
        return library.Dataset.from_dict({"a": values}, features=features)

    if as_cast or (shape != "struct" and dtype in ("float32", "float64", "string", "null")):
        same(make)
    else:  # datasets calls int(1.7) and bool("x") here, and drops keys of a struct; minift refuses what does not fit
        ours = result(lambda: make(minift))
        assert ours in ("refused", result(lambda: make(datasets)))

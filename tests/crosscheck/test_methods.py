"""Methods of Dataset and what `map` takes: `datasets` gives the same columns, values and types."""

import random
from datetime import date, datetime

import datasets
import numpy as np
import pandas as pd
import pytest

import minift

datasets.disable_progress_bars()


def made(library):
    return library.Dataset.from_dict({"a": [0, 1, 2, 3], "t": list("wxyz")})


def seen(rows):
    if isinstance(rows, dict):
        return {split: seen(part) for split, part in rows.items()}
    types = [str(field.type).replace("item", "element") for field in rows.features.arrow_schema]
    return rows.column_names, rows[:], types


NESTED = {"s": [{"x": 1, "y": {"z": [1]}}, None], "n": [2, 3]}
CALLS = {
    "no dict entries for some rows": lambda d, lib: d.map(lambda row: {"t": "new"} if row["a"] > 1 else {}),
    "row or dict": lambda d, lib: d.map(lambda row: row | {"b": 1}),
    "dict or row": lambda d, lib: d.map(lambda row: {"b": 1} | row),
    "batch or dict": lambda d, lib: d.map(lambda rows: rows | {"b": [1] * len(rows["a"])}, batched=True),
    "frame": lambda d, lib: d.map(lambda rows: pd.DataFrame({"z": [1] * len(rows["a"])}), batched=True),
    "batch": lambda d, lib: d.batch(3),
    "batch, whole": lambda d, lib: d.batch(3, drop_last_batch=True),
    "repeat": lambda d, lib: d.repeat(2),
    "repeat never": lambda d, lib: d.repeat(0),
    "add_item": lambda d, lib: d.add_item({"a": 9, "t": "n"}),
    "add_item, part": lambda d, lib: d.add_item({"a": 9}),
    "flatten": lambda d, lib: lib.Dataset.from_dict(NESTED).flatten(),
    "from_generator": lambda d, lib: lib.Dataset.from_generator(lambda: ({"a": i, "b": str(i)} for i in range(3))),
    "with_split": lambda d, lib: lib.DatasetDict(x=d).map(lambda row, split: {"s": split}, with_split=True),
    "side by side": lambda d, lib: lib.concatenate_datasets([d, d.rename_columns({"a": "b", "t": "u"})], axis=1),
    "None first, num_proc": lambda d, lib: d.map(lambda row: {"b": None if row["a"] < 2 else "x"}, num_proc=2),
    "[] first, num_proc": lambda d, lib: d.map(lambda row: {"b": [] if row["a"] < 2 else [1]}, num_proc=2),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_calls(call):
    assert seen(call(made(minift), minift)) == seen(call(made(datasets), datasets))


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "text"])
def test_from_files(kind, tmp_path):
    file = str(tmp_path / f"f.{kind}")
    if kind == "text":
        (tmp_path / "f.text").write_text("x\ny\n")
    else:
        getattr(made(datasets), f"to_{kind}")(file)
    ours, theirs = (
        getattr(library.Dataset, f"from_{kind}")(file, cache_dir=str(tmp_path / library.__name__))
        for library in (minift, datasets)
    )
    assert ours[:] == theirs[:]


def test_interleave():
    draw = random.Random(1)
    for _ in range(60):
        lengths = [draw.randint(1, 6) for _ in range(draw.randint(2, 4))]
        weights = [draw.random() + 0.05 for _ in lengths]
        options = {
            "probabilities": None if draw.random() < 0.4 else [weight / sum(weights) for weight in weights],
            "seed": draw.randint(0, 99),
            "stopping_strategy": draw.choice(["first_exhausted", "all_exhausted", "all_exhausted_without_replacement"]),
        }
        ours, theirs = (
            library.interleave_datasets(
                [library.Dataset.from_dict({"a": [10 * i + n for n in range(size)]}) for i, size in enumerate(lengths)],
                **options,
            )["a"][:]
            for library in (minift, datasets)
        )
        assert ours == theirs, (lengths, options)


def split(library, labels, options):
    np.random.seed(5)
    features = library.Features({"l": library.ClassLabel(num_classes=4), "n": library.Value("int64")})
    rows = library.Dataset.from_dict({"l": labels, "n": list(range(len(labels)))}, features=features)
    try:
        parts = rows.train_test_split(**options)
    except ValueError:
        return "refused"
    return parts["train"]["n"][:], parts["test"]["n"][:], rows.shuffle()["n"][:], np.random.random()


def test_unseeded_and_stratified_splits():
    """Seeds come from numpy's global state, which moves on as far as theirs; classes are shared out as theirs are."""
    draw, found = random.Random(2), []
    for _ in range(60):
        labels = [draw.randrange(4) for _ in range(draw.randint(8, 60))]
        options = {"test_size": draw.choice([0.2, 0.5, 4, len(labels) // 3])}
        options |= {"seed": draw.randint(0, 99)} if draw.random() < 0.5 else {}
        options |= {"stratify_by_column": "l"} if draw.random() < 0.6 else {}
        ours, theirs = split(minift, labels, options), split(datasets, labels, options)
        assert ours == theirs, (labels, options)
        found.append(ours)
    assert 0 < found.count("refused") < 30


WRITTEN = {
    "text": ['é/"\n\u2028😀', None],
    "float": [1 / 3, float("nan")],
    "large": [1e20, -2.5e-7],
    "boolean": [True, None],
    "integer": [1, None],
    "moment": [datetime(2020, 1, 1, 1, 2, 3, 456789), datetime(1950, 1, 1)],
    "day": [date(2020, 1, 2), None],
}


@pytest.mark.parametrize("options", [{}, {"lines": False}, {"force_ascii": False}], ids=str)
def test_json_is_spelled_the_same(options, tmp_path):
    data = WRITTEN | {"list": [[1.5, None], None], "struct": [{"k": 1.25, "n": None}, {"k": None, "n": "x"}]}
    for library in (minift, datasets):
        library.Dataset.from_dict(data).to_json(str(tmp_path / library.__name__), **options)
    assert (tmp_path / "minift").read_bytes() == (tmp_path / "datasets").read_bytes()


@pytest.mark.parametrize("options", [{}, {"sep": ";"}, {"header": False}], ids=str)
def test_csv_is_spelled_the_same(options, tmp_path):
    for library in (minift, datasets):
        library.Dataset.from_dict(WRITTEN).to_csv(str(tmp_path / library.__name__), **options)
    assert (tmp_path / "minift").read_bytes() == (tmp_path / "datasets").read_bytes()


def test_floats_are_spelled_the_same(tmp_path):
    draw = random.Random(0)
    values = [draw.uniform(-1, 1) * 10 ** draw.randint(-18, 18) for _ in range(3000)]
    values += [round(draw.uniform(0, 10), draw.randint(0, 12)) for _ in range(3000)]
    for library in (minift, datasets):
        library.Dataset.from_dict({"a": values}).to_json(str(tmp_path / library.__name__))
    assert (tmp_path / "minift").read_text() == (tmp_path / "datasets").read_text()


def test_a_boolean_is_no_row_number():
    rows = made(minift)
    for key in (True, rows["a"] == 1, [True, False, True, False], np.array([True, False, True, False])):
        with pytest.raises(TypeError, match=r"filter\(\)"):
            rows[key]


def test_class_labels_of_other_names_are_not_joined():
    one, other = (
        minift.Dataset.from_dict({"l": [0]}, features=minift.Features({"l": minift.ClassLabel(names=names)}))
        for names in (["neg", "pos"], ["pos", "neg"])
    )
    with pytest.raises(ValueError, match="column 'l' has two types"):
        minift.concatenate_datasets([one, other])


async def later(row):
    return {}


@pytest.mark.parametrize("method", ["map", "filter"])
def test_async_functions_are_refused(method):
    with pytest.raises(TypeError, match="async functions are not supported"):
        getattr(made(minift), method)(later)

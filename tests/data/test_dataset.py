"""`Dataset` against a plain list of dicts: indexing, selecting, ordering, renaming; and what it refuses."""

import inspect
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minift.data.dataset import Dataset, DatasetDict, concatenate_datasets
from minift.data.features import ClassLabel, Features, List, Value
from minift.data.load import load_dataset

ROW = st.fixed_dictionaries(
    {
        "text": st.one_of(st.none(), st.text(max_size=4)),
        "n": st.integers(-3, 3),
        "ids": st.lists(st.integers(0, 9), max_size=3),
        "nested": st.lists(st.lists(st.booleans(), max_size=2), max_size=2),
    }
)
ROWS = st.lists(ROW, min_size=1, max_size=15)
FEATURES = Features(text=Value("string"), n=Value("int64"), ids=List(Value("int32")), nested=List(List(Value("bool"))))
SETTINGS = settings(deadline=None, max_examples=60)


def make(rows, pieces=3):
    """A dataset whose table has several chunks, as one that was read from a file has."""
    cuts = np.array_split(np.arange(len(rows)), pieces)
    return concatenate_datasets([Dataset.from_list([rows[i] for i in cut], FEATURES) for cut in cuts])


def tiny():
    return Dataset.from_dict({"a": ["x", "y", "z"], "b": [3, 1, 2]})


@SETTINGS
@given(ROWS, st.data())
def test_indexing_equals_the_list(rows, data):
    dataset = make(rows)
    assert dataset.shape == (len(rows), 4)
    assert list(dataset) == dataset.to_list() == rows
    index = data.draw(st.integers(-len(rows), len(rows) - 1))
    assert dataset[index] == dataset[np.int64(index)] == rows[index]
    where = data.draw(st.slices(len(rows)))
    assert dataset[where] == {name: [row[name] for row in rows[where]] for name in FEATURES}
    several = data.draw(st.lists(st.integers(-len(rows), len(rows) - 1), max_size=6))
    picked = [rows[i] for i in several]
    expected = {name: [row[name] for row in picked] for name in FEATURES}
    assert dataset[several] == dataset[np.array(several, dtype=np.int64)] == dataset[tuple(several)] == expected
    assert dataset.__getitems__(several) == picked
    assert [row for batch in dataset.iter(4) for row in batch["n"]] == [row["n"] for row in rows]


class Steps:
    """The same step on a dataset and on a list of rows; the numbers come from the test's `draw`."""

    @staticmethod
    def select(draw, dataset, rows):
        indices = draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=20))
        return dataset.select(indices), [rows[i] for i in indices]

    @staticmethod
    def part(draw, dataset, rows):
        stop = draw(st.integers(1, len(rows)))
        return dataset.select(range(stop)), rows[:stop]

    @staticmethod
    def shuffle(draw, dataset, rows):
        seed = draw(st.integers(0, 99))
        return dataset.shuffle(seed=seed), [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]

    @staticmethod
    def sort(draw, dataset, rows):
        down = draw(st.booleans())
        return dataset.sort("n", reverse=down), sorted(rows, key=lambda row: row["n"], reverse=down)

    @staticmethod
    def filter(draw, dataset, rows):
        least = draw(st.integers(-3, max(row["n"] for row in rows)))
        return dataset.filter(lambda row: row["n"] >= least), [row for row in rows if row["n"] >= least]

    @staticmethod
    def test_part(draw, dataset, rows):
        if len(rows) < 2:
            return dataset, rows
        test, seed = draw(st.integers(1, len(rows) - 1)), draw(st.integers(0, 9))
        order = np.random.default_rng(seed).permutation(len(rows))
        parts = dataset.train_test_split(test_size=test, seed=seed)
        assert list(parts["train"]) == [rows[i] for i in order[test:]]
        return parts["test"], [rows[i] for i in order[:test]]

    @staticmethod
    def map(draw, dataset, rows):
        plus = draw(st.integers(0, 3))
        change = dataset.map(lambda batch: {"n": [n + plus for n in batch["n"]]}, batched=True, batch_size=4)
        return change, [row | {"n": row["n"] + plus} for row in rows]

    @staticmethod
    def twice(draw, dataset, rows):
        return concatenate_datasets([dataset, dataset.select([0])]), [*rows, rows[0]]

    @staticmethod
    def flatten(draw, dataset, rows):
        return dataset.flatten_indices(), rows


STEPS = [step for name, step in vars(Steps).items() if not name.startswith("__")]


@SETTINGS
@given(ROWS, st.lists(st.sampled_from(STEPS), max_size=5), st.data())
def test_any_sequence_of_steps_equals_the_list(rows, steps, data):
    dataset = make(rows)
    for step in steps:
        dataset, rows = step.__func__(data.draw, dataset, rows)
        assert dataset.to_list() == rows
        assert dataset["ids"] == [row["ids"] for row in rows]
        assert dataset.features == FEATURES
    offsets, values = dataset.offsets_and_values("ids")
    assert [values[a:b].tolist() for a, b in pairwise(offsets)] == [row["ids"] for row in rows]
    assert dataset.unique("n") == list(dict.fromkeys(row["n"] for row in rows))


def test_ordering_and_renaming_copy_no_rows():
    dataset = tiny()
    address = dataset.data["b"].chunk(0).buffers()[1].address
    for other in (
        dataset.shuffle(seed=1),
        dataset.sort("b"),
        dataset.select([0, 0]),
        dataset.filter(lambda row: row["b"] > 1),
        dataset.train_test_split(test_size=1)["train"],
        dataset.rename_column("a", "c"),
        dataset.remove_columns("a"),
        dataset.cast_column("a", ClassLabel(names=["x", "y", "z"])),
    ):
        assert other.data["b"].chunk(0).buffers()[1].address == address


def test_columns():
    dataset = tiny()
    assert dataset.rename_columns({"a": "b", "b": "a"})[0] == {"b": "x", "a": 3}
    assert dataset.select_columns(["b"]).column_names == ["b"]
    assert dataset.remove_columns(["b"]).features == {"a": Value("string")}
    shuffled = dataset.select([2, 0])
    assert shuffled.add_column("c", [7, 8])[:] == {"a": ["z", "x"], "b": [2, 3], "c": [7, 8]}
    encoded = shuffled.class_encode_column("a")
    assert encoded.features["a"] == ClassLabel(names=["x", "z"])
    assert encoded["a"] == [1, 0]
    cast = shuffled.cast_column("b", Value("float32"))
    assert (cast.features["b"], cast["b"]) == (Value("float32"), [2.0, 3.0])


def test_a_cast_minds_the_selected_rows_only():
    dataset = Dataset.from_dict({"a": ["1", "x", "2", "y"]})
    selected = dataset.filter(lambda row: row["a"].isdigit())
    assert selected.cast_column("a", Value("int8"))["a"] == [1, 2]
    with pytest.raises(ValueError, match="row 1, column 'a'"):
        dataset.cast_column("a", Value("int8"))
    with pytest.raises(ValueError, match="row 2, column 'a'.*'y'"):
        dataset.select([2, 0, 3]).cast_column("a", Value("int8"))


def test_lists_of_one_length_and_structs():
    features = Features(pair=List(Value("int16"), length=2), who={"name": Value("string"), "ages": List(Value("int8"))})
    rows = [{"pair": [i, i + 1], "who": {"name": str(i), "ages": [i] * i}} for i in range(4)]
    dataset = Dataset.from_list(rows, features)
    assert dataset.features == features
    assert dataset.select([3, 1]).to_list() == [rows[3], rows[1]]
    assert dataset.map(lambda row: row).features == features
    assert dataset.with_format("numpy")[1:]["pair"].tolist() == [[1, 2], [2, 3], [3, 4]]


@pytest.mark.parametrize("method", ["to_parquet", "to_json"])
def test_files_load_again(tmp_path, method):
    dataset = tiny().cast_column("a", ClassLabel(names=["x", "y", "z"])).select([2, 0])
    file = tmp_path / "rows"
    getattr(dataset, method)(file)
    loaded = load_dataset(method.removeprefix("to_"), data_files=str(file), cache_dir=tmp_path / "cache", split="train")
    assert loaded.to_list() == dataset.to_list()
    assert (loaded.features == dataset.features) == (method == "to_parquet")


def test_a_column_is_a_lazy_list():
    import pandas

    column = Dataset.from_dict({"n": list(range(8)), "ids": [[i] * i for i in range(8)]})["n"]
    assert (column, column[2], column[-1], column[1:3], len(column)) == (list(range(8)), 2, 7, [1, 2], 8)
    assert (3 in column, column.index(4), column.count(5), column != [1]) == (True, 4, 1, True)
    assert np.array(column).tolist() == pandas.DataFrame({"n": column})["n"].tolist() == list(range(8))
    assert repr(column) == "Column([0, 1, 2, 3, 4, ...])"


def test_repr_is_the_course_s():
    assert repr(tiny()) == "Dataset({\n    features: ['a', 'b'],\n    num_rows: 3\n})"
    splits = tiny().train_test_split(test_size=1)
    assert repr(splits).startswith(
        "DatasetDict({\n    train: Dataset({\n        features: ['a', 'b'],\n        num_rows: 2"
    )
    assert splits.num_rows == {"train": 2, "test": 1}
    assert splits.map(lambda row: {"c": row["b"] + 1}).remove_columns("a").column_names == {
        "train": ["b", "c"],
        "test": ["b", "c"],
    }
    with pytest.raises(KeyError, match=r"no split 'dev': there are \['train', 'test'\]"):
        splits["dev"]


def test_the_methods_of_a_dict_are_those_of_its_splits():
    for name in ("filter", "cast_column", "set_format", "sort", "unique"):
        ours, theirs = getattr(DatasetDict, name), getattr(Dataset, name)
        assert (ours.__name__, ours.__doc__) == (name, theirs.__doc__)
        assert inspect.signature(ours) == inspect.signature(theirs)
    splits = DatasetDict(a=tiny(), b=tiny().select([0]))
    assert splits.unique("b") == {"a": [3, 1, 2], "b": [3]}
    assert splits.shape == {"a": (3, 2), "b": (1, 2)}
    assert splits.set_format("numpy") is None
    assert type(splits["b"][0]["b"]) is np.int64
    splits.reset_format()
    assert splits.filter(lambda row: row["b"] > 2).sort("b")["a"][:] == {"a": ["x"], "b": [3]}


def test_keywords_of_datasets_that_change_nothing_are_taken_and_dropped(tmp_path):
    same = tiny().map(lambda row: row, keep_in_memory=True, load_from_cache_file=False, new_fingerprint="x")
    assert same.filter(lambda row: True, writer_batch_size=3).shuffle(seed=0, keep_in_memory=True).num_rows == 3
    with pytest.raises(ValueError, match="map does not support disable_nullable=True, only False"):
        tiny().map(lambda row: row, disable_nullable=True)
    assert not {"keep_in_memory", "load_from_cache_file"} & inspect.signature(Dataset.map).parameters.keys()


def test_an_empty_dataset():
    empty = Dataset.from_dict({"a": [], "b": []}, Features(a=Value("string"), b=Value("int8")))
    assert (len(empty), empty[:], list(empty), empty["a"]) == (0, {"a": [], "b": []}, [], [])
    for step in (
        lambda d: d.map(lambda row: {"c": 1}),
        lambda d: d.filter(lambda row: True),
        lambda d: d.shuffle(seed=0),
        lambda d: d.sort("a"),
        lambda d: d.train_test_split()["train"],
    ):
        assert len(step(empty)) == 0
    with pytest.raises(IndexError, match="row 0 is out of range: the dataset has 0 rows"):
        empty[0]
    nothing_left = tiny().filter(lambda row: False)
    assert (nothing_left[:], nothing_left.features["b"]) == ({"a": [], "b": []}, Value("int64"))


def test_arguments_have_the_names_and_order_of_datasets(tmp_path):
    dataset = Dataset.from_list(mapping=[{"a": 1}, {"a": 2}, {"a": 3}])
    dataset.to_parquet(path_or_buf=tmp_path / "a.parquet")
    dataset.to_json(path_or_buf=tmp_path / "a.jsonl")
    dataset.map(cache_file_name=str(tmp_path / "a.arrow"))
    assert Dataset.from_file(filename=tmp_path / "a.arrow").to_list() == dataset.to_list()
    splits = DatasetDict(train=dataset, test=dataset).shuffle({"train": 1, "test": 2})
    assert splits["test"].to_list() == dataset.shuffle(seed=2).to_list()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: d[3], IndexError, "row 3 is out of range: the dataset has 3 rows"),
        (lambda d: d[-4], IndexError, "row -4 "),
        (lambda d: d[[0, 5]], IndexError, "row 5 "),
        (lambda d: d.select([3]), IndexError, "row 3 "),
        (lambda d: d.select(["a"]), TypeError, "row numbers must be integers"),
        (lambda d: d[1.5], TypeError, "1.5 is not a key"),
        (lambda d: d["c"], KeyError, r"no column 'c': the dataset has \['a', 'b'\]"),
        (lambda d: d["a"][3], IndexError, "row 3 "),
        (lambda d: d.remove_columns(["c"]), ValueError, "no column 'c'"),
        (lambda d: d.sort("c"), ValueError, "no column 'c'"),
        (lambda d: d.sort("a", reverse=[True, False]), ValueError, "1 columns but 2 values of reverse"),
        (lambda d: d.rename_column("a", "b"), ValueError, "two columns one name"),
        (lambda d: d.add_column("a", [1, 2, 3]), ValueError, "there is a column 'a' already"),
        (lambda d: d.add_column("c", [1]), ValueError, "1 values for 3 rows"),
        (lambda d: d.cast_column("a", Value("int32")), ValueError, "column 'a': Failed to parse string"),
        (lambda d: d.cast_column("b", ClassLabel(2)), ValueError, "column 'b': labels from 1 to 3 do not fit"),
        (lambda d: d.cast(Features(a=Value("string"))), ValueError, "the features name"),
        (lambda d: d.offsets_and_values("a"), TypeError, "column 'a' holds .*expected lists"),
        (lambda d: d.train_test_split(test_size=3), ValueError, "test_size=3: expected .* 1 to 2 of the 3 rows"),
        (lambda d: d.train_test_split(test_size=1.0), ValueError, "test_size=1.0"),
        (lambda d: d.train_test_split(test_size=2, train_size=2), ValueError, "together exceed the 3 rows"),
        (lambda d: d.train_test_split(stratify_by_column="b"), ValueError, "make 'b' class labels"),
        (lambda d: d.shuffle(seed=1, generator=np.random.default_rng(1)), ValueError, "not both"),
        (lambda d: d.shard(2, 2), ValueError, "index=2"),
        (lambda d: d.with_format("jax"), ValueError, "unknown format 'jax'"),
        (lambda d: d.with_format("torch", columns=["c"]), ValueError, "no column 'c'"),
        (lambda d: Dataset.from_dict({"a": [1], "b": []}), ValueError, "differ in length: {'a': 1, 'b': 0}"),
        (lambda d: Dataset.from_dict({"a": [1, "x"]}), ValueError, "column 'a'"),
        (
            lambda d: concatenate_datasets([d, d.cast_column("b", Value("string"))]),
            ValueError,
            "column 'b' has two types",
        ),
        (lambda d: concatenate_datasets([d, d.take(1)], axis=1), ValueError, r"\[3, 1\] rows"),
        (lambda d: concatenate_datasets([]), ValueError, "at least one"),
        (lambda d: d.map(lambda row: row, cache=True), TypeError, "cache"),
        (lambda d: d.map(lambda row: row, num_proc=0), ValueError, "num_proc=0: expected at least 1"),
        (lambda d: list(d.iter(0)), ValueError, "batch_size=0 must be at least 1"),
        (lambda d: d.skip(-1), ValueError, "skip: n=-1 must not be negative"),
        (lambda d: d.take(-1), ValueError, "take: n=-1 must not be negative"),
    ],
)
def test_bad_calls(call, error, message):
    with pytest.raises(error, match=message):
        call(tiny())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1], torch.tensor([2, 3])], [[1], [2, 3]]),
        ([1, torch.tensor(2), np.int64(3)], [1, 2, 3]),
        ([None, [4], np.array([5])], [None, [4], [5]]),
        ([[[6]], [torch.tensor([7])]], [[[6]], [[7]]]),
    ],
    ids=str,
)
def test_python_values_before_arrays_and_tensors(values, expected):
    assert Dataset.from_dict({"a": values})["a"][:] == expected


def test_a_column_has_what_its_tensor_has():
    """As before datasets 4, where a column of a formatted dataset was a tensor."""
    rows = Dataset.from_dict({"a": [[1, 2], [3, 4]], "b": [[1], [2, 3]]})
    tensors = rows.with_format("torch")
    assert tuple(tensors["a"].shape) == (2, 2)
    assert tensors["a"].to("cpu").sum() == 10
    assert rows.with_format("numpy")["a"].mean() == 2.5
    for column in (rows["a"], tensors["b"]):  # a list; rows of two lengths
        with pytest.raises(AttributeError, match="a column has no attribute 'shape'"):
            _ = column.shape

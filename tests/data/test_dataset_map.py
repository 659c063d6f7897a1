"""`map` and `filter`: what functions are given, what they may return, files, processes, memory, and mistakes."""

import multiprocessing
import os
import signal
import tempfile

import numpy as np
import pyarrow as pa
import pytest

from minift.data.dataset import Dataset
from minift.data.features import ClassLabel, Features, List, Value
from minift.data.lazy import LazyBatch


def numbers(n=10):
    return Dataset.from_dict({"n": list(range(n)), "text": [f"t{i}" for i in range(n)]})


def test_batches_are_given_in_order_and_the_last_is_shorter():
    seen = []
    numbers().map(lambda batch, rows: seen.append((batch["n"], rows)), with_indices=True, batched=True, batch_size=4)
    assert seen == [([0, 1, 2, 3], [0, 1, 2, 3]), ([4, 5, 6, 7], [4, 5, 6, 7]), ([8, 9], [8, 9])]


@pytest.mark.parametrize("size", [None, 0, -1, 100])
def test_all_rows_as_one_batch(size):
    mapped = numbers().map(lambda batch: {"rows": [len(batch["n"])] * len(batch["n"])}, batched=True, batch_size=size)
    assert set(mapped["rows"]) == {10}


def test_thousand_rows_a_batch_by_default():
    sizes = []
    numbers(2500).map(lambda batch: sizes.append(len(batch["n"])), batched=True)
    assert sizes == [1000, 1000, 500]


def test_only_the_columns_that_a_function_reads_are_decoded(monkeypatch):
    decoded = []
    decode = LazyBatch._decode
    monkeypatch.setattr(LazyBatch, "_decode", lambda self, name: decoded.append(name) or decode(self, name))
    mapped = numbers().map(lambda batch: {"length": [len(t) for t in batch["text"]]}, batched=True)
    assert decoded == ["text"]
    assert mapped.column_names == ["n", "text", "length"]


def test_arguments_reach_the_function():
    def function(n, text, row, rank, *, plus):
        return {"sum": n + row + plus, "rank": rank, "copy": text}

    options = dict(with_indices=True, with_rank=True, input_columns=["n", "text"], fn_kwargs={"plus": 100})
    assert numbers(3).map(function, num_proc=1, **options)[:] == {
        "n": [0, 1, 2],
        "text": ["t0", "t1", "t2"],
        "sum": [100, 102, 104],
        "rank": [0, 0, 0],
        "copy": ["t0", "t1", "t2"],
    }
    assert numbers(3).filter(lambda n, row: n + row > 2, with_indices=True, input_columns="n")["n"] == [2]


def test_removed_columns_may_be_returned_anew():
    mapped = numbers(2).map(lambda row: {"text": row["n"], "new": 1}, remove_columns=["text", "n"])
    assert mapped.features == {"text": Value("int64"), "new": Value("int64")}
    assert mapped[1] == {"text": 1, "new": 1}


def test_changing_the_batch_in_place():
    def change(batch):
        batch["n"][0] = -1
        del batch["text"]
        return batch

    assert numbers(4).map(change, batched=True, batch_size=2)[:] == {"n": [-1, 1, -1, 3]}

    def drop(row):
        row.pop("text")
        return row

    assert numbers(2).map(drop)[:] == {"n": [0, 1]}


def test_more_or_fewer_rows_when_all_columns_are_removed():
    def repeat(batch):
        return {"m": [n for n in batch["n"] for _ in range(n)]}

    mapped = numbers(4).map(repeat, batched=True, batch_size=2, remove_columns=["n", "text"])
    assert mapped["m"] == [1, 2, 2, 3, 3, 3]
    nothing = numbers(4).map(lambda batch: {"m": []}, batched=True, remove_columns=["n", "text"])
    assert (len(nothing), nothing.column_names) == (0, ["m"])


def test_class_labels_are_kept_and_features_can_be_said():
    label = ClassLabel(names=["even", "odd"])
    dataset = numbers(4).map(lambda row: {"label": row["n"] % 2}).cast_column("label", label)
    assert dataset.map(lambda row: {"label": 1 - row["label"]}).features["label"] == label
    said = Features(n=Value("int8"), text=Value("string"), label=label, ids=List(Value("int16")))
    mapped = dataset.map(lambda row: {"label": "odd", "ids": [1]}, features=said)
    assert (mapped.features, mapped["label"]) == (said, [1, 1, 1, 1])


def test_functions_on_arrow_tables():
    mapped = numbers(3).with_format("arrow").map(lambda table: table.select(["n"]), batched=True)
    assert mapped.with_format(None)[:] == {"n": [0, 1, 2]}


@pytest.mark.parametrize("num_proc", [2, 3, 12])
def test_processes_take_closures_and_keep_the_order(num_proc):
    plus = 7
    mapped = numbers().map(lambda row, i: {"m": row["n"] + plus, "i": i}, with_indices=True, num_proc=num_proc)
    assert mapped["m"] == [n + plus for n in range(10)]
    assert mapped["i"] == list(range(10))
    assert numbers().filter(lambda row: row["n"] % 2, num_proc=num_proc)["n"] == [1, 3, 5, 7, 9]


def test_a_process_without_rows_does_not_settle_the_types():
    def large(batch):
        return {"m": [n for n in batch["n"] if n > 5]}

    mapped = numbers().map(large, batched=True, num_proc=2, remove_columns=["n", "text"])
    assert (mapped["m"], mapped.features) == ([6, 7, 8, 9], {"m": Value("int64")})


def test_an_error_in_a_process_comes_out():
    with pytest.raises(ZeroDivisionError, match="division by zero") as raised:
        numbers().map(lambda row: {"m": 1 / (row["n"] - 9)}, num_proc=2)
    assert "in a process of its own" in raised.value.__notes__[0]
    assert "test_dataset_map.py" in raised.value.__notes__[0]  # the traceback of the process


def test_an_error_that_cannot_be_pickled_comes_out_as_its_type_and_message():
    class Own(Exception):
        pass

    def fail(row):
        raise Own(f"row {row['n']} is bad")

    with pytest.raises(RuntimeError, match=r"Own: row 5 is bad|Own: row 0 is bad"):
        numbers().filter(fail, num_proc=2)


def test_a_process_that_dies_is_an_error_that_names_its_rows():
    def die(row):
        if row["n"] == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"m": 1}

    with pytest.raises(RuntimeError, match="the process for rows 5 to 9 died with exit code -9"):
        numbers().map(die, num_proc=2)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("num_proc", [None, 2])
def test_the_result_goes_to_a_named_file(tmp_path, num_proc):
    file = tmp_path / "deep" / "mapped.arrow"
    mapped = numbers().map(lambda row: {"m": 1}, cache_file_name=str(file), num_proc=num_proc)
    assert mapped.to_dict() == Dataset.from_file(file).to_dict()
    assert [path.name for path in file.parent.iterdir()] == ["mapped.arrow"]
    again = numbers().map(lambda row: {"m": 2}, cache_file_name=str(file))  # never a stale result
    assert again["m"] == [2] * 10
    assert mapped["m"] == [1] * 10  # what was mapped before is still there


def test_an_interrupted_map_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "mapped.arrow").write_text("before")

    def interrupt(row):
        if row["n"] == 5:
            raise KeyboardInterrupt
        return {"m": 1}

    with pytest.raises(KeyboardInterrupt):
        numbers().map(interrupt, cache_file_name=str(tmp_path / "mapped.arrow"), writer_batch_size=2)
    assert (tmp_path / "mapped.arrow").read_text() == "before"
    kept = numbers().map(lambda row: {"m": 1})
    assert os.listdir(tmp_path / "temporary") == []  # mapped files have no name, and an interrupted one is gone
    assert kept["m"] == [1] * 10


def test_results_do_not_pass_through_memory():
    before = pa.total_allocated_bytes()
    mapped = numbers(200).map(
        lambda batch: {"x": np.zeros((len(batch["n"]), 50_000))}, batched=True, batch_size=10, remove_columns=["n"]
    )
    assert mapped.data.nbytes > 80_000_000
    assert pa.total_allocated_bytes() - before < 1_000_000


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        (lambda b: {"m": [1]}, {"batched": True}, ValueError, "'n': 4, 'text': 4, 'm': 1.*remove_columns"),
        (
            lambda b: {"a": [1], "b": []},
            {"batched": True, "remove_columns": ["n", "text"]},
            ValueError,
            "'a': 1, 'b': 0",
        ),
        (lambda b: {"m": "word"}, {"batched": True}, TypeError, "column 'm' came back as str"),
        (lambda b: [1, 2], {"batched": True}, TypeError, "returned list"),
        (lambda r: 3, {}, TypeError, "row 0: the map function returned int"),
        (lambda r: {"m": 1} if r["n"] < 2 else {}, {}, ValueError, r"row 2: .* returned \[\]; other rows have 'm'"),
        (lambda r: {"m": 1} if r["n"] < 2 else None, {"writer_batch_size": 2}, TypeError, "None for some rows"),
        (lambda r: {"m": None if r["n"] < 2 else 1}, {"writer_batch_size": 2}, ValueError, "column 'm': all earlier"),
        (lambda r: {"m": 1 if r["n"] < 2 else "x"}, {"writer_batch_size": 2}, ValueError, "column 'm': .*'x'"),
        (lambda r: {"m": 1 if r["n"] < 2 else "x"}, {}, ValueError, "column 'm'"),
        (lambda r: {"m": r["q"]}, {}, KeyError, "q"),
        (lambda r: r, {"remove_columns": ["q"]}, ValueError, "no column 'q'"),
        (lambda q: {}, {"input_columns": ["q"]}, ValueError, "no column 'q'"),
        (
            lambda r: {"m": 1},
            {"features": Features(m=Value("int8"))},
            ValueError,
            r"has the columns .*expected \['m'\]",
        ),
    ],
)
def test_mistakes(function, options, error, message):
    with pytest.raises(error, match=message):
        numbers(4).map(function, **options)


def test_filter_wants_a_value_for_each_row():
    with pytest.raises(ValueError, match="returned 1 values for a batch of 4 rows"):
        numbers(4).filter(lambda batch: [True], batched=True)

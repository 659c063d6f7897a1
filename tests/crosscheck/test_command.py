"""What `minift crosscheck` makes of two nests of values, how it says so, and what it refuses."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from minift.cli.main import main
from minift.crosscheck.compare import Comparison, compare
from minift.crosscheck.job import Job, Stage, metric_names, stages
from minift.crosscheck.report import crosscheck, format_table, is_within, to_json
from minift.tasks.task import Task
from tests.hub import BERT_BASE, MRPC, needs_hub

CLASSES = Task(["text"], "label", ["no", "yes"], "validation", None)
NUMBERS = Task(["text"], "label", [], "validation", None)

# -- compare

numeric = arrays.arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.bool_, np.uint8]),
    arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)
leaves = st.one_of(
    numeric, st.none(), st.text(max_size=5), st.integers(), st.floats(), st.booleans(), st.lists(st.integers())
)
nests = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4)),
)


@given(nests)
def test_anything_equals_itself(nest):
    result = compare(nest, nest)
    assert result.equal
    assert (result.max_abs, result.max_rel, result.first) == (0, 0, None)


@given(nests, nests)
def test_two_of_anything_can_be_compared_and_the_answer_has_no_side(one, other):
    there, back = compare(one, other), compare(other, one)
    assert (there.equal, there.max_abs, there.max_rel) == (back.equal, back.max_abs, back.max_rel)
    assert there.equal == (there.first is None)
    assert not there.equal or there.max_abs == 0


@given(
    arrays.arrays(st.sampled_from([np.float32, np.float64, np.int64]), st.tuples(st.integers(1, 5), st.integers(1, 5))),
    st.data(),
)
def test_a_changed_number_is_found_where_it_is(array, data):
    row, token = (data.draw(st.integers(0, size - 1)) for size in array.shape)
    changed = array.copy()
    changed[row, token] = changed[row, token] + 1 if abs(float(changed[row, token])) < 1e6 else 0
    result = compare({"x": array}, {"x": changed}, ("row", "token"))
    assert not result.equal
    assert result.values == array.size
    assert result.first.startswith(f"x, row {row}, token {token}: ")
    assert compare({"x": array}, {"x": changed}).first.startswith(f"x[{row}, {token}]: ")
    assert compare({"x": array}, {"x": changed}, ("row",)).first.startswith(f"x, row {row}[{token}]: ")


@given(
    arrays.arrays(np.float64, 6, elements=st.floats(-1e9, 1e9)),
    arrays.arrays(np.float64, 6, elements=st.floats(-1e9, 1e9)),
)
def test_the_largest_differences(one, other):
    result = compare(one, other)
    gaps = [abs(a - b) for a, b in zip(one, other, strict=True)]
    largest = [max(abs(a), abs(b)) for a, b in zip(one, other, strict=True)]
    assert result.max_abs == max(gaps)
    assert result.max_rel == max(gap / size if size else 0 for gap, size in zip(gaps, largest, strict=True))
    assert result.max_rel <= 2


@pytest.mark.parametrize(
    ("ours", "theirs", "absolute", "first"),
    [
        ([1.0, math.nan], [1.0, math.nan], 0, None),
        ([1.0, math.nan], [1.0, 2.0], math.inf, "[1]: nan against 2.0"),
        ([math.nan, math.inf, 1.0], [math.nan, math.inf, 1.5], 0.5, "[2]: 1.0 against 1.5"),
        ([1.0, 2.0, 3.0], [1.0, 2.5, 9.0], 6, "[1]: 2.0 against 2.5"),
        ([math.inf], [-math.inf], math.inf, "[0]: inf against -inf"),
        ([0.0], [-0.0], 0, "[0]: 0.0 against -0.0"),
        ([1, 2], [1.0, 2.0], 0, "int64 against float64"),
        ([1, 2], [1.0, 2.5], 0.5, "[1]: 2 against 2.5"),
        (1, True, 0, "int64 against bool"),
        (np.float32(1), np.float64(1), 0, "float32 against float64"),
        (np.zeros(2, np.float32), np.zeros(2, np.int32), 0, "float32 against int32"),
        ([1, 2, 3], [1, 2], math.inf, "shape (3,) against (2,)"),
        ([1, 2, 3], [1, 5], math.inf, "[1]: 2 against 5"),
        (np.zeros((2, 3)), np.zeros((3, 2)), math.inf, "shape (2, 3) against (3, 2)"),
        (np.zeros((2, 3)), np.zeros(6), math.inf, "shape (2, 3) against (6,)"),
        ([[1, 2], [3]], [[1, 2], [3, 4]], math.inf, "[1]: shape (1,) against (2,)"),
        ([[1], [2]], [[1]], math.inf, "2 values against 1"),
        ([], [], 0, None),
        ([], [1], math.inf, "0 values against 1"),
        ([], np.zeros(0, np.int64), 0, None),
        ({}, {}, 0, None),
        ({"a": 1}, {"a": 1, "b": 2}, math.inf, "b: only the libraries have it"),
        ({"a": 1, "b": {"c": 2}}, {"b": {"c": 2}}, math.inf, "a: only minift has it"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, 0, None),
        ({"a": [1, None]}, {"a": [1, 2]}, math.inf, "a[1]: None against 2"),
        (["a", "b"], ["a", "bc"], math.inf, "[1]: character 1, '' against 'c'"),
        ("the cat sat", "the dog sat", math.inf, "character 4, 'cat sat' against 'dog sat'"),
        ("1", 1, math.inf, "'1' against 1"),
        (2**70, 2**70 + 1, math.inf, f"{2**70} against {2**70 + 1}"),
        (2**70, 2.0**70, math.inf, f"{2**70} against {2.0**70}"),
    ],
)
def test_compare(ours, theirs, absolute, first):
    result = compare(ours, theirs)
    assert result.max_abs == absolute
    assert result.first == first
    assert result.equal == (first is None)


def test_lists_in_lists_are_named_from_the_outside_in():
    result = compare({"ids": [[1, 2], [3]]}, {"ids": [[1, 2], [4]]}, ("row", "token"))
    assert result.first == "ids, row 1, token 0: 3 against 4"


def test_the_first_place_is_kept_and_the_largest_difference_is_of_all():
    result = compare({"step 1": 1.0, "step 2": 2.0, "step 3": 3.0}, {"step 1": 1.0, "step 2": 2.5, "step 3": 9.0})
    assert result == Comparison(3, False, 6.0, 6 / 9, "step 2: 2.0 against 2.5")


def test_numbers_that_are_nearly_equal_differ():
    near = np.nextafter(np.float32(0.1), np.float32(1))
    result = compare(np.float32(0.1), near)
    assert not result.equal
    assert 0 < result.max_abs < 1e-8


# -- verdict, table, JSON


def test_without_a_tolerance_every_bit_counts():
    signed_zero = compare([0.0], [-0.0])
    assert signed_zero.max_abs == 0
    assert not is_within(Stage("x", ""), signed_zero)
    assert is_within(Stage("x", "", tolerance=1e-12), signed_zero)
    assert not is_within(Stage("x", "", tolerance=1e-12), compare([0.0], [1e-11]))
    assert not is_within(Stage("x", "", tolerance=1e-12), compare([0.0], [math.nan]))


def test_the_only_tolerance_is_that_of_a_regression_s_metrics():
    for kind, task in (("classification", CLASSES), ("mlm", CLASSES)):
        assert all(stage.tolerance == 0 for stage in stages(kind, task))
    assert [stage.name for stage in stages("classification", NUMBERS) if stage.tolerance] == ["metrics"]
    assert metric_names("classification", NUMBERS) == ["mse", "pearsonr"]


RESULTS = [
    (Stage("token ids", "of every row"), compare([7, 8], [7, 8])),
    (Stage("loss by step", "the loss"), compare({"step 4": 0.25}, {"step 4": 0.5})),
    (Stage("weights", "all"), compare({}, {"bias": 1})),
]


def test_the_table_has_a_row_a_stage():
    head, rule, *rows = format_table(RESULTS).splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")] == ["stage", "values", "result", "tolerance", ""]
    assert set(rule) <= {"|", "-", " "}
    assert [cell.strip() for cell in rows[0].strip("|").split("|")] == [
        *("token ids", "2", "equal to the bit", "none", "ok")
    ]
    assert "abs 0.25, rel 0.5; first at step 4: 0.25 against 0.5" in rows[1]
    assert rows[1].rstrip(" |").endswith("differs")
    assert "| first at bias: only the libraries have it" in rows[2]


def test_the_json_says_the_same(monkeypatch):
    monkeypatch.setattr("minift.crosscheck.report.versions", lambda: {"minift": "0"})
    report = json.loads(json.dumps(to_json(Job("m", "d"), RESULTS), allow_nan=False))
    assert report["header"] | {"model": "m", "dataset": "d", "seed": 42, "threads": 1} == report["header"]
    assert [row["ok"] for row in report["stages"]] == [True, False, False]
    assert not report["ok"]
    assert report["stages"][0] == {
        **{"stage": "token ids", "compared": "of every row", "values": 2, "equal": True, "max_abs": 0, "max_rel": 0},
        **{"first": None, "tolerance": 0, "ok": True},
    }
    assert report["stages"][2]["max_abs"] is None


# -- what is refused

RUN = ["crosscheck", "--model", "m", "--dataset", "d"]


def test_without_the_libraries_it_says_how_to_install_them(monkeypatch, capsys):
    monkeypatch.setattr("minift.crosscheck.report.find_spec", lambda name: None if name == "accelerate" else object())
    assert main(RUN) == 2
    message = capsys.readouterr().err
    assert "not installed: accelerate" in message
    assert 'pip install -e ".[crosscheck]"' in message


@pytest.mark.parametrize("name", ["steps", "threads", "max_rows", "max_eval_rows"])
def test_counts_below_one(name, capsys):
    assert main([*RUN, f"--{name}", "0"]) == 2
    assert f"{name} must be at least 1, not 0" in capsys.readouterr().err


def test_it_has_no_other_framework(capsys):
    with pytest.raises(SystemExit):
        main([*RUN, "--framework", "tf"])
    assert "there is no --framework" in capsys.readouterr().err


def test_an_unknown_task():
    with pytest.raises(ValueError, match="task must be one of classification, mlm, not 'ner'"):
        Job("m", "d", task="ner")


def test_the_json_is_no_folder(tmp_path, capsys):
    """Which writing in one step would replace."""
    (tmp_path / "kept").touch()
    assert main([*RUN, "--json", str(tmp_path)]) == 2
    assert f"--json {tmp_path} is a folder" in capsys.readouterr().err
    assert (tmp_path / "kept").exists()


@needs_hub
def test_a_model_without_weights(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    options = ["--model", str(BERT_BASE), "--dataset", str(MRPC), "--config", "mrpc", "--json", str(tmp_path / "out")]
    assert main(["crosscheck", *options]) == 2
    message = capsys.readouterr().err
    assert f"{BERT_BASE} has neither model.safetensors nor model.safetensors.index.json" in message
    assert not (tmp_path / "out").exists()


def test_both_sides_get_the_copies_that_minift_hub_names(tmp_path, monkeypatch):
    """The libraries do not know that variable: they are given the folders."""
    for folder in ("models/one/bert", "datasets/one/glue"):
        (tmp_path / folder).mkdir(parents=True)
    given = []

    def stop(job, folder):
        given.append((job.model, job.dataset))
        raise ValueError("enough")

    monkeypatch.setenv("MINIFT_HUB", str(tmp_path))
    monkeypatch.setattr("minift.crosscheck.report.run_minift", stop)
    with pytest.raises(ValueError, match="enough"):
        crosscheck(Job("one/bert", "one/glue"))
    assert given == [(str(tmp_path / "models/one/bert"), str(tmp_path / "datasets/one/glue"))]

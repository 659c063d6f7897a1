"""Damaged Arrow data: an error that names the column, whatever its type, and never a signal."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

import minift
from minift.data.damage import check_array, check_table

TEXTS = pa.array(["one", None, "three", ""])
GOOD = {
    "text": TEXTS,
    "large text": TEXTS.cast(pa.large_string()),
    "bytes": TEXTS.cast(pa.binary()),
    "list": pa.array([[1], None, [2, 3], []]),
    "large list": pa.array([[1], None, [2, 3], []], pa.large_list(pa.int64())),
    "lists of lists": pa.array([[[1]], None, [[2], [3]], []]),
    "struct": pa.array([{"a": ["x"]}, None, {"a": None}, {"a": []}]),
    "fixed list": pa.array([[1, 2], None, [3, 4], [5, 6]], pa.list_(pa.int64(), 2)),
    "map": pa.array([[("a", 1)], None, [], [("b", 2)]], pa.map_(pa.string(), pa.int64())),
    "dictionary": pa.array(["a", None, "b", "a"]).dictionary_encode(),
    "numbers": pa.array([1.5, None, 2.0, 3.0]),
    "flags": pa.array([True, None, False, True]),
    "date": pa.array([datetime.date(2020, 1, 1), None] * 2),
    "decimal": pa.array([1, None, 2, 3], pa.decimal128(10, 2)),
    "nothing": pa.nulls(4),
}


@pytest.mark.parametrize("kind", GOOD)
def test_whole_data_and_parts_of_it_pass(kind):
    array = GOOD[kind]
    check_table(pa.table({"x": pa.chunked_array([array, array.slice(1, 2), array.slice(2, 0)])}))


def with_offsets(array, offsets, width=np.int32):
    buffers = array.buffers()
    buffers[1] = pa.py_buffer(np.array(offsets, width))
    children = [array.values] if hasattr(array, "values") else None
    if children is None:
        return pa.Array.from_buffers(array.type, len(array), buffers)
    return pa.Array.from_buffers(array.type, len(array), buffers[:2], children=children)


@pytest.mark.parametrize("offsets", [[0, 3, 3, 999, 999], [0, 9, 3, 8, 8], [-5, 3, 3, 8, 8], [0, 3, 3, 2**31 - 1, 8]])
@pytest.mark.parametrize("kind", ["text", "list", "large text"])
def test_offsets_that_lead_outside(kind, offsets):
    with pytest.raises(ValueError, match="offsets"):
        check_array(with_offsets(GOOD[kind], offsets, np.int64 if kind == "large text" else np.int32))


def test_inside_other_values():
    inner = with_offsets(pa.array(["one", "two", "x"]), [0, 5, 3, 7])
    for array in (pa.ListArray.from_arrays([0, 1, 3], inner), pa.StructArray.from_arrays([inner], ["a"])):
        with pytest.raises(ValueError, match="column 'x' is damaged: its offsets lead outside of its 7 bytes"):
            check_table(pa.table({"y": pa.nulls(len(array)), "x": array}))


def test_indices_of_a_dictionary():
    indices = pa.array([0, 5], pa.int32())
    array = pa.DictionaryArray.from_arrays(indices, pa.array(["a", "b"]), safe=False)
    with pytest.raises(ValueError, match="column 'x' is damaged"):
        check_table(pa.table({"x": array}))


def test_values_that_python_cannot_hold():
    table = pa.table(
        {
            "x": pa.Array.from_buffers(
                pa.string(), 1, [None, pa.py_buffer(np.array([0, 1], np.int32)), pa.py_buffer(b"\xff")]
            )
        }
    )
    with pytest.raises(ValueError, match="a value of type string cannot be read"):
        list(minift.Dataset(table))
    far = minift.Dataset(pa.table({"x": pa.array([2**40], pa.timestamp("s"))}))
    with pytest.raises(ValueError, match="cannot be read"):
        list(far)


@pytest.mark.parametrize("name", ["../data.arrow", "/etc/hosts", 3, ""])
def test_names_of_files_stay_in_the_folder(name, tmp_path):
    minift.Dataset.from_dict({"a": [1]}).save_to_disk(tmp_path / "d")
    state = tmp_path / "d" / "state.json"
    text = state.read_text().replace('"data-00000-of-00001.arrow"', repr(name).replace("'", '"'))
    state.write_text(text)
    with pytest.raises(ValueError, match="is not the name of a file in this folder"):
        minift.load_from_disk(tmp_path / "d")

"""The collators against transformers: the same rows, the same batches."""

import copy

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers

from minift.batches.collate import DataCollatorWithPadding, default_data_collator
from minift.tokenizer.classes import AutoTokenizer
from tests.hub import MINILM, MRPC, needs_hub

pytestmark = needs_hub


@pytest.fixture(scope="module")
def both():
    return AutoTokenizer.from_pretrained(MINILM), transformers.AutoTokenizer.from_pretrained(MINILM)


@pytest.fixture(scope="module")
def features(both):
    """The first 64 rows of MRPC, with labels, row numbers and a float column."""
    table = pq.read_table(next((MRPC / "mrpc").glob("train*.parquet")))[:64]
    columns = both[1](table["sentence1"].to_pylist(), table["sentence2"].to_pylist(), return_special_tokens_mask=True)
    columns = {**columns, "label": table["label"].to_pylist(), "idx": list(range(64)), "weight": [0.5] * 64}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def assert_equal(ours, theirs):
    assert list(ours) == list(theirs)
    for name, column in theirs.items():
        assert type(ours[name]) is type(column)
        assert ours[name].dtype == column.dtype
        assert ours[name].shape == column.shape
        assert (ours[name] == column).all()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize(
    "options",
    [{}, {"pad_to_multiple_of": 8}, {"padding": "max_length", "max_length": 128}, {"padding": "longest"}],
    ids=str,
)
@pytest.mark.parametrize("size", [1, 8, 64])
def test_padding(both, features, side, kind, options, size):
    ours, theirs = both
    ours.padding_side = theirs.padding_side = side
    rows = features[:size]
    expected = transformers.DataCollatorWithPadding(theirs, return_tensors=kind, **options)(copy.deepcopy(rows))
    assert_equal(DataCollatorWithPadding(ours, return_tensors=kind, **options)(rows), expected)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    assert_equal(DataCollatorWithPadding(ours, return_tensors=kind, **options)(columns), expected)
    if side == "right" and not options and size == 8:
        assert expected["input_ids"].shape == (8, 67)


def test_rows_may_be_encodings_arrays_or_tensors(both, features):
    ours, theirs = both
    ours.padding_side = theirs.padding_side = "right"
    expected = transformers.DataCollatorWithPadding(theirs)(copy.deepcopy(features[:8]))
    for convert in (np.array, torch.tensor):
        rows = [{name: convert(value) for name, value in row.items()} for row in features[:8]]
        batch = DataCollatorWithPadding(ours)(rows)
        for name in ("input_ids", "attention_mask", "labels"):
            assert batch[name].tolist() == expected[name].tolist()
    texts = ["one two three", "four"]
    assert_equal(
        DataCollatorWithPadding(ours)([ours(text) for text in texts]),
        transformers.DataCollatorWithPadding(theirs)([theirs(text) for text in texts]),
    )


def test_pad_without_tensors(both, features):
    rows = [{"input_ids": row["input_ids"]} for row in features[:4]]
    ours, theirs = (tokenizer.pad(copy.deepcopy(rows)) for tokenizer in both)
    assert dict(ours) == dict(theirs)
    one, other = (tokenizer.pad({"input_ids": [5, 6]}, padding="max_length", max_length=4) for tokenizer in both)
    assert dict(one) == dict(other)


@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize(
    "rows",
    [
        [{"label": 1, "input_ids": [1, 2]}, {"label": 0, "input_ids": [3, 4]}],
        [{"label": 0.5, "x": 1}, {"label": 1.0, "x": 2}],
        [{"label_ids": [1, 0], "text": "a"}, {"label_ids": [0, 1], "text": "b"}],
        [{"label_ids": [0.0, 1.0], "none": None}, {"label_ids": [1.0, 0.0], "none": None}],
        [{"x": np.array([1.5, 2.5])}, {"x": np.array([3.5, 4.5])}],
        [{"labels": [-100, 3], "flag": True}, {"labels": [4, -100], "flag": False}],
    ],
    ids=str,
)
def test_stacking(kind, rows):
    assert_equal(
        default_data_collator(rows, return_tensors=kind),
        transformers.default_data_collator(copy.deepcopy(rows), return_tensors=kind),
    )

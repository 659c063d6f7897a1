"""The collators that pad and stack, on rows of every kind."""

from types import SimpleNamespace

import numpy as np
import pytest
import tokenizers
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import models

from minift.batches.collate import DataCollatorWithPadding, DefaultDataCollator, default_data_collator
from minift.tokenizer.tokenizer import Tokenizer

PAD = 9


def make_tokenizer(**options):
    backend = tokenizers.Tokenizer(models.WordPiece({str(i): i for i in range(10)} | {"[UNK]": 10}, unk_token="[UNK]"))
    return Tokenizer(backend, {"pad_token": str(PAD)}, **options)


def rows_of(*lengths):
    return [{"input_ids": list(range(1, n + 1)), "token_type_ids": [1] * n, "label": i} for i, n in enumerate(lengths)]


def test_rows_are_padded_to_the_longest():
    batch = DataCollatorWithPadding(make_tokenizer())(rows_of(2, 3))
    assert list(batch) == ["input_ids", "token_type_ids", "attention_mask", "labels"]
    assert batch.input_ids.tolist() == [[1, 2, PAD], [1, 2, 3]]
    assert batch.token_type_ids.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch.attention_mask.tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch.labels.tolist() == [0, 1]
    assert {column.dtype for column in batch.values()} == {torch.int64}


def test_padding_on_the_left_to_a_multiple():
    batch = DataCollatorWithPadding(make_tokenizer(padding_side="left"), pad_to_multiple_of=4)(rows_of(1, 3))
    assert batch.input_ids.tolist() == [[PAD, PAD, PAD, 1], [PAD, 1, 2, 3]]
    assert batch.attention_mask.tolist() == [[0, 0, 0, 1], [0, 1, 1, 1]]


def test_padding_to_max_length():
    collate = DataCollatorWithPadding(make_tokenizer(), padding="max_length", max_length=5, return_tensors="np")
    assert collate(rows_of(1, 3))["input_ids"].shape == (2, 5)
    with pytest.raises(ValueError, match="row 1 has 6 tokens, more than max_length=5"):
        collate(rows_of(1, 6))


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.lists(st.integers(0, 8), max_size=6), min_size=1, max_size=6),
    side=st.sampled_from(["left", "right"]),
    multiple=st.none() | st.integers(1, 5),
    form=st.sampled_from(["lists", "arrays", "columns", "tensors"]),
)
def test_every_row_comes_back_when_the_padding_is_cut_off(rows, side, multiple, form):
    convert = {"arrays": np.array, "tensors": torch.tensor}.get(form, list)
    typed = {"arrays": {"dtype": np.int64}, "tensors": {"dtype": torch.int64}}.get(form, {})
    features = [
        {"input_ids": convert(row, **typed), "special_tokens_mask": convert([0] * len(row), **typed)} for row in rows
    ]
    if form == "columns":
        features = {name: [row[name] for row in features] for name in features[0]}
    collate = DataCollatorWithPadding(
        make_tokenizer(padding_side=side), pad_to_multiple_of=multiple, return_tensors="np"
    )
    batch = collate(features)
    longest = max(map(len, rows))
    width = batch["input_ids"].shape[1]
    assert width >= longest
    assert width == longest or (multiple and width % multiple == 0 and width - longest < multiple)
    for row, ids, mask, special in zip(
        rows, batch["input_ids"], batch["attention_mask"], batch["special_tokens_mask"], strict=True
    ):
        start = 0 if side == "right" else width - len(row)
        assert ids[start : start + len(row)].tolist() == row
        assert mask.tolist() == [int(start <= i < start + len(row)) for i in range(width)]
        assert special.tolist() == (1 - mask).tolist()


def test_tensorflow_batches():
    import tensorflow

    batch = DataCollatorWithPadding(make_tokenizer(), return_tensors="tf")(rows_of(2, 3))
    assert {column.dtype for column in batch.values()} == {tensorflow.int64}
    assert batch["input_ids"].numpy().tolist() == [[1, 2, PAD], [1, 2, 3]]


def test_labels_of_every_kind():
    for name, values, dtype in [
        ("label", [1, 0], torch.int64),
        ("label", [1.5, 0.0], torch.float32),
        ("label_ids", [[1, 0], [0, 1]], torch.int64),
        ("label_ids", [[1.0, 0.0], [0.0, 1.0]], torch.float32),
        ("label", [np.int32(1), np.int32(0)], torch.int64),
        ("label_ids", [torch.tensor([1]), torch.tensor([0])], torch.int64),
    ]:
        batch = default_data_collator([{name: value} for value in values])
        assert list(batch) == ["labels"]
        assert batch["labels"].dtype == dtype
        assert batch["labels"].tolist() == torch.tensor(np.array(values)).tolist()


def test_the_default_collator_stacks_and_leaves_text_and_none_out():
    rows = [
        {"x": [1, 2], "text": "a", "none": None, "label": 0, "y": 0.5},
        {"x": [3, 4], "text": "b", "none": None, "label": 1, "y": 1.5},
    ]
    batch = DefaultDataCollator(return_tensors="np")(rows)
    assert list(batch) == ["labels", "x", "y"]
    assert batch["x"].tolist() == [[1, 2], [3, 4]]
    assert default_data_collator([SimpleNamespace(x=1), SimpleNamespace(x=2)])["x"].tolist() == [1, 2]
    assert default_data_collator({"x": [1, 2]})["x"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([], "cannot make a batch of no rows"),
        ({"input_ids": []}, "cannot make a batch of no rows"),
        ([{"text": "a"}], "padding needs the column 'input_ids'; there are only \\['text'\\]"),
        (
            [{"input_ids": [1], "x": [1]}, {"input_ids": [1], "x": [1, 2]}],
            "column 'x': its rows have different lengths",
        ),
        ([{"input_ids": [1], "text": "a"}], "column 'text': it holds strings, not numbers; remove it"),
        ([{"input_ids": [1], "label": 1}, {"input_ids": [1]}], "row 1 of the batch has no column 'label'"),
        ([{"input_ids": [1], "label": 1}, {"input_ids": [1], "label": None}], "column 'label': it holds None in row 1"),
        ([{"input_ids": [1]}, {"input_ids": [None]}], "column 'input_ids' must hold rows of integers"),
        (
            [{"input_ids": [1, 2], "attention_mask": [1]}],
            "column 'attention_mask' has 1 values in row 0, but input_ids has 2",
        ),
    ],
)
def test_bad_batches_for_padding(features, message):
    with pytest.raises(ValueError, match=message):
        DataCollatorWithPadding(make_tokenizer())(features)


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        ([], {}, "cannot make a batch of no rows"),
        ([{"x": [1]}, {"x": [1, 2]}], {}, "column 'x': its rows have different lengths"),
        ([{"x": 1}, {"y": 1}], {}, "row 1 of the batch has no column 'x'"),
        ([{"x": 1}], {"return_tensors": "jax"}, "unknown tensor type 'jax'"),
    ],
)
def test_bad_batches_for_stacking(features, options, message):
    with pytest.raises(ValueError, match=message):
        default_data_collator(features, **options)


def test_rows_that_are_no_dicts():
    with pytest.raises(TypeError, match="a list of dicts or a dict of lists, got a list of str"):
        DataCollatorWithPadding(make_tokenizer())(["a"])

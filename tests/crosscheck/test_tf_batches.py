"""`to_tf_dataset` beside the one of `datasets`: the same elements from the same rows."""

import datasets
import numpy as np
import pytest
import tensorflow as tf
import transformers

from minift.batches.collate import DataCollatorWithPadding, DefaultDataCollator
from minift.data.dataset import Dataset
from minift.demo.corpus import write_corpus, write_model
from minift.tokenizer.classes import AutoTokenizer

COLUMNS = ["input_ids", "token_type_ids", "attention_mask"]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return write_model(folder / "start", write_corpus(folder / "corpus"))


@pytest.fixture(scope="module")
def columns():
    draw = np.random.default_rng(0)
    lengths = draw.integers(3, 21, 27)
    return {
        "input_ids": [draw.integers(10, 200, length).tolist() for length in lengths],
        "token_type_ids": [draw.integers(0, 2, length).tolist() for length in lengths],
        "attention_mask": [[1] * length for length in lengths],
        "pair": draw.normal(size=(27, 2)).tolist(),
        "label": draw.integers(0, 2, 27).tolist(),
        "flag": [bool(bit) for bit in draw.integers(0, 2, 27)],
        "text": [f"row {row}" for row in range(27)],
    }


def collators(start, **options):
    """minift's collator and that of transformers, whose TensorFlow tensors are gone: numpy's for both."""
    theirs = transformers.AutoTokenizer.from_pretrained(start)
    return (
        DataCollatorWithPadding(AutoTokenizer.from_pretrained(start), return_tensors="tf", **options),
        transformers.DataCollatorWithPadding(theirs, return_tensors="np", **options),
    )


def assert_same(ours: tf.data.Dataset, theirs: tf.data.Dataset) -> None:
    assert len(ours) == len(theirs)
    assert tf.nest.map_structure(lambda spec: spec.dtype, ours.element_spec) == tf.nest.map_structure(
        lambda spec: spec.dtype, theirs.element_spec
    )
    for mine, reference in zip(ours.as_numpy_iterator(), theirs.as_numpy_iterator(), strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, mine, reference)


@pytest.mark.parametrize(
    "options",
    [
        dict(columns=COLUMNS, label_cols=["labels"], batch_size=8),
        dict(columns=COLUMNS, label_cols="label", batch_size=8, drop_remainder=True),
        dict(columns=[*COLUMNS, "label"], batch_size=5),
        dict(columns="input_ids", label_cols=["labels", "pair"], batch_size=4, prefetch=False),
    ],
)
@pytest.mark.parametrize("multiple", [None, 16])
def test_padded_batches(start, columns, options, multiple):
    columns = {name: values for name, values in columns.items() if name not in ("text", "flag")}
    collate, their_collate = collators(start, pad_to_multiple_of=multiple)
    ours = Dataset.from_dict(columns).to_tf_dataset(collate_fn=collate, **options)
    assert_same(ours, datasets.Dataset.from_dict(columns).to_tf_dataset(collate_fn=their_collate, **options))


@pytest.mark.parametrize(
    "options",
    [
        dict(columns=["pair", "flag"], label_cols="label", batch_size=8),
        dict(columns="text", label_cols=["label", "flag"], batch_size=8),
        dict(columns=["input_ids", "text"], label_cols="label"),
        dict(columns="input_ids"),
    ],
)
def test_stacked_and_single_rows(columns, options):
    ours, theirs = Dataset.from_dict(columns), datasets.Dataset.from_dict(columns)
    assert_same(ours.to_tf_dataset(**options), theirs.to_tf_dataset(**options))


def test_all_columns(columns):
    columns = {name: columns[name] for name in ("pair", "label", "flag", "text")}
    ours, theirs = Dataset.from_dict(columns), datasets.Dataset.from_dict(columns)
    assert_same(ours.to_tf_dataset(batch_size=10), theirs.to_tf_dataset(batch_size=10))
    options = dict(batch_size=10, collate_fn=lambda rows: {"sum": np.stack([row["pair"].sum() for row in rows])})
    assert_same(ours.to_tf_dataset(**options), theirs.to_tf_dataset(**options))


def test_default_collator_renames(columns):
    columns = {name: columns[name] for name in ("pair", "label")}
    ours = Dataset.from_dict(columns).to_tf_dataset(9, "pair", collate_fn=DefaultDataCollator(), label_cols=["labels"])
    theirs = datasets.Dataset.from_dict(columns).to_tf_dataset(
        9, "pair", collate_fn=transformers.DefaultDataCollator(return_tensors="np"), label_cols=["labels"]
    )
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    "options",
    [
        dict(columns=["pair", "nothing"], batch_size=4),
        dict(columns=["pair"], label_cols=["nothing"], batch_size=4),
        dict(label_cols=["label"], batch_size=4),
        dict(columns=["pair", "pair"], batch_size=4),
    ],
)
def test_what_one_refuses_the_other_does(columns, options):
    columns = {name: columns[name] for name in ("pair", "label")}
    for dataset in (Dataset.from_dict(columns), datasets.Dataset.from_dict(columns)):
        with pytest.raises(ValueError):  # noqa: PT011 - the texts differ
            dataset.to_tf_dataset(**options)

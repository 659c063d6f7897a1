"""`to_tf_dataset` and `prepare_tf_dataset`: what they yield, in which order, and what they refuse."""

import numpy as np
import pytest
import tensorflow as tf
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minift.batches.collate import DataCollatorWithPadding, DefaultDataCollator
from minift.batches.mask import IGNORED, DataCollatorForLanguageModeling
from minift.batches.sampler import RandomOrder, randperm
from minift.batches.word_mask import DataCollatorForWholeWordMask
from minift.data.dataset import Dataset
from minift.demo.corpus import write_corpus, write_model
from minift.tf.batches import prepare_tf_dataset
from minift.tokenizer.classes import AutoTokenizer

COLUMNS = ["input_ids", "token_type_ids", "attention_mask"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return AutoTokenizer.from_pretrained(write_model(folder / "start", write_corpus(folder / "corpus")))


@pytest.fixture(scope="module")
def rows():
    """51 rows of 3 to 20 tokens, with a label, a score, and a column of text."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(3, 21, 51)
    return Dataset.from_dict(
        {
            "input_ids": [draw.integers(10, 200, length).tolist() for length in lengths],
            "token_type_ids": [draw.integers(0, 2, length).tolist() for length in lengths],
            "attention_mask": [[1] * length for length in lengths],
            "label": draw.integers(0, 2, 51).tolist(),
            "score": draw.normal(size=51).tolist(),
            "text": [f"text {row}" for row in range(51)],
        }
    )


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name, tensor in found.items():
        array = np.asarray(expected[name])
        np.testing.assert_array_equal(tensor.numpy(), array.astype(tensor.numpy().dtype), err_msg=name)


# -- the shuffle


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1, 2**32 + 5, 2**63 - 1])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 10, 3668, 70_001])
def test_randperm_is_torchs(length, seed):
    expected = torch.randperm(length, generator=torch.Generator().manual_seed(seed)).tolist()
    assert randperm(length, seed) == expected


@given(st.integers(0, 500), st.integers(0, 2**40))
@settings(max_examples=60, deadline=None)
def test_randperm_is_torchs_whatever_the_seed(length, seed):
    assert randperm(length, seed) == torch.randperm(length, generator=torch.Generator().manual_seed(seed)).tolist()


def test_randperm_refuses_what_torch_shuffles_in_another_way():
    with pytest.raises(ValueError, match="cannot shuffle 214,748,364 rows"):
        randperm(2**32 // 20, 0)


def test_every_epoch_has_the_order_of_the_trainer(rows, tokenizer):
    batches = rows.to_tf_dataset(8, "input_ids", True, DataCollatorWithPadding(tokenizer), label_cols="score", seed=42)
    for epoch in range(3):
        scores = np.concatenate([labels for _, labels in batches.as_numpy_iterator()])
        order = RandomOrder(len(rows), 42).order(epoch)
        np.testing.assert_array_equal(scores, np.array(rows[order]["score"], dtype=np.float32))


def test_without_a_seed_numpys_settles_the_order(rows):
    def first_order():
        return list(rows.to_tf_dataset(columns="score", shuffle=True).as_numpy_iterator())

    np.random.seed(7)
    orders = [first_order(), first_order()]
    np.random.seed(7)
    assert [first_order(), first_order()] == orders
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


# -- the batches


@pytest.mark.parametrize("multiple", [None, 8])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("mask", [True, False], ids=["mask", "no mask"])
def test_padding_in_the_graph_is_the_collators(rows, tokenizer, multiple, side, mask):
    rows = rows.remove_columns(["text"] if mask else ["text", "attention_mask"]).select(range(50, 0, -1))
    tokenizer.padding_side = side
    collator = DataCollatorWithPadding(tokenizer, pad_to_multiple_of=multiple, return_tensors="tf")
    batches = rows.to_tf_dataset(batch_size=8, collate_fn=collator)
    assert len(batches) == 7
    for number, batch in enumerate(batches):
        assert_equal(batch, collator(rows[number * 8 : number * 8 + 8], return_tensors="np"))
    tokenizer.padding_side = "right"
    assert {tensor.dtype for tensor in batch.values()} == {tf.int64, tf.float32}


def test_a_mapped_file_of_several_chunks_and_narrow_integers(rows, tokenizer):
    mapped = rows.remove_columns("text").map(lambda batch: batch, batched=True, batch_size=7, writer_batch_size=7)
    narrow = mapped.data.schema.field("attention_mask").type
    collator = DataCollatorWithPadding(tokenizer)
    batch = next(iter(mapped.select(range(10, 51)).to_tf_dataset(16, collate_fn=collator)))
    assert_equal(batch, collator(mapped[10:26], return_tensors="np"))
    assert narrow is not None


def test_max_length_gives_static_shapes(rows, tokenizer):
    collator = DataCollatorWithPadding(tokenizer, padding="max_length", max_length=24)
    batches = rows.to_tf_dataset(8, ["input_ids"], False, collator, drop_remainder=True)
    assert batches.element_spec.shape == (8, 24)
    assert len(batches) == len(list(batches)) == 6
    np.testing.assert_array_equal(next(iter(batches)), collator(rows.select_columns(COLUMNS)[:8])["input_ids"])


def test_features_and_labels_are_dicts_unless_there_is_one(rows, tokenizer):
    collator = DataCollatorWithPadding(tokenizer, return_tensors="tf")

    def spec(columns, label_cols=None):
        return rows.to_tf_dataset(4, columns, collate_fn=collator, label_cols=label_cols).element_spec

    features, labels = spec(COLUMNS, ["labels"])  # the column is `label`; the collator renames it
    assert (sorted(features), labels.shape.rank) == (sorted(COLUMNS), 1)
    assert spec(COLUMNS, "label") == spec(COLUMNS, ["labels"])
    features, labels = spec(["input_ids"], ["labels", "score"])
    assert (features.shape.rank, sorted(labels)) == (2, ["labels", "score"])
    assert sorted(spec(["input_ids", "label"])) == ["input_ids", "labels"]


def test_rows_without_batches(rows):
    single = rows.to_tf_dataset(columns=["input_ids"], label_cols=["label", "text"])
    assert len(single) == 51
    for row, (ids, labels) in enumerate(single.take(3)):
        assert ids.numpy().tolist() == rows[row]["input_ids"]
        assert (labels["label"].numpy(), labels["text"].numpy()) == (rows[row]["label"], rows[row]["text"].encode())
    stacked = rows.select_columns(["label", "score", "text"]).to_tf_dataset(batch_size=16)
    assert [spec.dtype for spec in stacked.element_spec.values()] == [tf.int64, tf.float32, tf.string]
    assert sum(len(batch["text"]) for batch in stacked) == 51


def test_any_other_collator_gets_rows_of_numpy_values(rows):
    seen = []

    def collate(batch, scale):
        seen.append(batch[0])
        return {"first": [int(row["input_ids"][0]) * scale for row in batch], "ok": np.ones((len(batch), 2), bool)}

    with pytest.raises(ValueError, match="no column 'input_ids': the collator makes"):
        rows.to_tf_dataset(4, ["input_ids", "first"], collate_fn=collate, collate_fn_args={"scale": 3})
    batches = rows.select_columns("input_ids").to_tf_dataset(4, collate_fn=collate, collate_fn_args={"scale": 3})
    assert batches.element_spec["ok"] == tf.TensorSpec((None, 2), tf.int64)
    assert isinstance(seen[0]["input_ids"], np.ndarray)
    first = np.concatenate([batch["first"] for batch in batches.as_numpy_iterator()])
    assert first.tolist() == [ids[0] * 3 for ids in rows["input_ids"]]


def test_a_transform_is_applied(rows):
    doubled = rows.with_transform(lambda batch: {"x": [[label * 2.0] for label in batch["label"]]})
    batches = doubled.to_tf_dataset(batch_size=51)
    assert next(iter(batches))["x"].numpy().ravel().tolist() == [label * 2.0 for label in rows["label"]]


# -- masks


@pytest.fixture(scope="module")
def blocks(tokenizer):
    draw = np.random.default_rng(1)
    ids = draw.integers(10, 200, (400, 32))
    ids[:, [0, -1]] = tokenizer.cls_token_id, tokenizer.sep_token_id
    words = [[None, *(np.arange(30) // 2).tolist(), None]] * 400
    columns = {"input_ids": ids.tolist(), "attention_mask": np.ones_like(ids).tolist(), "word_ids": words}
    return Dataset.from_dict(columns | {"labels": ids.tolist()})


@pytest.mark.parametrize("collator_class", [DataCollatorForLanguageModeling, DataCollatorForWholeWordMask])
def test_masks_of_a_seed_are_those_of_the_collator_itself(blocks, tokenizer, collator_class):
    rows = blocks if collator_class is DataCollatorForWholeWordMask else blocks.remove_columns("word_ids")
    batches = rows.to_tf_dataset(
        16, ["input_ids", "attention_mask"], False, collator_class(tokenizer, seed=3), label_cols=["labels"]
    )
    assert batches.element_spec[1].shape.as_list() == [None, 32]
    alone = collator_class(tokenizer, seed=3, return_tensors="np")
    for number, (features, labels) in enumerate(batches):
        expected = alone(rows[number * 16 : number * 16 + 16])
        assert_equal({**features, "labels": labels}, expected)
    assert_equal({"labels": next(iter(batches))[1]}, {"labels": alone(rows[:16])["labels"]})  # epoch 1: other masks


def test_masks_are_80_10_10(blocks, tokenizer):
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, return_tensors="tf", seed=0)
    batch = next(iter(blocks.remove_columns("word_ids").to_tf_dataset(400, collate_fn=collator)))
    ids, labels = batch["input_ids"].numpy(), batch["labels"].numpy()
    before = np.array(blocks["input_ids"])
    chosen = labels != IGNORED
    np.testing.assert_array_equal(labels[chosen], before[chosen])
    np.testing.assert_array_equal(ids[~chosen], before[~chosen])
    assert not chosen[:, [0, -1]].any()
    masked, same = (ids == tokenizer.mask_token_id)[chosen], (ids == before)[chosen]
    shares = [chosen[:, 1:-1].mean(), masked.mean(), (~masked & ~same).mean()]
    np.testing.assert_allclose(shares, [0.3, 0.8, 0.1], atol=0.02)


def test_making_a_dataset_draws_nothing(blocks, tokenizer):
    np.random.seed(0)
    expected = np.random.random()
    np.random.seed(0)
    blocks.remove_columns("word_ids").to_tf_dataset(4, collate_fn=DataCollatorForLanguageModeling(tokenizer))
    assert np.random.random() == expected


# -- prepare_tf_dataset


class Model:
    def call(self, input_ids=None, attention_mask=None, token_type_ids=None, labels=None, training=False):
        pass


def test_prepare_takes_the_columns_of_the_model(rows, tokenizer):
    batches = prepare_tf_dataset(Model(), rows, batch_size=8, tokenizer=tokenizer, seed=1)
    features, labels = batches.element_spec
    assert (sorted(features), labels.dtype, len(batches)) == (sorted(COLUMNS), tf.int64, 6)  # the rest is dropped
    assert len(prepare_tf_dataset(Model(), rows, shuffle=False, tokenizer=tokenizer)) == 7
    unlabelled = prepare_tf_dataset(Model(), rows.remove_columns("label"), tokenizer=tokenizer)
    assert sorted(unlabelled.element_spec) == sorted(COLUMNS)
    same_length = rows.select([3] * 9)
    assert len(prepare_tf_dataset(Model(), same_length, collate_fn=DefaultDataCollator())) == 1
    with pytest.raises(ValueError, match="none of the columns .* is an input of Model"):
        prepare_tf_dataset(Model(), rows.select_columns("label"))


# -- bad input


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda rows: rows.select([]), {}, "the dataset is empty"),
        (None, {"batch_size": 0}, "batch_size=0 must be at least 1"),
        (None, {"batch_size": 52, "drop_remainder": True}, "51 rows do not fill one batch of 52"),
        (None, {"num_workers": 2}, "num_workers=2 is not supported"),
        (None, {"label_cols": "label"}, "label_cols without columns"),
        (None, {"columns": ["input_ids", "input_ids"]}, "columns names a column twice"),
        (None, {"columns": ["input_ids", "ids"]}, "no column 'ids'"),
        (None, {"columns": "input_ids", "label_cols": ["labelz"]}, "no column 'labelz'"),
        (None, {"columns": ["input_ids", "text"]}, "column 'text'"),
        (None, {"columns": ["input_ids"], "collate_fn": None}, "column 'input_ids' have different lengths: pad them"),
        (
            lambda rows: rows.remove_columns("label").add_column("label", [0] * 50 + [None]),
            {"columns": COLUMNS},
            "row 50: column 'label' is null",
        ),
        (
            lambda rows: rows.remove_columns("input_ids").add_column("input_ids", [[1]] * 50 + [None]),
            {"columns": ["input_ids"]},
            "row 50: column 'input_ids' is null",
        ),
        (
            lambda rows: rows.remove_columns("input_ids").add_column("input_ids", [[1]] * 50 + [[1, None]]),
            {"columns": ["input_ids"]},
            "row 50: column 'input_ids' holds a null",
        ),
        (
            lambda rows: rows.remove_columns("attention_mask").add_column("attention_mask", [[1]] * 51),
            {"columns": COLUMNS},
            "column 'attention_mask' has 1 values in row 0, but input_ids has",
        ),
    ],
)
def test_bad_input_is_named(rows, tokenizer, change, options, message):
    dataset = rows if change is None else change(rows)
    with pytest.raises(ValueError, match=message):
        dataset.to_tf_dataset(**({"batch_size": 8, "collate_fn": DataCollatorWithPadding(tokenizer)} | options))

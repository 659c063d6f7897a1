"""ColumnBatches and Ragged: batches of columns are the batches of rows, whatever the order and the record batches."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minift.batches.chunk import chunk_dataset
from minift.batches.collate import DataCollatorWithPadding, DefaultDataCollator, default_data_collator
from minift.batches.column_batches import ColumnBatches, column_batches
from minift.batches.mask import DataCollatorForLanguageModeling
from minift.batches.word_mask import DataCollatorForWholeWordMask
from minift.data.dataset import Dataset
from minift.tokenizer.classes import AutoTokenizer
from minift.tokenizer.padding import Ragged, row_lengths

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh", "##a", "##b", "##c"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary")
    folder.joinpath("vocab.txt").write_text("\n".join(WORDS))
    return AutoTokenizer.from_pretrained(folder, padding_side="left")


@pytest.fixture(scope="module")
def rows(tokenizer):
    """23 texts in record batches of 5, with word ids, a label, a weight and a name each."""
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("abcdefgh  "), random.integers(1, 30))) for _ in range(23)]
    columns = {"text": texts, "label": [i % 3 for i in range(23)], "weight": [i / 2 for i in range(23)]}

    def encode(batch):
        encoded = tokenizer(batch["text"])
        encoded["word_ids"] = [encoded.word_ids(i) for i in range(len(batch["text"]))]
        return encoded

    return Dataset.from_dict(columns).map(encode, batched=True, batch_size=5)


NUMBERS = st.lists(st.integers(0, 16), min_size=1, max_size=9)


@given(numbers=NUMBERS, shuffled=st.booleans())
def test_columns_hold_what_the_rows_hold(rows, numbers, shuffled):
    dataset = rows.shuffle(seed=1) if shuffled else rows
    columns = ColumnBatches(dataset).__getitems__(numbers)
    assert list(columns) == dataset.column_names
    for name, expected in dataset[numbers].items():
        got = columns[name]
        assert [v.tolist() if isinstance(v, np.ndarray) else v for v in got] == expected
    assert isinstance(columns["input_ids"], Ragged)
    assert isinstance(columns["word_ids"], Ragged)
    assert isinstance(columns["weight"], list)  # the collators make float32 of Python's floats


def collators(tokenizer):
    return [
        DataCollatorWithPadding(tokenizer),
        DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8),
        DataCollatorForLanguageModeling(tokenizer),
    ]


@pytest.mark.parametrize("which", range(3))
@given(numbers=NUMBERS)
def test_batches_are_equal(rows, tokenizer, which, numbers):
    dataset, collate = rows.remove_columns(["text", "word_ids"]).shuffle(seed=2), collators(tokenizer)[which]
    assert_equal(collate, column_batches(dataset, collate), dataset, numbers)


@given(numbers=NUMBERS)
def test_whole_words_are_equal(rows, tokenizer, numbers):
    dataset, collate = rows.remove_columns("text"), DataCollatorForWholeWordMask(tokenizer, 0.5)
    assert_equal(collate, column_batches(dataset, collate), dataset, numbers)


@pytest.mark.parametrize("collate", [default_data_collator, DefaultDataCollator()])
def test_blocks_are_stacked(rows, collate):
    dataset = chunk_dataset(rows.remove_columns("word_ids"), 4)
    assert_equal(collate, column_batches(dataset, collate), dataset, [3, 0, 5])


def assert_equal(collate, fetcher, dataset, numbers):
    assert isinstance(fetcher, ColumnBatches)
    batches = []
    for source in (dataset, fetcher):
        torch.manual_seed(0)
        np.random.seed(0)
        batches.append(collate(source.__getitems__(numbers)))
    rows, columns = batches
    assert list(rows) == list(columns)
    for name in rows:
        assert rows[name].dtype == columns[name].dtype
        assert torch.equal(rows[name], columns[name])


def test_only_collators_and_datasets_that_are_known(rows, tokenizer):
    class Mine(DataCollatorWithPadding):
        pass

    assert column_batches(rows, Mine(tokenizer)) is rows
    assert column_batches(rows, list) is rows
    torch_rows = rows.with_format("torch")
    assert column_batches(torch_rows, default_data_collator) is torch_rows
    plain = [{"input_ids": [1]}]
    assert column_batches(plain, default_data_collator) is plain


def test_missing_values_are_left_to_the_dataset():
    dataset = Dataset.from_dict({"label": [1, None, 2], "input_ids": [[1], None, [2, 3]]})
    assert ColumnBatches(dataset).__getitems__([1, 2]) == {"label": [None, 2], "input_ids": [None, [2, 3]]}


def test_ragged():
    ragged = Ragged(np.arange(5), np.array([2, 0, 3]))
    assert [row.tolist() for row in ragged] == [[0, 1], [], [2, 3, 4]]
    assert ragged[-1].tolist() == [2, 3, 4]
    assert row_lengths(ragged).tolist() == row_lengths([[1, 2], [], [3, 4, 5]]).tolist() == [2, 0, 3]
    with pytest.raises(IndexError):
        ragged[3]
    with pytest.raises(ValueError, match="different lengths"):
        np.asarray(ragged)
    missing = Ragged(np.arange(4), np.array([2, 2]), np.array([False, True, True, True]))
    assert np.asarray(missing).tolist() == [[None, 1], [2, 3]]

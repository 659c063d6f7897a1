"""Chunking: blocks equal to the plain concatenation, in every mode; bad input."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minift.batches.chunk import Chunker, chunk_dataset
from minift.data.dataset import Dataset

documents = st.lists(st.lists(st.integers(0, 99), max_size=9), min_size=1, max_size=8)


def group_texts(examples, block_size):
    """The plain version: concatenate lists, cut lists."""
    joined = {name: [value for row in rows for value in row] for name, rows in examples.items()}
    whole = len(joined["input_ids"]) // block_size * block_size
    blocks = {name: [v[i : i + block_size] for i in range(0, whole, block_size)] for name, v in joined.items()}
    return {**blocks, "labels": list(blocks["input_ids"])}


def columns_of(rows):
    word_ids = [[None if i in (0, len(row) - 1) else i for i in range(len(row))] for row in rows]
    return {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows], "word_ids": word_ids}


def dataset_of(rows):
    types = {"input_ids": pa.int32(), "attention_mask": pa.int8(), "word_ids": pa.int64()}
    return Dataset(pa.table({name: pa.array(v, pa.list_(types[name])) for name, v in columns_of(rows).items()}))


@settings(deadline=None, max_examples=60)
@given(rows=documents, block_size=st.integers(1, 7))
def test_blocks_equal_the_plain_version_for_lists_and_for_arrow(rows, block_size):
    expected = group_texts(columns_of(rows), block_size)
    assert Chunker(block_size)(columns_of(rows)) == expected
    assert Chunker(block_size)(pa.table({k: pa.array(v) for k, v in columns_of(rows).items()})).to_pydict() == expected


@settings(deadline=None, max_examples=25)
@given(rows=documents, block_size=st.integers(1, 7), batch_size=st.integers(1, 4))
def test_map_and_a_users_own_function_and_chunk_dataset_agree(rows, block_size, batch_size):
    dataset = dataset_of(rows)
    options = {"batched": True, "batch_size": batch_size}
    theirs = dataset.map(group_texts, fn_kwargs={"block_size": block_size}, **options)
    assert dataset.map(Chunker(block_size), **options)[:] == theirs[:]
    if len(theirs):
        assert chunk_dataset(dataset, block_size, batch_size=batch_size)[:] == theirs[:]


@settings(deadline=None, max_examples=40)
@given(rows=documents, block_size=st.integers(1, 7), pad=st.booleans())
def test_within_documents_no_block_crosses_a_border(rows, block_size, pad):
    blocks = Chunker(block_size, pad_token_id=-7 if pad else None, within_documents=True)(columns_of(rows))
    expected = []
    for row in rows:
        whole = len(row) if pad else len(row) // block_size * block_size
        expected += [row[i : i + block_size] for i in range(0, whole, block_size)]
    assert blocks["input_ids"] == [block + [-7] * (block_size - len(block)) for block in expected]
    assert blocks["labels"] == [block + [-100] * (block_size - len(block)) for block in expected]
    assert blocks["attention_mask"] == [[1] * len(b) + [0] * (block_size - len(b)) for b in expected]
    assert all(word is None for b, w in zip(expected, blocks["word_ids"], strict=True) for word in w[len(b) :])


def long_dataset(rows=2500):
    generator = np.random.default_rng(0)
    return dataset_of([generator.integers(0, 99, size=n).tolist() for n in generator.integers(0, 40, size=rows)])


def test_the_whole_split_loses_less_than_one_block_and_pads_one():
    dataset = long_dataset()
    tokens = [token for row in dataset["input_ids"] for token in row]
    whole = len(tokens) // 64
    blocks = chunk_dataset(dataset, 64)
    assert [token for block in blocks["input_ids"] for token in block] == tokens[: whole * 64]
    assert len(chunk_dataset(dataset, 64, batch_size=1000)) < whole  # a block is lost in each of three batches
    padded = chunk_dataset(dataset, 64, pad_token_id=0)
    assert len(padded) == whole + 1
    rest = len(tokens) % 64
    assert padded[-1]["input_ids"] == tokens[whole * 64 :] + [0] * (64 - rest)
    assert padded[-1]["attention_mask"] == [1] * rest + [0] * (64 - rest)
    assert padded[-1]["labels"] == tokens[whole * 64 :] + [-100] * (64 - rest)
    assert padded[:whole] == blocks[:]


def test_an_order_of_rows_is_followed():
    dataset = long_dataset(30).shuffle(seed=1)
    tokens = [token for row in dataset["input_ids"] for token in row]
    assert chunk_dataset(dataset, 16)[1]["input_ids"] == tokens[16:32]


def test_columns_that_hold_no_lists_are_left_out_and_own_labels_kept(tmp_path):
    dataset = Dataset.from_dict({"text": ["a", "b"], "input_ids": [[1, 2], [3, 4]], "labels": [[5, 6], [7, 8]]})
    blocks = chunk_dataset(dataset, 2, cache_file_name=str(tmp_path / "blocks.arrow"))
    assert blocks[:] == {"input_ids": [[1, 2], [3, 4]], "labels": [[5, 6], [7, 8]]}
    assert Dataset.from_file(tmp_path / "blocks.arrow")[:] == blocks[:]
    assert blocks.formatter.kind is None


def test_bad_input():
    with pytest.raises(ValueError, match="block_size=0: a block holds at least 1 token"):
        Chunker(0)
    with pytest.raises(ValueError, match="no block of block_size=9 tokens can be cut from these 2 rows"):
        chunk_dataset(dataset_of([[1, 2], [3]]), 9)
    with pytest.raises(ValueError, match="needs a column 'input_ids' of token ids; there are \\['text'\\]"):
        chunk_dataset(Dataset.from_dict({"text": ["a"]}), 1)
    with pytest.raises(ValueError, match="row 1: column 'attention_mask' has 2 values, but input_ids has 1"):
        Chunker(1)({"input_ids": [[1], [2]], "attention_mask": [[1], [1, 1]]})
    with pytest.raises(TypeError, match="batched=True"):
        Chunker(1)([1, 2])

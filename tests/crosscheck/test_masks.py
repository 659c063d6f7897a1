"""Masks and blocks against transformers, datasets and the Hugging Face course: the same draws, bit for bit."""

import collections
import copy

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers

from minift.batches.chunk import Chunker, chunk_dataset
from minift.batches.mask import DataCollatorForLanguageModeling, freeze_masks
from minift.batches.word_mask import DataCollatorForWholeWordMask
from minift.data.dataset import Dataset
from minift.tokenizer.classes import AutoTokenizer
from tests.hub import DISTILBERT_BASE, IMDB, needs_hub

pytestmark = [needs_hub, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def both():
    return AutoTokenizer.from_pretrained(DISTILBERT_BASE), transformers.AutoTokenizer.from_pretrained(DISTILBERT_BASE)


@pytest.fixture(scope="module")
def tokenized(both):
    """The first 1,200 reviews of IMDb, as the course tokenises them."""

    def tokenize(batch):
        result = both[0](batch["text"])
        result["word_ids"] = [result.word_ids(i) for i in range(len(result["input_ids"]))]
        return result

    table = pq.read_table(next((IMDB / "plain_text").glob("train*.parquet")))
    return Dataset(table[:1200]).map(tokenize, batched=True, remove_columns=["text", "label"])


@pytest.fixture(scope="module")
def blocks(tokenized):
    return tokenized.map(Chunker(128), batched=True)


def group_texts(examples, block_size=128):
    """What the course passes to map."""
    joined = {name: [value for row in rows for value in row] for name, rows in examples.items()}
    whole = len(joined["input_ids"]) // block_size * block_size
    result = {name: [v[i : i + block_size] for i in range(0, whole, block_size)] for name, v in joined.items()}
    result["labels"] = result["input_ids"].copy()
    return result


def test_the_courses_blocks(both, tokenized, blocks):
    lengths = [len(row) for row in tokenized[:3]["input_ids"]]
    assert lengths == [200, 559, 192]
    three = Chunker(128, pad_token_id=0)(tokenized[:3])
    assert len(three["input_ids"]) == 8
    assert [sum(mask) for mask in three["attention_mask"]] == [128] * 7 + [55]
    text = both[0].decode(blocks[1]["input_ids"])
    assert text.startswith(".... at.......... high. a classic line")
    assert "! [SEP] [CLS] homelessness" in text


def test_blocks_equal_those_of_datasets(tokenized, blocks):
    import datasets

    theirs = datasets.Dataset(tokenized.data).map(group_texts, batched=True)
    assert blocks[:] == theirs[:]
    assert chunk_dataset(tokenized, 128, batch_size=1000)[:] == theirs[:]
    assert tokenized.map(group_texts, batched=True)[:] == theirs[:]


def rows_of(tokenized, blocks, form):
    """Blocks of one length, documents of several, the latter also with a special_tokens_mask, or bare lists of ids."""
    if form == "blocks":
        return blocks.remove_columns("word_ids").__getitems__(list(range(64)))
    rows = tokenized.remove_columns("word_ids").__getitems__(list(range(8)))
    if form == "lists":
        return [row["input_ids"] for row in rows]
    if form == "special":
        for row in rows:
            row["special_tokens_mask"] = [int(token in (101, 102, 1996)) for token in row["input_ids"]]
    return rows


OPTIONS = [
    {},
    {"mlm_probability": 0.4, "mask_replace_prob": 0.5, "random_replace_prob": 0.4},
    {"mask_replace_prob": 1.0, "random_replace_prob": 0.0},
    {"mask_replace_prob": 0.6, "random_replace_prob": 0.0},
    {"mask_replace_prob": 0.0, "random_replace_prob": 1.0},
    {"pad_to_multiple_of": 100},
    {"mlm": False},
    {"seed": 7},
]


@pytest.mark.parametrize("form", ["blocks", "documents", "special", "lists"])
@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_masks_are_equal_to_the_bit(both, tokenized, blocks, form, kind, options):
    rows = rows_of(tokenized, blocks, form)
    batches = []
    for collator, tokenizer in [
        (DataCollatorForLanguageModeling, both[0]),
        (transformers.DataCollatorForLanguageModeling, both[1]),
    ]:
        torch.manual_seed(11)
        np.random.seed(11)
        collate = collator(tokenizer, return_tensors=kind, **options)
        batches.append([collate(copy.deepcopy(rows)) for _ in range(2)])  # the second shows where the first left off
    for ours, theirs in zip(*batches, strict=True):
        assert set(ours) == set(theirs)
        for name, column in theirs.items():
            assert ours[name].dtype == column.dtype
            assert ours[name].tolist() == column.tolist(), name


def course_collator(features, tokenizer, probability):
    """The course's whole-word collator, on its own terms."""
    for feature in features:
        mapping, index, current = collections.defaultdict(list), -1, None
        for position, word in enumerate(feature.pop("word_ids")):
            if word is not None:
                if word != current:
                    index, current = index + 1, word
                mapping[index].append(position)
        labels = [-100] * len(feature["labels"])
        for word in np.where(np.random.binomial(1, probability, (len(mapping),)))[0]:
            for position in mapping[word.item()]:
                labels[position] = feature["labels"][position]
                feature["input_ids"][position] = tokenizer.mask_token_id
        feature["labels"] = labels
    return transformers.default_data_collator(features)


def test_the_courses_whole_word_masks(both, blocks):
    rows = blocks.__getitems__(list(range(64)))
    collate = DataCollatorForWholeWordMask(both[0], 0.2, mask_replace_prob=1.0, random_replace_prob=0.0)
    np.random.seed(5)
    ours = [collate(rows) for _ in range(2)]
    np.random.seed(5)
    theirs = [course_collator(copy.deepcopy(rows), both[1], 0.2) for _ in range(2)]
    for batch, expected in zip(ours, theirs, strict=True):
        assert set(batch) == set(expected)
        for name, column in expected.items():
            assert torch.equal(batch[name], column)


def test_words_of_imdb_are_whole(both, blocks):
    rows = blocks.__getitems__(list(range(256)))
    chosen = DataCollatorForWholeWordMask(both[0], seed=1)(rows)["labels"].numpy() != -100
    assert chosen.any()
    for row, mask in zip(rows, chosen, strict=True):
        for position in range(1, 128):
            before, word = row["word_ids"][position - 1 : position + 1]
            if word is not None and word == before:
                assert mask[position] == mask[position - 1]
            if word is None:
                assert not mask[position]


def test_a_frozen_set_equals_one_masked_by_transformers(both, blocks):
    small = blocks.remove_columns("word_ids").select(range(100))
    torch.manual_seed(3)
    frozen = freeze_masks(small, DataCollatorForLanguageModeling(both[0]))
    torch.manual_seed(3)
    expected = transformers.DataCollatorForLanguageModeling(both[1])(small.__getitems__(list(range(100))))
    for name in ("input_ids", "attention_mask", "labels"):
        assert frozen[:][name] == expected[name].tolist()

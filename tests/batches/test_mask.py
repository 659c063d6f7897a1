"""Masking: which tokens, how many, whole words, frozen sets, and bad input."""

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import models

from minift.batches.draws import numpy_draws
from minift.batches.mask import (
    DataCollatorForLanguageModeling,
    freeze_masks,
)
from minift.batches.whole_words import choose_words
from minift.batches.word_mask import DataCollatorForWholeWordMask
from minift.data.dataset import Dataset
from minift.tokenizer.tokenizer import Tokenizer

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
PAD, UNK, CLS, SEP, MASK, SIZE = 0, 1, 2, 3, 4, 1000


def make_tokenizer(special=SPECIAL, **options):
    words = [*SPECIAL.values(), *map(str, range(5, SIZE))]
    backend = tokenizers.Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    return Tokenizer(backend, special, **options)


def sentences(rows, length, seed=0):
    """Rows of [CLS], words of one to three tokens, [SEP], with their word numbers."""
    generator = np.random.default_rng(seed)
    features = []
    for _ in range(rows):
        ids = [CLS, *generator.integers(5, SIZE, size=length - 2).tolist(), SEP]
        words = np.repeat(np.arange(length), generator.integers(1, 4, size=length))[: length - 2].tolist()
        features.append({"input_ids": ids, "word_ids": [None, *words, None]})
    return features


def without_words(features):
    return [{"input_ids": row["input_ids"]} for row in features]


def within_binomial_bounds(count, total, probability):
    """Five standard deviations: wrong in one run of two million."""
    return abs(count - total * probability) < 5 * np.sqrt(total * probability * (1 - probability))


@pytest.mark.parametrize("collator", [DataCollatorForLanguageModeling, DataCollatorForWholeWordMask])
@pytest.mark.parametrize("kind", ["pt", "np"])
def test_a_million_tokens_are_masked_in_the_right_shares(collator, kind):
    features = sentences(2000, 512)
    ids = np.array([row["input_ids"] for row in features])
    collate = collator(make_tokenizer(), mlm_probability=0.15, return_tensors=kind, seed=0)
    features = features if collator is DataCollatorForWholeWordMask else without_words(features)
    batch = {name: np.asarray(column) for name, column in collate(features).items()}
    chosen = batch["labels"] != -100
    assert (batch["labels"][chosen] == ids[chosen]).all()
    assert (batch["input_ids"][~chosen] == ids[~chosen]).all()
    assert not chosen[(ids == CLS) | (ids == SEP)].any()
    count = chosen.sum()
    if collator is DataCollatorForLanguageModeling:
        assert within_binomial_bounds(count, ids.size - 4000, 0.15)
    else:
        words = np.array([row["word_ids"] for row in features], dtype=float)
        starts = ~np.isnan(words) & (np.diff(words, axis=1, prepend=np.nan) != 0)
        assert within_binomial_bounds((chosen & starts).sum(), starts.sum(), 0.15)
    masked = batch["input_ids"] == MASK
    changed = chosen & ~masked & (batch["input_ids"] != ids)
    assert within_binomial_bounds(masked.sum(), count, 0.8)
    assert within_binomial_bounds(changed.sum(), count, 0.1 * (1 - 1 / SIZE))
    assert within_binomial_bounds((batch["input_ids"][changed] < SIZE // 2).sum(), changed.sum(), 0.5)


def test_a_special_tokens_mask_column_decides_what_may_be_masked():
    rows = [
        {"input_ids": [CLS, UNK, 7, SEP], "special_tokens_mask": [1, 0, 1, 1]},
        {"input_ids": [8], "special_tokens_mask": [0]},
    ]
    batch = DataCollatorForLanguageModeling(make_tokenizer(), mlm_probability=1.0)(rows)
    assert batch["labels"].tolist() == [[-100, UNK, -100, -100], [8, -100, -100, -100]]
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    without = DataCollatorForLanguageModeling(make_tokenizer(), mlm_probability=1.0)(without_words(rows))
    assert without["labels"].tolist() == [[-100, -100, 7, -100], [8, -100, -100, -100]]


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_causal_labels_are_the_ids(kind):
    collate = DataCollatorForLanguageModeling(make_tokenizer(), mlm=False, return_tensors=kind)
    batch = collate([{"input_ids": [5, 6]}, {"input_ids": [7]}])
    assert batch["labels"].tolist() == [[5, 6], [7, -100]]
    assert batch["input_ids"].tolist() == [[5, 6], [7, PAD]]


@pytest.mark.parametrize("collator", [DataCollatorForLanguageModeling, DataCollatorForWholeWordMask])
@pytest.mark.parametrize("kind", ["pt", "np"])
def test_a_seed_gives_its_own_draws_and_its_state_resumes_them(collator, kind):
    features = sentences(4, 64)
    features = features if collator is DataCollatorForWholeWordMask else without_words(features)
    first = collator(make_tokenizer(), return_tensors=kind, seed=3)
    assert first.state_dict() == {}
    torch_state = torch.get_rng_state()
    one = first(features)["labels"].tolist()
    assert (torch.get_rng_state() == torch_state).all()
    state = first.state_dict()
    two = first(features)["labels"].tolist()
    assert one != two
    again = collator(make_tokenizer(), return_tensors=kind, seed=3)
    assert again(features)["labels"].tolist() == one
    resumed = collator(make_tokenizer(), return_tensors=kind, seed=3)
    resumed.load_state_dict(state)
    assert resumed(features)["labels"].tolist() == two


@pytest.mark.parametrize("side", ["right", "left"])
def test_words_are_whole_and_never_span_documents(side):
    # "0 0 1" [SEP] [CLS] "1 1 2": the two words 1 belong to two documents
    words = [None, 0, 0, 1, None, None, 1, 1, 2, None]
    rows = [
        {"input_ids": [CLS, 5, 6, 7, SEP, CLS, 8, 9, 10, SEP], "word_ids": words},
        {"input_ids": [11, 12], "word_ids": [0, 0]},
    ]
    collate = DataCollatorForWholeWordMask(make_tokenizer(padding_side=side), mlm_probability=0.5, seed=0)
    seen = set()
    for _ in range(200):
        chosen = collate(rows)["labels"].numpy() != -100
        long, short = chosen[0], chosen[1][:2] if side == "right" else chosen[1][-2:]
        assert long[1] == long[2]
        assert long[6] == long[7]
        assert short[0] == short[1]
        assert not long[[0, 4, 5, 9]].any()
        assert chosen[1].sum() in (0, 2)
        seen.add((long[3], long[6]))
    assert len(seen) == 4


def test_one_draw_a_word_in_reading_order():
    words = np.array([[np.nan, 0, 0, 1, np.nan], [4, 4, np.nan, 4, 5]])
    np.random.seed(0)
    drawn = np.random.binomial(1, 0.5, 5).astype(bool)
    np.random.seed(0)
    chosen = choose_words(words, 0.5, numpy_draws(None)[0])
    a, b, c, d, e = drawn
    assert chosen.tolist() == [[False, a, a, b, False], [c, c, False, d, e]]


def test_no_word_at_all():
    batch = DataCollatorForWholeWordMask(make_tokenizer())([{"input_ids": [CLS, SEP], "word_ids": [None, None]}])
    assert batch["labels"].tolist() == [[-100, -100]]


def test_frozen_masks_are_stored_without_padding():
    rows = [
        {"input_ids": ids, "attention_mask": [1] * len(ids)}
        for ids in ([CLS, 5, 6, 7, SEP], [CLS, 8, SEP], [CLS, 9, 9, SEP])
    ]
    dataset = Dataset.from_list(rows)
    frozen = freeze_masks(dataset, DataCollatorForLanguageModeling(make_tokenizer(), mlm_probability=0.5, seed=1))
    assert frozen.column_names == ["input_ids", "attention_mask", "labels"]
    expected = DataCollatorForLanguageModeling(make_tokenizer(), mlm_probability=0.5, seed=1)(rows)
    for i, row in enumerate(rows):
        length = len(row["input_ids"])
        assert frozen[i]["input_ids"] == expected["input_ids"][i, :length].tolist()
        assert frozen[i]["labels"] == expected["labels"][i, :length].tolist()


def test_tensorflow_batches():
    import tensorflow

    for collator, rows in [
        (DataCollatorForLanguageModeling, without_words(sentences(2, 8))),
        (DataCollatorForWholeWordMask, sentences(2, 8)),
    ]:
        batch = collator(make_tokenizer(), return_tensors="tf", seed=0)(rows)
        same = collator(make_tokenizer(), return_tensors="np", seed=0)(rows)
        assert {column.dtype for column in batch.values()} == {tensorflow.int64}
        assert batch["labels"].numpy().tolist() == same["labels"].tolist()


@pytest.mark.parametrize("collator", [DataCollatorForLanguageModeling, DataCollatorForWholeWordMask])
def test_bad_settings(collator):
    no_mask = make_tokenizer({name: token for name, token in SPECIAL.items() if name != "mask_token"})
    with pytest.raises(ValueError, match="needs a mask token, and this tokenizer's vocabulary has none"):
        collator(no_mask)
    for options, message in [
        ({"mlm_probability": 1.5}, "mlm_probability=1.5: expected a probability"),
        ({"mask_replace_prob": -0.1}, "mask_replace_prob=-0.1"),
        ({"mask_replace_prob": 0.8, "random_replace_prob": 0.3}, "random_replace_prob=0.3 add up to more than 1"),
        ({"return_tensors": "jax"}, "unknown tensor type 'jax'"),
    ]:
        with pytest.raises(ValueError, match=message):
            collator(make_tokenizer(), **options)


def test_bad_batches():
    with pytest.raises(ValueError, match="whole_word_mask=True needs the column 'offset_mapping'"):
        DataCollatorForLanguageModeling(
            make_tokenizer(), whole_word_mask=True, mask_replace_prob=1.0, random_replace_prob=0.0
        )([{"input_ids": [5]}])
    with pytest.raises(ValueError, match=r"needs the column 'word_ids' \(there are \['input_ids'\]\)"):
        DataCollatorForWholeWordMask(make_tokenizer())([{"input_ids": [5]}])
    with pytest.raises(ValueError, match="column 'word_ids' has 2 values in row 0, but input_ids has 1"):
        DataCollatorForWholeWordMask(make_tokenizer())([{"input_ids": [5], "word_ids": [0, 1]}])
    for collator in (DataCollatorForLanguageModeling, DataCollatorForWholeWordMask):
        with pytest.raises(ValueError, match="cannot make a batch of no rows"):
            collator(make_tokenizer())([])

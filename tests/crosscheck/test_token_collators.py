"""The collators of token labels, choices, flattened rows and whole words: transformers gives the same batches."""

import numpy as np
import pytest
import torch
import transformers

import minift
from tests.hub import BERT_BASE, needs_hub

pytestmark = [needs_hub, pytest.mark.filterwarnings("ignore:.*:UserWarning")]
LIBRARIES = (minift, transformers)
ROWS = [
    {"input_ids": [101, 5, 6, 102], "attention_mask": [1, 1, 1, 1], "labels": [-100, 1, 2, -100]},
    {"input_ids": [101, 5, 102], "attention_mask": [1, 1, 1], "labels": [-100, 1, -100]},
]
CHOICES = [{"input_ids": [[1, 2, 3], [1, 2]], "label": 0}, {"input_ids": [[1], [1, 2, 4, 5]], "label": 1}]
TEXTS = ["Unbelievable tokenizations happen; antidisestablishmentarianism", "preprocessing unravels, [SEP] hmm"]


@pytest.fixture(scope="module")
def tokenizers():
    return {library: library.AutoTokenizer.from_pretrained(str(BERT_BASE)) for library in LIBRARIES}


def assert_same(ours, theirs):
    assert set(ours) == set(theirs)
    for name, column in theirs.items():
        assert type(ours[name]) is type(column), name
        np.testing.assert_array_equal(np.asarray(ours[name]), np.asarray(column), name, strict=True)


def without(rows, column, renamed=None):
    others = [{name: value for name, value in row.items() if name != column} for row in rows]
    return [other | ({renamed: row[column]} if renamed else {}) for other, row in zip(others, rows, strict=True)]


@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    "options", [{}, {"pad_to_multiple_of": 8}, {"padding": "max_length", "max_length": 10}, {"label_pad_token_id": -1}]
)
def test_labels_of_tokens(tokenizers, kind, side, options):
    for rows in (ROWS, without(ROWS, "labels"), without(ROWS, "labels", "label")):
        batches = []
        for library, tokenizer in tokenizers.items():
            tokenizer.padding_side = side
            collate = library.DataCollatorForTokenClassification(tokenizer, return_tensors=kind, **options)
            batches.append(dict(collate([dict(row) for row in rows])))
            tokenizer.padding_side = "right"
        assert_same(*batches)


@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_seq_idx": True},
        {"return_flash_attn_kwargs": True},
        {"return_position_ids": False, "separator_id": -5},
        {"position_ids_start": 2},
    ],
)
def test_rows_end_to_end(kind, options):
    for rows in (ROWS, without(ROWS, "labels")):
        batches = [lib.DataCollatorWithFlattening(return_tensors=kind, **options)(rows) for lib in LIBRARIES]
        assert_same(*batches)


def test_choices(tokenizers):
    collators = [library.DataCollatorForMultipleChoice(tokenizer) for library, tokenizer in tokenizers.items()]
    assert_same(*(dict(collate([dict(row) for row in CHOICES])) for collate in collators))


@pytest.mark.parametrize("kind", ["pt", "np"])
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("marked", [False, True])
def test_whole_words_at_offsets(tokenizers, kind, seed, marked):
    batches = []
    for library, tokenizer in tokenizers.items():
        options = {"return_offsets_mapping": True, "return_special_tokens_mask": marked, "max_length": 30}
        rows = [dict(tokenizer(text, padding="max_length", truncation=True, **options)) for text in TEXTS]
        torch.manual_seed(0)
        np.random.seed(0)
        how = {"whole_word_mask": True, "mlm_probability": 0.4, "return_tensors": kind, "seed": seed}
        collate = library.DataCollatorForLanguageModeling(tokenizer, **how)
        batches.append([dict(collate([dict(row) for row in rows])) for _ in range(2)])
    for ours, theirs in zip(*batches, strict=True):
        assert_same(ours, theirs)
    hidden = np.asarray(batches[0][0]["labels"]) != -100
    assert hidden.any()
    assert not hidden.all()


def test_the_courses_collator_takes_offsets_too(tokenizers):
    tokenizer = tokenizers[minift]
    rows = [dict(tokenizer(text, return_offsets_mapping=True)) for text in TEXTS]
    one = minift.DataCollatorForWholeWordMask(tokenizer, mlm_probability=0.4, seed=1, return_tensors="np")
    how = {"whole_word_mask": True, "mlm_probability": 0.4, "seed": 1, "return_tensors": "np"}
    assert_same(dict(one(rows)), dict(minift.DataCollatorForLanguageModeling(tokenizer, **how)(rows)))


def test_bad_rows(tokenizers):
    tokenizer = tokenizers[minift]
    with pytest.raises(ValueError, match="whole_word_mask=True needs the column 'offset_mapping'"):
        minift.DataCollatorForLanguageModeling(tokenizer, whole_word_mask=True)(without(ROWS, "labels"))
    with pytest.raises(ValueError, match="it needs mlm=True"):
        minift.DataCollatorForLanguageModeling(tokenizer, mlm=False, whole_word_mask=True)
    longer = [ROWS[0] | {"labels": [1] * 9}, ROWS[1]]
    with pytest.raises(ValueError, match="row 0 has 9 labels; the batch is 4 tokens long"):
        minift.DataCollatorForTokenClassification(tokenizer)(longer)
    with pytest.raises(ValueError, match=r"different numbers of choices: \[2, 3\]"):
        minift.DataCollatorForMultipleChoice(tokenizer)([CHOICES[0], {"input_ids": [[1], [2], [3]], "label": 0}])

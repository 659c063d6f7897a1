"""BatchEncoding: columns, tensors, and the way back from tokens to words and characters."""

import pickle

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import models, pre_tokenizers, processors

from minift.tokenizer.batch_encoding import BatchEncoding, column_to_tensor
from minift.tokenizer.encode import encode_batch
from minift.tokenizer.tokenizer import Tokenizer


@pytest.fixture
def tokenizer():
    words = ["[UNK]", "[PAD]", "un", "##like", "##ly", "truth"]
    backend = tokenizers.Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(single="$A:0", pair="$A:0 $B:1", special_tokens=[])
    return Tokenizer(backend, {"unk_token": "[UNK]", "pad_token": "[PAD]"})


@pytest.mark.parametrize("texts", ["unlikely truth", ["unlikely truth"]])
def test_tokens_words_and_characters(tokenizer, texts):
    """The same from one text (complete at once) and from a batch (complete when asked)."""
    batch = tokenizer(texts)
    assert batch.word_ids(0) == [0, 0, 0, 1]
    assert batch.tokens() == ["un", "##like", "##ly", "truth"]
    assert batch.sequence_ids(0) == [0, 0, 0, 0]
    assert batch.token_to_chars(0, 1) == (2, 6)
    assert batch.token_to_chars(1).end == 6
    assert batch.char_to_token(0, 9) == 3
    assert batch.char_to_token(8) is None
    assert batch.char_to_word(9) == 1
    assert batch.word_to_tokens(0) == (0, 3)
    assert batch.word_to_chars(0, 1) == (9, 14)
    assert batch.token_to_word(2) == 0
    assert batch.token_to_sequence(2) == 0
    assert batch.n_sequences == 1
    assert batch.is_fast
    assert batch[0].ids == [2, 3, 4, 5]


def test_a_batch_is_tokenised_again_only_for_more_than_ids_and_words(tokenizer, monkeypatch):
    runs = []
    run = lambda *args: runs.append(args[-1]) or encode_batch(*args)  # noqa: E731
    monkeypatch.setattr("minift.tokenizer.tokenizer.encode_batch", run)
    for _ in range(2):  # one batch does not change how the next is made
        runs.clear()
        batch = tokenizer(["unlikely", "truth truth"], padding=True)
        assert batch.word_ids(0) == [0, 0, 0]
        assert batch.word_ids(1) == [0, 1, None]
        assert runs == [True]  # without offsets
        assert batch.token_to_chars(1, 1) == (6, 11)
        assert batch.tokens(1) == ["truth", "truth", "[PAD]"]
        assert batch.word_ids(1) == [0, 1, None]
        assert runs == [True, False]


def test_late_encodings_follow_the_call_that_made_the_batch(tokenizer):
    cut = tokenizer(["unlikely truth"], truncation=True, max_length=2)
    tokenizer(["truth"], padding="max_length", max_length=9)
    assert cut.tokens(0) == ["un", "##like"]


def test_columns_are_items_and_attributes():
    batch = BatchEncoding({"input_ids": [[1, 2], [3, 4]], "label": [0, 1]})
    assert batch.input_ids == batch["input_ids"] == [[1, 2], [3, 4]]
    assert batch[:1] == {"input_ids": [[1, 2]], "label": [0]}
    assert dict(**batch) == batch
    with pytest.raises(AttributeError, match="no attribute or column 'colour'"):
        batch.colour  # noqa: B018
    with pytest.raises(KeyError, match="colour"):
        batch["colour"]


def test_alignment_needs_encodings():
    batch = BatchEncoding({"input_ids": [[1]]})
    assert batch.encodings is None
    assert not batch.is_fast
    assert batch.n_sequences is None
    with pytest.raises(ValueError, match=r"word_ids\(\) needs the encodings"):
        batch.word_ids()


def test_pickling_keeps_columns_and_alignment(tokenizer):
    again = pickle.loads(pickle.dumps(tokenizer(["unlikely"])))
    assert again.input_ids == [[2, 3, 4]]
    assert again.word_ids(0) == [0, 0, 0]


@pytest.mark.parametrize(
    ("column", "kind", "dtype"),
    [
        ([1, 2], "np", np.int64),
        ([[1], [2]], "pt", torch.int64),
        ([1.5], "np", np.float64),
        ([1.5], "pt", torch.float32),
        ([np.float64(1.5)], "pt", torch.float64),
        (np.array([1], np.int32), "pt", torch.int64),
        ([True, False], "pt", torch.bool),
        ([], "pt", torch.int64),
        ([torch.tensor([1, 2])], "pt", torch.int64),
    ],
)
def test_types_of_tensors(column, kind, dtype):
    assert column_to_tensor("x", column, kind).dtype == dtype


def test_tensorflow_tensors():
    import tensorflow

    assert column_to_tensor("x", [[1, 2]], "tf").dtype == tensorflow.int64
    assert column_to_tensor("x", [0.5], "tf").dtype == tensorflow.float32


def test_conversion_and_moving(tokenizer):
    batch = tokenizer(["unlikely"], return_tensors="pt")
    assert batch.input_ids.tolist() == [[2, 3, 4]]
    assert batch.to("cpu") is batch
    assert batch.to("meta").input_ids.device.type == "meta"
    assert BatchEncoding({"x": [1, 2]}, tensor_type="np", prepend_batch_axis=True).x.shape == (1, 2)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([[1], [1, 2]], "column 'x': its rows have different lengths. Use padding=True"),
        (["a"], "column 'x': it holds strings, not numbers; remove it with remove_columns"),
        ([1, None], "column 'x': it holds None"),
    ],
)
def test_columns_that_cannot_be_tensors(column, message):
    with pytest.raises(ValueError, match=message):
        BatchEncoding({"x": column}, tensor_type="pt")

"""The tokenizer against transformers, on MRPC and IMDb, for three checkpoints and from vocab.txt alone."""

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import transformers

from minift.tokenizer.classes import AutoTokenizer
from tests.hub import BERT_BASE, DISTILBERT_BASE, IMDB, MINILM, MRPC, needs_hub

pytestmark = [needs_hub, pytest.mark.filterwarnings("ignore")]

CHECKPOINTS = [BERT_BASE, DISTILBERT_BASE, MINILM]


@cache
def mrpc():
    table = pq.read_table(next((MRPC / "mrpc").glob("train*.parquet")))[:2000]
    return table["sentence1"].to_pylist(), table["sentence2"].to_pylist()


@cache
def imdb():
    return pq.read_table(next((IMDB / "plain_text").glob("train*.parquet")))["text"][:500].to_pylist()


def theirs_from(folder):
    """transformers 5.23 reads the DistilBERT folder as BERT, with token types; its own class for it has none."""
    distilbert = "distilbert" in str(folder)
    return (transformers.DistilBertTokenizer if distilbert else transformers.AutoTokenizer).from_pretrained(folder)


@cache
def load_both(folder):
    return AutoTokenizer.from_pretrained(folder), theirs_from(folder)


@pytest.fixture(params=CHECKPOINTS, ids=lambda folder: folder.name)
def both(request):
    return load_both(request.param)


@pytest.fixture(scope="module", params=CHECKPOINTS, ids=lambda folder: folder.name)
def both_from_vocab(request, tmp_path_factory):
    """Only vocab.txt and the configurations."""
    folder = tmp_path_factory.mktemp("vocab") / request.param.name
    folder.mkdir()
    for name in ("vocab.txt", "config.json", "tokenizer_config.json"):
        shutil.copyfile(request.param / name, folder / name)
    return AutoTokenizer.from_pretrained(folder), theirs_from(folder)


def assert_equal(ours, theirs):
    """The same columns in the same order, of the same types; and the same words, tokens and characters."""
    assert list(ours) == list(theirs)
    for name, column in theirs.items():
        assert type(ours[name]) is type(column)
        if hasattr(column, "dtype"):
            assert ours[name].dtype == column.dtype
            assert ours[name].tolist() == column.tolist()
        else:
            assert ours[name] == column
    for row, encoding in enumerate(theirs.encodings):
        assert ours.word_ids(row) == encoding.word_ids
        assert ours.tokens(row) == encoding.tokens
        assert ours.sequence_ids(row) == encoding.sequence_ids
        assert ours.encodings[row].ids == encoding.ids
        assert ours.encodings[row].word_ids == encoding.word_ids
        assert ours.encodings[row].offsets == encoding.offsets


PAIR_OPTIONS = [
    {},
    {"truncation": True},
    {"truncation": True, "max_length": 40, "padding": True},
    {"truncation": "only_first", "max_length": 64, "padding": "max_length"},
    {"truncation": "only_second", "max_length": 64, "stride": 3, "return_overflowing_tokens": True},
    {"max_length": 32},
    {"padding": "longest", "pad_to_multiple_of": 8, "return_tensors": "np"},
    {"padding": True, "padding_side": "left", "return_tensors": "pt", "return_special_tokens_mask": True},
    {"add_special_tokens": False, "return_length": True},
    {"return_token_type_ids": True, "return_attention_mask": False},
    {"return_token_type_ids": False, "return_offsets_mapping": True, "return_special_tokens_mask": True},
]


@pytest.mark.parametrize("options", PAIR_OPTIONS, ids=str)
def test_pairs_of_mrpc(both, options):
    ours, theirs = both
    first, second = mrpc()
    assert_equal(ours(first, second, **options), theirs(first, second, **options))


@pytest.mark.parametrize("options", PAIR_OPTIONS[:3], ids=str)
def test_pairs_of_mrpc_from_vocab_txt(both_from_vocab, options):
    ours, theirs = both_from_vocab
    first, second = mrpc()
    assert_equal(ours(first, second, **options), theirs(first, second, **options))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"truncation": True, "padding": True, "return_tensors": "np"},
        {
            "truncation": True,
            "max_length": 64,
            "stride": 10,
            "return_overflowing_tokens": True,
            "return_offsets_mapping": True,
            "return_length": True,
        },
    ],
    ids=str,
)
def test_reviews_of_imdb(both, options):
    ours, theirs = both
    assert_equal(ours(imdb(), **options), theirs(imdb(), **options))


SINGLES = [
    ("I've been waiting for a HuggingFace course my whole life.",),
    ("This is the first sentence.", "This is the second one."),
    ("",),
    ([""],),
    ("a", ""),
    ("héllo Wörld 中文 \u200b\x00 \t naïve ﬁ [MASK] [SEP]",),
    ([("a b", "c"), ("d", "e f")],),
]


@pytest.mark.parametrize("texts", SINGLES, ids=str)
@pytest.mark.parametrize("options", [{}, {"return_length": True}, {"return_tensors": "np"}, {"max_length": 5}], ids=str)
def test_single_texts_and_odd_ones(both, texts, options):
    if isinstance(texts[0], list) and "return_tensors" in options:
        options = {**options, "padding": True}
    ours, theirs = both
    assert_equal(ours(*texts, **options), theirs(*texts, **options))


@pytest.mark.parametrize("options", [{}, {"truncation": True, "max_length": 12, "padding": True}], ids=str)
def test_words(both, options):
    ours, theirs = both
    first, second = ([text.split() for text in texts[:100]] for texts in mrpc())
    for arguments in [(first,), (first, second), (first[0],), (first[0], second[0])]:
        assert_equal(
            ours(*arguments, is_split_into_words=True, **options),
            theirs(*arguments, is_split_into_words=True, **options),
        )


ATTRIBUTES = [
    *("special_tokens_map", "all_special_tokens", "all_special_ids", "pad_token_type_id", "bos_token", "mask_token"),
    *("mask_token_id", "cls_token_id", "model_input_names", "model_max_length", "padding_side", "truncation_side"),
    *("vocab_size", "is_fast", "name_or_path"),
]


def test_attributes(both):
    ours, theirs = both
    for name in ATTRIBUTES:
        assert getattr(ours, name) == getattr(theirs, name), name
    assert len(ours) == len(theirs)
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.num_special_tokens_to_add(pair=True) == theirs.num_special_tokens_to_add(pair=True)


def test_decoding(both):
    ours, theirs = both
    rows = theirs(mrpc()[0][:200])["input_ids"]
    for options in ({}, {"skip_special_tokens": True}, {"clean_up_tokenization_spaces": True}):
        assert ours.batch_decode(rows, **options) == theirs.batch_decode(rows, **options)
    assert ours.decode(rows[0]) == theirs.decode(rows[0])
    assert ours.convert_ids_to_tokens(rows[0], skip_special_tokens=True) == theirs.convert_ids_to_tokens(
        rows[0], skip_special_tokens=True
    )
    assert ours.convert_tokens_to_ids(["the", "qqqqq"]) == theirs.convert_tokens_to_ids(["the", "qqqqq"])
    assert ours.tokenize("Hello tokenizers!") == theirs.tokenize("Hello tokenizers!")
    assert ours.convert_tokens_to_string(["token", "##izer", "!"]) == theirs.convert_tokens_to_string(
        ["token", "##izer", "!"]
    )


@pytest.mark.parametrize("folder", CHECKPOINTS, ids=lambda folder: folder.name)
def test_saved_by_one_loaded_by_the_other(folder, tmp_path):
    ours, theirs = AutoTokenizer.from_pretrained(folder, do_lower_case=False), theirs_from(folder)
    files = ours.save_pretrained(tmp_path / "ours")
    assert {Path(file).name for file in files} == {"tokenizer.json", "tokenizer_config.json"}
    theirs.save_pretrained(tmp_path / "theirs")
    text = "Hello [MASK], WÖRLD!"
    for ours_there, original in [
        (transformers.AutoTokenizer.from_pretrained(tmp_path / "ours"), ours),
        (AutoTokenizer.from_pretrained(tmp_path / "theirs"), theirs),
    ]:
        assert dict(ours_there(text, text)) == dict(original(text, text))
        assert ours_there.model_input_names == original.model_input_names
        assert ours_there.model_max_length == original.model_max_length
        assert ours_there.special_tokens_map == original.special_tokens_map


def test_the_published_figures():
    ours = AutoTokenizer.from_pretrained(BERT_BASE)
    ids = "101 1045 1005 2310 2042 3403 2005 1037 17662 12172 2607 2026 2878 2166 1012 102"
    assert ours(SINGLES[0][0]).input_ids == [int(i) for i in ids.split()]
    pair = ours(*SINGLES[1])
    assert len(pair.input_ids) == 15
    assert pair.token_type_ids == [0] * 8 + [1] * 7
    first, second = mrpc()
    assert [len(row) for row in ours(first[:8], second[:8]).input_ids] == [50, 59, 47, 67, 59, 50, 62, 32]
    assert [len(row) for row in ours(imdb()[:3]).input_ids] == [200, 559, 192]


def test_tensorflow_tensors_equal_numpy_ones():
    ours = AutoTokenizer.from_pretrained(BERT_BASE)
    arguments = {"padding": True, "truncation": True}
    tensors, arrays = (ours(mrpc()[0][:20], return_tensors=kind, **arguments) for kind in ("tf", "np"))
    for name, array in arrays.items():
        assert np.array_equal(tensors[name].numpy(), array)
        assert tensors[name].numpy().dtype == np.int64

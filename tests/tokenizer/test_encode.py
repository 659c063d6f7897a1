"""encode_batch: with or without the Rust normaliser, the same tokens at the same places."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken

from minift.tokenizer.classes import AutoTokenizer
from minift.tokenizer.encode import _normalized, encode_batch

VOCABULARY = "abcdefghijklmnopqrstuvwxyzABC123.,!?[]-'"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *VOCABULARY, "the", "##s", "##e"]
ODD = ["é", "ß", "İ", "中", "\u00a0", "[MASK]", "[SEP]"]
TEXT = st.lists(st.sampled_from([*"abcTHEs 12.,!?[]-'\t\n\r\x00\x07\x7f\x0b", *ODD])).map("".join)


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def backend(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary")
    folder.joinpath("vocab.txt").write_text("\n".join(WORDS))
    return AutoTokenizer.from_pretrained(folder, do_lower_case=request.param).backend_tokenizer


def seen(encoding):
    rows = encoding.ids, encoding.type_ids, encoding.special_tokens_mask, encoding.attention_mask
    return *rows, encoding.word_ids, encoding.offsets, encoding.tokens, encoding.sequence_ids


def assert_same(backend, inputs, **options):
    expected = [seen(row) for row in backend.encode_batch(inputs, add_special_tokens=True, **options)]
    options = {"is_pretokenized": False, "add_special_tokens": True, **options}
    assert [seen(row) for row in encode_batch(backend, inputs, fast=False, **options)] == expected
    fast = encode_batch(backend, inputs, fast=True, **options)
    assert [row.ids for row in fast] == [row[0] for row in expected]
    assert backend.normalizer is not None


@given(texts=st.lists(TEXT, min_size=1, max_size=6))
def test_texts(backend, texts):
    assert_same(backend, texts)


@given(pairs=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4))
def test_pairs(backend, pairs):
    assert_same(backend, pairs)


def test_lists_of_words(backend):
    assert_same(backend, [["The", "CAT"], ["é"]], is_pretokenized=True)


def test_padding_reaches_the_longest_of_all(backend):
    backend.enable_padding(pad_id=0, pad_token="[PAD]")
    try:
        assert_same(backend, ["the the the", "é"])
        assert_same(backend, ["the the the", "a"])
    finally:
        backend.no_padding()


def test_which_texts_are_normalised_in_python():
    assert _normalized("The\nEnd", True, True, []) == "the end"
    assert _normalized("The\nEnd", True, False, []) is None
    assert _normalized("The End", False, True, []) == "The End"
    assert _normalized("café", True, True, []) is None
    assert _normalized("a\x00b", True, True, []) is None
    assert _normalized("a [mask]", True, True, ["[mask]"]) is None
    assert _normalized(("A", "B"), True, True, []) == ("a", "b")
    assert _normalized(("A", "ß"), True, True, []) is None


def test_added_words_are_found_before_and_after_normalising(tmp_path):
    tmp_path.joinpath("vocab.txt").write_text("\n".join(WORDS))
    backend = AutoTokenizer.from_pretrained(tmp_path).backend_tokenizer
    backend.add_tokens([AddedToken("Qx", normalized=True), AddedToken("Zy", normalized=False)])
    assert_same(backend, ["a qx b", "a QX b", "a Qx", "Zy", "zy the", "the"])


def test_the_normalizer_is_there_after_an_error(backend):
    with pytest.raises(TypeError):
        encode_batch(backend, ["a", 1], is_pretokenized=False, add_special_tokens=True, fast=True)
    assert backend.normalizer is not None

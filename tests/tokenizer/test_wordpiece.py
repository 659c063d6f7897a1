"""WordPiece by hand gives the pieces of the Rust library: on real texts, and on whatever Unicode has."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import normalizers, pre_tokenizers

from minift import load_dataset
from minift.tokenizer.classes import AutoTokenizer, BertTokenizer
from minift.tokenizer.wordpiece import BasicTokenizer, WordPiece
from tests.hub import BERT_BASE, IMDB, MRPC, needs_hub

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##a", "b", "##b", "ab", "##ab", "é", ".", "中", "σ"]


@pytest.fixture(scope="module")
def bert():
    return AutoTokenizer.from_pretrained(BERT_BASE)


def rust_pieces(tokenizer, texts):
    return [encoding.tokens for encoding in tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)]


@pytest.mark.long
@needs_hub
def test_all_pairs_of_mrpc(bert):
    by_hand = WordPiece(bert.get_vocab())
    for split in load_dataset(str(MRPC), "mrpc").values():
        for column in ("sentence1", "sentence2"):
            texts = list(split[column])
            assert [by_hand.tokenize(text) for text in texts] == rust_pieces(bert, texts)


@pytest.mark.long
@needs_hub
def test_two_thousand_reviews(bert):
    by_hand = WordPiece(bert.get_vocab())
    texts = list(load_dataset(str(IMDB), split="train").shuffle(seed=0)["text"][:2000])
    assert [by_hand.tokenize(text) for text in texts] == rust_pieces(bert, texts)


def test_the_example_of_the_docstring():
    basic = BasicTokenizer()
    assert basic.tokenize("Tokenisers aren't magic!") == ["tokenisers", "aren", "'", "t", "magic", "!"]
    by_hand = WordPiece({"token": 0, "##iser": 1, "##s": 2, "[UNK]": 3})
    assert by_hand.tokenize("Tokenisers token tokens serve") == [
        "token",
        "##iser",
        "##s",
        "token",
        "token",
        "##s",
        "[UNK]",
    ]
    assert by_hand.encode("tokens") == [0, 2]


def known_to_all(character):
    """Rust's tables are of three versions of Unicode, Python's of one: what only some of them know differs."""
    return unicodedata.category(character) != "Cn" and character != "\U00011938"


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]).filter(known_to_all))
NEAR = st.text(st.sampled_from("aAbBéÉe\u0301 .,$\t\n\u00a0\u200b中σΣςİı\0\ufffd-'’"))


@given(ANY_TEXT | NEAR, st.booleans(), st.booleans(), st.sampled_from([None, True, False]))
@settings(max_examples=500, deadline=None)
def test_any_text_is_cleaned_and_split_alike(text, lower, chinese, accents):
    normalizer = normalizers.BertNormalizer(lowercase=lower, handle_chinese_chars=chinese, strip_accents=accents)
    words = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normalizer.normalize_str(text))
    by_hand = BasicTokenizer(lower, chinese, accents)
    assert by_hand.clean(text) == normalizer.normalize_str(text)
    assert by_hand.tokenize(text) == [word for word, _ in words]


@given(st.text("abé.中σ ", max_size=130))
@settings(max_examples=300, deadline=None)
def test_any_words_become_the_same_pieces(text):
    vocab = {piece: number for number, piece in enumerate(PIECES)}
    tokenizer = BertTokenizer(vocab, strip_accents=False)
    assert WordPiece(vocab, strip_accents=False).tokenize(text) == rust_pieces(tokenizer, [text])[0]

"""Word ids told from token ids: equal to those of `tokenizers`, or not told at all."""

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, models, pre_tokenizers

from minift.tokenizer.classes import AutoTokenizer
from minift.tokenizer.encode import LateEncodings, words_follow_from_ids
from tests.hub import BERT_BASE, IMDB, MINILM, MRPC, needs_hub

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcxyz#'!", "##a", "##b", "##c", "ab", "##bc", "中", "é"]
TEXT = st.lists(st.sampled_from([*"abcxyzq#'! \t\n\x00\u200bé中ﬁ", "[MASK]", "[SEP]", "##a", "New", "<b>"])).map(
    "".join
)
ANY_TEXT = TEXT | st.text(max_size=30)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabulary")
    folder.joinpath("vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([AddedToken("New", normalized=False), AddedToken("<b>", lstrip=True, rstrip=True)])
    return tokenizer


def assert_equal(tokenizer, *texts, **options):
    """A call's word ids are told from ids, and equal those of the complete encodings."""
    batch = tokenizer(*texts, **options)
    assert isinstance(batch._encodings, LateEncodings)
    told = [batch.word_ids(row) for row in range(len(batch.input_ids))]
    assert told == [row.word_ids for row in batch.encodings]
    return told


def test_words_are_numbered_in_each_text(tokenizer):
    assert assert_equal(tokenizer, ["ab abc"], ["x a"]) == [[None, 0, 1, 1, None, 0, 1, None]]


@settings(deadline=None, max_examples=300)
@given(
    pairs=st.lists(st.tuples(ANY_TEXT, ANY_TEXT), min_size=1, max_size=4),
    with_pairs=st.booleans(),
    add_special_tokens=st.booleans(),
    side=st.sampled_from(["left", "right"]),
    options=st.sampled_from([{}, {"truncation": True, "max_length": 7}, {"padding": True}, {"max_length": 5}]),
)
def test_any_texts(tokenizer, pairs, with_pairs, add_special_tokens, side, options):
    texts = zip(*pairs, strict=True) if with_pairs else [[first for first, _ in pairs]]
    padded = {"padding_side": side} if "padding" in options else {}
    assert_equal(tokenizer, *map(list, texts), add_special_tokens=add_special_tokens, **options, **padded)


def test_where_ids_do_not_tell_the_words_the_encodings_are_complete_at_once(tokenizer):
    for call, options in [
        (["ab c"], {"return_offsets_mapping": True}),
        ([["ab", "c'b"]], {"is_split_into_words": True}),
    ]:
        assert isinstance(tokenizer(call, **options)._encodings, list)
    tokenizer.truncation_side = "left"
    try:
        cut = tokenizer(["a abbc"], truncation=True, max_length=4)
        assert cut.word_ids(0) == [None, 1, 1, None]
    finally:
        tokenizer.truncation_side = "right"


@pytest.mark.parametrize(
    "change",
    [
        lambda backend: backend.add_tokens(["##new"]),
        lambda backend: setattr(backend, "pre_tokenizer", pre_tokenizers.WhitespaceSplit()),
        lambda backend: setattr(backend, "model", models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")),
        lambda backend: setattr(backend.model, "continuing_subword_prefix", "_"),
    ],
)
def test_other_tokenizers_than_bert_s(tmp_path, change):
    tmp_path.joinpath("vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    backend = AutoTokenizer.from_pretrained(tmp_path).backend_tokenizer
    assert words_follow_from_ids(backend)
    change(backend)
    assert not words_follow_from_ids(backend)


@needs_hub
@pytest.mark.parametrize("folder", [BERT_BASE, MINILM], ids=lambda folder: folder.name)
@pytest.mark.parametrize("options", [{}, {"truncation": True, "max_length": 48, "padding": True}], ids=str)
@pytest.mark.parametrize("reviews", [200, pytest.param(2000, marks=pytest.mark.long)])
def test_all_of_mrpc_and_reviews(folder, options, reviews):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["film", "#1", "Pentagon"])
    for file in (MRPC / "mrpc").glob("*.parquet"):
        table = pq.read_table(file)
        first, second = (table[name].to_pylist() for name in ("sentence1", "sentence2"))
        assert_equal(tokenizer, first, second, **options)
    texts = pq.read_table(next((IMDB / "plain_text").glob("train*.parquet")))["text"][:reviews].to_pylist()
    assert_equal(tokenizer, [text.replace(" a ", " [MASK] ") for text in texts], **options)

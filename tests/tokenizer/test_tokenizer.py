"""The tokenizer on its own: loading, calls, bad input, saving."""

import json
import pickle
import warnings

import numpy as np
import pyarrow as pa
import pytest

from minift.tokenizer.classes import AutoTokenizer, BertTokenizer, DistilBertTokenizer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s", "é", "e", "!", "中", "H"]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def tokenizer(folder):
    return AutoTokenizer.from_pretrained(folder)


def test_a_text_becomes_word_pieces_between_cls_and_sep(tokenizer):
    assert tokenizer("Hello worlds!") == {
        "input_ids": [2, 5, 6, 7, 10, 3],
        "token_type_ids": [0] * 6,
        "attention_mask": [1] * 6,
    }
    assert tokenizer.tokenize("Hello worlds!") == ["hello", "world", "##s", "!"]
    assert tokenizer.encode("hello", "world") == [2, 5, 3, 6, 3]
    assert tokenizer("hello", "world").token_type_ids == [0, 0, 0, 1, 1]


def test_default_special_tokens_and_their_ids(tokenizer):
    assert tokenizer.special_tokens_map == {
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.mask_token_id) == (0, 2, 4)
    assert tokenizer.all_special_ids == [1, 3, 0, 2, 4]
    assert tokenizer.bos_token is None
    assert tokenizer.bos_token_id is None
    assert len(tokenizer) == tokenizer.vocab_size == len(WORDS)
    assert tokenizer.num_special_tokens_to_add() == 2
    assert tokenizer.num_special_tokens_to_add(pair=True) == 3
    assert tokenizer.is_fast


def test_a_default_token_that_the_vocabulary_lacks_is_none_and_is_not_added(folder):
    (folder / "vocab.txt").write_text("\n".join(word for word in WORDS if word != "[MASK]"), encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.mask_token is None
    assert len(tokenizer) == len(WORDS) - 1


def test_files_and_options_override_each_other_in_order(folder):
    config = {"do_lower_case": False, "model_max_length": 7, "padding_side": "left", "cls_token": "hello"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "special_tokens_map.json").write_text(json.dumps({"cls_token": {"content": "world", "lstrip": False}}))
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=9)
    assert (tokenizer.padding_side, tokenizer.cls_token, tokenizer.model_max_length) == ("left", "world", 9)
    assert tokenizer("H").input_ids == [6, 12, 3]  # not lowercased, framed by the cls token of special_tokens_map.json
    assert AutoTokenizer.from_pretrained(folder, do_lower_case=True)("H").input_ids == [6, 1, 3]


@pytest.mark.parametrize(
    ("options", "text", "ids"),
    [
        ({}, "É 中!", [9, 11, 10]),  # lowercasing strips the accent
        ({"do_lower_case": False}, "é", [8]),
        ({"strip_accents": False}, "É", [8]),
        ({"tokenize_chinese_chars": False}, "中hello", [1]),
    ],
)
def test_normalizer_options(folder, options, text, ids):
    assert AutoTokenizer.from_pretrained(folder, **options).encode(text, add_special_tokens=False) == ids


def test_the_inputs_follow_the_model_type_unless_the_config_names_a_class(folder):
    (folder / "config.json").write_text('{"model_type": "distilbert"}')
    assert AutoTokenizer.from_pretrained(folder).model_input_names == ["input_ids", "attention_mask"]
    assert set(AutoTokenizer.from_pretrained(folder)("hello")) == {"input_ids", "attention_mask"}
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizerFast"}')
    assert "token_type_ids" in AutoTokenizer.from_pretrained(folder)("hello")
    assert DistilBertTokenizer.from_pretrained(folder).model_input_names == ["input_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    assert "token_type_ids" not in AutoTokenizer.from_pretrained(folder)("hello")
    assert "token_type_ids" in BertTokenizer.from_pretrained(folder)("hello")


def test_a_vocabulary_may_hold_unicode_line_separators(folder):
    (folder / "vocab.txt").write_text("\n".join([*WORDS[:5], "a\u2028b", "hello"]) + "\n", encoding="utf-8")
    assert AutoTokenizer.from_pretrained(folder).convert_tokens_to_ids("hello") == 6


def test_ids_tokens_and_text(tokenizer):
    assert tokenizer.convert_tokens_to_ids(["hello", "nothing"]) == [5, 1]
    assert tokenizer.convert_ids_to_tokens([2, 5, 3]) == ["[CLS]", "hello", "[SEP]"]
    assert tokenizer.convert_ids_to_tokens([2, 5, 3], skip_special_tokens=True) == ["hello"]
    assert tokenizer.decode(np.array([2, 5, 6, 7, 3]), skip_special_tokens=True) == "hello worlds"
    assert tokenizer.batch_decode([[5], [6, 7]]) == ["hello", "worlds"]
    assert tokenizer.decode([[5], [6, 7]]) == ["hello", "worlds"]
    assert tokenizer.decode(list(np.array([6, 7]))) == tokenizer.decode((6, 7)) == "worlds"
    assert tokenizer.decode(5) == tokenizer.decode(np.int64(5)) == "hello"
    assert tokenizer.get_vocab()["world"] == 6
    assert tokenizer.get_special_tokens_mask([2, 5, 3], already_has_special_tokens=True) == [1, 0, 1]


def test_tokens_can_be_added(tokenizer):
    assert tokenizer.add_tokens(["neu"]) == 1
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"], "eos_token": "[SEP]"}) == 1
    assert (len(tokenizer), tokenizer.vocab_size) == (len(WORDS) + 2, len(WORDS))
    assert tokenizer.eos_token_id == 3
    assert list(tokenizer.special_tokens_map)[:2] == ["eos_token", "unk_token"]  # the libraries' order
    assert tokenizer.decode(tokenizer("neu <x>").input_ids, skip_special_tokens=True) == "neu"


def test_warns_once_of_texts_that_are_too_long(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=4)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")  # Python's own filter: a text is shown once for a line of code
        for text in ("hello world hello", "hello world hello world", "hello world hello"):
            tokenizer(text)
        tokenizer("hello")
        assert len(tokenizer("hello world hello", truncation=True).input_ids) == 4
    assert [str(warning.message)[:46] for warning in shown] == ["a text has more tokens than the 4 that the mod"]
    assert shown[0].filename == __file__


def test_warns_of_a_maximum_length_without_effect(tokenizer):
    with pytest.warns(UserWarning, match="max_length=3 has no effect"):
        assert tokenizer(["hello world hello"], padding=True, max_length=3).input_ids == [[2, 5, 6, 5, 3]]


def test_columns_of_every_kind_are_accepted(tokenizer):
    expected = tokenizer(["hello", "world"]).input_ids
    for column in (
        ("hello", "world"),
        np.array(["hello", "world"]),
        pa.array(["hello", "world"]),
        iter(["hello", "world"]),
    ):
        assert tokenizer(column).input_ids == expected


def test_an_empty_text_and_an_empty_list(tokenizer):
    assert tokenizer("").input_ids == [2, 3]
    assert tokenizer([]) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}
    assert tokenizer("hello", "").input_ids == [2, 5, 3]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((None,), {}, TypeError, "text must be a string, or a list or column of strings; got NoneType"),
        ((3,), {}, TypeError, "got int"),
        ((["hello", None],), {}, TypeError, "position 1 is None, expected a string"),
        ((["hello", 1.5],), {}, TypeError, "position 1 is 1.5"),
        ((["hello"], [None]), {}, TypeError, "position 0 is None"),
        (([["hello", 3]],), {"is_split_into_words": True}, TypeError, "expected a list of words"),
        (("hello",), {"is_split_into_words": True}, TypeError, "expected a list of words"),
        ((["hello"], ["a", "b"]), {}, ValueError, "text has 1 rows and text_pair has 2"),
        ((["hello"], "a"), {}, TypeError, "text_pair must be a list"),
        (("hello",), {"padding": "most"}, ValueError, "unknown padding='most': expected one of longest"),
        (("hello",), {"truncation": "all"}, ValueError, "unknown truncation='all'"),
        (("hello",), {"padding": True, "padding_side": "up"}, ValueError, "up"),
        (("hello",), {"truncation": True, "max_length": 1}, ValueError, "max_length=1 is too short: at least 2"),
        (("hello world",), {"truncation": "only_second", "max_length": 3}, ValueError, "Second sequence not provided"),
        (("hello",), {"return_tensors": "jax"}, ValueError, "unknown tensor type 'jax'"),
        ((["hello", "hello world"],), {"return_tensors": "np"}, ValueError, "'input_ids'.*padding=True"),
        (("hello",), {"colour": "red"}, TypeError, "colour"),
    ],
)
def test_bad_calls(tokenizer, arguments, options, error, message):
    with pytest.raises(error, match=message):
        tokenizer(*arguments, **options)


def test_padding_without_a_pad_token(folder):
    (folder / "vocab.txt").write_text("\n".join(WORDS[1:]), encoding="utf-8")
    with pytest.raises(ValueError, match="padding needs a pad token"):
        AutoTokenizer.from_pretrained(folder)(["hello"], padding=True)


def test_bad_ids(tokenizer):
    with pytest.raises(ValueError, match="cannot decode the id -100"):
        tokenizer.decode([5, -100])
    with pytest.raises(ValueError, match="unknown special token 'colour_token'"):
        tokenizer.add_special_tokens({"colour_token": "x"})
    with pytest.raises(ValueError, match="already_has_special_tokens=True"):
        tokenizer.get_special_tokens_mask([5])


def test_bad_files(folder):
    with pytest.raises(FileNotFoundError, match="no/such"):
        AutoTokenizer.from_pretrained("no/such")
    with pytest.raises(TypeError, match="no option 'colour'"):
        AutoTokenizer.from_pretrained(folder, colour="red")
    with pytest.raises(ValueError, match="from_pretrained does not support from_slow=True, only False"):
        AutoTokenizer.from_pretrained(folder, from_slow=True)
    (folder / "tokenizer.json").write_text('{"version": ')
    with pytest.raises(ValueError, match=r"tokenizer\.json is not a tokenizer"):
        AutoTokenizer.from_pretrained(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(ValueError, match="no tokenizer for model_type 'gpt2'"):
        AutoTokenizer.from_pretrained(folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    with pytest.raises(ValueError, match="'GPT2Tokenizer' is not supported"):
        AutoTokenizer.from_pretrained(folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": ')
    with pytest.raises(ValueError, match=r"tokenizer_config\.json is not valid JSON"):
        AutoTokenizer.from_pretrained(folder)
    (folder / "tokenizer_config.json").unlink()
    (folder / "config.json").unlink()
    (folder / "vocab.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"neither tokenizer\.json nor vocab\.txt"):
        AutoTokenizer.from_pretrained(folder)


def test_saving_and_loading_keeps_everything(folder, tmp_path):
    saved = AutoTokenizer.from_pretrained(
        folder, do_lower_case=False, model_max_length=9, padding_side="left", extra_special_tokens=["<x>"]
    )
    saved("hello", truncation=True, max_length=3, padding="max_length")  # settings of a call are not the tokenizer's
    saved.save_pretrained(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "tokenizer.json").read_text())
    assert written["truncation"] is None
    assert written["padding"] is None
    loaded = AutoTokenizer.from_pretrained(tmp_path / "out")
    text = "H hello <x> world"
    assert loaded(text) == saved(text)
    assert loaded.convert_tokens_to_ids("<x>") == len(WORDS)
    for name in ("special_tokens_map", "extra_special_tokens", "model_max_length", "padding_side", "model_input_names"):
        assert getattr(loaded, name) == getattr(saved, name)


def test_a_tokenizer_can_be_pickled(tokenizer):
    assert pickle.loads(pickle.dumps(tokenizer))("hello world") == tokenizer("hello world")

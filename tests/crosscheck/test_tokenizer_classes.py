"""The tokenizer classes, and what they have beside a call, against transformers."""

import pytest
import tokenizers
import transformers
from tokenizers import AddedToken

import minift
from tests.hub import BERT_BASE, DISTILBERT_BASE, MINILM, needs_hub

pytestmark = needs_hub
LIBRARIES = (minift, transformers)
TEXTS = ["Tokenizers aren't magic: café [SEP] <new>", "a second one"]


def auto(library, folder=BERT_BASE, **options):
    return library.AutoTokenizer.from_pretrained(str(folder), **options)


def ids(tokenizer):
    return {name: [list(row) for row in column] for name, column in tokenizer(TEXTS).items()}


def trained(library, **options):
    texts = [["low lower lowest", "new newer newest"], ["wide wider widest"] * 3]
    return auto(library).train_new_from_iterator(texts, 200, show_progress=False, **options)


def with_tokens(library):
    tokenizer = auto(library)
    tokenizer.add_tokens(["<new>", AddedToken("café", single_word=True)])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"]})
    return tokenizer


VALUES = {
    "class, BERT": lambda lib: type(auto(lib)) is lib.BertTokenizerFast,
    "class, DistilBERT": lambda lib: isinstance(auto(lib, DISTILBERT_BASE), lib.BertTokenizer),
    "class, base": lambda lib: isinstance(auto(lib), lib.PreTrainedTokenizerBase),
    "own class from_pretrained": lambda lib: ids(lib.BertTokenizerFast.from_pretrained(str(BERT_BASE))),
    "vocab file": lambda lib: ids(lib.BertTokenizer(str(BERT_BASE / "vocab.txt"))),
    "vocab file, cased": lambda lib: ids(lib.BertTokenizer(str(BERT_BASE / "vocab.txt"), do_lower_case=False)),
    "tokenizer_file": lambda lib: ids(
        lib.PreTrainedTokenizerFast(tokenizer_file=str(MINILM / "tokenizer.json"), pad_token="[PAD]")
    ),
    "tokenizer_object": lambda lib: ids(
        lib.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer.from_file(str(MINILM / "tokenizer.json")))
    ),
    "special tokens of an object": lambda lib: dict(
        lib.PreTrainedTokenizerFast(
            tokenizer_file=str(MINILM / "tokenizer.json"), unk_token="[UNK]", pad_token="[PAD]"
        ).special_tokens_map
    ),
    "trained": lambda lib: sorted(trained(lib).get_vocab()),  # of equally frequent pieces, the order is not fixed
    "trained, tokens": lambda lib: trained(lib).tokenize("lowest newest widest", add_special_tokens=True),
    "trained, more special tokens": lambda lib: trained(lib, new_special_tokens=["<x>"]).convert_tokens_to_ids("<x>"),
    "trained, renamed": lambda lib: trained(lib, special_tokens_map={"[CLS]": "<s>"}).tokenize(
        "low", add_special_tokens=True
    ),
    "get_added_vocab": lambda lib: with_tokens(lib).get_added_vocab(),
    "added_tokens_encoder": lambda lib: with_tokens(lib).added_tokens_encoder,
    "added_tokens_decoder": lambda lib: {
        i: (token.content, token.special) for i, token in with_tokens(lib).added_tokens_decoder.items()
    },
    "added tokens in texts": lambda lib: ids(with_tokens(lib)),
    "max_len_single_sentence": lambda lib: (auto(lib).max_len_single_sentence, auto(lib).max_len_sentences_pair),
    "do_lower_case": lambda lib: (auto(lib).do_lower_case, auto(lib, do_lower_case=False).do_lower_case),
    "text_target": lambda lib: dict(auto(lib)(TEXTS, text_target=["one", "two words"])),
    "text_target alone": lambda lib: dict(auto(lib)(text_target=["one", "two words"])),
    "split_special_tokens": lambda lib: auto(lib)(TEXTS[0], split_special_tokens=True)["input_ids"],
    "split_special_tokens, always": lambda lib: lib.BertTokenizer(
        str(BERT_BASE / "vocab.txt"), split_special_tokens=True
    )(TEXTS[0])["input_ids"],
    "backend": lambda lib: type(auto(lib)._tokenizer) is type(auto(lib).backend_tokenizer) is tokenizers.Tokenizer,
    "no pad token": lambda lib: no_pad(lib),
}


def no_pad(library):
    tokenizer = auto(library)
    tokenizer.pad_token = None
    return tokenizer.pad_token, tokenizer.pad_token_id


@pytest.mark.parametrize("name", VALUES)
def test_values(name):
    ours, theirs = (VALUES[name](library) for library in LIBRARIES)
    assert ours == theirs


def test_init_kwargs_agree_where_both_have_them():
    ours, theirs = (auto(library).init_kwargs for library in LIBRARIES)
    both = ours.keys() & theirs.keys()
    assert {"do_lower_case", "model_max_length", "name_or_path", "unk_token", "tokenize_chinese_chars"} <= both
    assert {name: ours[name] for name in both} == {name: theirs[name] for name in both}


def test_files_have_the_same_names_and_are_read_by_both(tmp_path):
    for library in LIBRARIES:
        folder = tmp_path / library.__name__ / "inside"
        auto(library).save_pretrained(folder, filename_prefix="my")
        auto(library).save_pretrained(folder)
        assert {"my-tokenizer.json", "my-tokenizer_config.json", "tokenizer.json"} <= {f.name for f in folder.iterdir()}
        for reader in LIBRARIES:
            assert ids(reader.AutoTokenizer.from_pretrained(str(folder.parent), subfolder="inside")) == ids(
                auto(reader)
            )


def test_the_vocabulary_is_written_as_it_was_read(tmp_path):
    (path,) = auto(minift).save_vocabulary(tmp_path, filename_prefix="my")
    assert path == str(tmp_path / "my-vocab.txt")
    assert (tmp_path / "my-vocab.txt").read_bytes() == (BERT_BASE / "vocab.txt").read_bytes()

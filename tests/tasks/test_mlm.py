"""The mlm command: the course's figures on IMDb, a falling perplexity, frozen and whole-word masks, bad input."""

import json
import math
import random
import re
from itertools import chain

import numpy as np
import pytest
import torch

from minift.batches.chunk import Chunker, chunk_dataset
from minift.batches.mask import freeze_masks
from minift.batches.word_mask import DataCollatorForWholeWordMask
from minift.data.dataset import Dataset
from minift.data.load import load_dataset
from minift.model.auto import AutoModelForMaskedLM
from minift.model.config import BertConfig
from minift.tasks.blocks import find_text_column, tokenize
from minift.tasks.mlm import MaskedLMTrainer, mlm
from minift.tokenizer.classes import AutoTokenizer
from minift.train.arguments import TrainingArguments
from tests.hub import DISTILBERT_BASE, IMDB, needs_hub
from tests.tiny import CONFIG

pytestmark = pytest.mark.usefixtures("one_thread")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NAMES = ["anna", "boris", "clara", "dario"]
ENDINGS = {"reads": "##ing books", "bakes": "##ed bread", "walks": "##ing dogs", "sings": "##ed songs"}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """The data that a run prepares is kept with the test's files, not with the user's."""
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


# -- the figures of the course -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imdb(tmp_path_factory):
    return load_dataset(IMDB, cache_dir=tmp_path_factory.mktemp("imdb"))


@pytest.fixture(scope="module")
def distilbert():
    return AutoTokenizer.from_pretrained(DISTILBERT_BASE)


@needs_hub
def test_the_first_reviews_and_the_second_block(imdb, distilbert, recwarn):
    tokenised = tokenize(imdb["train"].take(1000), distilbert, "text", word_ids=True)
    assert set(tokenised.column_names) == {"input_ids", "attention_mask", "word_ids"}
    assert [len(ids) for ids in tokenised[:3]["input_ids"]] == [200, 559, 192]
    blocks = Chunker(128, pad_token_id=0)(tokenised[:3])
    assert [sum(mask) for mask in blocks["attention_mask"]] == [128] * 7 + [55]  # 951 tokens
    text = distilbert.decode(
        chunk_dataset(tokenised, batch_size=1000)[1]["input_ids"], clean_up_tokenization_spaces=True
    )
    assert text.startswith(".... at.......... high. a classic line : inspector : i'm here to sack")
    assert "what a pity that it isn't! [SEP] [CLS] homelessness ( or houselessness" in text
    assert text.endswith("most people think of the homeless")
    assert not [warning for warning in recwarn if "tokens" in str(warning.message)]  # 559 of at most 512 is no fault


@needs_hub
@pytest.mark.parametrize(
    ("split", "count"),
    [
        pytest.param("test", 59_905, marks=pytest.mark.long),
        pytest.param("train", 61_289, marks=pytest.mark.long),
        pytest.param("unsupervised", 122_963, marks=pytest.mark.long),
    ],
)
def test_the_numbers_of_blocks(imdb, distilbert, split, count):
    tokenised = tokenize(imdb[split], distilbert, "text")
    assert len(chunk_dataset(tokenised, 128, batch_size=1000)) == count
    tokens = len(tokenised.offsets_and_values("input_ids")[1])
    assert len(chunk_dataset(tokenised, 128)) == tokens // 128 > count


@needs_hub
def test_the_courses_own_function_gives_the_same_rows(imdb, distilbert):
    def group_texts(examples):
        joined = {name: list(chain(*rows)) for name, rows in examples.items()}
        total = len(joined["input_ids"]) // 128 * 128
        result = {name: [row[i : i + 128] for i in range(0, total, 128)] for name, row in joined.items()}
        result["labels"] = result["input_ids"].copy()
        return result

    tokenised = tokenize(imdb["test"].take(150), distilbert, "text", word_ids=True)
    theirs = tokenised.map(group_texts, batched=True, batch_size=60)
    ours = chunk_dataset(tokenised, 128, batch_size=60)
    assert len(ours) > 200
    assert ours.to_list() == theirs.to_list()


# -- a small run ---------------------------------------------------------------------------------------------------


def sentence(rng):
    """Who does what; a word's second piece and the object follow from its first, so most masks can be filled."""
    action = rng.choice(list(ENDINGS))
    return f"{rng.choice(NAMES)} {action}{ENDINGS[action].removeprefix('##')} all day"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A folder with a training and a validation split, and one of nulls that nothing may read."""
    folder, rng = tmp_path_factory.mktemp("corpus"), random.Random(0)
    for split, size in {"train": 600, "validation": 60}.items():
        lines = [json.dumps({"text": " ".join(sentence(rng) for _ in range(3)), "id": i}) for i in range(size)]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    (folder / "test.jsonl").write_text('{"text": null, "id": 0}\n')
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A small BERT without training, and a vocabulary that cuts verbs in two."""
    folder = tmp_path_factory.mktemp("model")
    pieces = [piece for ending in ENDINGS.values() for piece in ending.split()]
    words = dict.fromkeys([*SPECIAL, *NAMES, *ENDINGS, *pieces, "all", "day"])
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    torch.manual_seed(0)
    config = BertConfig(**(CONFIG | {"vocab_size": len(words), "initializer_range": 0.02}))
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(folder, model_max_length=32).save_pretrained(folder)
    return folder


@pytest.fixture
def arguments(tmp_path):
    def make(**options):
        settings = dict(
            learning_rate=3e-3,
            eval_strategy="epoch",
            logging_strategy="epoch",
            save_strategy="no",
            disable_tqdm=True,
        )
        return TrainingArguments(str(tmp_path / "out"), **(settings | options))

    return make


def perplexities(text, when):
    return [float(number) for number in re.findall(rf"^\S+ +perplexity {when}: (\S+) \((\S+) weighted", text, re.M)[0]]


def test_perplexity_falls(model, corpus, arguments, capsys, caplog):
    with caplog.at_level("INFO"):
        trainer, output = mlm(model, corpus, arguments(num_train_epochs=3), chunk_size=16)
    text, table = "\n".join(record.getMessage() for record in caplog.records), capsys.readouterr().out
    blocks = len(trainer.train_dataset), len(trainer.eval_dataset)
    assert "600 rows train, 60 rows validation, 1 rows test" in text
    assert f"train: {blocks[0]} of 16 tokens" in text
    assert f"validation: {blocks[1]} of 16 tokens" in text
    assert f"{blocks[0]} blocks to train on, {blocks[1]} to evaluate on" in text
    for before, after in zip(perplexities(text, "before training"), perplexities(text, "after training"), strict=True):
        assert after < before / 3
    head, *rows = table.splitlines()
    assert re.split(r"  +", head.strip()) == ["epoch", "loss", "eval loss", "perplexity", "weighted perplexity", "time"]
    assert len(rows) == 3
    for row in map(str.split, rows):
        assert float(row[3]) == pytest.approx(math.exp(float(row[2])), rel=1e-3)

    weights = AutoModelForMaskedLM.from_pretrained(trainer.args.output_dir).state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in trainer.model.state_dict().items())
    assert AutoTokenizer.from_pretrained(trainer.args.output_dir).mask_token == "[MASK]"
    assert output.global_step == trainer.state.global_step == 3 * math.ceil(blocks[0] / 8)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_corpus_read_while_training_gives_the_same_blocks(model, corpus, arguments, split):
    """Only their order differs; the first are evaluated on, and a resumed run sees what is left."""
    options = dict(chunk_size=16, streaming=True, test_size=9)
    rows = {"train_file": [str(corpus / "train.jsonl")]} | (
        {} if split == "train" else {"validation_file": [str(corpus / "validation.jsonl")]}
    )
    args = arguments(max_steps=40, save_strategy="steps", save_steps=25, logging_strategy="steps", logging_steps=1)
    trainer, _ = mlm(model, None, args, **options, **rows)
    data = load_dataset("json", data_files=str(corpus / f"{split}.jsonl"))["train"]
    blocks = chunk_dataset(tokenize(data, trainer.processing_class, "text"), 16, batch_size=1000)
    assert trainer.eval_dataset["input_ids"][:] == blocks["input_ids"][:9]
    if split == "train":
        seen = [row["input_ids"] for row in trainer.train_dataset]
        assert sorted(seen) == sorted(blocks["input_ids"][9:])
        assert seen != blocks["input_ids"][9:]
    again = arguments(
        **{name: getattr(args, name) for name in ("max_steps", "save_steps", "logging_steps")},
        save_strategy="steps",
        logging_strategy="steps",
        resume_from_checkpoint=f"{args.output_dir}/checkpoint-25",
    )
    resumed, _ = mlm(model, None, again, **options, **rows)
    assert all(
        torch.equal(*pair)
        for pair in zip(resumed.model.state_dict().values(), trainer.model.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    ("steps", "options", "message"),
    [
        (-1, {}, "streaming needs max_steps"),
        (3, {"train_size": 5}, "it goes without train_size"),
        (3, {"train_file": ["short.txt"]}, "split 'train' gives 3 blocks: test_size=1000 leaves none to train on"),
        (3, {"train_file": ["empty.txt"]}, "split 'train' gives no block to evaluate on"),
    ],
)
def test_streams_that_cannot_be(model, arguments, monkeypatch, tmp_path, steps, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("all day")
    (tmp_path / "short.txt").write_text("all day all day all day all day\n" * 10)
    with pytest.raises(ValueError, match=message):
        mlm(model, None, arguments(max_steps=steps), chunk_size=32, streaming=True, **options)


def test_blocks_held_out(model, corpus, arguments, caplog):
    with caplog.at_level("INFO"):
        trainer, _ = mlm(model, corpus, arguments(max_steps=1, seed=7), chunk_size=16, train_size=40)
    assert "40 blocks to train on, 4 to evaluate on" in caplog.text
    rows = load_dataset(corpus)["train"]
    blocks = chunk_dataset(tokenize(rows, trainer.processing_class, "text"), 16, batch_size=1000)
    order = np.random.default_rng(7).permutation(len(blocks))
    assert trainer.eval_dataset["input_ids"][:] == blocks.select(order[:4])["input_ids"][:]
    assert trainer.train_dataset["input_ids"][:] == blocks.select(order[4:44])["input_ids"][:]


@pytest.mark.parametrize("whole_word_mask", [False, True])
def test_frozen_masks_give_one_loss(model, corpus, arguments, whole_word_mask):
    options = dict(chunk_size=16, train_size=40, test_size=20, whole_word_mask=whole_word_mask)
    once = arguments(max_steps=1, overwrite_output_dir=True)
    frozen, _ = mlm(model, corpus, once, freeze_eval_masks=True, **options)
    drawn, _ = mlm(model, corpus, once, **options)
    for name in ("eval_loss", "eval_perplexity", "eval_weighted_perplexity"):
        assert frozen.evaluate()[name] == frozen.evaluate()[name]
        assert drawn.evaluate()[name] != drawn.evaluate()[name]
    masking = type(drawn.data_collator)(drawn.processing_class, seed=42)
    assert frozen.eval_dataset.to_list() == freeze_masks(drawn.eval_dataset, masking).to_list()


def test_whole_words_are_hidden_whole(model, corpus, arguments):
    args = arguments(max_steps=20)
    trainer, _ = mlm(model, corpus, args, chunk_size=16, whole_word_mask=True, mlm_probability=0.3)
    assert isinstance(trainer.data_collator, DataCollatorForWholeWordMask)
    assert trainer.args.remove_unused_columns is False
    rows = [trainer.train_dataset[i] for i in range(200)]
    hidden = (trainer.data_collator(rows)["labels"] != -100).tolist()
    pairs = 0  # of neighbouring tokens of one word
    for row, marks in zip(rows, hidden, strict=True):
        words = row["word_ids"]
        for i in range(1, 16):
            if words[i] is not None and words[i] == words[i - 1]:
                pairs += 1
                assert marks[i] == marks[i - 1]
    assert pairs > 100


def test_a_resumed_run_ends_as_if_it_had_never_stopped(model, corpus, arguments):
    """Also with the perplexity before training computed once more, which draws masks."""
    options = dict(chunk_size=16, train_size=60, test_size=10)
    settings = dict(num_train_epochs=2, save_strategy="steps", save_steps=5)
    whole, _ = mlm(model, corpus, arguments(**settings), **options)
    stopped = f"{whole.args.output_dir}/checkpoint-5"
    resumed, _ = mlm(model, corpus, arguments(resume_from_checkpoint=stopped, **settings), **options)
    weights = whole.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in resumed.model.state_dict().items())


def test_perplexity_that_overflows_is_infinite(model, arguments):
    trainer = MaskedLMTrainer(AutoModelForMaskedLM.from_pretrained(model), arguments(eval_strategy="no"))
    logs = {"eval_loss": 1000.0, "eval_weighted_loss": 0.0, "train_loss": 1.0}
    trainer.log(logs)
    assert logs["eval_perplexity"] == math.inf
    assert logs["eval_weighted_perplexity"] == 1.0
    assert "train_perplexity" not in logs


# -- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(chunk_size=33), r"chunk_size=33: the model reads 1 to 32 tokens \(max_position_embeddings\)"),
        (dict(chunk_size=0), "chunk_size=0: the model reads 1 to 32"),
        (dict(text_column="body"), "text_column='body' is not a column of texts; these are: text"),
        (dict(text_column="id"), "text_column='id' is not a column of texts"),
        (dict(split="dev"), r"no split 'dev': there are \['train', 'validation', 'test'\]"),
        (dict(train_size=10**6, test_size=1), "train_size=1000000: expected"),
        (dict(mlm_probability=1.5), "mlm_probability=1.5"),
    ],
)
def test_bad_arguments(model, corpus, arguments, options, message):
    with pytest.raises((ValueError, KeyError), match=message):
        mlm(model, corpus, arguments(), **({"chunk_size": 16} | options))


def test_a_block_larger_than_the_corpus(model, tmp_path, arguments):
    (tmp_path / "train.jsonl").write_text('{"text": "anna sings"}\n')
    with pytest.raises(ValueError, match="no block of block_size=16 tokens can be cut from these 1 rows"):
        mlm(model, tmp_path, arguments(), chunk_size=16, train_size=1)


def test_a_tenth_is_held_out_where_there_is_nothing_to_evaluate_on(model, tmp_path, arguments):
    rng = random.Random(1)
    for name in ("a", "b"):  # a folder of texts
        lines = [" ".join(sentence(rng) for _ in range(3)) for _ in range(50)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    trainer, _ = mlm(model, tmp_path, arguments(max_steps=1), chunk_size=16)
    blocks = len(trainer.train_dataset) + len(trainer.eval_dataset)
    assert len(trainer.eval_dataset) == round(blocks / 10) > 0
    with pytest.raises(ValueError, match="holdout=1.0 must be a share between 0 and 1"):
        mlm(model, tmp_path, arguments(overwrite_output_dir=True), chunk_size=16, holdout=1.0)


def test_no_mask_token(model, corpus, tmp_path, arguments):
    AutoModelForMaskedLM.from_pretrained(model).save_pretrained(tmp_path)
    words = (model / "vocab.txt").read_text().replace("[MASK]\n", "")
    (tmp_path / "vocab.txt").write_text(words)
    with pytest.raises(ValueError, match="needs a mask token"):
        mlm(tmp_path, corpus, arguments(), chunk_size=16)


def test_a_tokenizer_with_more_tokens_than_the_model(model, corpus, tmp_path, arguments):
    AutoModelForMaskedLM.from_config(BertConfig(**(CONFIG | {"vocab_size": 8}))).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="the tokenizer has 21 tokens, but the model has embeddings for 8"):
        mlm(tmp_path, corpus, arguments(), chunk_size=16)


def test_whole_words_without_word_ids(model, arguments):
    rows = [{"input_ids": [2, 5, 6, 3], "attention_mask": [1, 1, 1, 1]}] * 8
    trainer = MaskedLMTrainer(
        AutoModelForMaskedLM.from_pretrained(model),
        arguments(eval_strategy="no"),
        data_collator=DataCollatorForWholeWordMask(AutoTokenizer.from_pretrained(model)),
        train_dataset=rows,
    )
    with pytest.raises(ValueError, match="whole-word masking needs the column 'word_ids'"):
        trainer.train()


def test_the_text_column():
    features = Dataset.from_dict({"title": ["a"], "body": ["b"], "stars": [1]}).features
    assert find_text_column(features, "body") == "body"
    with pytest.raises(ValueError, match="text_column='text' is not a column of texts; these are: title, body"):
        find_text_column(features)
    assert find_text_column(Dataset.from_dict({"stars": [1], "body": ["b"]}).features) == "body"

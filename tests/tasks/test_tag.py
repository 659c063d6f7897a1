"""`minift tag`: columns and files, labels of pieces, a tagger that learns, its answers, and bad input."""

import json
import random

import numpy as np
import pytest

from minift.cli.main import main
from minift.data.dataset import Dataset
from minift.data.features import ClassLabel, Features, List, Value
from minift.metrics.metric import load
from minift.pipelines.pipeline import pipeline
from minift.tasks.tag import tag, tag_scores
from minift.tasks.words import find_columns, load_words, read_conll, tokenize
from minift.tokenizer.classes import AutoTokenizer
from minift.train.arguments import TrainingArguments

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
PEOPLE, PLACES = ["anna", "clara smith", "boris"], ["rome", "new york", "oslo"]


def sentence(rng):
    """Words of a sentence with a person and a place, and their tags."""
    words, tags = [], []
    for text, kind in ((rng.choice(PEOPLE), "PER"), ("saw a film in", None), (rng.choice(PLACES), "LOC"), (".", None)):
        for place, word in enumerate(text.split()):
            words.append(word)
            tags.append("O" if kind is None else f"{'I' if place else 'B'}-{kind}")
    return words, tags


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The same sentences as JSON lines and in columns."""
    folder, rng = tmp_path_factory.mktemp("tagged"), random.Random(0)
    rows = [sentence(rng) for _ in range(300)]
    lines = [json.dumps({"id": i, "tokens": words, "ner_tags": tags}) for i, (words, tags) in enumerate(rows)]
    (folder / "rows.jsonl").write_text("\n".join(lines))
    columns = "\n\n".join("\n".join(f"{word} NN {tag}" for word, tag in zip(*row, strict=True)) for row in rows)
    (folder / "rows.conll").write_text(f"-DOCSTART- -X- O\n\n{columns}\n")
    return folder


@pytest.fixture
def args(tmp_path):
    return TrainingArguments(
        str(tmp_path / "out"), num_train_epochs=2, learning_rate=1e-3, eval_strategy="epoch", disable_tqdm=True
    )


def test_files_in_columns_hold_the_same(data):
    rows = [json.loads(line) for line in (data / "rows.jsonl").read_text().splitlines()]
    read = read_conll([data / "rows.conll"])
    assert read["tokens"][:] == [row["tokens"] for row in rows]
    assert read["tags"][:] == [row["ner_tags"] for row in rows]


def test_it_learns_and_answers(data, start, args, tmp_path, capsys, monkeypatch):
    trainer, _ = tag(start, str(data / "rows.conll"), args)
    last = [entry for entry in trainer.state.log_history if "eval_f1" in entry][-1]
    assert last["eval_f1"] > 0.98
    assert last["eval_accuracy"] > 0.98
    assert trainer.model.config.id2label == dict(enumerate(["O", "B-LOC", "B-PER", "I-LOC", "I-PER"]))
    assert "accuracy" in (tmp_path / "out" / "report.html").read_text()
    text = "Clara Smith saw a film in Oslo."
    found = pipeline("ner", str(tmp_path / "out"), aggregation_strategy="first")(text)
    assert [(one["entity_group"], text[one["start"] : one["end"]]) for one in found] == [
        ("PER", "Clara Smith"),
        ("LOC", "Oslo"),
    ]
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    (tmp_path / "new.csv").write_text("text\nBoris saw a film in New York .\n")
    assert main(["predict", "--model", "out", "--text", text]) == 0
    assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()] == ["PER", "LOC"]
    assert main(["predict", "--model", "out", "new.csv"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [one["word"] for one in answer["entities"]] == ["boris", "new york"]
    assert main(["predict", "--model", "out", "--text", text, "--all_scores"]) == 2


@pytest.mark.parametrize(
    ("every_piece", "expected"),
    [
        (False, [-100, 1, -100, 0, 3, -100, 4, -100]),
        (True, [-100, 1, 2, 0, 3, 4, 4, -100]),
    ],
)
def test_labels_of_pieces(tmp_path, every_piece, expected):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"ab", "##b"]))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    rows = Dataset.from_dict({"w": [["ab", "a", "bb", "b"]], "t": [["B-PER", "O", "B-LOC", "I-LOC"]]})
    assert tokenize(rows, tokenizer, "w", "t", NAMES, every_piece)["labels"][:] == [expected]
    numbers = Dataset.from_dict({"w": [["ab", "a", "bb", "b"]], "t": [[1, 0, 3, 4]]})
    assert tokenize(numbers, tokenizer, "w", "t", NAMES, every_piece)["labels"][:] == [expected]
    cut = tokenize(rows, tokenizer, "w", "t", NAMES, every_piece, max_length=5)["labels"][0]
    assert cut == [*expected[:4], -100]


def test_columns_are_found_by_type_and_name():
    tags = List(ClassLabel(names=NAMES))
    conll = Features({"id": Value("string"), "tokens": List(Value("string")), "pos_tags": tags, "ner_tags": tags})
    assert find_columns(conll, None, None) == ("tokens", "ner_tags")
    assert find_columns(conll, None, "pos_tags") == ("tokens", "pos_tags")
    own = Features({"wort": List(Value("string")), "marke": List(Value("string"))})
    assert find_columns(own, None, None) == ("wort", "marke")
    for features, named, message in (
        (
            Features({"text": Value("string")}),
            {},
            "no column of lists is plainly that of the words; name it: none there",
        ),
        (Features({"a": List(Value("string")), "b": tags, "c": tags}), {}, "that of the tags; name it: a, b, c"),
        (conll, {"label_column": "id"}, "column 'id' holds no lists; these do: tokens, pos_tags, ner_tags"),
    ):
        with pytest.raises(ValueError, match=message):
            find_columns(features, named.get("text_column"), named.get("label_column"))


def test_scores_are_those_of_the_words_with_labels():
    labels = np.array([[-100, 1, -100, 0, 3], [-100, 0, 0, -100, -100]])
    guesses = np.array([[3, 1, 2, 0, 1], [0, 0, 0, 1, 1]])
    wanted = load("seqeval").compute(
        predictions=[["B-PER", "O", "B-PER"], ["O", "O"]],
        references=[["B-PER", "O", "B-LOC"], ["O", "O"]],
        zero_division=0,
    )
    found = tag_scores(guesses, labels, NAMES)
    assert found == {name: wanted[f"overall_{name}"] for name in ("precision", "recall", "f1", "accuracy")}
    assert tag_scores(guesses, labels, ["DET", "NOUN", "VERB", "ADJ"]) == {"accuracy": 0.8}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.conll", "anna B-PER\nrome\n", "a.conll, line 2: expected a word and its tag, not 'rome'"),
        ("a.conll", "-DOCSTART- O\n\n", "no sentence"),
        ("a.jsonl", '{"tokens": ["anna", "a"], "tags": ["O"]}', "a row has 2 words, but 1 tags"),
        (
            "a.jsonl",
            '{"tokens": ["anna"], "tags": [null]}\n{"tokens": ["a"], "tags": ["O"]}',
            "holds a null in a list of tags",
        ),
    ],
)
def test_what_cannot_be_read(start, args, tmp_path, monkeypatch, file, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=message):
        load_words(start, file, args, holdout=0)

"""`minift choose`: columns, labels, a model that learns to choose, its choices, and bad input."""

import csv
import json
import random

import pytest

from minift.cli.main import main
from minift.data.dataset import Dataset
from minift.data.features import Features, List, Value
from minift.tasks.choices import find_columns, load_choices, number_of, tokenize
from minift.tasks.choose import choose
from minift.tasks.holdout import has_labels
from minift.tokenizer.classes import AutoTokenizer
from minift.train.arguments import TrainingArguments

pytestmark = pytest.mark.usefixtures("one_thread")

GOOD, BAD = ["a great story", "a wonderful film"], ["a dull story", "a boring film", "a terrible play"]
SWAG = ["sent1", "sent2", "ending0", "ending1", "ending2", "ending3", "label"]
TEXT = Value("string")


def row(rng):
    label = rng.randrange(4)
    choices = [rng.choice(GOOD if place == label else BAD) for place in range(4)]
    return ["anna liked it .", "she saw", *choices, label]


def test_it_learns_and_chooses(start, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    with open("rows.csv", "w", newline="") as file:
        csv.writer(file).writerows([SWAG, *(row(rng) for _ in range(330))])
    args = TrainingArguments("out", num_train_epochs=2, learning_rate=1e-3, eval_strategy="epoch", disable_tqdm=True)
    trainer, _ = choose(start, "rows.csv", args)
    last = [entry for entry in trainer.state.log_history if "eval_accuracy" in entry][-1]
    assert last["eval_accuracy"] > 0.95
    capsys.readouterr()
    assert main(["predict", "--model", "out", "rows.csv", "--output", "chosen.jsonl"]) == 0
    found = [json.loads(line) for line in (tmp_path / "chosen.jsonl").read_text().splitlines()]
    assert sum(one["predicted_label"] == one["label"] for one in found) > 310
    assert all(0.25 <= one["score"] <= 1 for one in found)
    assert main(["predict", "--model", "out", "--text", "anna liked it ."]) == 2


def test_columns_are_found_or_named():
    swag = Features(dict.fromkeys(["video-id", *SWAG[:-1]], TEXT) | {"label": Value("int64")})
    found = find_columns(swag)
    assert (found.context, found.head, found.choices) == ("sent1", "sent2", SWAG[2:6])
    lists = Features({"question": TEXT, "choices": List(TEXT), "label": Value("string")})
    assert (find_columns(lists).context, find_columns(lists).choices) == ("question", ["choices"])
    own = Features({"frage": TEXT, "a": TEXT, "b": TEXT, "label": Value("int64")})
    assert find_columns(own, "frage", ["a", "b"]).choices == ["a", "b"]
    for features, named, message in (
        (own, {}, "name two or more choice_columns"),
        (own, {"choices": ["a", "c"]}, "there is no column 'c'"),
        (own, {"context": "frage", "choices": ["a", "label"]}, "column 'label' holds .*; expected texts"),
        (own, {"choices": ["a", "b"]}, "name the context_column"),
    ):
        with pytest.raises(ValueError, match=message):
            find_columns(features, **named)


def test_pairs_and_labels(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcde"]))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    rows = Dataset.from_list([{"sent1": "a", "sent2": "b", "ending0": "c", "ending1": "d e", "label": 1}])
    tokens = tokenize(rows, tokenizer, find_columns(rows.features))
    assert [tokenizer.decode(ids) for ids in tokens["input_ids"][0]] == [
        "[CLS] a [SEP] b c [SEP]",
        "[CLS] a [SEP] b d e [SEP]",
    ]
    assert tokens["label"][:] == [1]
    lists = Dataset.from_list([{"question": "a", "choices": ["b", "c"], "label": "B"}])
    tokens = tokenize(lists, tokenizer, find_columns(lists.features))
    assert [tokenizer.decode(ids) for ids in tokens["input_ids"][0]] == [
        "[CLS] a [SEP] b [SEP]",
        "[CLS] a [SEP] c [SEP]",
    ]
    assert tokens["label"][:] == [1]


def test_a_split_is_passed_over_only_if_none_of_its_rows_has_a_label():
    cases = [([None, 1], True), ([-1, 0], True), ([0], True), ([None, None], False), ([-1, -1], False), ([], False)]
    for labels, expected in cases:
        rows = Dataset.from_dict({"label": labels})
        assert has_labels(rows, "label") is expected, labels
        assert not has_labels(rows, "other")


def test_labels():
    choices = ["yes", "no", "maybe"]
    assert [number_of(label, choices, 0) for label in (2, "2", "C", "maybe")] == [2] * 4
    for label in (3, -1, "D", "perhaps", None, 1.5):
        with pytest.raises(ValueError, match="row 7: the label is"):
            number_of(label, choices, 7)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"question": "a", "choices": ["b", "c"]}], "there is no column 'label'"),
        (
            [{"question": "a", "choices": ["b", "c"], "label": 0}, {"question": "a", "choices": ["b"], "label": 0}],
            "row 1: expected a context and 2 choices",
        ),
        (
            [
                {"question": "a", "choices": ["b", "c"], "label": 0},
                {"question": None, "choices": ["b", "c"], "label": 0},
            ],
            "row 1: expected a context",
        ),
        ([{"question": "a", "choices": ["b", "c"], "label": 5}], "row 0: the label is 5; expected 0 to 1"),
    ],
)
def test_what_cannot_be_read(start, tmp_path, rows, message):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match=message):
        load_choices(start, str(tmp_path / "a.jsonl"), TrainingArguments(str(tmp_path / "out")), holdout=0)

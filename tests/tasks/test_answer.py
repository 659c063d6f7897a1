"""`minift answer`: forms of data, windows, the choice of spans, a reader that learns, its answers, and bad input."""

import json
import random

import numpy as np
import pytest

from minift.cli.main import main
from minift.data.dataset import Dataset
from minift.tasks.answer import answer
from minift.tasks.questions import as_questions, load_questions, windows_of
from minift.tasks.spans import SpanOptions, choose_answers
from minift.tokenizer.classes import AutoTokenizer
from minift.train.arguments import TrainingArguments

pytestmark = pytest.mark.usefixtures("one_thread")

PEOPLE, PLACES = ["anna", "clara smith", "boris", "emma stone"], ["rome", "new york", "oslo", "a small town"]
CONTEXT = "Anna saw a film in Rome."


def question(number, rng, with_none):
    """A row as SQuAD's on the Hub; some of the questions have no answer."""
    person, place = rng.choice(PEOPLE), rng.choice(PLACES)
    context = f"{rng.choice(['', 'it was late . ', 'the actors were great . '])}{person} saw a film in {place} ."
    kind = rng.choice(["who", "where"] + ["cost"] * with_none)
    text = {"who": "who saw a film ?", "where": f"where did {person} see it ?", "cost": "what did it cost ?"}[kind]
    right = {"who": [person], "where": [place], "cost": []}[kind]
    answers = {"text": right, "answer_start": [context.index(one) for one in right]}
    return {"id": f"q{number}", "question": text, "context": context, "answers": answers}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """One token a letter, so that offsets can be counted by hand."""
    folder = tmp_path_factory.mktemp("letters")
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]))
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("with_none", [False, True])
def test_it_learns_and_answers(start, tmp_path, capsys, monkeypatch, with_none):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(0)
    rows = [question(i, rng, with_none) for i in range(660)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows[:600])))
    (tmp_path / "dev.jsonl").write_text("\n".join(map(json.dumps, rows[600:])))
    args = TrainingArguments("out", num_train_epochs=4, learning_rate=1e-3, eval_strategy="epoch", disable_tqdm=True)
    trainer, _ = answer(start, "train.jsonl", args, validation_file=["dev.jsonl"])
    last = [entry for entry in trainer.state.log_history if "eval_f1" in entry][-1]
    assert last["eval_f1"] > 95
    assert ("eval_exact" in last, "eval_exact_match" in last) == (with_none, not with_none)
    if with_none:
        assert last["eval_NoAns_f1"] > 95
        return
    capsys.readouterr()
    pair = ["--text", "who saw a film ?", "--text_pair", "It was late. Boris saw a film in New York."]
    assert main(["predict", "--model", "out", *pair]) == 0
    assert capsys.readouterr().out.startswith("Boris  0.")
    assert main(["predict", "--model", "out", "dev.jsonl", "--output", "answers.jsonl"]) == 0
    found = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert sum(row["answer"] == row["answers"]["text"][0] for row in found) > 54
    assert all(row["context"][row["start"] : row["end"]] == row["answer"] for row in found)
    assert main(["predict", "--model", "out", "--text", "who ?"]) == 2
    assert main(["predict", "--model", "out", "dev.jsonl", "--all_scores"]) == 2
    assert main(["predict", "--model", "out", "out/minift.yaml"]) == 2


def test_forms_of_data_are_one():
    answers = {"text": ["Rome"], "answer_start": [19]}
    expected = {"id": "7", "question": "Where?", "context": CONTEXT, "answers": answers}
    flat = {"id": 7, "question": "Where?", "context": CONTEXT}
    published = {"id": "7", "question": "Where?", "answers": [{"text": "Rome", "answer_start": 19}]}
    article = {"title": "t", "paragraphs": [{"context": CONTEXT, "qas": [published]}]}
    for row in (flat | {"answers": answers}, flat | {"answer": "Rome"}, {"data": [article]}, article):
        assert as_questions(Dataset.from_list([row]), "train")[0] == expected
    none = as_questions(
        Dataset.from_list([flat | {"answer": "Rome"}, flat | {"answer": None}, flat | {"answer": ""}]), ""
    )
    assert [row["text"] for row in none["answers"]] == [["Rome"], [], []]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"question": "Where?", "context": CONTEXT, "answer": "Paris"},
            "the answer 'Paris' does not stand in the context",
        ),
        (
            {"question": "Where?", "context": CONTEXT, "answers": {"text": ["Rome"], "answer_start": [3]}},
            "row 0: the answer 'Rome' does not stand at character 3 of the context",
        ),
        ({"question": " ", "context": CONTEXT, "answer": "Rome"}, "column 'question' holds ' '; expected a text"),
        ({"question": "Where?", "context": CONTEXT}, "has no column 'answers' or 'answer'"),
        ({"question": "Where?", "answer": "Rome"}, "has no column 'context'"),
    ],
)
def test_what_cannot_be_read(row, message):
    with pytest.raises(ValueError, match=message):
        as_questions(Dataset.from_list([row]), "train")


def test_bad_options(start, tmp_path):
    rows = [{"question": "Where?", "context": CONTEXT, "answer": "Rome"}] * 4
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    args = TrainingArguments(str(tmp_path / "out"))
    with pytest.raises(ValueError, match="max_length=65: the model reads at most 64 tokens"):
        load_questions(start, str(tmp_path / "a.jsonl"), args, max_length=65)
    with pytest.raises(ValueError, match="holdout=1.5"):
        load_questions(start, str(tmp_path / "a.jsonl"), args, holdout=1.5)
    with pytest.raises(ValueError, match="n_best_size=0"):
        SpanOptions(n_best_size=0)


@pytest.mark.parametrize("side", ["right", "left"])
def test_windows(tokenizer, side):
    """Windows of 8 tokens that have 2 in common; the answer "d e" stands in the third word and the fourth."""
    tokenizer.padding_side = side
    answers = {"text": ["d e"], "answer_start": [4]}
    rows = Dataset.from_list([{"id": "0", "question": " q", "context": "b c d e f g h", "answers": answers}])
    windows = windows_of(rows, tokenizer, 8, 2)
    tokenizer.padding_side = "right"
    texts = [tokenizer.decode(ids) for ids in windows["input_ids"]]
    first = "[CLS] q [SEP] {} [SEP]" if side == "right" else "[CLS] {} [SEP] q [SEP]"
    assert texts == [first.format(part) for part in ("b c d e", "d e f g", "f g h")]
    shift = 3 if side == "right" else 1
    assert windows["start_positions"][:] == [2 + shift, shift, 0]
    assert windows["end_positions"][:] == [3 + shift, 1 + shift, 0]
    assert windows["row"][:] == [0, 0, 0]
    assert windows["offsets"][1][shift : shift + 4] == [[4, 5], [6, 7], [8, 9], [10, 11]]
    assert windows["offsets"][1][:shift] == [None] * shift


@pytest.mark.parametrize("threshold", [-1.0, 0.0, 2.0])
@pytest.mark.parametrize("with_none", [False, True])
def test_the_best_span_over_all_windows(tokenizer, with_none, threshold):
    """As a search over all pairs of tokens among the best; scores add up, and the lowest "no answer" competes."""
    rng, options = np.random.default_rng(0), SpanOptions(4, 3, threshold)
    rows = [{"id": str(i), "question": "q", "context": "b c d e f g h"[: 2 * i + 3], "answer": None} for i in range(6)]
    texts = as_questions(Dataset.from_list(rows), "dev")
    windows = windows_of(texts, tokenizer, 8, 2)
    shape = len(windows), 10  # two of padding
    start, end = rng.normal(size=shape).astype(np.float32), rng.normal(size=shape).astype(np.float32)
    found = choose_answers(texts, windows, (start, end), with_none, options)
    for number, chosen in enumerate(found):
        best, none = (-np.inf, ""), np.inf
        for window in np.flatnonzero(np.array(windows["row"]) == number):
            places = [*windows["offsets"][window], *[None] * 10][:10]
            among = [set(np.argsort(logits[window])[-4:]) for logits in (start, end)]
            none = min(none, start[window, 0] + end[window, 0])
            for i in among[0]:
                for j in among[1]:
                    if places[i] and places[j] and i <= j <= i + 2:
                        text = texts["context"][number][places[i][0] : places[j][1]]
                        best = max(best, (start[window, i] + end[window, j], text))
        wins = with_none and none - best[0] > threshold
        assert chosen["text"] == ("" if wins else best[1])
        assert texts["context"][number][chosen["start"] : chosen["end"]] == chosen["text"]
        assert 0 <= chosen["probability"] <= 1
        if with_none and best[1]:
            assert chosen["null_score_diff"] == pytest.approx(none - best[0])

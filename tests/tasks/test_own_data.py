"""Data as people bring it: files of every kind, columns without a name that is known, labels of every kind."""

import gzip
import json
import random
from pathlib import Path

import pytest

from minift.cli.main import main
from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import ClassLabel, List, Value
from minift.data.load import load_dataset
from minift.tasks.columns import find_label, find_texts
from minift.tasks.holdout import hold_out
from minift.tasks.labels import MANY, NUMBER, ONE, number_labels
from minift.tasks.source import open_source
from minift.tasks.task import find_task

QUEUES = ("billing", "network", "other")


def tickets(count=60, seed=0):
    """Rows of a help desk: columns that are no texts, texts, and a label whose name says nothing."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        queue = number % 3
        words = [
            f"the {('invoice', 'router', 'chair')[queue]} is",
            rng.choice(["late", "broken", "wrong"]),
            "since today",
        ]
        row = {"ticket": f"T{number:04}", "opened": f"2026-01-{number % 28 + 1:02}", "said": " ".join(words)}
        rows.append(row | {"dept": QUEUES[queue]})
    return rows


def write(path, rows):
    """Write rows as the file's name says."""
    data, kind = Dataset.from_list(rows), path.name.removesuffix(".gz").rpartition(".")[2]
    plain = path.with_name(path.name.removesuffix(".gz"))
    if kind in ("csv", "tsv"):
        data.to_csv(plain, sep="\t" if kind == "tsv" else ",")
    elif kind in ("json", "jsonl"):
        data.to_json(plain, lines=kind == "jsonl")
    elif kind == "parquet":
        data.to_parquet(plain)
    elif kind == "txt":
        plain.write_text("".join(f"__label__{row['dept']} {row['said']}\n" for row in rows))
    if path != plain:
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    return path


KINDS = ["csv", "tsv", "json", "jsonl", "parquet", "txt", "csv.gz", "jsonl.gz"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_any_kind_is_the_rows_to_train_on(tmp_path, kind):
    splits = open_source(write(tmp_path / f"rows.{kind}", tickets()))
    assert list(splits) == ["train"]
    rows = splits["train"]
    label, _ = find_label(rows)
    texts, _ = find_texts(rows, label)
    assert (label, texts) == (("label", ["text"]) if kind == "txt" else ("dept", ["said"]))
    assert rows[1][label] == "network"
    assert rows[1][texts[0]].startswith("the router is")


def test_several_files_and_files_for_each_split(tmp_path):
    one, two = write(tmp_path / "a.csv", tickets(6)), write(tmp_path / "b.csv", tickets(9, 1))
    assert open_source([str(one), str(two)]).num_rows == {"train": 15}
    other = write(tmp_path / "c.jsonl", tickets(3, 2))
    splits = open_source(None, train_file=str(one), validation_file=[str(two)], test_file=str(other))
    assert splits.num_rows == {"train": 6, "validation": 9, "test": 3}
    assert splits["test"].features["said"] == splits["train"].features["said"]


def test_a_folder_and_what_save_to_disk_writes(tmp_path):
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "help desk.csv", tickets(6))
    assert open_source(tmp_path / "folder").num_rows == {"train": 6}
    Dataset.from_list(tickets(4)).save_to_disk(tmp_path / "saved")
    assert open_source(tmp_path / "saved").num_rows == {"train": 4}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(dataset="none.csv"), "none.csv: no such file"),
        (dict(), "name the data: a file, a folder or a name on the Hub"),
        (dict(dataset=["a.csv", "b.jsonl"]), "split 'train': its files have several formats .csv, json."),
        (dict(dataset=["a.csv", "notes.doc"]), "notes.doc: unknown ending of a data file; expected one of"),
        (dict(dataset="a.csv", train_file="b.jsonl"), "name the rows to train on once: as a.csv, or with train_file="),
        (dict(dataset="a.csv", config="mrpc"), "config='mrpc' chooses a configuration of a data set on the Hub"),
    ],
    ids=str,
)
def test_what_cannot_be_opened_is_named(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "b.jsonl"):
        write(tmp_path / name, tickets(3))
    (tmp_path / "notes.doc").write_text("x")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        open_source(**options)


# -- columns


def columns(**values):
    return Dataset.from_dict(values)


LETTERS = list("abcd")
TEXT = ["a film that I liked", "it was far too long", "we left before the end", "what a fine cast"]


@pytest.mark.parametrize(
    ("rows", "label", "texts"),
    [
        (columns(text=TEXT, label=[0, 1, 0, 1]), "label", ["text"]),
        (columns(Review=TEXT, Sentiment=list("abab")), "Sentiment", ["Review"]),
        (
            columns(premise=TEXT, hypothesis=TEXT, id=list("abcd"), label=[0, 1, 0, 1]),
            "label",
            ["premise", "hypothesis"],
        ),
        (columns(title=["x", "y", "z", "w"], body=TEXT, target=[1, 2, 1, 2]), "target", ["title", "body"]),
        (columns(said=TEXT, who=["ann", "bob", "ann", "cat"], is_spam=[True, False, True, False]), "is_spam", ["said"]),
        (
            columns(first=TEXT, second=TEXT[::-1], code=list("abcd"), stars=[1.5, 2.0, 3.0, 1.0]),
            "stars",
            ["first", "second"],
        ),
        (columns(word=list("abcd"), name=["bb", "cc", "dd", "ee"], y=[0, 1, 0, 1]), "y", ["name"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_columns_are_found(rows, label, texts):
    assert find_label(rows)[0] == label
    assert find_texts(rows, label)[0] == texts


def test_two_columns_that_could_be_the_label_are_named():
    rows = Dataset.from_list([row | {"urgent": bool(number % 2)} for number, row in enumerate(tickets())])
    with pytest.raises(
        ValueError, match=r"which column is the label: .*dept \(3 values\), urgent \(2 values\); name it"
    ):
        find_label(rows)


# -- labels


def numbered(values, feature=None, problem_type=None, **splits):
    data = DatasetDict({name: Dataset.from_dict({"y": part}) for name, part in {"train": values, **splits}.items()})
    if feature is not None:
        data = DatasetDict({name: rows.cast_column("y", feature) for name, rows in data.items()})
    kind, names = number_labels(data, "y", problem_type)
    return kind, names, {name: rows["y"][:] for name, rows in data.items()}


def test_stars_from_1_to_5_are_five_classes():
    kind, names, rows = numbered([5, 1, 3, 2, 4, 5], validation=[2, 5])
    assert (kind, names) == (ONE, ["1", "2", "3", "4", "5"])
    assert rows == {"train": [4, 0, 2, 1, 3, 4], "validation": [1, 4]}
    with pytest.raises(ValueError, match="split 'validation', row 1: label 6 is not one of the 5 classes"):
        numbered([5, 1, 3, 2, 4], validation=[1, 6])


def test_many_integers_with_gaps_are_numbers():
    assert numbered([number * 7 for number in range(60)])[0] == NUMBER
    assert numbered(list(range(60)))[1] == [str(number) for number in range(60)]
    assert numbered([1, 2, 3, 1], problem_type=NUMBER)[2] == {"train": [1.0, 2.0, 3.0, 1.0]}
    assert numbered([1.0, 2.0, 1.0], problem_type=ONE)[1:] == (["1", "2"], {"train": [0, 1, 0]})
    with pytest.raises(ValueError, match=r"1\.5"):
        numbered([1.5, 2.0, 1.0], problem_type=ONE)


@pytest.mark.parametrize(
    ("values", "feature", "names", "rows"),
    [
        ([["b"], [], ["a", "b"]], None, ["a", "b"], [[0, 1], [0, 0], [1, 1]]),
        ([[1], [], [0, 1]], None, ["0", "1"], [[0, 1], [0, 0], [1, 1]]),
        ([[0, 1, 0], [1, 1, 0]], None, ["0", "1", "2"], [[0, 1, 0], [1, 1, 0]]),
        ([[0.0, 1.0], [1.0, 1.0]], List(Value("float32")), ["0", "1"], [[0, 1], [1, 1]]),
        ([[True, False], [False, False]], None, ["0", "1"], [[1, 0], [0, 0]]),
        ([[0], [1, 0]], List(ClassLabel(names=["x", "y"])), ["x", "y"], [[1, 0], [1, 1]]),
    ],
    ids=str,
)
def test_lists_are_several_labels_a_row(values, feature, names, rows):
    kind, found, numbers = numbered(values, feature)
    assert (kind, found) == (MANY, names)
    assert numbers["train"] == rows


def test_labels_that_no_training_row_has_are_named():
    with pytest.raises(ValueError, match=r"split 'validation', row 1: \['c'\] is not labels of the 2: a, b"):
        numbered([["a"], ["b"]], validation=[["a"], ["c"]])
    with pytest.raises(ValueError, match="has 30 different strings in 30 rows, such as 'row 0': these are no classes"):
        numbered([f"row {number}" for number in range(30)])


# -- rows held out


def test_classes_keep_their_shares():
    rows = Dataset.from_dict({"y": [0] * 80 + [1] * 20, "row": list(range(100))})
    train, held_out, drawn = hold_out(rows, 0.1, 42, "y", ONE)
    assert (len(train), len(held_out)) == (90, 10)
    assert held_out["y"][:].count(1) == 2
    assert sorted(train["row"][:] + held_out["row"][:]) == list(range(100))
    assert drawn == "stratified, seed 42"
    assert held_out["row"][:] == hold_out(rows, 0.1, 42, "y", ONE)[1]["row"][:]
    assert held_out["row"][:] != hold_out(rows, 0.1, 43, "y", ONE)[1]["row"][:]


def test_a_class_of_one_row_is_drawn_with_the_others():
    rows = Dataset.from_dict({"y": [0] * 10 + [1]})
    assert hold_out(rows, 0.2, 0, "y", ONE)[2] == "at random, seed 0"
    with pytest.raises(ValueError, match=r"holdout=0\.9: of 1 rows, it leaves none to train on"):
        hold_out(rows.select([0]), 0.9, 0, "y", ONE)


# -- from a file to predictions


def run(*words):
    return main([str(word) for word in words])


def test_an_hour_of_a_new_user(start, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "tickets.csv", tickets(120))
    assert run("finetune", "tickets.csv", "--model", start, "--learning-rate", "1e-3", "--num-train-epochs", "4") == 0
    assert "scores  accuracy 1, f1 1" in capsys.readouterr().out
    page = (tmp_path / "tickets-model" / "report.html").read_text()
    for part in ("Confusion", "network", "<svg", "Learning rate", "Padding in batches of 8"):
        assert part in page

    asked = [{name: row[name] for name in ("ticket", "said")} for row in tickets(6, 1)]
    for kind in ("csv", "tsv", "json", "jsonl", "parquet", "csv.gz"):
        write(tmp_path / f"new.{kind}", asked)
        out = f"answers.{kind}"
        assert run("predict", f"new.{kind}", "--model", "tickets-model", "--output", out, "--all-scores") == 0
        answers = open_source(out)["train"].to_list()
        assert [answer["label"] for answer in answers] == list(QUEUES) * 2
        assert [answer["said"] for answer in answers] == [row["said"] for row in asked]
        for answer in answers:
            scores = [answer[f"score_{name}"] for name in QUEUES]
            assert sum(scores) == pytest.approx(1, abs=1e-6)
            assert answer["score"] == pytest.approx(max(scores))

    # a file that has the label already: the answers get another name, and are counted
    assert run("predict", "tickets.csv", "--model", "tickets-model", "--output", "again.jsonl") == 0
    assert open_source("again.jsonl")["train"].column_names == ["ticket", "opened", "said", "dept", "label", "score"]
    write(tmp_path / "with.csv", [{"label": "x", "said": "the chair"}])
    capsys.readouterr()
    assert run("predict", "with.csv", "--model", "tickets-model") == 0
    assert json.loads(capsys.readouterr().out).keys() == {"label", "said", "predicted_label", "score"}
    Path("nulls.jsonl").write_text('{"said": "the chair", "note": null}\n{"said": "the router", "note": "x"}\n')
    capsys.readouterr()
    assert run("predict", "nulls.jsonl", "--model", "tickets-model") == 0
    assert [json.loads(line)["note"] for line in capsys.readouterr().out.splitlines()] == [None, "x"]
    assert run("predict", "tickets.csv", "--model", "tickets-model", "--output", "tickets.csv") == 2
    assert "--output tickets.csv is the file that is read" in capsys.readouterr().err
    assert run("predict", "tickets.csv", "--model", "tickets-model", "--output", "x.doc") == 2
    assert run("predict", "tickets.csv", "--model", "tickets-model", "--text-columns", "none") == 2
    assert "there is no column 'none'; the file has: ticket" in capsys.readouterr().err


def test_several_labels_a_row_from_file_to_answers(start, tmp_path, capsys):
    rows = [{"text": row["said"], "labels": [row["dept"]] + ["late"] * ("late" in row["said"])} for row in tickets(90)]
    write(tmp_path / "rows.jsonl", rows)
    flags = ("--learning_rate", "2e-3", "--num_train_epochs", "8", "--output_dir", tmp_path / "out")
    assert run("finetune", tmp_path / "rows.jsonl", "--model", start, *flags) == 0
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["problem_type"] == MANY
    assert list(config["id2label"].values()) == ["billing", "late", "network", "other"]
    assert run("predict", tmp_path / "rows.jsonl", "--model", tmp_path / "out", "--output", tmp_path / "out.csv") == 0
    answers = load_dataset("csv", data_files=str(tmp_path / "out.csv"))["train"]
    found = [set(labels.split("; ")) for labels in answers["predicted_labels"]]
    assert sum(found[i] == set(row["labels"]) for i, row in enumerate(rows)) > 80


def test_numbers_from_file_to_answers(start, tmp_path, capsys):
    write(
        tmp_path / "rows.csv", [{"text": row["said"], "price": 0.5 + QUEUES.index(row["dept"])} for row in tickets(90)]
    )
    flags = (
        "--label_column",
        "price",
        "--learning_rate",
        "1e-3",
        "--num_train_epochs",
        "6",
        "--output_dir",
        tmp_path / "out",
    )
    assert run("finetune", tmp_path / "rows.csv", "--model", start, *flags) == 0
    assert "pearsonr" in capsys.readouterr().out
    assert run("predict", tmp_path / "rows.csv", "--model", tmp_path / "out", "--output", tmp_path / "out.csv") == 0
    answers = load_dataset("csv", data_files=str(tmp_path / "out.csv"))["train"]
    assert "label" not in answers.column_names
    assert answers["score"][:3] == pytest.approx([0.5, 1.5, 2.5], abs=0.3)


def test_words_that_are_html_stay_words(start, tmp_path):
    rows = [
        {"text": "<script>alert(1)</script> & so on", "label": "<b>" if number % 2 else "c"} for number in range(20)
    ]
    write(tmp_path / "rows.jsonl", rows)
    assert (
        run("finetune", tmp_path / "rows.jsonl", "--model", start, "--output_dir", tmp_path / "out", "--max_steps", "1")
        == 0
    )
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page.replace("<b style", "")


# -- files that are not quite as they should be


def lines_of(path, *lines, encoding="utf-8"):
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return str(path)


ROWS = [f"the film is {word},{label}" for word, label in zip(["good", "bad"] * 8, ["fine", "poor"] * 8, strict=True)]


@pytest.mark.parametrize("sep", [";", "\t", "|"])
def test_other_separators_are_seen(tmp_path, sep):
    path = lines_of(tmp_path / "rows.csv", f"message{sep}category", *(row.replace(",", sep) for row in ROWS))
    rows = open_source(path)["train"]
    assert rows.column_names == ["message", "category"]
    assert rows[1] == {"message": "the film is bad", "category": "poor"}


def test_a_byte_order_mark_and_other_encodings(tmp_path):
    path = lines_of(tmp_path / "bom.csv", "\ufefftext,label", *ROWS)
    assert open_source(path)["train"].column_names == ["text", "label"]
    path = lines_of(tmp_path / "latin.csv", "text,label", "café,a", encoding="latin-1")
    with pytest.raises(ValueError, match="latin.csv.*not UTF-8 text; pass encoding"):
        open_source(path)
    assert open_source(path, encoding="latin-1")["train"][0]["text"] == "café"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (ROWS, "the first line was taken for the names of the columns, and looks like a row: the film is good, fine"),
        (["text,label"], "split 'train' is empty"),
        (["text,label", *ROWS, ",fine"], "split 'train', row 16: column 'text' is null"),
        (["text,label", *ROWS, "the film,"], "split 'train', row 16: column 'label' is null"),
        (["text,a,b", *(f"{row},{row[-4:]}" for row in ROWS)], r"the label: a \(2 values\), b \(2 values\); name it"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, lines, message):
    with pytest.raises(ValueError, match=message):
        find_task(open_source(lines_of(tmp_path / "rows.csv", *lines)), None)


def test_a_number_beside_the_texts_is_the_label(tmp_path):
    path = lines_of(tmp_path / "rows.csv", "note,price", *(f"the film is {i},{i * 1.5}" for i in range(60)))
    task, _ = find_task(open_source(path), None)
    assert (task.label_column, task.problem_type) == ("price", NUMBER)
    with pytest.raises(ValueError, match="there are texts and no labels: begin each line with __label__NAME"):
        find_task(open_source(lines_of(tmp_path / "rows.txt", *ROWS)), None)

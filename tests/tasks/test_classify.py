"""From a data set of any shape to a saved classifier: what `finetune` finds out, trains and refuses."""

import json
import shutil

import numpy as np
import pytest

from minift.cli.main import main
from minift.data.dataset import Dataset, DatasetDict
from minift.data.features import ClassLabel, Features, List, Value
from minift.data.load import load_dataset
from minift.demo.corpus import write_corpus
from minift.model.auto import AutoModelForSequenceClassification
from minift.model.bert import BertModel
from minift.model.config import BertConfig
from minift.tasks.classify import finetune
from minift.tasks.task import find_task
from minift.tokenizer.classes import AutoTokenizer
from minift.train.arguments import TrainingArguments

ROWS = 24


@pytest.fixture(scope="module")
def reviews(tmp_path_factory):
    """A few rows of the generated reviews, with string labels, scores, and strings that are no texts."""
    corpus = load_dataset(write_corpus(tmp_path_factory.mktemp("corpus") / "corpus"), "reviews")
    columns = {}
    for split in ("train", "validation"):
        rows = corpus[split][:ROWS]
        columns[split] = {
            "text": rows["text"],
            "label": [("sad", "glad")[label] for label in rows["label"]],
            "stars": [label + len(text) / 100 for label, text in zip(rows["label"], rows["text"], strict=True)],
            "likes": [bool(label) for label in rows["label"]],
        }
    return columns


def write_jsonl(folder, columns):
    folder.mkdir(exist_ok=True)
    for split, values in columns.items():
        Dataset.from_dict(values).to_json(folder / f"{split}.jsonl")
    return folder


def write_csv(folder, columns):
    folder.mkdir(exist_ok=True)
    for split, values in columns.items():
        rows = zip(*values.values(), strict=True)
        lines = [",".join(values), *(",".join(json.dumps(value) for value in row) for row in rows)]
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return folder


def only(columns, *names):
    return {split: {name: values[name] for name in names} for split, values in columns.items()}


def run(start, dataset, out, *flags):
    """Three steps from the command line, with no other flag than needed: the defaults must fit every data set."""
    args = ["finetune", "--model", start, "--dataset", dataset, "--output_dir", out, "--max_steps", "3", *flags]
    assert main([str(arg) for arg in [*args, "--disable_tqdm"]]) == 0
    return json.loads((out / "config.json").read_text()), json.loads((out / "trainer_state.json").read_text())


def last_evaluation(state):
    return [entry for entry in state["log_history"] if "eval_loss" in entry][-1]


# -- data sets of every shape, end to end


@pytest.mark.parametrize("write", [write_csv, write_jsonl])
def test_string_labels_are_numbered_alike_in_all_splits(start, reviews, tmp_path, write, capsys):
    data = only(reviews, "text", "label")
    data["validation"] = {name: values[::-1] for name, values in data["validation"].items()}  # other order of labels
    config, state = run(start, write(tmp_path / "data", data), tmp_path / "out")
    assert config["id2label"] == {"0": "glad", "1": "sad"}
    assert config["problem_type"] == "single_label_classification"
    assert {"eval_accuracy", "eval_f1"} <= last_evaluation(state).keys()
    assert main(["predict", "--model", str(tmp_path / "out"), "--text", "The plot is clever."]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[0] in ("glad", "sad")


def test_a_part_is_held_out_where_there_is_nothing_to_evaluate_on(start, reviews, tmp_path, caplog):
    data = write_jsonl(tmp_path / "data", {"train": only(reviews, "text", "label")["train"]})
    with caplog.at_level("INFO"):
        _, state = run(start, data, tmp_path / "out")
    assert last_evaluation(state)
    assert "2 of 24 rows are held out to evaluate on (stratified, seed 42)" in caplog.text
    _, state = run(start, data, tmp_path / "out2", "--holdout", "0")
    assert not any("eval_loss" in entry for entry in state["log_history"])
    assert "training without evaluation" in caplog.text


def test_a_test_split_without_labels_is_left_alone(start, reviews, tmp_path):
    data = only(reviews, "text", "label") | {"test": {"text": ["The film."], "label": ["unknown"]}}
    run(start, write_jsonl(tmp_path / "strings", data), tmp_path / "out")
    data["test"] = {"text": ["The film."]}
    run(start, write_jsonl(tmp_path / "no-column", {**data, "validation": data["test"]}), tmp_path / "out2")


@pytest.mark.parametrize("write", [write_csv, write_jsonl])
def test_float_labels_make_a_regression(start, reviews, tmp_path, write, capsys):
    data = write(tmp_path / "data", only(reviews, "text", "stars"))
    config, state = run(start, data, tmp_path / "out", "--label_column", "stars")
    assert config["problem_type"] == "regression"
    assert len(config["id2label"]) == 1
    found = last_evaluation(state)
    assert found["eval_mse"] == pytest.approx(found["eval_loss"], rel=1e-4)  # both are the mean squared error
    assert "eval_pearsonr" in found
    assert main(["predict", "--model", str(tmp_path / "out"), "--text", "The plot is clever."]) == 0
    raw = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    ids = AutoTokenizer.from_pretrained(tmp_path / "out")("The plot is clever.", return_tensors="pt")
    score = float(capsys.readouterr().out.split()[-1])
    assert score == pytest.approx(raw(**ids).logits.item(), abs=1e-4)  # the number itself, through no sigmoid


def test_booleans_are_two_classes(start, reviews, tmp_path):
    data = write_csv(tmp_path / "data", only(reviews, "text", "likes"))
    config, _ = run(start, data, tmp_path / "out", "--label_column", "likes")
    assert config["id2label"] == {"0": "False", "1": "True"}


def test_named_columns_go_before_found_ones(start, reviews, tmp_path, caplog):
    data = {split: {"id": list("abcdefghijklmnopqrstuvwx"), **values} for split, values in reviews.items()}
    data = write_jsonl(tmp_path / "data", data)
    with caplog.at_level("INFO"):
        run(start, data, tmp_path / "out", "--text_columns", "text", "id", "--label_column", "likes")
    assert "text and id (as named)" in caplog.text
    assert "likes (as named): one of 2 classes: False, True" in caplog.text


def test_texts_are_cut_to_what_the_model_reads(start, tmp_path):
    start = shutil.copytree(start, tmp_path / "start")
    (start / "tokenizer_config.json").unlink()  # so that the tokenizer knows no longest length
    data = {"train": {"text": ["film " * 200] * 8, "label": ["a", "b"] * 4}}
    run(start, write_jsonl(tmp_path / "data", data), tmp_path / "out")
    assert AutoTokenizer.from_pretrained(tmp_path / "out").model_max_length == 64
    assert main(["predict", "--model", str(tmp_path / "out"), "--text", "film " * 200]) == 0


def test_the_arguments_stay_the_callers(start, reviews, tmp_path):
    args = TrainingArguments(str(tmp_path / "out"), max_steps=1, disable_tqdm=True, eval_strategy="epoch")
    before = args.to_dict()
    data = write_jsonl(tmp_path / "data", {"train": reviews["train"]})
    finetune(start, data, args)
    assert args.to_dict() == before


# -- what is found in the features


def dataset(label, values, **more):
    columns = {"text": ["a", "b", "c"], "label": values}
    features = Features(
        text=Value("large_string"), label=label, **{name: feature for name, (feature, _) in more.items()}
    )
    columns |= {name: content for name, (_, content) in more.items()}
    return DatasetDict(train=Dataset.from_dict(columns, features))


def test_long_strings_and_lists_are_told_apart():
    tokens = (List(Value("string")), [["a"], ["b"], ["c"]])
    task, _ = find_task(dataset(ClassLabel(names=["x", "y"]), [0, 1, 0], tokens=tokens), None)
    assert task.text_columns == ["text"]
    assert task.label_names == ["x", "y"]


def test_integers_count_from_0_to_the_largest():
    assert find_task(dataset(Value("int32"), [2, 0, 2]), None)[0].label_names == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("label", "values", "message"),
    [
        (Value("int64"), [0, None, 1], "split 'train', row 1: column 'label' is null"),
        (Value("string"), ["x", None, "y"], "split 'train', row 1: column 'label' is null"),
        (Value("int64"), [0, 1, -1], "split 'train', row 2: label -1 is not one of the 2 classes"),
        (Value("int64"), [0, 0, 0], "'label' has the class 0 only"),
        (Value("string"), ["x", "x", "x"], "'label' has the class x only"),
        (List(Value("int64")), [[0], [], [0]], "'label' has fewer than two labels: there is nothing to tell"),
        (List(Value("int64")), [[0], [1], [-1]], "split 'train', row 2: .-1. is not labels of the 2: 0, 1"),
        (List(Value("int64")), [[0], [1], None], "split 'train', row 2: column 'label' is null"),
        (List(Value("float32")), [[0.5], [1], [0]], "'label' holds lists of float32: expected 0 and 1"),
        (List(List(Value("int64"))), [[[0]], [[1]], [[0]]], "'label' holds List.*expected lists of classes"),
        (Value("date32"), [None, None, None], "row 0: column 'label' is null"),
    ],
    ids=str,
)
def test_bad_labels_are_named(label, values, message):
    with pytest.raises(ValueError, match=message):
        find_task(dataset(label, values), None)


def splits(train, validation):
    return DatasetDict(train=Dataset.from_dict(train), validation=Dataset.from_dict(validation))


FINE = {"text": ["a", "b"], "label": ["x", "y"]}


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        ({"text": ["a", "b"], "label": ["y", "z"]}, r"split 'validation', row 1, column 'label': 'z' is not a class"),
        ({"text": ["a", None], "label": ["y", "x"]}, "split 'validation', row 1: column 'text' is null"),
        ({"label": ["y", "x"]}, "split 'validation' has no column 'text'; it has: label"),
        ({"text": ["a", "b"], "label": [1, 0]}, r"split 'validation': .* Value\('int64'\), but Value\('string'\) in"),
    ],
    ids=["unseen label", "null text", "no text", "other labels"],
)
def test_bad_evaluation_rows_are_named(validation, message):
    with pytest.raises(ValueError, match=message):
        find_task(splits(FINE, validation), None)


def test_other_bad_data_is_named():
    with pytest.raises(ValueError, match="split 'train' is empty"):
        find_task(DatasetDict(train=Dataset.from_dict(FINE).select([])), None)
    with pytest.raises(ValueError, match=r"text column 'stars' holds Value\('int64'\); expected strings"):
        find_task(dataset(Value("int64"), [0, 1, 0], stars=(Value("int64"), [1, 2, 3])), None, text_columns=["stars"])
    with pytest.raises(ValueError, match="column 'label' cannot be both a text and the label"):
        find_task(DatasetDict(train=Dataset.from_dict(FINE)), None, text_columns=["text", "label"])
    same = Features(text=Value("string"), label=ClassLabel(names=["x", "y"]))
    swapped = Features(same | {"label": ClassLabel(names=["y", "x"])})
    train, validation = (Dataset.from_dict(FINE | {"label": [0, 1]}, kinds) for kinds in (same, swapped))
    with pytest.raises(ValueError, match=r"\['y', 'x'\]\), but ClassLabel\(names=\['x', 'y'\]\) in 'train'"):
        find_task(DatasetDict(train=train, validation=validation), None)


# -- what is refused before any training


def refuse(start, data, out, *flags):
    args = ["finetune", "--model", start, "--dataset", data, "--output_dir", out, "--max_steps", "1", *flags]
    return main([str(arg) for arg in args])


def test_a_vocabulary_larger_than_the_embedding_is_refused(start, reviews, tmp_path, capsys):
    small = tmp_path / "small"
    BertModel(BertConfig.from_pretrained(start, vocab_size=100)).save_pretrained(small)
    AutoTokenizer.from_pretrained(start).save_pretrained(small)
    data = write_jsonl(tmp_path / "data", reviews)
    assert refuse(small, data, tmp_path / "out") == 2
    assert "tokens, but the model has embeddings for 100 (vocab_size)" in capsys.readouterr().err
    assert main(["predict", "--model", str(small), "--text", "film"]) == 2
    assert "tokens, but the model has embeddings for 100 (vocab_size)" in capsys.readouterr().err


def test_a_length_that_the_model_cannot_read_is_refused(start, reviews, tmp_path, capsys):
    assert refuse(start, write_jsonl(tmp_path / "data", reviews), tmp_path / "out", "--max_length", "65") == 2
    assert "--max_length 65: the model reads at most 64 tokens" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["file", "file/out"])
def test_an_output_folder_that_cannot_be_is_refused(start, reviews, tmp_path, capsys, out):
    (tmp_path / "file").write_text("kept")
    data = write_jsonl(tmp_path / "data", {"train": FINE})
    assert refuse(start, data, tmp_path / out) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"


def test_pairs_of_a_file_are_in_the_file(tmp_path, capsys):
    assert main(["predict", "--model", "m", "--file", "f", "--text_pair", "b"]) == 2
    assert "--text_pair goes with --text" in capsys.readouterr().err


def test_the_trained_model_is_the_saved_one(start, reviews, tmp_path):
    args = TrainingArguments(str(tmp_path / "out"), max_steps=3, disable_tqdm=True, logging_steps=1)
    trainer, output = finetune(start, write_jsonl(tmp_path / "data", only(reviews, "text", "label")), args)
    saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    for name, parameter in trainer.model.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), saved.get_parameter(name).detach().numpy())
    assert output.global_step == 3


def test_a_part_of_the_rows_is_drawn_with_the_seed(start, reviews, tmp_path):
    corpus = write_jsonl(tmp_path / "data", only(reviews, "text", "label"))
    args = TrainingArguments(str(tmp_path / "out"), max_steps=1, save_strategy="no", disable_tqdm=True)
    trainer, _ = finetune(start, corpus, args, max_train_samples=9, max_eval_samples=5)
    assert (len(trainer.train_dataset), len(trainer.eval_dataset)) == (9, 5)

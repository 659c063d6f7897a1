"""The command line, as a user meets it."""

import json
import subprocess
import sys
from functools import wraps

import pytest

import minift
from minift.cli.main import main
from minift.cli.opening import read_items
from minift.demo.corpus import write_corpus, write_model
from minift.demo.demo import demo
from minift.model.bert import BertModel
from minift.model.config import BertConfig

# a run of a few steps
QUICK = [*("--max_steps", "4"), *("--logging_steps", "2"), *("--save_strategy", "no"), *("--disable_tqdm", "true")]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("demo") / "corpus")


@pytest.fixture(scope="module")
def start(tmp_path_factory, corpus):
    folder = write_model(tmp_path_factory.mktemp("demo") / "start", corpus)
    BertModel(BertConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, corpus, start):
    out = tmp_path_factory.mktemp("demo") / "out"
    args = ["finetune", "--model", start, "--dataset", corpus, "--config", "paraphrases", "--output_dir", out, *QUICK]
    assert main([str(arg) for arg in args]) == 0
    return out


def test_demo_ends_well(monkeypatch):
    """What `demo` returns, the accuracies, is not the exit code."""

    @wraps(demo)
    def ended(**options):
        return {"random": 0.9, "seed": options["seed"]}

    monkeypatch.setattr("minift.demo.demo.demo", ended)
    assert main(["demo", "--seed", "7"]) == 0


def test_import_is_light_and_quick():
    code = "import sys, minift; print(sorted({'torch', 'tensorflow', 'pyarrow', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_public_name_is_there():
    for name in minift.__all__:
        assert getattr(minift, name) is not None
    with pytest.raises(AttributeError, match="no public name 'Trainr'; it has: .*Trainer"):
        _ = minift.Trainr


def test_finetune_tells_what_it_does(corpus, start, tmp_path, capsys, caplog):
    args = ["--model", start, "--dataset", corpus, "--config", "paraphrases", "--output_dir", tmp_path, *QUICK]
    with caplog.at_level("INFO"):
        assert main(["finetune", *map(str, args)]) == 0
    out, logged = capsys.readouterr().out, caplog.text
    assert "3,600 rows, 4 steps, 8 rows a step" in logged
    assert "classifier.weight" in logged  # the report of the new head
    head, row, saved, scores, report, after = out.splitlines()
    assert head.split() == ["epoch", "loss", "eval", "loss", "accuracy", "f1", "time"]
    assert len(row.split()) == 6
    assert saved.startswith(f"saved   {tmp_path} (4 steps in ")
    assert scores.startswith("scores  accuracy 0.")
    assert (report, after) == (f"report  {tmp_path}/report.html", f"next    minift predict --model {tmp_path} FILE")
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["id2label"] == {"0": "not_equivalent", "1": "equivalent"}
    assert (tmp_path / "trainer_state.json").is_file()


def test_finetune_resumes(corpus, start, tmp_path, capsys):
    args = ["finetune", "--model", start, "--dataset", corpus, "--config", "reviews", "--output_dir", tmp_path]
    args = [str(arg) for arg in args] + ["--max_steps", "3", "--save_steps", "2", "--disable_tqdm"]
    assert main(args) == 0
    capsys.readouterr()
    assert main([*args, "--resume_from_checkpoint", "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["global_step"] == 3
    assert {"train_loss", "train_runtime", "train_samples_per_second", "total_flos", "eval_accuracy"} <= last.keys()


def test_predict(classifier, tmp_path, capsys):
    assert main(["predict", "--model", str(classifier), "--text", "The cat saw the dog.", "--text_pair", "A dog."]) == 0
    label, score = capsys.readouterr().out.split()
    assert label in ("equivalent", "not_equivalent")
    assert 0.5 <= float(score) <= 1
    items = [{"text": "One.", "text_pair": "Two."}, {"text": "Three."}]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, items)) + "\n")
    assert main(["predict", "--model", str(classifier), "--file", str(tmp_path / "items.jsonl")]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["text"] for line in lines] == ["One.", "Three."]
    assert all(line["label"] in ("equivalent", "not_equivalent") for line in lines)


def test_mlm_and_fill_mask(corpus, start, tmp_path, capsys, caplog):
    caplog.set_level("INFO")
    args = ["mlm", "--model", start, "--dataset", corpus, "--config", "reviews", "--output_dir", tmp_path]
    options = ["--split", "unsupervised", "--chunk_size", "16", "--train_size", "40", *QUICK]
    assert main([*map(str, args), *options]) == 0
    assert "40 blocks to train on, 4 to evaluate on" in caplog.text
    assert "perplexity before training: " in caplog.text
    assert "perplexity after training: " in caplog.text
    capsys.readouterr()
    assert main(["fill-mask", "--model", str(tmp_path), "The [MASK] is dull.", "--top_k", "3"]) == 0
    assert [len(line.split()) > 2 for line in capsys.readouterr().out.splitlines()] == [True] * 3
    assert main(["fill-mask", "--model", str(tmp_path), "The [MASK] is [MASK]."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (len(lines), lines[0], lines[6]) == (12, "mask 1", "mask 2")
    assert main(["fill-mask", "--model", str(tmp_path), "No mask."]) == 2
    assert "[MASK]" in capsys.readouterr().err


def test_a_head_that_was_never_trained_answers_only_if_asked_to(start, classifier, capsys):
    for command in (
        ["predict", "--model", str(start), "--text", "Good."],
        ["fill-mask", "--model", str(classifier), "A [MASK]."],
    ):
        assert main(command) == 2
        assert "its answers would be random. Train it first, or pass --untrained" in capsys.readouterr().err
        assert main([*command, "--untrained"]) == 0
        assert capsys.readouterr().out


def test_run_hands_the_scripts_own_arguments_on(tmp_path, capsys):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, transformers\nprint(sys.argv[1:], transformers.BertConfig.__module__)\nsys.exit(3)\n"
    )
    with pytest.raises(SystemExit, match="3"):
        main(["run", str(script), "-h", "--x", "1"])
    assert capsys.readouterr().out == "['-h', '--x', '1'] minift.model.config\n"
    assert main(["run", str(tmp_path / "none.py")]) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ('["text"]', 'line 2: expected an object with a string "text"'),
        ('{"text": 1}', "line 2"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    (tmp_path / "items.jsonl").write_text('{"text": "fine"}\n' + line)
    with pytest.raises(ValueError, match=message):
        list(read_items(str(tmp_path / "items.jsonl")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "no/such"], "no/such"),
        (["--dataset", "no-such-folder"], "no-such-folder"),
        (["--config", "reviewz"], "reviewz"),
        (["--text_columns", "texts"], "no column 'texts'; it has: text, label"),
        (["--label_column", "stars"], "no column 'stars'"),
        (["--eval_strategy", "sometimes"], "--eval_strategy must be one of"),
        (["--learning_rate", "-1"], "--learning_rate must be at least 0"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_exit_code_2(corpus, start, tmp_path, capsys, options, message):
    args = {"--model": start, "--dataset": corpus, "--config": "reviews", "--output_dir": tmp_path}
    args |= dict([options])
    assert main(["finetune", *(str(part) for pair in args.items() for part in pair), *QUICK]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("minift finetune: ")
    assert message in error


def test_unknown_flags_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["finetune", "--model", "m", "--dataset", "d", "--deepspeed", "x"])
    assert "--deepspeed" in capsys.readouterr().err

"""The command line as a person meets it: help, names with a slip, one line for an error, nothing lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from minift.cli.main import COMMANDS, main, name_flags, normalised, to_go_on, with_underscores
from minift.cli.paths import ENDINGS, check_data, data_name
from minift.data.data_files import FORMATS
from minift.data.dataset import Dataset
from minift.model.files.folder import read_checkpoint
from minift.model.files.parameters import map_file

QUICK = ["--max_steps", "2", "--save_strategy", "no"]


@pytest.fixture
def start(start):
    """The folder of the encoder, as it is written on a command line."""
    return str(start)


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A file of rows in the folder where the commands run."""
    monkeypatch.chdir(tmp_path)
    words = ["good", "fine", "bad", "poor"]
    Dataset.from_dict(
        {"text": [f"a {words[i % 4]} film" for i in range(40)], "label": [i % 4 // 2 for i in range(40)]}
    ).to_csv("rows.csv")
    return "rows.csv"


def wrong(*argv):
    """Run a command that is to fail before its parser is done, or after; return the exit code."""
    try:
        return main([str(word) for word in argv])
    except SystemExit as ended:
        return ended.code


# -- help, and slips


def test_alone_it_shows_what_there_is(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(f"    {name}" in out for name in COMMANDS)
    assert wrong("--version") == 0
    assert capsys.readouterr().out == "minift 0.1.0\n"


@pytest.mark.parametrize("command", ["finetune", "mlm"])
def test_the_help_is_short_and_help_all_is_not(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert wrong(command, "--help") == 0
    short = capsys.readouterr().out
    assert wrong(command, "--help-all") == 0
    full = capsys.readouterr().out
    assert len(short.splitlines()) < 60
    assert "--num_train_epochs" in short
    assert "--label_smoothing_factor" not in short
    assert "--label_smoothing_factor" in full
    assert max(map(len, (short + full).splitlines())) <= 80


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["finetun", "x.csv"], "did you mean finetune?"),
        (["finetune", "--learning-rat", "3"], "there is no --learning_rat; did you mean --learning_rate?"),
        (["finetune", "--learning-rate", "quick"], "argument --learning_rate: invalid float value: 'quick'"),
        (["finetune", "row.csv"], "row.csv: no such file or folder; did you mean rows.csv?"),
        (["finetune", "rows.csw"], "rows.csw: no such file or folder; did you mean rows.csv?"),
        (["finetune", "none/rows.csv"], "none/rows.csv: no such file or folder"),
        (["finetune"], "name the data: a file, a folder or a name on the Hub"),
        (["finetune", "rows.csv", "--dataset", "rows.csv"], "name the data once: rows.csv, or --dataset 'rows.csv'"),
        (["finetune", "rows.csv", "--model", "./none"], "./none: no such folder"),
        (["finetune", "rows.csv", "--model", "rows.csv"], "rows.csv is a file; expected the folder of a model"),
        (["finetune", "rows.csv", "--label-column", "lable"], "no column 'lable'; it has: text, label"),
        (["finetune", "rows.csv", "--holdout", "1.5"], "--holdout 1.5 must be a share from 0 to below 1"),
        (["finetune", "rows.csv", "--threads", "0"], "--threads 0 must be at least 1"),
        (["finetune", "rows.csv", "--device", "mps"], "--device mps: minift computes on CPUs and on GPUs with CUDA"),
        (["finetune", "rows.csv", "--num-train-epochs", "-1"], "--num_train_epochs must be above 0"),
        (["predict", "rows.csv"], "the following arguments are required: --model"),
        (
            ["predict", "--model", "m", "--text", "a", "--file", "rows.csv"],
            "name a file, a text (--text) or a data set (--dataset), and one of them only",
        ),
        (["predict", "rowz.csv", "--model", "m"], "rowz.csv: no such file or folder; did you mean rows.csv?"),
        (["inspect", "./none"], "./none: no such file or folder"),
        (["plot", "."], ". is not the folder of a run: it has no trainer_state.json"),
        (["--nothing"], "there is no --nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_twenty_mistakes_are_one_line_each_and_exit_code_2(rows, capsys, argv, message):
    assert wrong(*argv) == 2
    *_, last = capsys.readouterr().err.strip().splitlines()
    assert last.startswith("minift")
    assert message in last
    assert "Traceback" not in last


def test_a_wrong_path_is_told_before_torch_is_imported(tmp_path):
    code = (
        "import sys\nfrom minift.cli.main import main\n"
        "print(main(['finetune', 'none.csv']), sorted({'torch', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "2 []\n"
    assert set(ENDINGS) == set(FORMATS)


def test_a_folder_called_minift_beside_a_script_hides_nothing(tmp_path):
    (tmp_path / "minift").mkdir()
    (tmp_path / "script.py").write_text("from minift import TrainingArguments\nprint(TrainingArguments.__module__)")
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("minift.train.arguments\n", "")


def test_flags_take_hyphens_and_messages_name_flags():
    assert with_underscores("--output-dir=a-b") == "--output_dir=a-b"
    assert [with_underscores(word) for word in ("-h", "a-b", "--", "--5-4")] == ["-h", "a-b", "--", "--5-4"]
    flags = ["seed", "max_length"]
    assert name_flags("max_length=9: at most 8 (max_length)", flags) == "--max_length 9: at most 8 (--max_length)"
    assert name_flags("the seed of 'max_length' in a/max_length", flags) == "the seed of 'max_length' in a/max_length"


def test_what_follows_a_script_is_its_own():
    words = normalised(["crosscheck", "--max-rows", "3", "a.py", "--max-rows"])
    assert words == ["crosscheck", "--max_rows", "3", "a.py", "--max-rows"]
    assert normalised(["finetune", "--config=a.yaml"]) == ["finetune", "--config", "a.yaml"]


@pytest.mark.parametrize(
    "how", [[], ["--resume_from_checkpoint"], ["--resume_from_checkpoint", "True"], ["--overwrite_output_dir=true"]]
)
def test_how_to_go_on(how):
    assert (
        to_go_on(["finetune", "a b.csv", *how, "--seed", "7"]) == "finetune 'a b.csv' --seed 7 --resume_from_checkpoint"
    )


def test_names_of_data(tmp_path, monkeypatch):
    assert data_name(["data/tickets.csv.gz"]) == "tickets"
    assert data_name(["nyu-mll/glue"]) == "glue"
    (tmp_path / "imdb2").mkdir()
    monkeypatch.chdir(tmp_path)
    check_data(["nyu-mll/glue", "imdb"])  # the Hub may know them, also where a folder has almost this name


def test_failed_work_has_exit_code_1_and_a_traceback_only_if_asked(rows, start, capsys, monkeypatch):
    flags = ["--model", start, "--learning_rate", "1e30", "--max_grad_norm", "0", "--overwrite_output_dir"]
    assert main(["finetune", rows, *flags]) == 1
    assert re.search(
        r"the (loss|gradient) is (nan|inf).* at step \d+.*\(--debug shows where\)", capsys.readouterr().err
    )
    with pytest.raises(ValueError, match="is (nan|inf)"):
        main(["finetune", rows, *flags, "--debug"])


# -- options in a file


def test_the_options_of_a_run_are_beside_its_model_and_give_it_again(rows, start, capsys):
    assert main(["finetune", rows, "--model", start, *QUICK, "--seed", "7", "--output_dir", "one"]) == 0
    written = yaml.safe_load(Path("one/minift.yaml").read_text())
    assert (written["dataset"], written["model"], written["seed"], written["max_steps"]) == ("rows.csv", start, 7, 2)
    assert (written["text_columns"], written["label_column"]) == (["text"], "label")
    assert not {"overwrite_output_dir", "resume_from_checkpoint", "hub_token"} & written.keys()
    assert main(["finetune", "--config", "one/minift.yaml"]) == 2  # into the folder of that run
    assert "one holds another run" in capsys.readouterr().err
    assert main(["finetune", "--config", "one/minift.yaml", "--output_dir", "two"]) == 0
    shutil.copy(rows, "other.csv")
    assert main(["finetune", "other.csv", "--config", "one/minift.yaml", "--output_dir", "three"]) == 0
    assert yaml.safe_load(Path("three/minift.yaml").read_text())["dataset"] == "other.csv"
    weights = [read_checkpoint(Path(name), map_file) for name in ("one", "two")]
    assert all((one.tensor == weights[1][name].tensor).all() for name, one in weights[0].items())


def test_bad_files_of_options_are_named(rows, capsys):
    Path("a.yaml").write_text("learning_rat: 3\n")
    assert wrong("finetune", rows, "--config", "a.yaml") == 2
    assert "there is no option 'learning_rat'; did you mean learning_rate?" in capsys.readouterr().err
    Path("b.json").write_text("[1]")
    assert wrong("finetune", rows, "--config", "b.json") == 2
    assert "b.json must hold names and values, not a list" in capsys.readouterr().err
    Path("c.yaml").write_text("a: !!python/object/apply:os.system ['true']\n")
    assert wrong("finetune", rows, "--config", "c.yaml") == 2
    assert "c.yaml is not valid YAML" in capsys.readouterr().err
    assert wrong("finetune", rows, "--config", "none.yaml") == 2


# -- what is shown


def test_quiet_json_and_the_table(rows, start, capsys, caplog):
    caplog.set_level("INFO")
    flags = ["--model", start, "--num_train_epochs", "2", "--save_strategy", "no", "--overwrite_output_dir"]
    assert main(["finetune", rows, *flags, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["finetune", rows, *flags, "--json"]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sum("eval_accuracy" in entry for entry in entries) == 3  # two evaluations, and the summary
    assert main(["finetune", rows, *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["epoch", "loss", "eval", "loss", "accuracy", "f1", "time"]
    assert [line.split()[0] for line in lines[1:3]] == ["1", "2"]
    assert not any("{" in line for line in lines)


# -- nothing is lost


def test_a_folder_with_a_model_is_refused_and_left_alone(rows, start, capsys):
    assert main(["finetune", rows, "--model", start, *QUICK, "--output_dir", "out"]) == 0
    before = {file: os.stat(os.path.join("out", file)).st_mtime_ns for file in os.listdir("out")}
    assert main(["finetune", rows, "--model", start, *QUICK, "--output_dir", "out"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "out holds another run (model.safetensors): choose another --output_dir" in said
    assert "--overwrite_output_dir" in said
    assert {file: os.stat(os.path.join("out", file)).st_mtime_ns for file in os.listdir("out")} == before
    assert main(["finetune", rows, "--model", start, *QUICK, "--output_dir", "out", "--overwrite_output_dir"]) == 0


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_with_a_checkpoint_from_which_it_goes_on(rows, start, number):
    flags = [
        "finetune",
        rows,
        "--model",
        start,
        "--num_train_epochs",
        "40",
        "--learning_rate",
        "1e-4",
        "--threads",
        "1",
    ]
    command = [sys.executable, "-m", "minift", *flags, "--output_dir"]
    with subprocess.Popen([*command, "out"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stdout:  # the table: an epoch is done
            if line.split()[:1] == ["1"]:
                process.send_signal(number)
                break
        _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    last = said.strip().splitlines()[-1]
    step = int(re.search(r"stopped after step ([\d,]+) of 200, saved as out/checkpoint-", last)[1])
    assert 5 <= step < 200
    assert last.endswith(f"; go on with: minift {' '.join(flags)} --output_dir out --resume_from_checkpoint")
    assert "Traceback" not in said

    subprocess.run([*command, "out", "--resume_from_checkpoint"], check=True, capture_output=True)
    subprocess.run([*command, "whole"], check=True, capture_output=True)
    assert Path("out/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_resuming_with_other_arguments_lists_them(rows, start, caplog):
    flags = ["--model", start, "--max_steps", "4", "--save_steps", "2", "--output_dir", "out"]
    assert main(["finetune", rows, *flags]) == 0
    shutil.rmtree("out/checkpoint-4")
    assert main(["finetune", rows, *flags, "--resume_from_checkpoint", "--learning_rate", "1e-4", "--seed", "7"]) == 0
    said = next(record.getMessage() for record in caplog.records if "other arguments" in record.getMessage())
    assert said.endswith("out/checkpoint-2: learning_rate 5e-05 -> 0.0001, seed 42 -> 7")


# -- inspect and plot


def test_inspect(rows, start, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["finetune", rows, "--model", start, *QUICK, "--output_dir", "out"]) == 0
    capsys.readouterr()
    assert main(["inspect", "out", "--tensors"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^architecture +BertForSequenceClassification \(bert\)$", shown, re.M)
    assert re.search(r"^head +classifier; labels: 0, 1$", shown, re.M)
    assert re.search(r"^head +2 +258 ", shown, re.M)
    assert "classifier.weight  (2, 128)" in shown
    assert main(["inspect", start]) == 0
    assert re.search(r"^head +none", capsys.readouterr().out, re.M)
    assert main(["inspect", rows, "--model", "out", "--batch-size", "2"]) == 0
    shown = capsys.readouterr().out
    assert "splits   train 40 rows" in shown
    assert re.search(r"^ +0 +20 +50.0%", shown, re.M)
    assert re.search(r"input_ids, token_type_ids, attention_mask \(2, \d+\)", shown)
    assert re.search(r"tokens +\[CLS\] .*film +\[SEP\]", shown)
    assert max(map(len, shown.splitlines())) <= 80


def test_plot(rows, start, capsys):
    for name in ("one", "two"):
        assert main(["finetune", rows, "--model", start, *QUICK, "--output_dir", name]) == 0
    for output in ("runs.html", "runs.svg", "runs.png"):
        assert main(["plot", "one", "two", "--output", output]) == 0
    page = Path("runs.html").read_text()
    assert all(part in page for part in ("training loss", "evaluation loss", "accuracy", "one", "two"))
    assert Path("runs.svg").read_text().startswith("<svg")
    assert Path("runs.png").read_bytes()[:4] == b"\x89PNG"
    assert wrong("plot", "one", "--output", "runs.pdf") == 2
    assert "--output runs.pdf: expected a name that ends with .html, .svg or .png" in capsys.readouterr().err

"""--framework tf from the command line, scripts under `minift run`, and which frameworks a process has imported."""

import json
import subprocess
import sys
import textwrap

import pytest
import torch
import yaml
from safetensors.torch import load_file

from minift.cli.main import main
from minift.data.dataset import Dataset
from minift.data.features import ClassLabel, Features, Value
from minift.demo.corpus import write_corpus, write_model
from minift.model.bert import BertModel
from minift.model.config import BertConfig
from minift.model.heads.classification import BertForSequenceClassification
from minift.model.heads.masked_lm import BertForMaskedLM
from minift.tokenizer.classes import AutoTokenizer
from tests.libraries.test_run import SCRIPTS
from tests.loopback_hub import LoopbackHub

FEW = [*("--max_train_samples", "30"), *("--max_eval_samples", "20"), *("--num_train_epochs", "2"), "--disable_tqdm"]
BLOCKS = ["--split", "unsupervised", *("--chunk_size", "16"), *("--train_size", "24"), *("--test_size", "8")]
MLM_FEW = [*BLOCKS, *("--max_steps", "2"), "--disable_tqdm"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("tf") / "corpus")


@pytest.fixture(scope="module")
def start(tmp_path_factory, corpus):
    folder = write_model(tmp_path_factory.mktemp("tf") / "start", corpus)
    config = BertConfig.from_pretrained(folder, num_hidden_layers=1, hidden_size=32, intermediate_size=64)
    BertModel(config).save_pretrained(folder)
    return folder


def command(name, start, corpus, config, out, *flags):
    args = [name, "--model", start, "--dataset", corpus, "--config", config, "--output_dir", out, *flags]
    return [str(arg) for arg in [*args, "--framework", "tf"]]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- the commands


def test_finetune_saves_what_the_torch_path_reads(start, corpus, tmp_path, capsys):
    flags = ["--save_strategy", "epoch", "--warmup_ratio", "0.1", "--weight_decay", "0.01"]
    assert main(command("finetune", start, corpus, "reviews", tmp_path, *FEW, *flags, "--json")) == 0
    out = capsys.readouterr().out
    assert "| Epoch | Learning Rate | Training Loss | Validation Loss | Accuracy |       F1 |" in out
    summary = json.loads(out.splitlines()[-1])
    assert summary["global_step"] == 8
    assert {"traced_graphs", "eval_accuracy"} <= summary.keys()
    saved = ["checkpoint-4", "checkpoint-8", "config.json", "model.safetensors", "report.html"]
    assert set(saved) <= {file.name for file in tmp_path.iterdir()}
    state = json.loads((tmp_path / "trainer_state.json").read_text())
    assert [entry["step"] for entry in state["log_history"]] == [4, 4, 8, 8]
    assert state["log_history"][2]["learning_rate"] == 0
    assert BertForSequenceClassification.from_pretrained(tmp_path).config.id2label == {0: "negative", 1: "positive"}
    assert main(["predict", "--model", str(tmp_path), "--text", "The plot is clever."]) == 0
    assert capsys.readouterr().out.split()[0] in ("negative", "positive")


def test_without_dropout_both_frameworks_train_the_same_model(corpus, start, tmp_path):
    """The same order of rows, schedule, clipping, weight decay and updates: weights that agree after 11 steps."""
    torch.manual_seed(0)
    options = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=2)
    BertForSequenceClassification.from_pretrained(start, **options).save_pretrained(tmp_path / "start")
    AutoTokenizer.from_pretrained(start).save_pretrained(tmp_path / "start")
    flags = ["--learning_rate", "2e-3", "--warmup_ratio", "0.2", "--weight_decay", "0.1", "--max_grad_norm", "0.2"]
    few = ["--max_train_samples", "30", "--max_eval_samples", "20", "--num_train_epochs", "2.5", "--disable_tqdm"]
    for framework in ("torch", "tf"):
        args = command("finetune", tmp_path / "start", corpus, "reviews", tmp_path / framework, *few, *flags)
        assert main([*args[:-1], framework]) == 0
    ours, theirs = (load_file(tmp_path / framework / "model.safetensors") for framework in ("tf", "torch"))
    before = load_file(tmp_path / "start" / "model.safetensors")
    moved = max((before[name] - theirs[name]).abs().max() for name in theirs)
    assert moved > 5e-3
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=2e-5, msg=lambda text, name=name: f"{name}: {text}")
    logs = [json.loads((tmp_path / name / "trainer_state.json").read_text())["log_history"] for name in ("tf", "torch")]
    evaluated = [[entry for entry in log if "eval_loss" in entry] for log in logs]
    for mine, reference in zip(*evaluated, strict=True):
        assert mine["step"] == reference["step"]
        for metric in ("eval_loss", "eval_accuracy", "eval_f1"):
            assert mine[metric] == pytest.approx(reference[metric], abs=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("flags", [["--whole_word_mask"], ["--freeze_eval_masks", "--eval_strategy", "no"]])
def test_mlm_saves_what_the_torch_path_reads(start, corpus, tmp_path, caplog, flags):
    caplog.set_level("INFO")
    assert main(command("mlm", start, corpus, "reviews", tmp_path, *MLM_FEW, *flags)) == 0
    assert "24 blocks to train on, 8 to evaluate on" in caplog.text
    assert "perplexity before training: " in caplog.text
    assert "perplexity after training: " in caplog.text
    assert BertForMaskedLM.from_pretrained(tmp_path).loading_report.complete


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--gradient_accumulation_steps", "2"], "--gradient_accumulation_steps 2 is not supported with framework tf"),
        (["--resume_from_checkpoint", "True"], "--resume_from_checkpoint True is not supported with framework tf"),
        (
            ["--eval_strategy", "steps"],
            "--eval_strategy 'steps' is not supported with framework tf; there are: no, epoch",
        ),
        (["--lr_scheduler_type", "cosine"], "--lr_scheduler_type 'cosine' is not supported with framework tf"),
        (
            ["--lr_scheduler_kwargs", '{"power": 2}'],
            "--lr_scheduler_kwargs: the schedule 'linear' has no further arguments",
        ),
        (["--optim", "sgd"], "--optim 'sgd' is not supported with framework tf"),
        (["--torch_compile", "true"], "--torch_compile True is not supported"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_flags_that_keras_does_not_obey_are_named(start, corpus, tmp_path, capsys, flags, message):
    assert main(command("finetune", start, corpus, "reviews", tmp_path / "out", *flags)) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--text_columns", "texts"], "no column 'texts'; it has: text, label"),
        (["--label_column", "stars"], "no column 'stars'"),
        (["--max_length", "4096"], "--max_length 4096: the model reads at most"),
        (["--learning_rate", "-1"], "--learning_rate must be at least 0"),
        (["--max_train_samples", "0"], "the dataset is empty"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_input_is_named_as_on_the_torch_path(start, corpus, tmp_path, capsys, flags, message):
    assert main(command("finetune", start, corpus, "reviews", tmp_path, *flags)) == 2
    assert message in capsys.readouterr().err


# -- scripts


@pytest.fixture(scope="module")
def tiny_hub(tmp_path_factory, corpus, start):
    """A Hub with `glue` and `bert-base-uncased`, of a few rows and layers."""
    root = tmp_path_factory.mktemp("hub")
    folder = root / "datasets" / "nyu-mll" / "glue"
    features = Features(
        {
            "sentence1": Value("string"),
            "sentence2": Value("string"),
            "label": ClassLabel(names=["not_equivalent", "equivalent"]),
            "idx": Value("int32"),
        }
    )
    sentences = ["The plot is clever.", "The music was moving.", "Nobody could call the long and slow ending boring."]
    files = []
    for split, rows in (("train", 20), ("validation", 10)):
        columns = {
            "sentence1": [sentences[row % 3] for row in range(rows)],
            "sentence2": [sentences[row % 2] for row in range(rows)],
            "label": [int(row % 3 == row % 2) for row in range(rows)],
            "idx": list(range(rows)),
        }
        (folder / "mrpc").mkdir(parents=True, exist_ok=True)
        Dataset.from_dict(columns, features).to_parquet(folder / "mrpc" / f"{split}-00000-of-00001.parquet")
        files.append({"split": split, "path": f"mrpc/{split}-*"})
    configs = yaml.safe_dump({"configs": [{"config_name": "mrpc", "data_files": files}]})
    (folder / "README.md").write_text(f"---\n{configs}---\n")
    model = root / "models" / "google-bert" / "bert-base-uncased"
    model.parent.mkdir(parents=True)
    model.symlink_to(start)
    with LoopbackHub(root) as hub:
        yield hub


@pytest.mark.long
def test_the_keras_script_runs_unmodified(tiny_hub, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    code = f"""
import os, sys
from minift.libraries.run import run
os.chdir({str(work)!r})
code = run({str(SCRIPTS / "keras_fit.py")!r})
print("torch" in sys.modules)
sys.exit(code)
"""
    printed = tiny_hub.run(code, tmp_path / "hf_home").splitlines()
    assert printed[-5:] == [
        "9 ['accuracy', 'loss', 'val_accuracy', 'val_loss'] 3",
        "(10, 2) (10,)",
        "['accuracy', 'f1'] True",
        "2 True",
        "False",
    ]


# -- what is imported


def test_the_tensorflow_path_never_imports_torch(start, corpus, tmp_path):
    finetune = command("finetune", start, corpus, "reviews", tmp_path / "a", *FEW, "--max_steps", "1")
    mlm = command("mlm", start, corpus, "reviews", tmp_path / "b", *MLM_FEW, "--max_steps", "1")
    code = f"""
    import sys
    from minift.cli.main import main
    assert main({finetune!r}) == 0
    assert main({mlm!r}) == 0
    import minift.demo.in_keras
    print("torch" in sys.modules, "tensorflow" in sys.modules)
    """
    assert python(code).splitlines()[-1] == "False True"


def test_the_torch_path_never_imports_tensorflow(start, corpus, tmp_path):
    finetune = command("finetune", start, corpus, "reviews", tmp_path, *FEW, "--max_steps", "1")[:-2]
    code = f"""
    import sys, minift
    assert not {{"torch", "tensorflow"}} & set(sys.modules)
    from minift.cli.main import main
    assert main({finetune!r}) == 0
    import minift.demo.in_torch
    print("torch" in sys.modules, "tensorflow" in sys.modules, "keras" in sys.modules)
    """
    assert python(code).splitlines()[-1] == "True False False"


def test_without_tensorflow_every_entry_says_how_to_install_it(start, corpus, tmp_path):
    finetune = command("finetune", start, corpus, "reviews", tmp_path)
    code = f"""
    import sys
    sys.modules["tensorflow"] = None  # importing it raises ImportError
    import numpy, minift
    from minift.cli.main import main
    from minift.tensors import as_tensor
    rows = minift.Dataset.from_dict({{"input_ids": [[1, 2], [3]], "label": [0, 1]}})
    tokenizer = minift.AutoTokenizer.from_pretrained({str(start)!r})
    entries = {{
        "names": lambda: minift.TFAutoModelForSequenceClassification,
        "optimizer": lambda: minift.create_optimizer,
        "callback": lambda: minift.PushToHubCallback,
        "dataset": lambda: rows.to_tf_dataset(),
        "collator": lambda: minift.DataCollatorWithPadding(tokenizer, return_tensors="tf")(rows[:2]),
        "masks": lambda: minift.DataCollatorForLanguageModeling(tokenizer, return_tensors="tf")(rows[:2]),
        "tokenizer": lambda: tokenizer(["a"], return_tensors="tf"),
        "format": lambda: rows.with_format("tf")[0],
    }}
    for name, entry in entries.items():
        try:
            entry()
        except ImportError as error:
            print(name, "pip install" in str(error) and "[tf]" in str(error))
    for argv in ({finetune!r}, ["demo", "--framework", "tf", "--output_dir", {str(tmp_path / "demo")!r}]):
        print(main(argv))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    names = ["names", "optimizer", "callback", "dataset", "collator", "masks", "tokenizer", "format"]
    assert done.stdout.splitlines() == [*(f"{name} True" for name in names), "2", "2"], done.stderr
    assert done.stderr.count("pip install") == 2

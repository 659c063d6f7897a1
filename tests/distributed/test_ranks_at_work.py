"""The Accelerator, the command line and an unmodified script on two ranks."""

import json
import subprocess
import sys

import pytest

from minift.demo.corpus import write_corpus, write_model
from minift.model.bert import BertModel
from minift.model.config import BertConfig
from tests.ranks.launch import ROOT, environment, free_port, launch


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A generated data set, and a model to start from."""
    folder = tmp_path_factory.mktemp("corpus")
    model = write_model(folder / "model", write_corpus(folder / "data"))
    BertModel(BertConfig.from_pretrained(model)).save_pretrained(model)
    return folder


def test_accelerator(tmp_path):
    """Saved and loaded in the middle; gathered, reduced, padded; refused: the assertions are in tests.ranks.loop."""
    launch(2, "-m", "tests.ranks.loop", str(tmp_path))
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == ["0.txt", "1.txt"]


@pytest.mark.long
def test_notebook_launcher(tmp_path):
    code = (
        "from minift import notebook_launcher; from tests.ranks.loop import in_a_notebook; "
        f"notebook_launcher(in_a_notebook, ({str(tmp_path)!r},), num_processes=2, use_port='{free_port()}')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(), check=True, timeout=100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notebook-0-of-2", "notebook-1-of-2"]


def common(corpus, out, config):
    source = ("--model", str(corpus / "model"), "--dataset", str(corpus / "data"), "--config", config)
    return (*source, "--output_dir", str(out), "--max_steps", "3", "--use_cpu", "--disable_tqdm")


def test_finetune_on_two_ranks_prepares_evaluates_logs_and_saves_once(corpus, tmp_path):
    run = ("-m", "minift", "finetune", *common(corpus, tmp_path / "out", "reviews"), "--max_eval_samples", "21")
    done = launch(2, *run, HF_HOME=str(tmp_path / "cache"))
    assert done.stdout.count("saved   ") == 1
    assert done.stdout.count("eval loss") == 1
    assert done.stderr.count("train   3,600 rows, 3 steps, 16 rows a step") == 1
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    assert state["is_world_process_zero"]
    assert (tmp_path / "out" / "model.safetensors").is_file()


@pytest.mark.long
def test_mlm_on_two_ranks(corpus, tmp_path):
    options = ("--chunk_size", "16", "--train_size", "40", "--test_size", "9", "--freeze_eval_masks")
    run = ("-m", "minift", "mlm", *common(corpus, tmp_path / "out", "reviews"), *options)
    done = launch(2, *run, HF_HOME=str(tmp_path / "cache"))
    assert done.stderr.count("perplexity before training: ") == 1
    assert done.stderr.count("perplexity after training: ") == 1
    assert done.stderr.count("40 blocks to train on, 9 to evaluate on") == 1


@pytest.mark.long
def test_mlm_on_a_stream_resumes_to_the_bit(corpus, tmp_path):
    """The checkpoint is in the second epoch."""
    options = ["--chunk_size", "16", "--test_size", "9", "--streaming", "--per_device_train_batch_size", "64"]
    options += ["--save_strategy", "steps", "--save_steps", "30"]

    def weights(name, *more):
        run = ("-m", "minift", "mlm", *common(corpus, tmp_path / name, "reviews"), *options, "--max_steps", "40", *more)
        launch(2, *run, HF_HOME=str(tmp_path / "cache"))
        return (tmp_path / name / "model.safetensors").read_bytes()

    whole, checkpoint = weights("whole"), tmp_path / "whole" / "checkpoint-30"
    place = json.loads((checkpoint / "resume.json").read_text())
    assert place["epoch"] > 0
    assert place["ranks"][0]["position"]["batches"] > 0
    assert weights("resumed", "--resume_from_checkpoint", str(checkpoint)) == whole


SCRIPT = """
import sys
import torch
from accelerate import Accelerator
from datasets import load_dataset
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding

accelerator = Accelerator(cpu=True)
model, data = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(model)
calls = []

def tokenize(rows):
    calls.append(len(rows["text"]))
    return tokenizer(rows["text"], truncation=True)

with accelerator.main_process_first():
    rows = load_dataset(data, "reviews", split="train").map(tokenize, batched=True)
assert bool(calls) == accelerator.is_main_process
rows = rows.select(range(20)).remove_columns(["text"]).rename_column("label", "labels")
model = AutoModelForSequenceClassification.from_pretrained(model, num_labels=2)
optimizer = torch.optim.AdamW(model.parameters())
loader = DataLoader(rows, shuffle=True, batch_size=4, collate_fn=DataCollatorWithPadding(tokenizer))
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
for batch in loader:
    accelerator.backward(model(**batch).loss)
    optimizer.step()
    optimizer.zero_grad()
weights = accelerator.gather(model.classifier.weight.detach()[None])
assert torch.equal(weights[0], weights[1])
accelerator.print("steps:", len(loader))
"""


@pytest.mark.long
def test_an_unmodified_script_on_two_ranks(corpus, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    run = ("-m", "minift", "run", str(tmp_path / "script.py"), str(corpus / "model"), str(corpus / "data"))
    done = launch(2, *run, HF_HOME=str(tmp_path / "cache"))
    assert done.stdout.count("steps: 3") == 1

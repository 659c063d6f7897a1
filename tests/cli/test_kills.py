"""Runs that are killed at any moment: what is left can be loaded and resumed, and nothing is replaced unasked."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minift.data.dataset import Dataset
from minift.demo.corpus import write_corpus, write_model
from minift.model.auto import AutoModelForSequenceClassification
from minift.model.bert import BertModel
from minift.model.config import BertConfig
from minift.train.checkpoint import checkpoints

TRIES = int(os.environ.get("MINIFT_TRIES", 4))
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)


def start(*argv):
    command = [sys.executable, "-m", "minift", *argv, "--threads", "1"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def run(*argv):
    process = start(*argv)
    process.communicate()
    return process.returncode


@pytest.mark.long
def test_nothing_is_lost_whenever_it_is_killed(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    model = write_model("start", write_corpus("corpus"))
    BertModel(BertConfig.from_pretrained(model, num_hidden_layers=1)).save_pretrained(model)
    words = ["good", "fine", "bad", "poor"] * 16
    Dataset.from_dict({"text": [f"a {word} film" for word in words], "label": [0, 0, 1, 1] * 16}).to_csv("rows.csv")
    flags = ["finetune", "rows.csv", "--model", "start", "--num_train_epochs", "4", "--save_steps", "7", "--quiet"]
    flags += ["--save_total_limit", "2", "--output_dir"]

    begin = time.perf_counter()
    assert run(*flags, "whole") == 0
    seconds = time.perf_counter() - begin
    whole = Path("whole", "model.safetensors").read_bytes()

    rng = random.Random(0)
    for number in range(TRIES):
        out = Path(f"out{number}")
        process = start(*flags, str(out))
        time.sleep(rng.uniform(0.4, 1.05) * seconds)
        process.send_signal(rng.choice(SIGNALS))
        said = process.communicate()[1]
        there = checkpoints(out) if out.exists() else []
        for folder in there + ([out] if (out / "model.safetensors").exists() else []):
            AutoModelForSequenceClassification.from_pretrained(folder, strict=True)
        if there or (out / "model.safetensors").exists():
            before = sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*"))
            assert run(*flags, str(out)) == 2, number  # refused, and untouched
            assert sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*")) == before
        if "saved as" in said:
            assert there, number
        if process.returncode == 143:  # before the training, SIGTERM ends a process without a word
            assert "saved as" in said, number
        again = ["--resume_from_checkpoint"] if there else ["--overwrite_output_dir"]
        assert run(*flags, str(out), *again) == 0, number
        assert (out / "model.safetensors").read_bytes() == whole, number

"""`minift crosscheck script.py`: what is seen of a script, that watching changes nothing, and that causes are named."""

import json
import subprocess
import sys

import pytest

from minift.cli.main import main
from minift.crosscheck.script import HINTS, STAGES, by_kind, crosscheck_script, first_difference, observe
from minift.demo.corpus import write_corpus, write_model
from minift.model.config import BertConfig
from minift.model.heads.masked_lm import BertForMaskedLM

PLAIN = """
import sys
import torch

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.5), torch.nn.Linear(3, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(3):
    loss = model(torch.randn(2, 4)).pow(2).sum()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
print(sys.argv[1:], float(loss).hex(), float(model[0].weight.sum()).hex())
"""

LOOP = """
import torch
import transformers
from datasets import load_dataset
from torch.utils.data import DataLoader
from transformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, set_seed

ours = transformers.BertConfig.__module__.startswith("minift")  # where one side is made to differ
set_seed(3)
tokenizer = AutoTokenizer.from_pretrained("{folder}/start")
data = load_dataset("{folder}/corpus", "paraphrases", split="train[:64]")
data = data.map(lambda rows: tokenizer(rows["sentence1"], rows["sentence2"], truncation=True), batched=True)
data = data.remove_columns(["sentence1", "sentence2"]).rename_column("label", "labels")
data.set_format("torch")
loader = DataLoader(data, shuffle=True, batch_size=8, collate_fn=DataCollatorWithPadding(tokenizer))
model = AutoModelForSequenceClassification.from_pretrained("{folder}/start", num_labels=2)
rate, decay = 1e-3, 0.0
{change}
optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
model.train()
for batch in loader:
    loss = model(**batch).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
print("loss", loss.item())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("script")
    model = write_model(folder / "start", write_corpus(folder / "corpus"))
    BertForMaskedLM(BertConfig.from_pretrained(model)).save_pretrained(model)
    return folder


@pytest.mark.long
def test_what_is_seen_of_a_script_and_that_watching_changes_nothing(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(PLAIN)
    alone = subprocess.run([sys.executable, str(script), "--x"], capture_output=True, text=True, check=True)
    seen = by_kind(observe("libraries", tmp_path / "seen", str(script), ["--x"], steps=0))
    assert seen["printed lines"] == alone.stdout.splitlines()
    assert [len(seen[stage.name]) for stage in STAGES] == [1, 6, 3, 3, 1, 3, 3, 1, 1, 1]
    assert seen["inputs"][0]["0"].shape == (2, 4)
    assert seen["outputs"][2]["value"].shape == (2, 1)
    assert seen["learning rate"][0] == {"rate": [0.1]}
    assert set(seen["weights at the end"][0]) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert (seen["weights at the start"][0]["0.weight"] != seen["weights after step 1"][0]["0.weight"]).any()

    first = by_kind(observe("libraries", tmp_path / "first", str(script), [], steps=2))
    assert len(first["gradient norm"]) == 2
    assert first["printed lines"] == ["[stopped after 2 steps]"]


@pytest.mark.long
def test_a_step_without_gradients_and_a_large_tensor_are_seen(tmp_path):
    script = tmp_path / "script.py"
    lines = ["import torch", "model = torch.nn.Linear(1, 2**20 + 1)", "model(torch.ones(1, 1))"]
    script.write_text("\n".join([*lines, "torch.optim.SGD(model.parameters(), lr=0.1).step()"]))
    seen = by_kind(observe("libraries", tmp_path / "seen", str(script), [], 0))
    assert seen["gradient norm"] == [{"norm": 0.0}]
    assert seen["outputs"][0]["value"].keys() == {"sha256", "shape"}
    assert seen["weights at the end"][0]["weight"].shape == (2**20 + 1, 1)


@pytest.mark.long
def test_what_cannot_be_run_is_named(tmp_path, capsys):
    assert main(["crosscheck", str(tmp_path / "none.py")]) == 2
    assert "none.py: no such script" in capsys.readouterr().err
    (tmp_path / "script.py").write_text("print('a')\nraise ValueError('on purpose')\n")
    with pytest.raises(ChildProcessError, match="fails on libraries with exit code 1:\n(.|\n)*on purpose"):
        observe("libraries", tmp_path / "seen", str(tmp_path / "script.py"), [], 0)


def test_the_first_difference_is_the_first_in_time():
    events = [("inputs", {"x": 1}), ("outputs", {"y": 2.0}), ("learning rate", {"rate": 0.1}), ("outputs", {"y": 3.0})]
    assert first_difference(events, list(events)) is None
    later = [*events[:2], ("learning rate", {"rate": 0.2}), ("outputs", {"y": 4.0})]
    assert first_difference(events, later) == "learning rate"
    assert first_difference(events, events[:2]) == "learning rate"
    assert first_difference(events[1:], events) == "outputs"


@pytest.mark.long
def test_a_plain_loop_is_equal_to_the_bit(folder, tmp_path, capsys):
    script = tmp_path / "loop.py"
    script.write_text(LOOP.format(folder=folder, change=""))
    assert main(["crosscheck", "--json", str(tmp_path / "out.json"), str(script)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{script}: 8 calls of a model, 8 steps"
    assert all(line.endswith("equal to the bit") for line in lines[1:])
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["ok"] is True
    assert [row["stage"] for row in found["stages"]] == [stage.name for stage in STAGES]


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ("ours and model.classifier.weight.data.mul_(1.001)", "weights at the start"),
        ("ours and setattr(model.bert.encoder.layer[0].output.LayerNorm, 'eps', 1e-3)", "outputs"),
        ("rate = 2e-3 if ours else 1e-3", "learning rate"),
    ],
    ids=lambda value: value if value in HINTS else "",
)
def test_the_first_difference_is_named(folder, tmp_path, capsys, change, cause):
    script = tmp_path / "loop.py"
    script.write_text(LOOP.format(folder=folder, change=change))
    assert not crosscheck_script(str(script), [], steps=3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith(f"first difference: {cause}. {HINTS[cause]}")
    assert max(map(len, lines[1:-1])) <= 100

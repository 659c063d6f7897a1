"""`minift tour`: numbers that are the model's own, source lines that are there, the terminal and the page."""

import re
from pathlib import Path

import pytest
import torch

import minift
from minift.cli.main import main
from minift.tour import stages
from minift.tour.show import as_page, as_text

pytestmark = pytest.mark.usefixtures("one_thread")

TEXT, PAIR = "Tender plot, luminous cast.", "The cast is <u>warm</u>."
NAMES = [
    *("text", "pieces", "ids", "batch", "embeddings", "attention", "layer", "layers", "head"),
    *("loss", "backward", "clip", "adamw", "schedule", "after"),
]


@pytest.fixture(scope="module")
def tour(start):
    return stages.classification(start, TEXT, PAIR)


def facts(tour, name):
    return "\n".join(next(stage for stage in tour if stage.name == name).facts)


def test_all_stages_are_there_in_order(tour):
    assert [stage.name for stage in tour] == NAMES
    assert all(stage.text and stage.shape and (stage.facts or stage.pictures) for stage in tour)


def test_the_numbers_are_the_models_own(tour, start):
    tokenizer = minift.AutoTokenizer.from_pretrained(start)
    torch.manual_seed(42)
    model = minift.AutoModelForSequenceClassification.from_pretrained(start, num_labels=2).eval()
    rows = [tokenizer(TEXT, PAIR) | {"label": 1}, tokenizer(".") | {"label": 0}]
    batch = minift.DataCollatorWithPadding(tokenizer)([dict(row) for row in rows])
    output = model(**batch)
    assert f"the model says {output.loss:.6f}" in facts(tour, "loss")
    mean = float(re.search(r"mean (\S+);", facts(tour, "loss"))[1])
    assert mean == pytest.approx(output.loss.item(), abs=2e-6)
    output.loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert f"length {norm:.4f}" in facts(tour, "clip")
    before = model.classifier.weight[0, 0].item()
    torch.optim.AdamW(model.parameters(), stages.RATE, weight_decay=0.0).step()
    after = model.classifier.weight[0, 0].item()
    assert f"θ = {before:.8f}" in facts(tour, "adamw")
    assert f"{after:.8f}, moved by" in facts(tour, "adamw")
    by_formula = float(re.search(r"1e-08\) = (\S+)", facts(tour, "adamw"))[1])
    assert by_formula == pytest.approx(after, abs=2e-8)
    with torch.no_grad():
        assert f"loss after  {model(**batch).loss:.6f}" in facts(tour, "after")
    pictures = next(stage for stage in tour if stage.name == "attention").pictures
    assert len(pictures) == model.config.num_attention_heads
    assert all(one.numbers.sum(axis=1) == pytest.approx(1, abs=1e-5) for one in pictures)


def test_source_lines_are_those_of_the_files(tour):
    root = Path(minift.__file__).parent.parent
    sources = [source for stage in tour for source in stage.sources]
    assert len(sources) >= 10
    for source in sources:
        lines = (root / source.file).read_text().splitlines()
        assert lines[source.line - 1] == source.text.splitlines()[0]


@pytest.mark.parametrize("width", [80, 100])
def test_the_terminal_is_not_overrun(tour, width):
    text = "\n".join(as_text(stage, number, len(tour), width) for number, stage in enumerate(tour, 1))
    assert max(map(len, text.splitlines())) <= width
    assert "minift/optim/adamw.py:" in text


def test_the_page_is_whole_and_shows_text_as_text(tour):
    page = as_page(tour, "minift tour")
    assert [f'<section id="{name}">' in page for name in NAMES] == [True] * len(NAMES)
    assert "<u>warm</u>" not in page
    assert not re.search(r'(src|href)="(?!#)', page)  # nothing is loaded
    assert page.count("data-tip=") > 500


def test_masking(start):
    tour = stages.masked_language_model(start, TEXT, PAIR)
    assert [stage.name for stage in tour][-2:] == ["chunk", "mask"]
    shown = facts(tour, "mask")
    assert "was drawn and is now" in shown or "no token was drawn" in shown


def test_commands(start, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["tour", "--stage", "adamw"]) == 0  # a model is made on the spot
    assert "One step of AdamW" in capsys.readouterr().out
    assert main(["tour", "--model", str(start), "--text", "one", "--html", "tour.html"]) == 0
    assert "wrote   tour.html: 15 stages" in capsys.readouterr().out
    assert (tmp_path / "tour.html").read_text().startswith("<!doctype html>")
    assert main(["tour", "--task", "mlm", "--all"]) == 0
    assert "Some tokens are hidden" in capsys.readouterr().out
    assert main(["tour", "--stage", "nothing", "--model", str(start)]) == 2
    assert "there are text, pieces, ids" in capsys.readouterr().err
    minift.DistilBertModel(minift.DistilBertConfig(vocab_size=9, dim=8, n_layers=1, n_heads=2)).save_pretrained("d")
    minift.AutoTokenizer.from_pretrained(start).save_pretrained("d")
    assert main(["tour", "--model", "d"]) == 2

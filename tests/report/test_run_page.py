"""The page of a run: its numbers are those of scikit-learn, and a browser shows it, light and dark, narrow and wide."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from minift.report.compare import compare_runs, read_log
from minift.report.run_page import Predictions, by_class, confusion, errors, padding_share, write_report

LOG = [
    {"step": 10, "epoch": 0.5, "loss": 0.7, "learning_rate": 5e-5, "grad_norm": 1.0},
    {"step": 20, "epoch": 1.0, "loss": 0.5, "learning_rate": 2e-5, "grad_norm": 1.0},
    {"step": 20, "epoch": 1.0, "eval_loss": 0.6, "eval_accuracy": 0.75, "eval_f1": 0.8, "eval_runtime": 1.0},
]
NAMES = ["a <b>", "b & c", "c"]


@pytest.fixture
def predictions():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), 40)
    labels = np.where(rng.random(40) < 0.6, probabilities.argmax(1), rng.integers(0, 3, 40))
    return Predictions(NAMES, probabilities, labels, [f"text {i} " + "very long " * 80 for i in range(40)])


@pytest.fixture
def page(tmp_path, predictions):
    lengths = np.random.default_rng(1).integers(5, 120, 300)
    settings = {"model": "some/model", "learning_rate": 5e-5}
    return write_report(tmp_path / "report.html", "a run & <more>", LOG, settings, lengths, 8, predictions)


def test_scores_by_class_are_those_of_scikit_learn(predictions):
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    guesses = predictions.probabilities.argmax(1)
    np.testing.assert_array_equal(confusion(predictions), confusion_matrix(predictions.labels, guesses))
    expected = np.transpose(precision_recall_fscore_support(predictions.labels, guesses))
    found = [list(row.values())[1:] for row in by_class(predictions)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_errors_are_wrong_and_the_most_confident_come_first(predictions):
    found = errors(predictions)
    assert found
    assert all(row["label"] != row["predicted"] for row in found)
    sure = [row["probability"] for row in found]
    assert sure == sorted(sure, reverse=True)
    wrong = predictions.probabilities.argmax(1) != predictions.labels
    assert sure[0] == predictions.probabilities.max(1)[wrong].max()


def test_padding_is_counted():
    assert padding_share(np.array([1, 3, 2, 2]), 2) == pytest.approx(1 - 8 / 10)
    assert padding_share(np.array([4, 4, 4]), 2) == 0


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.found = [], []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(page):
    text, tags = page.read_text(), Tags()
    tags.feed(text)
    assert tags.open == []
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in tags.found}
    assert not any(name in ("src", "href") for _, attrs in tags.found for name in attrs)
    for part in (
        "a &lt;b&gt;",
        "b &amp; c",
        "a run &amp; &lt;more&gt;",
        "some/model",
        "0.8000",
        "Padding in batches of 8",
    ):
        assert part in text


def test_a_log_without_evaluation_or_loss_gives_a_page(tmp_path):
    assert "Arguments" in write_report(tmp_path / "a.html", "run", [], {"seed": 1}).read_text()
    one = [{"step": 1, "epoch": 1.0, "eval_loss": float("nan"), "eval_mse": 2.0}]
    assert "mse" in write_report(tmp_path / "b.html", "run", one, {}).read_text()


def test_runs_that_cannot_be_compared_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not the folder of a run: it has no trainer_state.json"):
        read_log(tmp_path)
    (tmp_path / "trainer_state.json").write_text('{"log_history": [1]}')
    with pytest.raises(ValueError, match="has no log_history of entries with a step"):
        compare_runs([tmp_path], tmp_path / "x.html")
    (tmp_path / "trainer_state.json").write_text('{"log_history": []}')
    with pytest.raises(ValueError, match="there is nothing to draw"):
        compare_runs([tmp_path], tmp_path / "x.html")


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def browse(*flags):
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.skipif(BROWSER is None, reason="there is no browser (chromium)")
@pytest.mark.parametrize("width", [500, 1400])  # a headless window is at least 500 wide
def test_a_browser_shows_it(page, tmp_path, width):
    """Nothing is wider than the window; the charts have a size; dark is dark."""
    measured = tmp_path / "measured.html"  # a copy with a script that measures
    script = """<script>onload = () => { document.title = [document.documentElement.scrollWidth <= innerWidth,
        [...document.querySelectorAll("svg")].every(svg => svg.getBoundingClientRect().height > 100),
        getComputedStyle(document.body).backgroundColor].join(" ") }</script>"""
    measured.write_text(page.read_text().replace("</body>", f"{script}</body>"))
    backs = []
    for dark in ([], ["--blink-settings=preferredColorScheme=0"]):
        shown = browse("--dump-dom", f"--window-size={width},900", *dark, measured.as_uri())
        fits, drawn, back = re.search(r"<title>(\w+) (\w+) (rgb.*?)</title>", shown).groups()
        assert (fits, drawn) == ("true", "true")
        backs.append(back)
    assert backs == ["rgb(255, 255, 255)", "rgb(23, 24, 27)"]

"""`report.html`: what a run did, on one page. It is made from the log, and from predictions if there are any."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from minift.files import atomic_path
from minift.report.charts import Series, histogram, line_chart
from minift.report.page import matrix, numbers, page, section, table

NO_SCORES = ("epoch", "step", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second")
PACKAGES = ("minift", "torch", "numpy", "tokenizers", "safetensors", "pyarrow")
MOST_ERRORS = 20
MOST_CLASSES = 30  # of a confusion matrix that can be read


@dataclass
class Predictions:
    """What a classifier says about the rows that it was evaluated on."""

    names: Sequence[str]  # of the C classes
    probabilities: np.ndarray  # (N, C)
    labels: np.ndarray  # (N,) class numbers
    texts: Sequence[str]  # N


def write_report(
    path: str | Path,
    title: str,
    log: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    lengths: Sequence[int] = (),
    batch_size: int = 8,
    predictions: Predictions | None = None,
) -> Path:
    """Write the page of a run.

    Args:
        path: the file to write.
        title: the heading, such as the name of the run's folder.
        log: the entries of `trainer_state.json`'s ``log_history``.
        settings: the arguments of the run, in the order in which they are to be shown.
        lengths: the tokens of each training row.
        batch_size: rows of a batch, for what padding costs.
        predictions: of a classifier with one class a row.
    """
    evaluated = [entry for entry in log if "eval_loss" in entry]
    sections = [
        section("Loss", losses(log, evaluated)),
        section("Learning rate", line_chart([series("learning rate", log, "learning_rate")], "step", "learning rate")),
        section("Scores", scores_chart(evaluated)),
        section("Evaluations", table([scores(entry) for entry in evaluated])),
    ]
    if predictions is not None:
        sections.append(section("Classes", table(by_class(predictions))))
        if len(predictions.names) <= MOST_CLASSES:
            sections.append(section("Confusion", matrix(confusion(predictions).tolist(), predictions.names)))
        sections.append(section("The most confident errors", table(errors(predictions), texts=["text"]), wide=True))
    if len(lengths):
        sections.append(section("Length of the training rows", lengths_box(lengths, batch_size)))
    sections.append(
        section("Arguments", table([{"name": name, "value": str(value)} for name, value in settings.items()]))
    )
    sections.append(
        section("Versions and machine", table([{"what": name, "": value} for name, value in machine().items()]))
    )
    last = scores(evaluated[-1]) if evaluated else {}
    below = numbers({name: value for name, value in last.items() if name not in ("step", "weighted loss")})
    with atomic_path(path) as fresh:
        fresh.write_text(page(title, below, sections), encoding="utf-8")
    return Path(path)


def series(name: str, log: Sequence[Mapping[str, Any]], key: str, marked: bool = False) -> Series:
    entries = [entry for entry in log if key in entry]
    return Series(name, [entry["step"] for entry in entries], [entry[key] for entry in entries], marked)


def losses(log: Sequence[Mapping[str, Any]], evaluated: Sequence[Mapping[str, Any]]) -> str:
    lines = [series("training", log, "loss"), series("evaluation", evaluated, "eval_loss", marked=True)]
    return line_chart(lines, "step", "loss")


def scores(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of an evaluation, with its place: head -> value."""
    place = {"epoch": f"{entry['epoch']:g}", "step": entry["step"]}
    return place | {
        name.removeprefix("eval_").replace("_", " "): value for name, value in entry.items() if name not in NO_SCORES
    }


def scores_chart(evaluated: Sequence[Mapping[str, Any]]) -> str:
    """Draw the scores that lie from -1 to 1, such as accuracy and F1, over the steps."""
    names = [name for name in (evaluated[-1] if evaluated else ()) if name not in NO_SCORES and "loss" not in name]
    lines = [series(name.removeprefix("eval_"), evaluated, name, marked=True) for name in names]
    return line_chart([line for line in lines if all(-1 <= value <= 1 for value in line.y)], "step", "scores")


def confusion(predictions: Predictions) -> np.ndarray:
    """Count (label, predicted class): (C, C)."""
    size = len(predictions.names)
    pairs = predictions.labels * size + predictions.probabilities.argmax(axis=1)
    return np.bincount(pairs, minlength=size * size).reshape(size, size)


def by_class(predictions: Predictions) -> list[dict[str, Any]]:
    """Return precision, recall, F1 and the number of rows of each class."""
    counts = confusion(predictions)
    right, predicted, actual = counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1)
    rows = []
    for number, name in enumerate(predictions.names):
        precision = right[number] / predicted[number] if predicted[number] else 0.0
        recall = right[number] / actual[number] if actual[number] else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        scores = {"precision": float(precision), "recall": float(recall), "F1": float(f1)}
        rows.append({"class": name, **scores, "rows": int(actual[number])})
    return rows


def errors(predictions: Predictions) -> list[dict[str, Any]]:
    """Return the rows with a wrong answer, those of the highest probability first."""
    guesses, best = predictions.probabilities.argmax(axis=1), predictions.probabilities.max(axis=1)
    wrong = np.flatnonzero(guesses != predictions.labels)
    order = wrong[np.argsort(-best[wrong], kind="stable")][:MOST_ERRORS]
    name = predictions.names
    return [
        {
            "probability": float(best[row]),
            "label": name[predictions.labels[row]],
            "predicted": name[guesses[row]],
            "text": shortened(predictions.texts[row]),
        }
        for row in order
    ]


def shortened(text: str, length: int = 400) -> str:
    return text if len(text) <= length else f"{text[:length]}…"


def lengths_box(lengths: Sequence[int], batch_size: int) -> str:
    """Draw the lengths, and say how much of the batches is padding: as they come, and sorted by length."""
    wastes = {"in random order": np.random.default_rng(0).permutation(lengths), "sorted by length": np.sort(lengths)}
    said = ", ".join(f"{padding_share(order, batch_size):.0%} {name}" for name, order in wastes.items())
    return (
        histogram(lengths, "tokens", "rows by length")
        + f'<p class="soft">Padding in batches of {batch_size}: {said}.</p>'
    )


def padding_share(lengths: np.ndarray, batch_size: int) -> float:
    """Return the share of padding among the tokens of the batches that the rows make in this order."""
    batches = [lengths[start : start + batch_size] for start in range(0, len(lengths), batch_size)]
    return 1 - float(np.sum(lengths)) / sum(int(batch.max()) * len(batch) for batch in batches)


def machine() -> dict[str, str]:
    """Return the versions of the packages that are installed, Python's, and the processor's name."""
    found = {name: version(name) for name in PACKAGES}
    return found | {"Python": platform.python_version(), "system": platform.platform(), "processor": processor()}


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor()

"""Several runs beside each other: losses and scores over the steps, as a page, or as one picture."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from minift.files import atomic_path, read_json_object
from minift.report.charts import HEIGHT, WIDTH, Series, line_chart
from minift.report.page import STYLE, page, section, table
from minift.report.run_page import NO_SCORES, scores, series

STATE_FILE = "trainer_state.json"


def read_log(run: str | Path) -> list[dict[str, Any]]:
    """Read the log of a run's folder, or of its newest checkpoint.

    A FileNotFoundError says that there is none, a ValueError that it is damaged.
    """
    folder = Path(run).expanduser()
    in_checkpoints = sorted(folder.glob(f"checkpoint-*/{STATE_FILE}"), key=lambda file: -file.stat().st_mtime)
    found = next((place for place in [folder / STATE_FILE, *in_checkpoints] if place.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"{run} is not the folder of a run: it has no {STATE_FILE}")
    log = read_json_object(found).get("log_history")
    if not isinstance(log, list) or not all(isinstance(entry, dict) and "step" in entry for entry in log):
        raise ValueError(f"{found} has no log_history of entries with a step")
    return log


def compare_runs(runs: Sequence[str | Path], output: str | Path) -> Path:
    """Write a page (.html) or a picture (.svg, .png: of the losses, for which matplotlib is needed) of these runs."""
    logs = {str(run): read_log(run) for run in runs}
    charts = charts_of(logs)
    if not charts:
        raise ValueError(f"there is nothing to draw: no losses in the logs of {', '.join(logs)}")
    kind = Path(output).suffix
    if kind not in (".html", ".svg", ".png"):
        raise ValueError(f"output={output}: expected a name that ends with .html, .svg or .png")
    with atomic_path(output) as fresh:
        if kind == ".png":
            draw_png(charts, fresh)
        elif kind == ".svg":
            drawings = {name: line_chart(lines, "step", name) for name, lines in charts.items()}
            fresh.write_text(stacked(drawings, list(logs)), encoding="utf-8")
        else:
            boxes = [section(name, line_chart(lines, "step", name)) for name, lines in charts.items()]
            last = {run: [entry for entry in log if "eval_loss" in entry][-1:] for run, log in logs.items()}
            rows = [{"run": run, **scores(entry)} for run, entries in last.items() for entry in entries]
            boxes.append(section("The last evaluation of each run", table(same_columns(rows)), wide=True))
            fresh.write_text(page(", ".join(logs), "", boxes), encoding="utf-8")
    return Path(output)


def charts_of(logs: dict[str, list[dict[str, Any]]]) -> dict[str, list[Series]]:
    """Return the charts: name -> a line for each run that has it. Scores come in the order in which they are met."""
    keys = {"loss": "training loss"}
    for log in logs.values():
        for entry in log:
            keys |= {name: name.removeprefix("eval_").replace("_", " ") for name in entry if is_score(name)}
    keys |= {"eval_loss": "evaluation loss"} if "eval_loss" in keys else {}
    charts = {}
    for key, name in keys.items():
        lines = [series(run, log, key, marked=key != "loss") for run, log in logs.items()]
        if any(line.x for line in lines):
            charts[name] = lines
    return charts


def is_score(name: str) -> bool:
    return name.startswith("eval_") and name not in NO_SCORES


def same_columns(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give every row the columns of all, with "–" for what it has not."""
    heads = dict.fromkeys(head for row in rows for head in row)
    return [{head: row.get(head, "–") for head in heads} for row in rows]


def stacked(drawings: dict[str, str], runs: list[str]) -> str:
    """Put SVG drawings below each other in one, each with its name, below a line with the colours of the runs."""
    row, head = HEIGHT + 40, 30
    parts = []
    for number, run in enumerate(runs):
        place = f'x="{10 + number * WIDTH / len(runs):.0f}" y="18"'
        parts.append(
            f'<text {place} class="c{number % 8}" style="fill: var(--c); font-weight: bold">{escape(run)}</text>'
        )
    for number, (name, drawing) in enumerate(drawings.items()):
        body = re.search(r"(?s)<svg[^>]*>(.*)</svg>", drawing)[1]
        title = f'<text x="10" y="-6" style="fill: var(--ink)">{escape(name)}</text>'
        parts.append(f'<g transform="translate(0 {head + 20 + row * number})">{title}{body}</g>')
    size = f'viewBox="0 0 {WIDTH} {head + row * len(drawings)}" width="720"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>{"".join(parts)}</svg>\n'


def draw_png(charts: dict[str, list[Series]], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a .png needs matplotlib (pip install matplotlib); .svg and .html do not") from error
    figure = Figure(figsize=(7, 3.2 * len(charts)), layout="constrained")
    for axes, (name, lines) in zip(figure.subplots(len(charts), squeeze=False)[:, 0], charts.items(), strict=True):
        for line in lines:
            axes.plot(line.x, line.y, marker="o" if line.marked else None, label=line.name)
        axes.set(xlabel="step", ylabel=name)
        axes.legend()
    figure.savefig(path, dpi=120)

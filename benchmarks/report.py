"""The JSON document of a run as a Markdown table and pictures: ``python -m benchmarks.report FILE.json``."""

import argparse
from collections import defaultdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import growth, profile
from benchmarks.harness import Row, show
from minift.files import read_json

PICTURES = Path(__file__).with_name("pictures")
# Okabe and Ito's colours, which colour-blind readers tell apart
BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#E69F00", "#009E73", "#BBBBBB", "#222222"
SIDES = [GREY, BLUE, ORANGE, GREEN]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("file", type=Path, help="what --json of benchmarks, .growth or .profile wrote")
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="folder for the pictures")
    parser.add_argument("--earlier", type=Path, help="what another run of benchmarks wrote: a column for its ratios")
    options = parser.parse_args()
    try:
        document = read_json(options.file)
        earlier = read_json(options.earlier) if options.earlier else None
        tables = {"rows": partial(table_of, earlier=earlier), "growth": growth.table, "steps": profile.table}
        kind = next((name for name in tables if name in document), None)
        if kind is None:
            raise ValueError(f"{options.file} is no document of benchmarks, benchmarks.growth or benchmarks.profile")
        if earlier and not ("rows" in document and "rows" in earlier):
            raise ValueError("--earlier compares two documents of benchmarks")
    except (OSError, ValueError) as error:
        parser.error(str(error))
    print(tables[kind](document))
    for path in draw(document, options.pictures):
        print(f"![{path.stem}]({path})")


def rows_of(document: dict[str, Any]) -> list[Row]:
    return [Row(**row) for row in document["rows"]]


def table_of(document: dict[str, Any], earlier: dict[str, Any] | None = None) -> str:
    """Command, machine, a line a row (with the ratio that it had in the `earlier` document), and what was remarked."""
    machine, rates = document["machine"], document["rates"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    lines = [
        f"`{document['command']}`, then `python -m benchmarks.report`; {document['data']}.",
        f"{machine['gpu'] or machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads.",
        f"Python {machine['python']}, {versions}.",
        f"Memory copies at {rates['copy'] / 1e9:.1f} GB/s, matrix products at {rates['float32'] / 1e9:.0f} GFLOP/s "
        f"(fp32) and {rates['bfloat16'] / 1e9:.0f} GFLOP/s (bf16).",
        "",
        "| stage | minift | beside | rounds | target | ratio (range) |"
        + (" earlier |" if earlier else "")
        + " at the floor | minift takes | the peer |",
        "|---|---|---|---:|---:|---:|" + ("---:|" if earlier else "") + "---:|---:|---:|",
    ]
    before = {(row.case, row.side, row.peer): f"{row.ratio.median:.3g}×" for row in rows_of(earlier)} if earlier else {}
    for row in rows_of(document):
        target = "" if row.target is None else f"≥ {row.target:.3g}"
        floor = "" if row.floor_ratio is None else f"{row.floor_ratio:.3g}×"
        ratio, (ours, theirs) = row.ratio, (show(median(row.seconds)), show(median(row.peer_seconds)))
        result = f"{ratio.median:.3g}× ({ratio.low:.3g}–{ratio.high:.3g})"
        if row.target is not None:
            result = f"**{result}**" if ratio.median >= row.target else f"{result}, below"
        was = [before.get((row.case, row.side, row.peer), "")] if earlier else []
        cells = (row.case, row.side, row.peer, str(len(row.seconds)), target, result, *was, floor, ours, theirs)
        lines.append(f"| {' | '.join(cells)} |")
    lines += [*_memory(document), ""]
    lines += [f"- {note['stage']}: {note['note']}" for note in document["notes"]]
    return "\n".join(lines)


def _memory(document: dict[str, Any]) -> list[str]:
    """A line for each row that knows its peak of memory beside its file, for each case that knows its processes'."""
    lines, resident = [], {}
    for row in rows_of(document):
        facts = row.facts
        if "peak_bytes" in facts and "file_bytes" in facts:
            ours, theirs = (facts[name] / facts["file_bytes"] for name in ("peak_bytes", "peer_peak_bytes"))
            lines.append(f"\n{row.case}: peak memory {ours:.2f} × the file; {row.peer}: {theirs:.2f} ×.")
        if "resident_bytes" in facts:
            sides = resident.setdefault(row.case, {row.peer: facts["peer_resident_bytes"]})
            sides[row.side] = facts["resident_bytes"]
    for case, sides in resident.items():
        found = ", ".join(f"{side} {peak / 1e9:.2f}" for side, peak in sides.items())
        lines.append(f"\n{case}: peak of resident memory in GB, both libraries imported: {found}.")
    return lines


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    """Write the pictures that the document has data for; returns their paths."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= {
        "font.size": 9,
        "svg.fonttype": "none",
        "svg.hashsalt": "minift",  # the same document gives the same file
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    if rows := [row for row in rows_of(document) if row.target is not None] if "rows" in document else []:
        paths.append(_save(draw_ratios(rows), folder / "ratios.svg"))
    lines = defaultdict(list)
    for line in document.get("curves", []):
        lines[line["stage"], line["case"]].append(line)
    for (stage, case), sides in lines.items():
        paths.append(_save(draw_curves(case, sides), folder / f"loss-{stage}.svg"))
    if document.get("growth"):
        paths.append(_save(draw_growth(document["growth"]), folder / "growth.png"))  # as SVG it is far larger
    return paths


def _save(figure: Any, path: Path) -> Path:
    import matplotlib.pyplot as plt

    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    figure.savefig(path, bbox_inches="tight", dpi=72, metadata=metadata)
    plt.close(figure)
    return path


def draw_ratios(rows: list[Row]) -> Any:
    """A bar for every row with a target, its range, its target and its floor, on a logarithmic axis."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.27 * len(rows)))
    for place, row in enumerate(rows):
        ratio = row.ratio
        axes.barh(place, ratio.median - 1, left=1, color=BLUE if ratio.median >= row.target else ORANGE, height=0.6)
        axes.plot([ratio.low, ratio.high], [place, place], color=BLACK, linewidth=1)
        axes.plot([row.target] * 2, [place - 0.4, place + 0.4], color=BLACK, linewidth=2)
        if row.floor_ratio is not None:
            axes.plot(row.floor_ratio, place, marker="D", color=GREEN, markersize=5)
    axes.axvline(1, color=GREY, linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [f"{row.case} · {row.side}" for row in rows], fontsize=7.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if axes.get_xlim()[0] < tick < axes.get_xlim()[1]]
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("times as fast as the peer (line: range of the rounds)")
    handles = [
        *(plt.Rectangle((0, 0), 1, 1, color=color) for color in (BLUE, ORANGE)),
        *axes.plot([], [], color=BLACK, linewidth=2),
        *axes.plot([], [], color=GREEN, marker="D", linestyle=""),
    ]
    names = ["target reached", "below its target", "target", "floor"]
    axes.legend(handles, names, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    return figure


def draw_curves(case: str, sides: list[dict[str, Any]]) -> Any:
    """Loss over seconds, a line a side."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.2))
    for color, side in zip(SIDES, sides, strict=False):
        axes.plot(side["seconds"], side["loss"], color=color, label=side["side"], linewidth=1.6)
    axes.set(xlabel="seconds of training", ylabel="loss", title=case, xlim=(0, None))
    axes.title.set_fontsize(9)
    axes.legend(frameon=False)
    return figure


def draw_growth(series: list[dict[str, Any]]) -> Any:
    """Seconds over size for every kind of work, both axes logarithmic; a line a side."""
    import matplotlib.pyplot as plt

    works = list(dict.fromkeys(line["work"] for line in series))
    columns = min(4, len(works))
    figure, grid = plt.subplots(
        *(-(-len(works) // columns), columns),
        figsize=(2.6 * columns, 2.3 * -(-len(works) // columns)),
        squeeze=False,
        layout="constrained",
    )
    for axes, work in zip(grid.flat, works, strict=False):
        for line in (line for line in series if line["work"] == work):
            color = {"minift": BLUE, "minift, padding_free": ORANGE}.get(line["side"], GREY)
            label = f"{line['side']} (slope {growth.show_slope(line)})"
            axes.loglog(line["sizes"], line["seconds"], marker="o", markersize=3, color=color, label=label)
        axes.set_title(work, fontsize=8)
        axes.set_xlabel(next(line["size"] for line in series if line["work"] == work), fontsize=7)
        axes.tick_params(labelsize=7)
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=6)
    for axes in grid.flat[len(works) :]:
        axes.axis("off")
    grid[0, 0].set_ylabel("seconds", fontsize=7)
    return figure


if __name__ == "__main__":
    main()

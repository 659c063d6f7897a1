"""How cost grows: seconds and memory over rows, batches, lengths and parameters, beside the library's.

python -m benchmarks.growth --json growth.json; then python -m benchmarks.report growth.json
"""

import argparse
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np

from benchmarks.harness import Work, clock, show, warm_up
from benchmarks.options import add_options
from benchmarks.settings import Settings

SLOPE_OF = 3  # the largest sizes, between which the slope is taken: where the cost of a call alone has become small


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.growth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="sizes up to a hundredth")
    parser.add_argument("--work", nargs="+", help="only these, by the start of their names")
    add_options(parser)
    options = parser.parse_args()

    from benchmarks.__main__ import prepare_environment
    from benchmarks.machine import header
    from minift.files import write_json

    prepare_environment(options.threads)
    from benchmarks.growing import works

    command = "python -m benchmarks.growth" + (" --quick" if options.quick else "")
    document = {"command": command, "machine": header(options.threads), "growth": []}
    settings = Settings(options.quick, options.threads)
    asked = [work for work in works(settings) if not options.work or work.name.startswith(tuple(options.work))]
    if not asked:
        parser.error(f"--work {' '.join(options.work)}: no work begins like that")
    for work in asked:
        for line in measure(work, limit=settings.pick(quick=3.0, full=40.0)):
            document["growth"].append(line)
            print(describe(line), flush=True)
        if options.json:
            write_json(options.json, document)


def measure(work: Work, limit: float, repeats: int = 3) -> Iterator[dict[str, Any]]:
    """A line a side, timed in turns; it ends before the size that would take more than `limit` seconds, going by the
    last one in proportion."""
    from benchmarks.machine import peak_memory

    lines: dict[str, dict[str, Any]] = {}
    for size in work.sizes:
        sides = work.prepare(size)
        for name in sides:
            lines.setdefault(name, {"sizes": [], "seconds": [], "megabytes": []})
        sides = {name: run for name, run in sides.items() if _expected(lines[name], size) * (repeats + 2) <= limit}
        calls = {name: warm_up(run)[1] for name, run in sides.items()}
        rounds = [{name: clock(run, calls[name]) for name, run in sides.items()} for _ in range(repeats)]
        for name, run in sides.items():
            peak = rounds[-1][name].facts.get("peak_bytes")
            lines[name]["sizes"].append(size)
            lines[name]["seconds"].append(median(timed[name].seconds for timed in rounds))
            lines[name]["megabytes"].append((peak_memory(run) if peak is None else peak) / 1e6)
    for name, line in lines.items():
        yield {
            "work": work.name,
            "size": work.size,
            "side": name,
            "slope": slope(line["sizes"], line["seconds"]),
            **line,
        }


def _expected(line: dict[str, Any], size: int) -> float:
    """Seconds at `size`, in proportion to those before."""
    return line["seconds"][-1] * size / line["sizes"][-1] if line["sizes"] else 0.0


def slope(sizes: list[int], seconds: list[float]) -> float | None:
    """The exponent of growth over the largest sizes: 1 is linear, 2 is quadratic; None of a single size."""
    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(sizes[-SLOPE_OF:]), np.log(seconds[-SLOPE_OF:]), 1)[0])


def show_slope(line: dict[str, Any]) -> str:
    return "" if line["slope"] is None else f"{line['slope']:.2f}"


def describe(line: dict[str, Any]) -> str:
    points = ", ".join(
        f"{size:,}: {show(seconds)}, {megabytes:.0f} MB"
        for size, seconds, megabytes in zip(line["sizes"], line["seconds"], line["megabytes"], strict=True)
    )
    return f"{line['work']:<34} {line['side']:<24} slope {show_slope(line)}   {points}"


def table(document: dict[str, Any]) -> str:
    """The document as Markdown: a line a side, with its slope and its largest size."""
    lines = [
        f"`{document['command']}`",
        "",
        "| work | over | side | slope | largest size | seconds there | memory there |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for line in document["growth"]:
        size, seconds, megabytes = (line[name][-1] for name in ("sizes", "seconds", "megabytes"))
        row = (line["work"], line["size"], line["side"], show_slope(line), f"{size:,}", show(seconds))
        lines.append(f"| {' | '.join(row)} | {megabytes:.0f} MB |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""The report: a table and pictures from a small document, the same whenever they are made."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness import Row
from benchmarks.report import draw, table_of

ROOT = Path(__file__).resolve().parents[2]
MEMORY = {"peak_bytes": 3, "peer_peak_bytes": 6, "file_bytes": 2}
RESIDENT = {"resident_bytes": 1.5e9, "peer_resident_bytes": 2e9}
LINE = {"stage": "train", "case": "MRPC", "seconds": [1, 2], "loss": [0.7, 0.5]}
DOCUMENT = {
    "command": "python -m benchmarks --quick",
    "data": "generated data",
    "machine": {
        "python": "3.12",
        "system": "Linux",
        "cpu": "a processor",
        "cores": 2,
        "threads": 1,
        "gpu": None,
        "versions": {"torch": "2.13", "tensorflow": None},
    },
    "rates": {"copy": 13e9, "float32": 180e9, "bfloat16": 410e9},
    "rows": [
        Row("pad", "pad 8", "collator", "theirs", 5.0, [1e-3, 1e-3], [6e-3, 8e-3], [5e-4]).to_dict(),
        Row("load", "load", "map", "theirs", 2.0, [1.0], [1.5], [], MEMORY).to_dict(),
        Row("mask", "mask", "collator", "theirs", None, [1.0], [3.0]).to_dict(),
        Row("train", "MRPC", "plain", "Trainer", None, [1.0], [3.0], [], RESIDENT).to_dict(),
    ],
    "notes": [{"stage": "gpu", "note": "no GPU"}],
    "curves": [{"side": side, **LINE} for side in "ab"],
}
GROWTH = [
    {"work": "map", "size": "rows", "side": side, "sizes": [10, 100], "seconds": [1e-3, 1e-2], "slope": 1.0}
    for side in ("minift", "datasets")
]


def test_the_table():
    table = table_of(DOCUMENT)
    assert "`python -m benchmarks --quick`" in table
    assert "| pad 8 | collator | theirs | 2 | ≥ 5 | **7× (6–8)** | 14× | 1 ms | 7 ms |" in table
    assert "| load | map | theirs | 1 | ≥ 2 | 1.5× (1.5–1.5), below |  | 1 s | 1.5 s |" in table
    assert "| mask | collator | theirs | 1 |  | 3× (3–3) |  | 1 s | 3 s |" in table
    assert "peak memory 1.50 × the file; theirs: 3.00 ×" in table
    assert "MRPC: peak of resident memory in GB, both libraries imported: Trainer 2.00, plain 1.50." in table
    assert "- gpu: no GPU" in table
    assert "tensorflow" not in table


def test_the_table_beside_an_earlier_run():
    rows = [Row("pad", "pad 8", "collator", "theirs", 5.0, [1e-3], [4e-3], [5e-4]).to_dict()]
    table = table_of(DOCUMENT, DOCUMENT | {"rows": rows})
    head, rule, pad, load, *_ = (line for line in table.splitlines() if "|" in line)
    assert "| ratio (range) | earlier | at the floor |" in head
    assert "**7× (6–8)** | 4× | 14× |" in pad
    assert "below |  |  | 1 s |" in load
    assert {line.count("|") for line in (head, rule, pad, load)} == {11}


def test_the_pictures(tmp_path):
    first = draw(DOCUMENT | {"growth": GROWTH}, tmp_path / "a")
    again = draw(DOCUMENT | {"growth": GROWTH}, tmp_path / "b")
    assert [path.name for path in first] == ["ratios.svg", "loss-train.svg", "growth.png"]
    for path, other in zip(first, again, strict=True):
        assert path.read_bytes() == other.read_bytes()
        assert path.stat().st_size < 100_000
    assert "pad 8" in first[0].read_text()


@pytest.mark.long
def test_one_cheap_stage_from_the_command_line(tmp_path):
    file = tmp_path / "bench.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--stage", "metrics", "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.report", str(file), "--pictures", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "accuracy, F1 and Matthews" in made.stdout
    assert (tmp_path / "ratios.svg").is_file()

"""Run both sides, compare stage by stage, and report: a table for the reader, JSON for programs."""

import dataclasses
import logging
import math
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from minift import __version__
from minift.crosscheck.compare import Comparison, compare
from minift.crosscheck.job import BATCH_SIZE, LEARNING_RATE, MAX_GRAD_NORM, WEIGHT_DECAY, Job, Stage, stages
from minift.crosscheck.on_minift import run_minift
from minift.files import write_json
from minift.hub import local_copy

logger = logging.getLogger(__name__)

LIBRARIES = ("transformers", "datasets", "accelerate")


def crosscheck(job: Job, json_file: str | Path | None = None) -> bool:
    """Run `job` on both sides, print and write how they compare; return whether all stages are within tolerance."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise ImportError(
            f"crosscheck compares with {', '.join(LIBRARIES)}; not installed: {', '.join(missing)}. They come with "
            'pip install -e ".[crosscheck]"'
        )
    if json_file is not None and Path(json_file).is_dir():
        raise ValueError(f"--json {json_file} is a folder; expected the name of a file")
    # the libraries do not know MINIFT_HUB
    model, dataset = local_copy(job.model) or job.model, local_copy(job.dataset, "dataset") or job.dataset
    job = dataclasses.replace(job, model=str(model), dataset=str(dataset))
    threads = torch.get_num_threads()
    torch.set_num_threads(job.threads)
    try:
        with tempfile.TemporaryDirectory(prefix="minift-crosscheck-") as folder:
            logger.info("minift")
            task, ours = run_minift(job, f"{folder}/minift")
            logger.info("the libraries")
            # imported here: minift itself never needs them
            theirs = import_module("minift.crosscheck.on_libraries").run_libraries(job, task, f"{folder}/libraries")
    finally:
        torch.set_num_threads(threads)
    results = [(stage, compare(ours[stage.name], theirs[stage.name], stage.axes)) for stage in stages(job.task, task)]
    print(format_header(job))
    print(format_table(results))
    if json_file is not None:
        write_json(json_file, to_json(job, results))
    return all(is_within(stage, result) for stage, result in results)


def is_within(stage: Stage, result: Comparison) -> bool:
    return result.equal or (stage.tolerance > 0 and result.max_abs <= stage.tolerance)


def versions() -> dict[str, str]:
    others = {name: import_module(name).__version__ for name in (*LIBRARIES, "torch", "numpy", "tokenizers")}
    return {"minift": __version__, **others}


def format_header(job: Job) -> str:
    found = versions()
    theirs, common = (", ".join(f"{name} {found[name]}" for name in names) for names in (LIBRARIES, list(found)[4:]))
    config = f" ({job.config})" if job.config else ""
    return f"""\
minift {found["minift"]} against {theirs}; both on {common}
model {job.model}; data {job.dataset}{config}; {job.task}; seed {job.seed}; threads {job.threads}
{job.steps} steps of {BATCH_SIZE} rows, AdamW at {LEARNING_RATE}, weight decay {WEIGHT_DECAY}, \
warm-up {job.warmup_steps} steps, gradients clipped at {MAX_GRAD_NORM}, dropout on
"""


def format_table(results: list[tuple[Stage, Comparison]]) -> str:
    """Return a Markdown table with a row for each stage."""
    rows = [("stage", "values", "result", "tolerance", "")]
    for stage, result in results:
        verdict = "ok" if is_within(stage, result) else "differs"
        tolerance = f"{stage.tolerance:g}" if stage.tolerance else "none"
        rows.append((stage.name, f"{result.values:,}", describe(result), tolerance, verdict))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)


def describe(result: Comparison) -> str:
    if result.equal:
        return "equal to the bit"
    size = f"abs {result.max_abs:.2g}, rel {result.max_rel:.2g}; " if math.isfinite(result.max_abs) else ""
    return f"{size}first at {result.first}"


def to_json(job: Job, results: list[tuple[Stage, Comparison]]) -> dict[str, Any]:
    """Return the table and its header for programs; a difference that cannot be measured is null."""
    rows = []
    for stage, result in results:
        found = {name: None if value == math.inf else value for name, value in dataclasses.asdict(result).items()}
        verdict = {"tolerance": stage.tolerance, "ok": is_within(stage, result)}
        rows.append({"stage": stage.name, "compared": stage.what, **found, **verdict})
    header = {"versions": versions(), **dataclasses.asdict(job)}
    return {"header": header, "stages": rows, "ok": all(row["ok"] for row in rows)}

"""`minift crosscheck script.py`: the script on the libraries and on minift, compared event by event."""

import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from minift.crosscheck.compare import compare
from minift.crosscheck.job import Stage
from minift.crosscheck.observe import EVENTS_FILE, TENSORS_FILE
from minift.files import write_json

logger = logging.getLogger(__name__)

Event = tuple[str, Any]  # its kind, and its values
SIDES = ("minift", "libraries")
WIDTH = 100  # characters of a line
# what the first difference usually means
HINTS = {
    "weights at the start": "Was a head drawn before a seed was set? set_seed comes before the model.",
    "random state": "Something was drawn on one side only, or in another order: shuffling, masks, dropout.",
    "inputs": "Other rows, another order, another padding or other tokens.",
    "outputs": "The same weights and inputs give other numbers: the model, its mode or its precision.",
    "optimizer": "The libraries' Trainer takes torch's fused AdamW, unless optim='adamw_torch' is given.",
    "gradient norm": "Clipping, accumulation, or the loss that is differentiated.",
    "learning rate": "The schedule, its warm-up or its number of steps.",
    "weights after step 1": "The update itself: its formula, decay, or which weights decay.",
    "printed lines": "Only what is printed differs.",
}
TIMES = re.compile(r"runtime|per_second|it/s|s/it|\d+:\d\d|seconds|\bms\b")  # lines that differ from run to run
STAGES = [
    Stage("weights at the start", "every parameter of the model that is called first", ("event",)),
    Stage("random state", "of torch, numpy and Python, before each call of a model and each step", ("event",)),
    Stage("inputs", "every tensor that a model is called with", ("call",)),
    Stage("outputs", "every tensor that it returns: loss, logits", ("call",)),
    Stage("optimizer", "its groups and numbers, at the first step", ("event",)),
    Stage("gradient norm", "of each step, when the optimizer is called", ("step",)),
    Stage("learning rate", "of each step", ("step",)),
    Stage("weights after step 1", "every parameter of the model that was called last", ("event",)),
    Stage("weights at the end", "the same", ("event",)),
    Stage("printed lines", "standard output, without lines that tell a time", ("line",)),
]


def crosscheck_script(script: str, argv: Sequence[str], steps: int = 0, json_file: str | None = None) -> bool:
    """Run a script on both sides, print how they compare, and return whether everything is equal to the bit.

    Args:
        script: the file; it is run unmodified in the current folder, first on minift, then on the libraries. What it
            writes is there for the second run: one that goes on from its own checkpoints begins at another place.
        argv: its arguments.
        steps: optimizer steps after which both are stopped; 0 lets them run to their end.
        json_file: file to write the comparison to.

    Raises:
        FileNotFoundError: there is no such script.
        ChildProcessError: it fails on one of the sides; the message has the end of what it said.
    """
    if not Path(script).is_file():
        raise FileNotFoundError(f"{script}: no such script")
    seen = {}
    with tempfile.TemporaryDirectory(prefix="minift-crosscheck-") as folder:
        for side in SIDES:
            logger.info("%s", side)
            seen[side] = observe(side, Path(folder) / side, script, argv, steps)
    ours, theirs = (by_kind(seen[side]) for side in SIDES)
    results = [(stage, compare(ours[stage.name], theirs[stage.name], stage.axes)) for stage in STAGES]
    print(f"{script}: {len(ours['inputs'])} calls of a model, {len(ours['gradient norm'])} steps")
    for stage, result in results:
        said = "equal to the bit" if result.equal else f"differs: {result.first}"
        line = f"{stage.name:<22}{result.values:>12,}  {said}"
        print(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…")
    first = first_difference(*seen.values())
    if first is not None:
        print(f"first difference: {first}. {HINTS.get(first, '')}")
    if json_file is not None:
        rows = [{"stage": stage.name, "ok": result.equal, "first": result.first} for stage, result in results]
        write_json(json_file, {"script": script, "stages": rows, "ok": first is None})
    return first is None


def observe(side: str, folder: Path, script: str, argv: Sequence[str], steps: int) -> list[Event]:
    """Run the script on one side; return its events in their order, with their tensors, and what it printed."""
    folder.mkdir()
    command = [sys.executable, "-m", "minift.crosscheck.observe", side, str(folder), str(steps), script, *argv]
    environment = os.environ | {"PYTHONHASHSEED": "0", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise ChildProcessError(f"{script} fails on {side} with exit code {done.returncode}:\n{said}")
    tensors = load_file(folder / TENSORS_FILE)
    events = json.loads((folder / EVENTS_FILE).read_text(encoding="utf-8"))
    seen = [(kind, {name: unpacked(value, tensors) for name, value in values.items()}) for kind, values in events]
    return seen + [
        ("printed lines", line) for line in done.stdout.splitlines() if line.strip() and not TIMES.search(line)
    ]


def by_kind(events: list[Event]) -> dict[str, list[Any]]:
    return {stage.name: [values for kind, values in events if kind == stage.name] for stage in STAGES}


def first_difference(ours: list[Event], theirs: list[Event]) -> str | None:
    """Return the kind of the first event that differs, in the order of time: what follows differs because of it."""
    for (kind, values), (other, others) in zip(ours, theirs, strict=False):
        if kind != other or not compare(values, others).equal:
            return kind
    return None if len(ours) == len(theirs) else max(ours, theirs, key=len)[min(len(ours), len(theirs))][0]


def unpacked(value: Any, tensors: dict[str, Any]) -> Any:
    """Return the array that an event names, or the value itself; numpy has no bfloat16: float32 holds all of it."""
    if not (isinstance(value, dict) and value.keys() == {"tensor"}):
        return value
    tensor = tensors[value["tensor"]]
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()

"""Run a few lines of Python in a process of their own, where nothing has been imported or allocated before."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import Refused, Timed

ROOT = Path(__file__).resolve().parents[1]

# `start()` begins the measured part; `stop(made)` prints its seconds, its peak of resident memory above what was
# there at the start (bytes), and what it made, or what a function, called after that, makes of it.
PRELUDE = """
import json, time

def status(name):
    with open("/proc/self/status") as file:
        return next((int(line.split()[1]) * 1024 for line in file if line.startswith(name)), 0)

def start():
    global began, before
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak starts from here
    except OSError:
        pass
    before, began = status("VmRSS"), time.perf_counter()

def stop(made=None):
    seconds, peak = time.perf_counter() - began, status("VmHWM") - before
    print(json.dumps({"seconds": seconds, "peak": peak, "made": made() if callable(made) else made}))
"""


def run(code: str, *arguments: str) -> Timed:
    """Run `code`, which calls `start()` and `stop(made)`, with `arguments` in ``sys.argv[1:]``.

    Raises:
        Refused: the process failed; the end of what it printed says why.
    """
    search = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-c", PRELUDE + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": search})
    if done.returncode:
        raise Refused(f"a process ended with {done.returncode}: {done.stderr[-600:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return Timed(answer["seconds"], answer["made"], {"peak_bytes": answer["peak"]})


def missing(*modules: str) -> str | None:
    """A remark, if one of the modules is not there."""
    for name in modules:
        if importlib.util.find_spec(name) is None:
            return f"not measured: there is no {name}"
    return None


def script(module: str, *arguments: str) -> Any:
    """Run ``python -m module`` with ``--json FILE`` and return the document that it wrote, or why it wrote none.

    Raises:
        RuntimeError: the process failed.
    """
    from benchmarks.workloads import folder

    file = folder() / f"{module}.json"
    command = [sys.executable, "-m", module, *arguments, "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"python -m {module} ended with {done.returncode}: {done.stderr[-600:]}")
    return json.loads(file.read_text()) if file.exists() else done.stdout.strip()

"""A side in a process of its own that stays: its memory, its compiled code and its options are nobody else's."""

import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.__main__ import prepare_environment
from benchmarks.workloads import folder

_made: Any = None  # in the process apart: what `make` gave


class Apart:
    """What `make(*arguments)` gives, kept in another process; calling this calls that.

    Everything that goes there or comes back is pickled. The process starts at once, beside others, and ends where the
    ``with`` around it ends; an error there is raised by the next call here.
    """

    def __init__(self, threads: int, make: Callable[..., Any], *arguments: Any):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["benchmarks.training", "transformers.trainer"])  # imported once for all
        self._processes = ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(threads, folder()))
        self._start = self._processes.submit(_make, make, arguments)

    def __call__(self) -> Any:
        return self.ask("__call__")

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of what was made."""
        self._start.result()
        return self._processes.submit(_ask, method, arguments).result()

    def __enter__(self) -> "Apart":
        return self

    def __exit__(self, *error: Any) -> None:
        self._processes.shutdown()


def _prepare(threads: int, temporary: Path) -> None:
    tempfile.tempdir = str(temporary)  # goes when the parent ends
    prepare_environment(threads)


def _make(make: Callable[..., Any], arguments: tuple) -> None:
    global _made
    _made = make(*arguments)


def _ask(method: str, arguments: tuple) -> Any:
    return getattr(_made, method)(*arguments)

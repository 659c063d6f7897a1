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

    Everything that goes there or comes back is pickled. The process starts with the first call and ends with `close`;
    an error there is raised here.
    """

    def __init__(self, threads: int, make: Callable[..., Any], *arguments: Any):
        self._make, self._arguments = make, arguments
        self._processes = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(threads, folder())
        )

    def __call__(self) -> Any:
        return self.ask("__call__")

    def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of what was made."""
        return self._processes.submit(_ask, self._make, self._arguments, method, arguments).result()

    def close(self) -> None:
        self._processes.shutdown()


def _prepare(threads: int, temporary: Path) -> None:
    tempfile.tempdir = str(temporary)  # goes when the parent ends
    prepare_environment(threads)


def _ask(make: Callable[..., Any], made_of: tuple, method: str, arguments: tuple) -> Any:
    global _made
    _made = _made or make(*made_of)
    return getattr(_made, method)(*arguments)

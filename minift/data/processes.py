"""Work shared by processes: forks of this one that each do a part, and the ranks of a run, of which one does all."""

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

# of the `share_files` block: its folder, whether this process writes, and the numbers of the next calls of `map`
_shared: ContextVar[tuple[Path, bool, Iterator[int]] | None] = ContextVar("shared", default=None)


def in_parts(work: Callable[[range, int | None], Any], num_rows: int, num_proc: int | None) -> list[Any]:
    """Call ``work(rows, rank)`` for all rows here, or for contiguous parts in a process each; results in order.

    A fork inherits `work`, so that lambdas and closures need no pickling; only results are pickled. Raises the first
    error of a process, with that process's traceback as a note, or a RuntimeError that names the rows of a process that
    died.
    """
    if num_proc is None:
        return [work(range(num_rows), None)]
    if num_proc < 1:
        raise ValueError(f"num_proc={num_proc}: expected at least 1, or None")
    numbers = np.array_split(np.arange(num_rows), min(num_proc, num_rows))
    parts = [range(part[0], part[-1] + 1) for part in numbers]
    return _in_processes(work, parts) if len(parts) > 1 else [work(parts[0], 0)]


def _in_processes(work: Callable[[range, int | None], Any], parts: Sequence[range]) -> list[Any]:
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError("num_proc needs a system that can fork processes; leave it out")
    fork = multiprocessing.get_context("fork")
    started = []
    try:
        for rank, rows in enumerate(parts):
            pipe, far_end = fork.Pipe(duplex=False)
            process = fork.Process(target=_answer, args=(far_end, work, rows, rank))
            process.start()
            far_end.close()  # now only the process holds it: when the process dies, reading from the pipe ends
            started.append((process, pipe))
        return [_receive(process, pipe, rows) for (process, pipe), rows in zip(started, parts, strict=True)]
    except BaseException:
        for process, _ in started:
            process.kill()
        raise
    finally:
        for process, _ in started:
            process.join()


def _answer(pipe: Connection, work: Callable[[range, int | None], Any], rows: range, rank: int) -> None:
    """Send the result and no error, or no result and the error."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads did not survive the fork: it would wait for ever
    try:
        pipe.send((work(rows, rank), None))
    except BaseException as error:
        error.add_note(f"in a process of its own:\n{traceback.format_exc()}")
        try:
            copy(error)  # can it be made anew from its arguments, as the other end will do?
            pipe.send((None, error))
        except Exception:  # it cannot travel: its type and message
            pipe.send((None, RuntimeError(f"{type(error).__name__}: {error}")))


def _receive(process: Any, pipe: Connection, rows: range) -> Any:
    try:
        result, error = pipe.recv()
    except EOFError:
        process.join()
        name = f"rows {rows.start} to {rows.stop - 1}"
        raise RuntimeError(f"the process for {name} died with exit code {process.exitcode}") from None
    if error is not None:
        raise error
    return result


@contextmanager
def share_files(folder: str | Path, writes: bool) -> Iterator[None]:
    """In the `with` block, `map` writes its results to `folder` (`writes`), or reads the results that it finds there.

    All processes must call `map` in the same order. If the folder is on another machine, nothing is shared.
    """
    token = _shared.set((Path(folder), writes, count()) if Path(folder).is_dir() else None)
    try:
        yield
    finally:
        _shared.reset(token)


def next_shared_file() -> tuple[Path, bool] | None:
    """The file of this call of `map`, and whether this process writes it; None outside of a `share_files` block."""
    shared = _shared.get()
    if shared is None:
        return None
    folder, writes, numbers = shared
    return folder / f"{next(numbers)}.arrow", writes

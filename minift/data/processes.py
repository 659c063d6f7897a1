"""Work shared by several processes: each is a fork of this one, and sends back what it returns or raises."""

import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any


def in_processes(work: Callable[..., Any], parts: Sequence[tuple], names: Sequence[str]) -> list[Any]:
    """Call ``work(*part)`` in a process of its own for each part; return the results in the order of the parts.

    A fork inherits `work` and its part, so that lambdas and closures need no pickling; only results are pickled.

    Raises:
        Exception: the first error of a process, with the process's traceback as a note.
        RuntimeError: a process died before it could answer; the message gives its name of `names`.
        ValueError: this system cannot fork.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError("num_proc needs a system that can fork processes; leave it out")
    fork = multiprocessing.get_context("fork")
    started = []
    try:
        for part in parts:
            pipe, far_end = fork.Pipe(duplex=False)
            process = fork.Process(target=_answer, args=(far_end, work, part))
            process.start()
            far_end.close()  # now only the process holds it: when the process dies, reading from the pipe ends
            started.append((process, pipe))
        return [_receive(process, pipe, name) for (process, pipe), name in zip(started, names, strict=True)]
    except BaseException:
        for process, _ in started:
            process.kill()
        raise
    finally:
        for process, _ in started:
            process.join()


def _answer(pipe: Connection, work: Callable[..., Any], part: tuple) -> None:
    """Send the result and no error, or no result and the error."""
    try:
        pipe.send((work(*part), None))
    except BaseException as error:
        error.add_note(f"in a process of its own:\n{traceback.format_exc()}")
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an error that cannot be pickled: its type and message
            error = RuntimeError(f"{type(error).__name__}: {error}")
        pipe.send((None, error))


def _receive(process: Any, pipe: Connection, name: str) -> Any:
    try:
        result, error = pipe.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the process for {name} died with exit code {process.exitcode}") from None
    if error is not None:
        raise error
    return result

"""Work shared by several processes: each is a fork of this one, and sends back what it returns or raises."""

import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any


def in_processes(work: Callable[[Any], Any], parts: Sequence[Any], name: Callable[[Any], str]) -> list[Any]:
    """Call ``work(part)`` in a process of its own for each part; return the results in the order of the parts.

    A forked process inherits `work` and its part, so that lambdas and closures need no pickling; results are pickled.
    The first process that fails ends all others.

    Args:
        name: names a part, for the message that its process died.

    Raises:
        Exception: whatever `work` raises, with the process's traceback as a note.
        RuntimeError: a process died (killed, out of memory, crashed) before it could answer.
        ValueError: this system cannot fork.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError("num_proc needs a system that can fork processes; leave it out")
    fork = multiprocessing.get_context("fork")
    processes: list[BaseProcess] = []
    pipes: list[Connection] = []
    answers: dict[Connection, Any] = {}
    try:
        for part in parts:
            pipe, far_end = fork.Pipe(duplex=False)
            process = fork.Process(target=_answer, args=(work, part, far_end))
            process.start()
            far_end.close()  # now only the process holds it: when the process dies, reading from the pipe ends
            processes.append(process)
            pipes.append(pipe)
        while len(answers) < len(parts):
            for pipe in wait([pipe for pipe in pipes if pipe not in answers]):
                place = pipes.index(pipe)
                answers[pipe] = _receive(pipe, processes[place], name(parts[place]))
    except BaseException:
        for process in processes:
            process.kill()
        raise
    finally:
        for process in processes:
            process.join()
    return [answers[pipe] for pipe in pipes]


def _answer(work: Callable[[Any], Any], part: Any, pipe: Connection) -> None:
    """What a process does."""
    try:
        pipe.send((work(part), None))
    except BaseException as error:
        error.add_note(f"in a process of its own:\n{traceback.format_exc()}")
        pipe.send((None, _as_it_travels(error)))


def _as_it_travels(error: BaseException) -> BaseException:
    """The error, or a RuntimeError with its type and message if the error cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _receive(pipe: Connection, process: BaseProcess, name: str) -> Any:
    try:
        result, error = pipe.recv()
    except EOFError:
        process.join()
        raise RuntimeError(
            f"the process for {name} died with exit code {process.exitcode} before it was done"
        ) from None
    if error is not None:
        raise error
    return result

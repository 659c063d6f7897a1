"""Is an answer right? It is compared with minift's own function, in a process of its own, on many inputs."""

import copy
import json
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from minift.tour.exercise import Exercise

CASES = 40
SECONDS = 60.0  # after which an answer is said to hang


def check(name: str, file: Path, seconds: float = SECONDS) -> dict[str, Any]:
    """Check an answer, the function in `file`; a crash or a hang is a result, and hurts nobody.

    Returns ``passed``; where it is False, ``why`` in one line and, if outputs differ, ``where`` with input, expected
    and given, and ``smells_like``, what the mistake may be.
    """
    command = [sys.executable, "-m", "minift.tour.check", name, str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"passed": False, "why": f"no answer within {seconds:g} seconds: a loop that does not end?"}
    lines = done.stdout.splitlines()
    if done.returncode != 0 or not lines:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        return {"passed": False, "why": f"the process ended with {done.returncode}: {last}"}
    return json.loads(lines[-1])


def compare(exercise: Exercise, answer: Callable) -> dict[str, Any]:
    """Call the answer and minift's own function on the same inputs; tell where they first differ."""
    right = exercise.right()
    for number in range(CASES):
        expected = outcome(right, exercise.cases(number))
        given = outcome(answer, exercise.cases(number))
        if same(expected, given):
            continue
        failed = range(number, number + 1)
        smells_like = smell(exercise, answer, range(CASES)) or smell(exercise, answer, failed)
        if isinstance(given, BaseException) and not isinstance(expected, BaseException):
            return {"passed": False, "why": raised(given), "smells_like": smells_like}
        why = f"input {number} of {CASES} gives something else"
        where = {"input": ", ".join(map(shown, exercise.cases(number))), "first": difference(expected, given)}
        return {"passed": False, "why": why, "where": where, "smells_like": smells_like}
    return {"passed": True}


def smell(exercise: Exercise, answer: Callable, numbers: range) -> str | None:
    """Return the smell of the known mistake that gives the same as the answer on these inputs; None: it is another."""
    for mistake in exercise.mistakes:
        wrong = exercise.wrong(mistake)
        if all(same(outcome(wrong, exercise.cases(n)), outcome(answer, exercise.cases(n))) for n in numbers):
            return mistake.smells_like
    return None


def outcome(function: Callable, arguments: tuple) -> Any:
    """Return what a call gives, and what it has made of its arguments; or the exception that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with torch.no_grad():
                result = function(*arguments)
            result = list(result) if isinstance(result, Iterator) else result
        except Exception as error:
            return error
    changed = [value for value in arguments if isinstance(value, torch.Tensor | np.ndarray)]
    return copy.deepcopy((result, changed))


def same(a: Any, b: Any) -> bool:
    """Tell whether two outcomes are equal, floats to 1e-5; of exceptions their types."""
    if isinstance(a, BaseException) or isinstance(b, BaseException):
        return type(a) is type(b)
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return a.shape == b.shape and torch.allclose(a.double(), b.double(), atol=1e-5, equal_nan=True)
    if isinstance(a, pa.Array) and isinstance(b, pa.Array):
        return a.to_pylist() == b.to_pylist()
    if isinstance(a, np.ndarray | float | int) and isinstance(b, np.ndarray | float | int):
        a, b = np.asarray(a), np.asarray(b)
        return a.shape == b.shape and np.allclose(a.astype(float), b.astype(float), atol=1e-5, equal_nan=True)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def difference(expected: Any, given: Any, place: str = "") -> str:
    """Say where two outcomes first differ, and what stands there."""
    arrays = [np.asarray(x) for x in (expected, given) if isinstance(x, torch.Tensor | np.ndarray)]
    if len(arrays) == 2 and arrays[0].shape == arrays[1].shape:
        near = np.isclose(arrays[0].astype(float), arrays[1].astype(float), atol=1e-5, equal_nan=True)
        first = np.argwhere(~near)[0]
        a, b = (array[tuple(first)] for array in arrays)
        return f"{place}{first.tolist()}: expected {a:.5g}, given {b:.5g}; {(~near).sum()} of {near.size} differ"
    if isinstance(expected, list | tuple) and isinstance(given, list | tuple) and len(expected) == len(given):
        for number, (a, b) in enumerate(zip(expected, given, strict=True)):
            if not same(a, b):
                return difference(a, b, place if number == 0 else f"{place}part {number} ")
    return f"{place}expected {shown(expected)}, given {shown(given)}"


def shown(value: Any) -> str:
    """Write a value in one line: of an array its shape, of other things the first 120 letters."""
    if isinstance(value, BaseException):
        return raised(value)
    if isinstance(value, torch.Tensor | np.ndarray) and np.asarray(value).size > 8:
        return f"{type(value).__name__} {tuple(value.shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 120 else f"{text[:117]}…"


def raised(error: BaseException) -> str:
    """Write an exception, and the line of the answer that raised it."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "minift" not in frame.filename]
    place = f" (line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def load(file: Path, name: str) -> Callable:
    """Import the learner's file, and return the function of this name."""
    spec = spec_from_file_location("answer", file)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, name):
        raise AttributeError(f"{file} defines no function {name!r}")
    return getattr(module, name)


def main() -> None:
    from minift.tour.exercises import BY_NAME

    exercise = BY_NAME[sys.argv[1]]
    try:
        answer = load(Path(sys.argv[2]), exercise.path.rpartition(".")[2])
        result = compare(exercise, answer)
    except Exception as error:
        result = {"passed": False, "why": raised(error)}
    print(json.dumps(result, default=str))


if __name__ == "__main__":
    main()

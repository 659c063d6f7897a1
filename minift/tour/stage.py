"""What a stage of the tour is: a paragraph, shapes, facts, pictures of numbers, and the source lines that ran."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minift

ROOT = Path(minift.__file__).parent.parent
MOST = 24  # rows and columns of a picture


class Picture(NamedTuple):
    """Numbers (R, C) to be shown as shades, with names of the rows and of the columns."""

    title: str
    numbers: np.ndarray
    rows: Sequence[str]
    columns: Sequence[str]


class Source(NamedTuple):
    """Lines of a file."""

    file: str
    line: int
    text: str


@dataclass
class Stage:
    name: str  # for --stage
    title: str
    text: str
    shape: str
    facts: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    functions: list[Callable] = field(default_factory=list)  # that ran

    @property
    def sources(self) -> list[Source]:
        """The functions as they stand in the files now."""
        found = []
        for function in self.functions:
            lines, first = inspect.getsourcelines(function)
            file = Path(inspect.getsourcefile(function)).relative_to(ROOT).as_posix()
            found.append(Source(file, first, "".join(lines).rstrip()))
        return found


def picture(
    title: str, values: Any, rows: Sequence[str] | None = None, columns: Sequence[str] | None = None
) -> Picture:
    """Make a picture of a tensor (R, C), of at most MOST rows and columns."""
    numbers = np.asarray(values.detach() if hasattr(values, "detach") else values, dtype=float)[:MOST, :MOST]
    rows = [str(i) for i in range(len(numbers))] if rows is None else list(rows)[:MOST]
    columns = [str(i) for i in range(numbers.shape[1])] if columns is None else list(columns)[:MOST]
    return Picture(title, numbers, rows, columns)

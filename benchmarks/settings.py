"""How much is measured."""

from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """What the command line asks for; `quick` takes fewer rows, steps and rounds."""

    quick: bool = False
    threads: int = 1

    @property
    def repeats(self) -> int:
        return self.pick(quick=3, full=7)

    def pick(self, *, quick: T, full: T) -> T:
        return quick if self.quick else full

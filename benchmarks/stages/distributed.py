"""Two ranks on one machine: `python -m benchmarks.distributed`, a script of its own because it starts processes."""

from collections.abc import Iterator

from benchmarks.harness import Row
from benchmarks.outside import rows_of
from benchmarks.settings import Settings


def cases(settings: Settings) -> Iterator[Row | str]:
    yield from rows_of("distributed", "benchmarks.distributed", settings)

"""The TensorFlow path: `python -m benchmarks.tensorflow_fit`. A process of its own keeps torch away."""

from collections.abc import Iterator

from benchmarks.harness import Row
from benchmarks.outside import rows_of
from benchmarks.settings import Settings


def cases(settings: Settings) -> Iterator[Row | str]:
    yield from rows_of("tensorflow_fit", "benchmarks.tensorflow_fit", settings, needs="tensorflow")

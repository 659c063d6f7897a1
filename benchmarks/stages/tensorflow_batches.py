"""The TensorFlow path: `python -m benchmarks.tensorflow_batches`. A process of its own keeps torch away."""

from collections.abc import Iterator

from benchmarks.harness import Row
from benchmarks.outside import rows_of
from benchmarks.settings import Settings


def cases(settings: Settings) -> Iterator[Row | str]:
    yield from rows_of("tensorflow_batches", "benchmarks.tensorflow_batches", settings, needs="tensorflow")

"""The TensorFlow path: `python -m benchmarks.tensorflow_batches`, a process of its own so that torch's threads stay away."""

from collections.abc import Iterator

from benchmarks.harness import Row
from benchmarks.outside import rows_of
from benchmarks.settings import Settings


def cases(settings: Settings) -> Iterator[Row | str]:
    yield from rows_of("tensorflow_batches", "benchmarks.tensorflow_batches", settings, needs="tensorflow")

"""Batches for Keras, from `python -m benchmarks.tensorflow_batches`: a process without this one's torch."""

from collections.abc import Iterator

from benchmarks import child
from benchmarks.harness import Row
from benchmarks.settings import Settings


def cases(settings: Settings) -> Iterator[Row | str]:
    if remark := child.missing("tensorflow"):
        yield remark
        return
    document = child.script("benchmarks.tensorflow_batches", "--repeats", str(settings.repeats))
    if isinstance(document, str):
        yield document
        return
    seconds = {name: [time / 1e3 for time in times] for name, times in document["milliseconds"].items()}
    sides = "minift", "datasets.to_tf_dataset", document["target"]
    name = f"TensorFlow batches of {document['batch_size']}"
    yield Row("tensorflow_batches", name, *sides, seconds["minift"], seconds["datasets"])

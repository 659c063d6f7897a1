"""Keras' fit, from `python -m benchmarks.tensorflow_fit`, which needs an environment with an older transformers."""

import os
from collections.abc import Iterator

from benchmarks import child
from benchmarks.harness import Row
from benchmarks.settings import Settings

ENVIRONMENT = "MINIFT_TF_ENVIRONMENT"


def cases(settings: Settings) -> Iterator[Row | str]:
    if remark := child.missing("tensorflow"):
        yield remark
        return
    if settings.quick or ENVIRONMENT not in os.environ:
        yield (
            f"not measured: without --quick, and with {ENVIRONMENT} set to a folder, transformers 4.57 (the last one "
            "with TensorFlow) is installed there, about 2 GB, and fit is measured beside it"
        )
        return
    options = "--environment", os.environ[ENVIRONMENT], "--threads", str(settings.threads)
    document = child.script("benchmarks.tensorflow_fit", *options)
    if isinstance(document, str):
        yield document
        return
    seconds = {name: [1 / speed for speed in speeds] for name, speeds in document["steps_per_second"].items()}
    for peer, target in (("transformers tf", document["target"]), ("minift torch", None)):
        row = "step of fit, MRPC, MiniLM, batch 8", "minift in Keras 3", peer, target
        yield Row("tensorflow_fit", *row, seconds["minift tf"], seconds[peer])

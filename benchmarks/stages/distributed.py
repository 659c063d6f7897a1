"""Two ranks on one machine, from `python -m benchmarks.distributed`, which starts their processes."""

from collections.abc import Iterator

from benchmarks import child
from benchmarks.harness import Row
from benchmarks.settings import Settings

BATCH = 8


def cases(settings: Settings) -> Iterator[Row | str]:
    if settings.quick:
        yield "left out of --quick: python -m benchmarks.distributed"
        return
    document = child.script("benchmarks.distributed", "--batch_size", str(BATCH))
    if isinstance(document, str):
        yield document
    else:
        rounds = document["rounds"]
        peer = rounds[f"transformers {BATCH}"]
        for kind in ("naive", "bucketed", "overlapped", "sharded"):
            target = 1.0 if kind == "overlapped" else None
            name = f"two ranks, MRPC, MiniLM, batch {BATCH} each"
            yield Row("distributed", name, kind, "accelerate, DDP", target, rounds[f"{kind} {BATCH}"], peer)

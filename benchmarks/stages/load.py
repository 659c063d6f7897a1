"""A checkpoint to a model: from_pretrained in fresh processes, its seconds and its peak of memory."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks import child, workloads
from benchmarks.checks import close
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings

# What is made: the sum of the parameters' absolute values. To take it is to read them all; for "read" that counts.
CODE = """
import gc, sys, torch
torch.set_num_threads(int(sys.argv[3]))
{imports}
AutoModelForMaskedLM.from_pretrained(sys.argv[1])  # brings in what is imported at the first use
gc.collect()
start()
model = AutoModelForMaskedLM.from_pretrained(sys.argv[1])
def total():
    with torch.no_grad():
        return sum(parameter.abs().sum(dtype=torch.float64).item() for parameter in model.parameters())
stop(total() if sys.argv[2] == "read" else total)
"""
THEIRS = CODE.format(
    imports="from transformers import AutoModelForMaskedLM\nfrom transformers.utils import logging\n"
    "logging.disable_progress_bar(); logging.set_verbosity_error()"
)
OURS = CODE.format(imports="from minift.model.auto import AutoModelForMaskedLM")


def cases(settings: Settings) -> Iterator[Case]:
    folder = workloads.checkpoint("bert")
    size = (folder / "model.safetensors").stat().st_size
    ways = [("load BERT-base", "load"), ("load BERT-base and read every parameter", "read")]
    for what, how in ways[: settings.pick(quick=1, full=2)]:
        arguments = str(folder), how, str(settings.threads)
        yield Case(
            what,
            Side("from_pretrained", lambda a=arguments: child.run(THEIRS, *a)),
            [
                Side(
                    "from_pretrained",
                    lambda a=arguments: child.run(OURS, *a),
                    close(1e-9),
                    target=2 if how == "load" else None,
                    floor=partial(read, folder / "model.safetensors") if how == "read" else None,
                )
            ],
            repeats=settings.pick(quick=1, full=5),
            facts={"file_bytes": size, "memory": "peak_bytes, target 1.15 × file_bytes"} if how == "read" else {},
        )


def read(file: Path) -> None:
    with open(file, "rb") as handle:
        buffer = bytearray(1 << 24)
        while handle.readinto(buffer):
            pass

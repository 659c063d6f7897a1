"""The training stages on a GPU in bf16: minift's fast path beside transformers' Trainer with its best settings."""

from collections.abc import Iterator

import torch

from benchmarks import workloads
from benchmarks.harness import Case
from benchmarks.settings import Settings
from benchmarks.stages.classification import classify
from benchmarks.stages.masked import masked
from benchmarks.training import FAST, FAST_MASKED, Variant, compare

BF16 = {"bf16": True}
COMPILED = {"torch_compile": True}
# of the peer's options, what was fastest: its fused optimizer (its default), bf16, and compiled, in turn
PEERS = (
    Variant("transformers Trainer, bf16", BF16),
    Variant("transformers Trainer, bf16, compiled", BF16 | COMPILED),
)


def cases(settings: Settings) -> Iterator[Case | str]:
    if not torch.cuda.is_available():
        yield "no GPU"
        return
    steps = settings.pick(quick=20, full=60)
    jobs = []
    for batch in (32, 64):
        rows = workloads.tokenised_sentences(batch * steps * 4)
        jobs.append((f"short sentences, MiniLM, batch {batch}", classify(rows, batch, "cuda"), FAST, 2.0))
        blocks = masked(workloads.checkpoint("distilbert"), batch, "cuda", reviews=batch * steps)
        jobs.append((f"masked, DistilBERT, batch {batch} × 128", blocks, FAST_MASKED, 1.3))
    for peer in PEERS[: settings.pick(quick=1, full=2)]:
        for name, job, fast, target in jobs:
            variants = [
                Variant("plain, bf16", BF16, 1.0, tolerance=0.05),
                Variant("fast, bf16", fast | BF16, target, tolerance=0.05),
            ]
            if not settings.quick:
                variants.append(Variant("fast, bf16, compiled", fast | BF16 | COMPILED, target, tolerance=0.05))
            yield from compare(name, job, variants, settings, steps, peer)

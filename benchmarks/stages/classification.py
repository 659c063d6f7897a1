"""Fine-tuning a classifier: steps of minift's Trainer, plain and fast, beside steps of transformers' Trainer."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import workloads
from benchmarks.harness import Case
from benchmarks.settings import Settings
from benchmarks.training import FAST, FUSED, Job, Variant, compare, curves
from minift.data.dataset import Dataset


def cases(settings: Settings) -> Iterator[Case | dict]:
    pairs = classify(workloads.tokenised_pairs().shuffle(seed=0), batch=8)
    short = classify(workloads.tokenised_sentences(4_000), batch=32)
    steps, name = settings.pick(quick=3, full=8), "MRPC, MiniLM, batch 8"
    plain, fast, fast_bf16 = variants(1.25, 2.2)
    on_pairs = settings.pick(quick=[plain, fast_bf16], full=[plain, fast, fast_bf16, *alone()])
    yield from compare(name, pairs, on_pairs, settings, steps)
    factor = short.padding_factor()
    plain, fast, fast_bf16 = variants(factor, 1.6 * factor)
    on_short = settings.pick(quick=[fast], full=[plain, fast, fast_bf16])
    yield from compare("short sentences, MiniLM, batch 32", short, on_short, settings, steps)
    if not settings.quick:
        yield from curves(name, pairs, FAST, settings, steps=60, every=10)


def variants(fast: float, fast_bf16: float) -> list[Variant]:
    """The plain path, and the fast one in both precisions with these targets."""
    return [
        Variant("plain", target=1.0),
        Variant("fast, fp32", FAST, fast),
        Variant("fast, bf16", FAST | {"bf16": True}, fast_bf16, tolerance=0.05),
    ]


def alone() -> list[Variant]:
    """What each option gives by itself; clipping in the update needs the fused kernel."""
    options = [{name: value} for name, value in FAST.items()] + [{"torch_compile": True}, {"bf16": True}]
    options = [option | (FUSED if "clip_in_update" in option else {}) for option in options]
    return [Variant(", ".join(option), option, tolerance=0.05 if "bf16" in option else 1e-4) for option in options]


def classify(rows: Dataset, batch: int, device: str = "cpu", path: Path | None = None) -> Job:
    return Job(path or workloads.minilm(), "SequenceClassification", rows, batch, device=device)

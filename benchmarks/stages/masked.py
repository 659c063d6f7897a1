"""Masked language modelling: steps of minift's Trainer, plain and fast, beside steps of transformers' Trainer."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks import workloads
from benchmarks.harness import Case
from benchmarks.settings import Settings
from benchmarks.training import FAST_MASKED, Job, Variant, compare, curves
from minift.batches.chunk import chunk_dataset

LENGTH = 128
LABELLED = 0.15


def cases(settings: Settings) -> Iterator[Case | dict]:
    batch = settings.pick(quick=4, full=16)
    name, path = "DistilBERT", workloads.checkpoint("distilbert")
    if settings.quick:
        name, path = "MiniLM", workloads.minilm()
    job = masked(path, batch)
    variants = [
        Variant("plain", target=1.0),
        Variant("fast, bf16", FAST_MASKED | {"bf16": True}, 2.4, tolerance=0.05),
    ]
    if not settings.quick:
        variants.insert(1, Variant("fast, fp32", FAST_MASKED, 1.35))
        variants.append(Variant("sparse_mlm_head", {"sparse_mlm_head": True}))
    yield from compare(f"masked language model, {name}, batch {batch} × {LENGTH}", job, variants, settings, steps=2)
    if not settings.quick:
        small = masked(workloads.minilm(), 8)
        name = "masked language model, MiniLM, batch 8 × 128"
        yield from curves(name, small, FAST_MASKED, settings, steps=40, every=4)


def masked(path: Path, batch: int, device: str = "cpu", reviews: int = 1500) -> Job:
    """Blocks of the first `reviews`, more than two from each on average."""
    rows = chunk_dataset(workloads.tokenised_reviews(reviews, word_ids=False), LENGTH)
    return Job(path, "MaskedLM", rows, batch, LABELLED, device)

"""Masked language modelling: steps of minift's Trainer, plain and fast, beside steps of transformers' Trainer."""

from collections.abc import Iterator
from typing import Any

import minift
from benchmarks import workloads
from benchmarks.harness import Case
from benchmarks.settings import Settings
from benchmarks.training import FAST_MASKED, Job, Variant, case, curve
from minift.data.chunk import chunk_dataset

LENGTH = 128
LABELLED = 0.15


def cases(settings: Settings) -> Iterator[Case | dict]:
    import transformers

    batch = settings.pick(quick=4, full=16)
    name, path = "DistilBERT", workloads.checkpoint("distilbert")
    if settings.quick:
        name, path = "MiniLM", workloads.minilm()
    job = masked(path, batch)
    variants = [
        Variant("plain", target=1.0),
        Variant("fast, fp32", FAST_MASKED, 1.35),
        Variant("fast, bf16", FAST_MASKED | {"bf16": True}, 2.4, tolerance=0.05),
    ]
    if not settings.quick:
        variants.append(Variant("sparse_mlm_head", {"sparse_mlm_head": True}))
    yield case(f"masked language model, {name}, batch {batch} × {LENGTH}", job, variants, settings, steps=2)
    if not settings.quick:
        sides = {
            "transformers Trainer": (transformers, {}),
            "minift, plain": (minift, {}),
            "minift, fast, bf16": (minift, FAST_MASKED | {"bf16": True}),
        }
        small = masked(workloads.minilm(), 8)
        for line in curve(small, sides, steps=40, every=4):
            yield {"case": "masked language model, MiniLM, batch 8 × 128: training loss", **line}


def masked(path: Any, batch: int, device: str = "cpu", reviews: int = 1500) -> Job:
    """Blocks of the first `reviews`, more than two from each on average."""

    def collator(library: Any, tokenizer: Any) -> Any:
        return library.DataCollatorForLanguageModeling(tokenizer, mlm_probability=LABELLED)

    rows = chunk_dataset(workloads.tokenised_reviews(reviews, word_ids=False), LENGTH)
    return Job(path, "MaskedLM", rows, batch, collator, LABELLED, device)

"""Fine-tuning a classifier: steps of minift's Trainer, plain and fast, beside steps of transformers' Trainer."""

from collections.abc import Iterator
from typing import Any

import minift
from benchmarks import workloads
from benchmarks.harness import Case
from benchmarks.settings import Settings
from benchmarks.training import FAST, Job, Variant, case, curve


def cases(settings: Settings) -> Iterator[Case | dict]:
    import transformers

    steps = settings.pick(quick=6, full=14)
    pairs = classify(workloads.tokenised_pairs().shuffle(seed=0), batch=8)
    short = classify(workloads.tokenised_sentences(4_000), batch=32)
    yield case("MRPC, MiniLM, batch 8", pairs, variants(1.25, 2.2), settings, steps)
    measured = case("short sentences, MiniLM, batch 32", short, [], settings, steps)
    factor = measured.facts["padding_factor"]
    yield case("short sentences, MiniLM, batch 32", short, variants(factor, 1.6 * factor), settings, steps)
    sides = {
        "transformers Trainer": (transformers, {}),
        "minift, plain": (minift, {}),
        "minift, fast, bf16": (minift, FAST | {"bf16": True}),
    }
    every = settings.pick(quick=4, full=10)
    for line in curve(pairs, sides, steps=settings.pick(quick=12, full=150), every=every):
        yield {"case": "MRPC, MiniLM, batch 8: training loss", **line}


def variants(fast: float, fast_bf16: float) -> list[Variant]:
    return [
        Variant("plain", target=1.0),
        Variant("padding_free", {"padding_free": True}),
        Variant("fast, fp32", FAST, fast),
        Variant("bf16", {"bf16": True}, tolerance=0.05),
        Variant("fast, bf16", FAST | {"bf16": True}, fast_bf16, tolerance=0.05),
    ]


def classify(rows: Any, batch: int, device: str = "cpu", path: Any = None) -> Job:
    def collator(library: Any, tokenizer: Any) -> Any:
        return library.DataCollatorWithPadding(tokenizer)

    return Job(path or workloads.minilm(), "SequenceClassification", rows, batch, collator, device=device)

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

    steps = settings.pick(quick=4, full=12)
    pairs = classify(workloads.tokenised_pairs().shuffle(seed=0), batch=8)
    short = classify(workloads.tokenised_sentences(4_000), batch=32)
    yield case("MRPC, MiniLM, batch 8", pairs, variants(settings, 1.25, 2.2), settings, steps)
    factor = short.padding_factor()
    yield case("short sentences, MiniLM, batch 32", short, variants(settings, factor, 1.6 * factor), settings, steps)
    sides = {
        "transformers Trainer": (transformers, {}),
        "minift, plain": (minift, {}),
        "minift, fast, bf16": (minift, FAST | {"bf16": True}),
    }
    every = settings.pick(quick=4, full=10)
    for line in curve(pairs, sides, steps=settings.pick(quick=12, full=100), every=every):
        yield {"case": "MRPC, MiniLM, batch 8: training loss", **line}


def variants(settings: Settings, fast: float, fast_bf16: float) -> list[Variant]:
    """The plain path, the fast one in both precisions, and (not `quick`) what each option gives alone."""
    found = [
        Variant("plain", target=1.0),
        Variant("fast, fp32", FAST, fast),
        Variant("fast, bf16", FAST | {"bf16": True}, fast_bf16, tolerance=0.05),
    ]
    alone = [Variant(name, {name: value}) for name, value in FAST.items() if name != "keep_memory"]  # once on, for all
    alone += [Variant("bf16", {"bf16": True}, tolerance=0.05)]
    return found if settings.quick else found + alone


def classify(rows: Any, batch: int, device: str = "cpu", path: Any = None) -> Job:
    def collator(library: Any, tokenizer: Any) -> Any:
        return library.DataCollatorWithPadding(tokenizer)

    return Job(path or workloads.minilm(), "SequenceClassification", rows, batch, collator, device=device)

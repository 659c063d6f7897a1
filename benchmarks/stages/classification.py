"""Fine-tuning a classifier: steps of minift's Trainer, plain and fast, beside steps of transformers' Trainer."""

import json
from collections.abc import Iterator
from typing import Any

import minift
from benchmarks import child, workloads
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings
from benchmarks.training import FAST, Job, Variant, case, curve

# A turn to warm up, and one that counts, in a process of their own: keep_memory holds for a whole process.
TURN = """
import json, sys
from benchmarks.__main__ import prepare_environment
prepare_environment(int(sys.argv[1]))
import minift
from benchmarks.stages.classification import pairs
from benchmarks.training import turns
turn = turns(pairs(), minift, json.loads(sys.argv[2]), 8)
turn(), start(), turn(), stop()
"""


def cases(settings: Settings) -> Iterator[Case | dict]:
    import transformers

    short = classify(workloads.tokenised_sentences(4_000), batch=32)
    steps, name = settings.pick(quick=3, full=8), "MRPC, MiniLM, batch 8"
    each = [] if settings.quick else alone()
    yield case(name, pairs(), [*variants(1.25, 2.2), *each], settings, steps)
    factor = short.padding_factor()
    yield case("short sentences, MiniLM, batch 32", short, variants(factor, 1.6 * factor), settings, steps)
    if settings.quick:
        return
    plain, kept = (
        lambda on=on: child.run(TURN, str(settings.threads), json.dumps({"keep_memory": on})) for on in (False, True)
    )
    yield Case(f"{name}, 8 steps", Side("minift, plain", plain), [Side("keep_memory", kept)], repeats=5)
    sides = {
        "transformers Trainer": (transformers, {}),
        "minift, plain": (minift, {}),
        "minift, fast, bf16": (minift, FAST | {"bf16": True}),
    }
    for line in curve(pairs(), sides, steps=60, every=10):
        yield {"case": f"{name}: training loss", **line}


def pairs() -> Job:
    return classify(workloads.tokenised_pairs().shuffle(seed=0), batch=8)


def variants(fast: float, fast_bf16: float) -> list[Variant]:
    """The plain path, and the fast one in both precisions with these targets."""
    return [
        Variant("plain", target=1.0),
        Variant("fast, fp32", FAST, fast),
        Variant("fast, bf16", FAST | {"bf16": True}, fast_bf16, tolerance=0.05),
    ]


def alone() -> list[Variant]:
    """What each option gives by itself."""
    options = [Variant(f"{name}={value}", {name: value}) for name, value in FAST.items()]
    return [*options, Variant("bf16=True", {"bf16": True}, tolerance=0.05)]


def classify(rows: Any, batch: int, device: str = "cpu", path: Any = None) -> Job:
    def collator(library: Any, tokenizer: Any) -> Any:
        return library.DataCollatorWithPadding(tokenizer)

    return Job(path or workloads.minilm(), "SequenceClassification", rows, batch, collator, device=device)

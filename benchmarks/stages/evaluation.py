"""Trainer.evaluate on MRPC's validation split, rows sorted by length or in their order."""

import contextlib
import io
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

import minift
from benchmarks import workloads
from benchmarks.apart import Apart
from benchmarks.checks import close
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings
from benchmarks.stages.classification import classify
from benchmarks.training import FAST, Job, Variant, make_model, matmul_rate


def cases(settings: Settings) -> Iterator[Case]:
    data = workloads.tokenised_pairs("validation")
    data = data.select(range(settings.pick(quick=len(data) // 8, full=len(data))))
    job = classify(data, 8)
    sorted_rows = {"eval_sort_by_length": True}
    variants = [
        Variant("plain", target=1.0, tolerance=1e-5),
        Variant("eval_sort_by_length", sorted_rows, 1.5, 1e-5),
    ]
    if not settings.quick:
        variants.append(Variant("sorted, fast, fp32", sorted_rows | FAST, 1.5, 1e-5))
        variants.append(Variant("sorted, fast, bf16", sorted_rows | FAST | {"bf16": True}, None, 0.05))
    flops = job.flops(minift.AutoConfig.from_pretrained(job.path), job.lengths()) / 3  # forward alone
    floors = [flops / matmul_rate(job, variant) for variant in variants]
    with contextlib.ExitStack() as processes:

        def side(library: str, arguments: dict[str, Any]) -> Apart:
            return processes.enter_context(Apart(settings.threads, Evaluation, job, library, arguments))

        peer, ours = side("transformers", {}), [side("minift", variant.arguments) for variant in variants]
        yield Case(
            f"evaluate {len(data)} rows of MRPC, MiniLM, batch 8",
            Side("Trainer.evaluate", peer),
            [
                Side(v.name, mine, same_logits(peer, mine, v), v.target, floor)
                for v, mine, floor in zip(variants, ours, floors, strict=True)
            ],
            facts={"floor": "FLOP of the real tokens at the measured rate of matrix products in this precision"},
            repeats=settings.pick(quick=2, full=7),
        )


class Evaluation:
    """A library's Trainer that evaluates; calling it gives the loss."""

    def __init__(self, job: Job, library: str, arguments: dict[str, Any]):
        library = import_module(library)
        args = library.TrainingArguments(
            output_dir=str(workloads.folder() / "evaluate"),
            per_device_eval_batch_size=job.batch,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            **arguments,
        )
        data = job.rows if library is minift else workloads.as_peer(job.rows)
        collate = job.collator(library, library.AutoTokenizer.from_pretrained(job.path))
        self.trainer = library.Trainer(
            make_model(job, library), args, collate, eval_dataset=data, compute_metrics=lambda p: accuracy(*p)
        )

    def __call__(self) -> float:
        with contextlib.redirect_stdout(io.StringIO()):
            return self.trainer.evaluate()["eval_loss"]

    def logits(self) -> np.ndarray:
        return self.trainer.predict(self.trainer.eval_dataset).predictions


def same_logits(peer: Apart, side: Apart, variant: Variant) -> Callable[[Any, Any], None]:
    """The check: the loss, and the logits row by row, which rows left in another order would not stand."""

    def check(theirs: float, ours: float) -> None:
        close(variant.tolerance)(theirs, ours)
        close(10 * variant.tolerance)(peer.ask("logits"), side.ask("logits"))

    return check


def accuracy(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    return {"accuracy": float((logits.argmax(-1) == labels).mean())}

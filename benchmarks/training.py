"""Whole optimizer steps of two Trainers on the same rows in the same order, some steps at a time in turns."""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import count
from types import ModuleType
from typing import Any

import numpy as np
import torch

import minift
from benchmarks import workloads
from benchmarks.checks import close
from benchmarks.flops import training_flops
from benchmarks.harness import Case, Side, Timed
from benchmarks.machine import rates
from benchmarks.settings import Settings
from minift.data.dataset import Dataset

SKIPPED = 1  # first steps of every turn, which are not timed: caches and allocators settle
CHECKED = 3  # steps whose losses are compared
NO_DROPOUT = {
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "distilbert": {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0},
}
# What minift can do beyond the plain path, all but the precision, and but keep_memory: that holds for a whole process,
# which the peer is in, too.
FAST = {"padding_free": True, "fast_dropout": True, "optim": "adamw_torch_fused"}
FAST_MASKED = FAST | {"sparse_mlm_head": True}


@dataclass(frozen=True)
class Variant:
    """A Trainer with these arguments; losses and gradient norms of its first steps, without dropout, are the peer's up
    to `tolerance`."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    target: float | None = None
    tolerance: float = 1e-4


@dataclass(frozen=True)
class Job:
    """What is trained: the checkpoint in `path` as a `task` (of the AutoModel's name) on batches of tokenised `rows`.

    `collator` makes the collator of a library from its tokenizer; `labelled` is the share of tokens with a label of
    their own.
    """

    path: Any
    task: str
    rows: Dataset
    batch: int
    collator: Callable[[ModuleType, Any], Callable]
    labelled: float = 0.0
    device: str = "cpu"

    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        return np.diff(self.rows.column_arrow("input_ids")[0])

    def flops(self, config: Any, lengths: np.ndarray) -> float:
        """What a forward and a backward pass over texts of these lengths cannot do without."""
        return training_flops(config, lengths, self.labelled, first_only=self.task == "SequenceClassification")

    def padding_factor(self) -> float:
        """Tokens that batches of rows in a random order hold, for each real one."""
        return workloads.padding_factor(np.random.default_rng(0).permutation(self.lengths()), self.batch)

    def turn(self, number: int, steps: int) -> Dataset:
        """The rows of a turn; a set that is used up begins again.

        Raises:
            ValueError: there are fewer rows than one turn takes.
        """
        size = self.batch * steps
        if len(self.rows) < size:
            raise ValueError(f"a turn of {steps} steps takes {size} rows; there are {len(self.rows)}")
        start = number * size % max(1, len(self.rows) - size + 1)
        return self.rows.select(range(start, start + size))


def case(
    name: str, job: Job, variants: list[Variant], settings: Settings, steps: int, peer: Variant | None = None
) -> Case:
    """All variants of minift beside one transformers Trainer, `steps` steps a turn."""
    import transformers

    peer = peer or Variant("transformers Trainer")
    expected = cache(partial(first_steps, job, transformers, {"bf16": peer.arguments.get("bf16", False)}))

    def check(variant: Variant) -> Callable[[Any, Any], None]:
        return lambda *_: close(variant.tolerance)(expected(), first_steps(job, minift, variant.arguments))

    lengths = job.lengths()
    config = minift.AutoConfig.from_pretrained(job.path)
    flops = job.flops(config, lengths) * job.batch / len(lengths)  # of a step
    ours = [
        Side(v.name, turns(job, minift, v.arguments, steps), check(v), v.target, flops / matmul_rate(job, v))
        for v in variants
    ]
    facts = {
        "floor": "FLOP of the real tokens at the measured rate of matrix products in this precision",
        "flop_a_step": flops,
        "padding_factor": job.padding_factor(),
    }
    repeats = settings.pick(quick=2, full=5)
    return Case(name, Side(peer.name, turns(job, transformers, peer.arguments, steps)), ours, repeats, facts)


def matmul_rate(job: Job, variant: Variant) -> float:
    """FLOP a second of matrix products in the variant's precision, on the job's device."""
    return rates(job.device)["bfloat16" if variant.arguments.get("bf16") else "float32"]


def turns(job: Job, library: ModuleType, arguments: dict[str, Any], steps: int) -> Callable[[], Timed]:
    """A function that trains one turn further and gives the seconds of a step."""
    model, numbers = None, count()

    def work() -> Timed:
        nonlocal model
        model = model or make_model(job, library)
        stamps = []

        def stamp(step: int) -> None:
            if step in (SKIPPED, steps):
                if job.device == "cuda":
                    torch.cuda.synchronize()
                stamps.append(time.perf_counter())

        train(job, library, model, job.turn(next(numbers), steps), arguments, steps, stamp)
        return Timed((stamps[1] - stamps[0]) / (steps - SKIPPED))

    return work


def first_steps(job: Job, library: ModuleType, arguments: dict[str, Any]) -> dict[str, list[float]]:
    """Losses and gradient norms of the first steps, without dropout: what is left is the same arithmetic on both sides.

    A new head's losses are near ln 2 whatever the encoder does; its gradient norms are not.
    """
    kind = library.AutoConfig.from_pretrained(job.path).model_type
    model = make_model(job, library, **NO_DROPOUT[kind])
    trainer = train(job, library, model, job.turn(0, CHECKED), {**arguments, "logging_steps": 1}, CHECKED)
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    return {name: [entry[name] for entry in logged] for name in ("loss", "grad_norm")}


def curve(job: Job, sides: dict[str, tuple[ModuleType, dict[str, Any]]], steps: int, every: int) -> Iterator[dict]:
    """The training loss over time of each side, one after the other, for the report's picture."""
    for name, (library, arguments) in sides.items():
        stamps = {}  # step -> when it ended; 0: when the first began
        arguments = {**arguments, "logging_steps": every}
        trainer = train(
            *(job, library, make_model(job, library), job.turn(0, steps), arguments, steps),
            lambda step, stamps=stamps: stamps.update({step: time.perf_counter()}),
        )
        logged = [entry for entry in trainer.state.log_history if "loss" in entry]
        seconds = [stamps[entry["step"]] - stamps[0] for entry in logged]
        yield {"side": name, "seconds": seconds, "loss": [entry["loss"] for entry in logged]}


def make_model(job: Job, library: ModuleType, **overrides: Any) -> Any:
    """The checkpoint with the same new head on both sides: both draw it from the same seed in the same order."""
    torch.manual_seed(0)
    return getattr(library, f"AutoModelFor{job.task}").from_pretrained(job.path, **overrides)


def train(
    job: Job,
    library: ModuleType,
    model: Any,
    rows: Dataset,
    arguments: dict[str, Any],
    steps: int,
    stamp: Callable[[int], None] | None = None,
) -> Any:
    """Train `steps` steps with the library's Trainer; `stamp` is called before the first with 0, after each with its
    number."""

    class Clock(library.TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if stamp is not None:
                stamp(0)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if stamp is not None:
                stamp(state.global_step)

    with tempfile.TemporaryDirectory(dir=workloads.folder()) as folder:
        settings = {"logging_steps": 10**6, "use_cpu": job.device == "cpu"} | arguments
        args = library.TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=job.batch,
            max_steps=steps,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            **settings,
        )
        tokenizer = _tokenizer(library.__name__, str(job.path))
        data = rows if library is minift else workloads.as_peer(rows)
        trainer = library.Trainer(model, args, job.collator(library, tokenizer), data, callbacks=[Clock])
        with contextlib.redirect_stdout(io.StringIO()):  # both print their log
            trainer.train()
    return trainer


@cache
def _tokenizer(library: str, path: str) -> Any:
    return __import__(library).AutoTokenizer.from_pretrained(path)

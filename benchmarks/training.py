"""Whole optimizer steps of two Trainers on the same rows in the same order, some steps at a time in turns."""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

import minift
from benchmarks import workloads
from benchmarks.apart import Apart
from benchmarks.checks import close
from benchmarks.flops import training_flops
from benchmarks.harness import Case, Side, Timed
from benchmarks.machine import peak_resident, rates
from benchmarks.settings import Settings
from minift.data.dataset import Dataset

SKIPPED = 1  # first steps of every turn, which are not timed: caches and allocators settle
CHECKED = 3  # steps whose losses are compared
NO_DROPOUT = {
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "distilbert": {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0},
}
# What minift can do beyond the plain path, all but the precision
FUSED = {"optim": "adamw_torch_fused"}
FAST = {"padding_free": True, "fast_dropout": True, "keep_memory": True, "clip_in_update": True} | FUSED
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

    `labelled` is the share of tokens with a label of their own.
    """

    path: Path
    task: str
    rows: Dataset
    batch: int
    labelled: float = 0.0
    device: str = "cpu"

    def collator(self, library: ModuleType, tokenizer: Any) -> Callable:
        if self.task == "MaskedLM":
            return library.DataCollatorForLanguageModeling(tokenizer, mlm_probability=self.labelled)
        return library.DataCollatorWithPadding(tokenizer)

    def lengths(self) -> np.ndarray:
        """Tokens of each row."""
        return np.diff(self.rows.offsets_and_values("input_ids")[0])

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


def compare(
    name: str, job: Job, variants: list[Variant], settings: Settings, steps: int, peer: Variant | None = None
) -> Iterator[Case]:
    """All variants of minift beside one transformers Trainer, `steps` steps a turn, each in a process of its own, which
    ends when the case is done with."""
    peer = peer or Variant("transformers Trainer")
    lengths = job.lengths()
    flops = job.flops(minift.AutoConfig.from_pretrained(job.path), lengths) * job.batch / len(lengths)  # of a step
    floors = [flops / matmul_rate(job, variant) for variant in variants]
    with contextlib.ExitStack() as processes:

        def side(library: str, variant: Variant) -> Apart:
            made_of = (Training, job, library, variant.arguments, steps)
            return processes.enter_context(Apart(settings.threads, *made_of))

        theirs, ours = side("transformers", peer), [side("minift", variant) for variant in variants]
        expected = cache(lambda: theirs.ask("first_steps"))

        def check(variant: Variant, side: Apart) -> Callable[[Any, Any], None]:
            return lambda *_: close(variant.tolerance)(expected(), side.ask("first_steps"))

        yield Case(
            name,
            Side(peer.name, theirs),
            [
                Side(v.name, mine, check(v, mine), v.target, floor)
                for v, mine, floor in zip(variants, ours, floors, strict=True)
            ],
            settings.pick(quick=2, full=7),
            {
                "floor": "FLOP of the real tokens at the measured rate of matrix products in this precision",
                "flop_a_step": flops,
                "padding_factor": job.padding_factor(),
            },
        )


def matmul_rate(job: Job, variant: Variant) -> float:
    """FLOP a second of matrix products in the variant's precision, on the job's device."""
    return rates(job.device)["bfloat16" if variant.arguments.get("bf16") else "float32"]


class Training:
    """A library's Trainer at work on a job, turn after turn."""

    def __init__(self, job: Job, library: str, arguments: dict[str, Any], steps: int):
        self.job, self.library, self.arguments, self.steps = job, import_module(library), arguments, steps
        self.model, self.turns = None, count()

    def __call__(self) -> Timed:
        """Train one turn further: the seconds of a step."""
        self.model = self.model or make_model(self.job, self.library)
        stamps = []

        def stamp(step: int) -> None:
            if step in (SKIPPED, self.steps):
                if self.job.device == "cuda":
                    torch.cuda.synchronize()
                stamps.append(time.perf_counter())

        rows = self.job.turn(next(self.turns), self.steps)
        train(self.job, self.library, self.model, rows, self.arguments, self.steps, stamp)
        return Timed((stamps[1] - stamps[0]) / (self.steps - SKIPPED), facts={"resident_bytes": peak_resident()})

    def first_steps(self) -> dict[str, list[float]]:
        """Losses and gradient norms of the first steps, without dropout: what is left is the same arithmetic on both
        sides.

        A new head's losses are near ln 2 whatever the encoder does; its gradient norms are not.
        """
        kind = self.library.AutoConfig.from_pretrained(self.job.path).model_type
        model = make_model(self.job, self.library, **NO_DROPOUT[kind])
        arguments = {**self.arguments, "logging_steps": 1}
        trainer = train(self.job, self.library, model, self.job.turn(0, CHECKED), arguments, CHECKED)
        logged = [entry for entry in trainer.state.log_history if "loss" in entry]
        return {name: [entry[name] for entry in logged] for name in ("loss", "grad_norm")}

    def curve(self, every: int) -> dict[str, list[float]]:
        """The training loss over time, for the report's picture."""
        stamps = {}  # step -> when it ended; 0: when the first began
        model, arguments = make_model(self.job, self.library), {**self.arguments, "logging_steps": every}

        def stamp(step: int) -> None:
            stamps[step] = time.perf_counter()

        trainer = train(self.job, self.library, model, self.job.turn(0, self.steps), arguments, self.steps, stamp)
        logged = [entry for entry in trainer.state.log_history if "loss" in entry]
        seconds = [stamps[entry["step"]] - stamps[0] for entry in logged]
        return {"seconds": seconds, "loss": [entry["loss"] for entry in logged]}


def curves(
    name: str, job: Job, fast: dict[str, Any], settings: Settings, steps: int, every: int
) -> Iterator[dict[str, Any]]:
    """The training loss over time of both libraries, one after the other, each in a process of its own."""
    sides = {
        "transformers Trainer": ("transformers", {}),
        "minift, plain": ("minift", {}),
        "minift, fast, bf16": ("minift", fast | {"bf16": True}),
    }
    for side, (library, arguments) in sides.items():
        with Apart(settings.threads, Training, job, library, arguments, steps) as training:
            yield {"case": f"{name}: training loss", "side": side, **training.ask("curve", every)}


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

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
# what minift can do beyond the plain path, all but the precision
FAST = {"padding_free": True, "fast_dropout": True, "keep_memory": True, "optim": "adamw_torch_fused"}
FAST_MASKED = FAST | {"sparse_mlm_head": True}


@dataclass(frozen=True)
class Variant:
    """A Trainer with these arguments; the losses of its first steps, without dropout, are transformers' in fp32 up to
    `tolerance`."""

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

    def padding_factor(self) -> float:
        """Tokens that batches of rows in a random order hold, for each real one."""
        return workloads.padding_factor(np.random.default_rng(0).permutation(self.lengths()), self.batch)

    def turn(self, number: int, steps: int) -> Dataset:
        """The rows of a turn; a set that is used up begins again."""
        size = self.batch * steps
        start = number * size % max(1, len(self.rows) - size + 1)
        return self.rows.select(range(start, start + size))


def case(
    name: str, job: Job, variants: list[Variant], settings: Settings, steps: int, peer: Variant | None = None
) -> Case:
    """All variants of minift beside one transformers Trainer, `steps` steps a turn."""
    import transformers

    peer = peer or Variant("transformers Trainer")
    expected = cache(partial(losses, job, transformers, {"bf16": peer.arguments.get("bf16", False)}))

    def check(variant: Variant) -> Callable[[Any, Any], None]:
        return lambda *_: close(variant.tolerance)(expected(), losses(job, minift, variant.arguments))

    lengths = job.lengths()
    config = minift.AutoConfig.from_pretrained(job.path)
    flops = training_flops(config, lengths, job.labelled) * job.batch / len(lengths)  # of a step
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


@cache
def _rates(device: str) -> dict[str, float]:
    return rates(device)


def matmul_rate(job: Job, variant: Variant) -> float:
    """FLOP a second of matrix products in the variant's precision, on the job's device."""
    return _rates(job.device)["bfloat16" if variant.arguments.get("bf16") else "float32"]


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


def losses(job: Job, library: ModuleType, arguments: dict[str, Any]) -> list[float]:
    """The losses of the first steps, without dropout: what is left is the same arithmetic on both sides."""
    kind = library.AutoConfig.from_pretrained(job.path).model_type
    model = make_model(job, library, **NO_DROPOUT[kind])
    trainer = train(job, library, model, job.turn(0, CHECKED), {**arguments, "logging_steps": 1}, CHECKED)
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def curve(job: Job, sides: dict[str, tuple[ModuleType, dict[str, Any]]], steps: int, every: int) -> Iterator[dict]:
    """The training loss over time of each side, one after the other, for the report's picture."""
    for name, (library, arguments) in sides.items():
        model, start = make_model(job, library), time.perf_counter()
        seconds = []
        arguments = {**arguments, "logging_steps": every}
        trainer = train(
            *(job, library, model, job.turn(0, steps), arguments, steps),
            lambda step, start=start, seconds=seconds: seconds.append(time.perf_counter() - start),
        )
        logged = [(entry["step"], entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
        yield {"side": name, "seconds": [seconds[step - 1] for step, _ in logged], "loss": [loss for _, loss in logged]}


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
    """Train `steps` steps with the library's Trainer; `stamp` is called after each with its number."""

    class Clock(library.TrainerCallback):
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

"""What a run tells its reader besides the log: stages, the header, and blocks and files of metrics."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minift.files import read_json, write_json

if TYPE_CHECKING:  # it imports torch, which the TensorFlow path does without
    from minift.train.run import Run

logger = logging.getLogger(__name__)
stages = logging.getLogger("minift.stages")  # apart from the header: the command line shows these instead


@contextmanager
def stage(name: str) -> Iterator[list[str]]:
    """Log a line about what is done in this block, and the time that it took.

    The block gets a list for the lines: the first is the stage's own, others stand below it.
    """
    lines: list[str] = []
    start = time.perf_counter()
    yield lines
    first, *more = lines
    stages.info("%-8s%s (%.1f s)", name, first, time.perf_counter() - start)
    for line in more:
        tell("", line)


def tell(name: str, text: str) -> None:
    """Log a line of a stage."""
    stages.info("%-8s%s", name, text)


def announce(run: "Run") -> None:
    """Log the header of a run: what it will do, and how much of it."""
    args, state = run.args, run.state
    parameters = sum(parameter.numel() for parameter in run.model.parameters() if parameter.requires_grad)
    total = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    logger.info("***** Running training *****")
    if run.loader.is_sized:
        rows = len(run.loader.dataset) if hasattr(run.loader.dataset, "__len__") else "unknown"
        logger.info("  Num examples = %s", f"{rows:,}" if isinstance(rows, int) else rows)
        logger.info("  Num epochs = %d", state.num_train_epochs)
    logger.info("  Batch size per device = %d", args.per_device_train_batch_size)
    logger.info("  Total train batch size (with accumulation) = %d", total)
    if args.world_size > 1:
        logger.info("  Processes = %d, gradients averaged %s", args.world_size, args.ddp_averaging)
    logger.info("  Gradient accumulation steps = %d", args.gradient_accumulation_steps)
    logger.info("  Total optimization steps = %s", f"{state.max_steps:,}")
    logger.info("  Number of trainable parameters = %s", f"{parameters:,}")
    if state.global_step:
        logger.info("  Resuming at step %d, epoch %.2f", state.global_step, state.epoch)


def metrics_format(metrics: dict[str, Any]) -> dict[str, Any]:
    """Write metrics for people as transformers does: times as 0:00:02.26, counts of operations in GF."""

    def written(name: str, value: Any) -> Any:
        if "_mem_" in name:
            return f"{value >> 20}MB"
        if "_runtime" in name:
            return f"{timedelta(seconds=int(value))}.{int(abs(value - int(value)) * 100):02d}"
        if name == "total_flos":
            return f"{int(value) >> 30}GF"
        return round(value, 4) if isinstance(value, float) else value

    return {name: written(name, value) for name, value in metrics.items()}


def log_metrics(split: str, metrics: dict[str, float]) -> None:
    """Print a block of metrics, a name a line, as transformers' `Trainer.log_metrics` does."""
    shown = {name: str(value) for name, value in metrics_format(metrics).items()}
    names, values = max(map(len, shown)), max(map(len, shown.values()))
    print(f"***** {split} metrics *****")
    for name in sorted(shown):
        print(f"  {name:<{names}} = {shown[name]:>{values}}")


def save_metrics(split: str, metrics: dict[str, float], output_dir: str, combined: bool = True) -> None:
    """Write ``{split}_results.json``, and (`combined`) add the metrics to those in ``all_results.json``."""
    write_json(f"{output_dir}/{split}_results.json", metrics)
    if combined:
        together = Path(output_dir) / "all_results.json"
        write_json(together, (read_json(together) if together.is_file() else {}) | metrics)


def print_perplexity(when: str, metrics: dict[str, float]) -> None:
    """Log the perplexity as the course computes it, and the one per token."""
    tell(
        "scores",
        f"perplexity {when}: {metrics['eval_perplexity']:.2f} "
        f"({metrics['eval_weighted_perplexity']:.2f} weighted by tokens)",
    )

"""What a run tells its reader: the header, the table by epoch, and blocks of metrics."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tqdm.auto import tqdm

from minift.distributed.environment import is_main_process
from minift.files import read_json, write_json
from minift.train.callbacks import TrainerCallback

if TYPE_CHECKING:
    from minift.train.trainer import Trainer

logger = logging.getLogger(__name__)


class TrainOutput(NamedTuple):
    """What `Trainer.train` returns."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


def announce_training(trainer: "Trainer", num_examples: int) -> None:
    """Log the header of a run: what it will do, and how much of it."""
    args, state = trainer.args, trainer.state
    batch_size = args.per_device_train_batch_size
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters() if parameter.requires_grad)
    logger.info("***** Running training *****")
    logger.info("  Num examples = %s", f"{num_examples:,}")
    logger.info("  Num epochs = %d", state.num_train_epochs)
    logger.info("  Batch size per device = %d", batch_size)
    total = batch_size * args.gradient_accumulation_steps * args.world_size
    logger.info("  Total train batch size (with accumulation) = %d", total)
    if args.world_size > 1:
        logger.info("  Processes = %d, gradients averaged %s", args.world_size, args.ddp_averaging)
    logger.info("  Gradient accumulation steps = %d", args.gradient_accumulation_steps)
    logger.info("  Total optimization steps = %s", f"{state.max_steps:,}")
    logger.info("  Number of trainable parameters = %s", f"{parameters:,}")
    if state.global_step:
        logger.info("  Resuming at step %d, epoch %.2f", state.global_step, state.epoch)


class EpochTable(TrainerCallback):
    """Prints a row at every evaluation, as the course's notebooks show it: losses, then metrics.

    The training loss is the latest entry of the log; "No log" before there is one.
    """

    hidden = ("loss", "weighted_loss", "runtime", "samples_per_second", "steps_per_second", "epoch")

    def __init__(self):
        self.rows: list[list[str]] = []

    def state(self):
        return {"rows": self.rows}

    def on_evaluate(self, args, state, control, metrics=None, **objects):
        if state.max_steps == 0:  # evaluated before any training
            return
        by_epoch = args.eval_strategy == "epoch"
        values = {name.removeprefix("eval_"): value for name, value in metrics.items()}
        names = [name for name in values if name not in self.hidden]
        logged = [entry["loss"] for entry in state.log_history if "loss" in entry]
        if not self.rows:
            heads = [name.replace("_", " ").title() for name in names]
            self.rows.append(["Epoch" if by_epoch else "Step", "Training Loss", "Validation Loss", *heads])
        row = [f"{state.epoch:g}" if by_epoch else str(state.global_step)]
        row += [f"{logged[-1]:.6f}" if logged else "No log", f"{values['loss']:.6f}"]
        self.rows.append(row + [f"{values[name]:.6f}" for name in names])

    def on_train_end(self, args, state, control, **objects):
        if len(self.rows) > 1 and state.is_world_process_zero:
            tqdm.write(format_table(self.rows), file=sys.stdout)


def format_table(rows: list[list[str]]) -> str:
    """Rows of text as a Markdown table, columns aligned on the right; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|", *lines[1:]])


def log_metrics(split: str, metrics: dict[str, float]) -> None:
    """Print a block of metrics, a name a line, as transformers' `Trainer.log_metrics` does."""
    width = max(len(name) for name in metrics)
    print(f"***** {split} metrics *****")
    for name in sorted(metrics):
        value = metrics[name]
        print(f"  {name:<{width}} = {value:.4f}" if isinstance(value, float) else f"  {name:<{width}} = {value}")


def save_metrics(split: str, metrics: dict[str, float], output_dir: str, combined: bool = True) -> None:
    """Write ``{split}_results.json``, and (`combined`) add the metrics to those in ``all_results.json``."""
    write_json(f"{output_dir}/{split}_results.json", metrics)
    if combined:
        together = Path(output_dir) / "all_results.json"
        write_json(together, (read_json(together) if together.is_file() else {}) | metrics)


def say(text: str) -> None:
    """Print a line, from the first process only."""
    if is_main_process():
        print(text)


def print_perplexity(when: str, metrics: dict[str, float]) -> None:
    """One line: the perplexity as the course computes it, and the one per token."""
    say(
        f"perplexity {when}: {metrics['eval_perplexity']:.2f} "
        f"({metrics['eval_weighted_perplexity']:.2f} weighted by tokens)"
    )

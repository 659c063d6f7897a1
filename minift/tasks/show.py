"""The training of a task, as a person sees it: what begins, the live line, the table, and how a signal ends it."""

from dataclasses import dataclass
from typing import Any

import torch

from minift.tasks.output import write_page
from minift.tasks.rows import row_lengths
from minift.train.console import Console
from minift.train.interrupt import stops_on_signals
from minift.train.progress import PrinterCallback, ProgressCallback
from minift.train.report import tell
from minift.train.trainer import Trainer, TrainOutput


@dataclass
class Show:
    """How much a run shows."""

    as_json: bool = False  # an object a line for each entry of the log, for programs
    quiet: bool = False  # nothing but warnings


def add_console(trainer: Trainer, show: Show | None = None) -> Console:
    """Put the console in the place of the bars and the log that a Trainer shows by itself."""
    show = show or Show()
    for library_like in (ProgressCallback, PrinterCallback):
        trainer.remove_callback(library_like)
    console = Console(trainer.run, show.as_json, show.quiet)
    if trainer.args.process_index == 0:
        trainer.add_callback(console)
    return console


def train(trainer: Trainer, console: Console) -> TrainOutput:
    """Train, as the arguments say from the start or from a checkpoint; `Interrupted` says that a signal ended it."""
    tell("train", describe(trainer))
    try:
        with stops_on_signals(trainer):
            return trainer.train(trainer.args.resume_from_checkpoint)
    finally:
        console.close()


def train_and_save(trainer: Trainer, show: Show | None, settings: dict[str, Any]) -> TrainOutput:
    """Train, save the model with its state, and write ``report.html``; `settings` are shown in it."""
    output = train(trainer, add_console(trainer, show))
    trainer.save_model()
    trainer.save_state()
    write_page(trainer.args, trainer.state.log_history, settings, row_lengths(trainer.train_dataset))
    return output


def describe(trainer: Trainer) -> str:
    """Say what will be trained on what, and by how many threads."""
    args = trainer.args
    epochs = f"{args.num_train_epochs:g} epoch" + "s" * (args.num_train_epochs != 1)
    amount = f"{args.max_steps:,} steps" if args.max_steps > 0 else epochs
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    where = str(args.device)
    if args.device.type == "cpu":
        where = f"the CPU, threads: {torch.get_num_threads()}"
    if args.world_size > 1:
        where = f"{args.world_size} processes, each on {where}"
    rows = f"{len(trainer.train_dataset):,} rows" if hasattr(trainer.train_dataset, "__len__") else "a stream"
    return f"{rows}, {amount}, {batch} rows a step, rate {args.learning_rate:g}, on {where}"

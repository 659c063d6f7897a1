"""Callbacks that show how a run goes: progress bars, lines of the log, and the table by epoch."""

import sys
from typing import Any

from tqdm.auto import tqdm

from minift.train.callbacks import TrainerCallback


class ProgressCallback(TrainerCallback):
    """A progress bar for training, another for evaluation, and a line for each entry of the log."""

    def __init__(self):
        self.training_bar = self.prediction_bar = None

    def on_train_begin(self, args, state, control, **objects):
        self.training_bar = tqdm(total=state.max_steps, initial=state.global_step, dynamic_ncols=True)

    def on_step_end(self, args, state, control, **objects):
        self.training_bar.update(state.global_step - self.training_bar.n)

    def on_prediction_step(self, args, state, control, eval_dataloader=None, **objects):
        if self.prediction_bar is None:
            self.prediction_bar = tqdm(total=len(eval_dataloader), leave=self.training_bar is None, dynamic_ncols=True)
        self.prediction_bar.update()

    def on_evaluate(self, args, state, control, **objects):
        if self.prediction_bar is not None:
            self.prediction_bar.close()
            self.prediction_bar = None

    on_predict = on_evaluate

    def on_log(self, args, state, control, logs=None, **objects):
        if self.training_bar is not None:
            self.training_bar.write(format_log(logs))

    def on_train_end(self, args, state, control, **objects):
        self.training_bar.close()
        self.training_bar = None


class PrinterCallback(TrainerCallback):
    """A line for each entry of the log, for runs without a progress bar."""

    def on_log(self, args, state, control, logs=None, **objects):
        print(format_log(logs), flush=True)


class EpochTable(TrainerCallback):
    """Prints a row for every evaluation, as the course's notebooks show it: losses, then metrics.

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


def format_log(logs: dict[str, Any]) -> str:
    """Write one entry of the log as text, floats to four digits: ``{'loss': '0.5447', 'epoch': '1.09'}``."""
    short = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in logs.items()}
    return str({name: value for name, value in short.items() if name != "total_flos"})


def format_table(rows: list[list[str]]) -> str:
    """Write rows of text as a Markdown table, columns aligned on the right; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|", *lines[1:]])

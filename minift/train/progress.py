"""Callbacks that show how a run goes: progress bars, and lines of the log."""

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
            try:
                total = len(eval_dataloader)
            except TypeError:  # a stream
                total = None
            self.prediction_bar = tqdm(total=total, leave=self.training_bar is None, dynamic_ncols=True)
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

"""What a person sees of a run: a line for each stage, a live line while it trains, a row for each evaluation."""

import json
import shutil
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from minift.train.callbacks import TrainerCallback
from minift.train.report import tell

if TYPE_CHECKING:
    from minift.train.run import Run

HIDDEN = ("loss", "weighted_loss", "runtime", "samples_per_second", "steps_per_second", "epoch")
REFRESH = 0.3  # seconds between two states of the live line; on a GPU each waits for the loss
PAUSE = 10  # seconds between two lines where there is no live line


class Console(TrainerCallback):
    """Shows a run: on a terminal a live line, elsewhere a line for each entry of the log; and a table of evaluations.

    Args:
        run: the run of the Trainer, for its loss.
        as_json: print an object for each entry of the log instead, for programs.
        quiet: print nothing.
    """

    def __init__(self, run: "Run", as_json: bool = False, quiet: bool = False):
        self.run, self.as_json, self.quiet = run, as_json, quiet
        self.is_live = sys.stderr.isatty() and not (as_json or quiet)
        self.bar: tqdm | None = None
        self.is_training = self.has_head = False  # the latter: of the table
        self.refreshed = self.start = 0.0
        self.first_step = 0  # of what is done now: a resumed run begins later

    def on_train_begin(self, args, state, control, **objects):
        self.start, self.first_step, self.is_training = time.perf_counter(), state.global_step, True
        if self.is_live:
            form = "{n_fmt}/{total_fmt} |{bar}| {desc}  {remaining} left"
            self.bar = tqdm(
                total=state.max_steps, initial=state.global_step, bar_format=form, dynamic_ncols=True, leave=False
            )

    def on_step_end(self, args, state, control, **objects):
        if self.bar is None:
            return
        self.bar.update(state.global_step - self.bar.n)
        if time.perf_counter() - self.refreshed > REFRESH and state.global_step > self.run.logged_step:
            self.refreshed = time.perf_counter()
            loss = self.run.running_loss.item() / (state.global_step - self.run.logged_step)
            self.bar.set_description_str(self.line(loss, self.run.learning_rate))

    def on_log(self, args, state, control, logs=None, **objects):
        if self.as_json:
            print(json.dumps(logs | {"step": state.global_step}), flush=True)
        elif "loss" in logs and not (self.is_live or self.quiet) and time.perf_counter() - self.refreshed > PAUSE:
            self.refreshed = time.perf_counter()
            seconds = time.perf_counter() - self.start
            line = self.line(logs["loss"], logs["learning_rate"], seconds)
            tell("step", f"{state.global_step}/{state.max_steps}  {line}")

    def line(self, loss: float, rate: float, seconds: float | None = None) -> str:
        args, state = self.run.args, self.run.state
        rows = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
        if self.bar is not None:
            speed = (self.bar.format_dict["rate"] or 0.0) * rows
        else:
            speed = (state.global_step - self.first_step) * rows / seconds
        return f"loss {loss:.4f}  rate {rate:.1e}  {speed:.0f} rows/s"

    def on_prediction_step(self, args, state, control, **objects):
        if self.bar is not None:
            self.bar.set_description_str("evaluating")

    def on_evaluate(self, args, state, control, metrics=None, **objects):
        if not self.is_training or self.quiet or self.as_json:
            return
        row = evaluation_row(args, state, metrics, time.perf_counter() - self.start)
        width = shutil.get_terminal_size().columns
        lines = table_lines([row], width)
        for line in lines[self.has_head :]:
            self.write(line)
        self.has_head = True

    def write(self, line: str) -> None:
        tqdm.write(line, file=sys.stdout)  # above the live line, if there is one
        sys.stdout.flush()

    def on_train_end(self, args, state, control, **objects):
        self.close()

    def close(self) -> None:
        """Take the live line away: also at the end of a run that failed."""
        self.is_training = False
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def evaluation_row(args: Any, state: Any, metrics: dict[str, Any], seconds: float) -> dict[str, str]:
    """Make the row of an evaluation: head -> text.

    The training loss is the mean of those in the log since the evaluation before; "-" if there is none.
    """
    values = {name.removeprefix("eval_"): value for name, value in metrics.items()}
    logged: list[float] = []
    for entry in state.log_history[:-1]:  # the last one is this evaluation
        logged = [] if "eval_loss" in entry else [*logged, entry["loss"]] if "loss" in entry else logged
    place = {"epoch": f"{state.epoch:.3g}"} if args.eval_strategy == "epoch" else {"step": str(state.global_step)}
    losses = {"loss": number(sum(logged) / len(logged)) if logged else "-", "eval loss": number(values["loss"])}
    scores = {name.replace("_", " "): number(value) for name, value in values.items() if name not in HIDDEN}
    return place | losses | scores | {"time": str(timedelta(seconds=int(seconds)))}


def table_lines(rows: list[dict[str, str]], width: int) -> list[str]:
    """Write rows as lines below a line of heads; the scores that do not fit in `width` characters are left out."""
    heads = list(rows[0])
    while len(heads) > 4 and sum(cell_width(head) for head in heads) > width:
        del heads[-2]  # the last score, before the time
    lines = [heads, *([row[head] for head in heads] for row in rows)]
    return ["".join(cell.rjust(cell_width(head)) for head, cell in zip(heads, line, strict=True)) for line in lines]


def cell_width(head: str) -> int:
    return max(len(head), 8) + 2


def number(value: Any) -> str:
    """Write a score with four digits behind the point, or fewer if it is large."""
    return str(value) if not isinstance(value, float) else f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"

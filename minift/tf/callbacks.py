"""What happens beside the steps of Keras' `fit`: evaluation, the table by epoch, checkpoints, uploads."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minift.hub import upload_folder
from minift.tf.backend import keras
from minift.tokenizer.tokenizer import Tokenizer
from minift.train.progress import format_table

Callback = keras.callbacks.Callback


class Evaluation(Callback):
    """Adds the numbers that `evaluate` returns to the log of each epoch, with ``val_`` before their names.

    Place it before the callbacks that are to see them. For metrics that Keras cannot add up in its graph, such as F1.
    """

    def __init__(self, evaluate: Callable[[], dict[str, float]]):
        super().__init__()
        self.evaluate = evaluate

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        logs.update({f"val_{name}": value for name, value in self.evaluate().items()})


class EpochTable(Callback):
    """Prints a row an epoch when training ends: learning rate, losses, and metrics of the validation data.

    Without validation data the metrics are those of the training. The learning rate is the one that the next step
    would have; it joins the log, and so the `History` that `fit` returns.
    """

    hidden = ("loss", "val_loss", "val_weighted_loss", "learning_rate")

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.rows: list[list[str]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        logs["learning_rate"] = rate = float(self.model.optimizer.learning_rate)
        if not math.isfinite(logs["loss"]):
            raise ValueError(
                f"the loss is {logs['loss']} in epoch {epoch + 1}: lower the learning rate, check the labels"
            )
        prefix = "val_" if "val_loss" in logs else ""
        shown = {"Training Loss": logs["loss"]} | ({"Validation Loss": logs["val_loss"]} if prefix else {})
        for name, value in logs.items():
            if name.startswith(prefix) and name not in self.hidden:
                shown[name.removeprefix(prefix).replace("_", " ").title()] = value
        self.rows = self.rows or [["Epoch", "Learning Rate", *shown]]
        self.rows.append([str(epoch + 1), f"{rate:.2e}", *(f"{value:.6f}" for value in shown.values())])

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        print(format_table(self.rows), flush=True)


class StopAtStep(Callback):
    """Ends training after `max_steps` updates, in the middle of an epoch if need be."""

    def __init__(self, max_steps: int):
        super().__init__()
        self.max_steps = max_steps

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if int(self.model.optimizer.iterations) >= self.max_steps:
            self.model.stop_training = True


class SaveCheckpoints(Callback):
    """Saves the model, and the tokenizer, to ``output_dir/checkpoint-{step}``.

    `save_strategy` is "epoch", "no", or "steps" for every `save_steps` updates; another one is a ValueError.
    """

    def __init__(
        self,
        output_dir: str | Path,
        save_strategy: str = "epoch",
        save_steps: int | None = None,
        tokenizer: Tokenizer | None = None,
    ):
        super().__init__()
        save_strategy = getattr(save_strategy, "value", save_strategy)  # of an IntervalStrategy
        if save_strategy not in ("no", "epoch", "steps"):
            raise ValueError(f"save_strategy={save_strategy!r}: expected 'epoch', 'steps' or 'no'")
        if save_strategy == "steps" and (save_steps is None or save_steps < 1):
            raise ValueError(f"save_strategy='steps' needs save_steps, a positive number; it is {save_steps!r}")
        self.output_dir, self.tokenizer = Path(output_dir).expanduser(), tokenizer
        self.save_strategy, self.save_steps = save_strategy, save_steps

    @property
    def step(self) -> int:
        return int(self.model.optimizer.iterations)

    def save(self, folder: Path) -> None:
        self.model.save_pretrained(folder)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)

    def checkpoint(self, when: str) -> None:
        """Do what the strategy asks for now; `when` says in words which step or epoch that is."""
        self.save(self.output_dir / f"checkpoint-{self.step}")

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self.save_strategy == "steps" and self.step % self.save_steps == 0:
            self.checkpoint(f"step {self.step}")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.save_strategy == "epoch":
            self.checkpoint(f"epoch {epoch + 1}")


class PushToHubCallback(SaveCheckpoints):
    """Saves model and tokenizer to `output_dir` and uploads them: as `save_strategy` says, and when training ends.

    The repository is `hub_model_id`, or else has the name of `output_dir`; `hub_token` None is the stored token; the
    optimizer's state is not saved, so that `checkpoint` must be False. Training waits for each upload, whose errors
    (PermissionError, ConnectionError, OSError) end it. Re-implements transformers 4's keras_callbacks.py.
    """

    def __init__(
        self,
        output_dir: str | Path,
        save_strategy: str = "epoch",
        save_steps: int | None = None,
        tokenizer: Tokenizer | None = None,
        hub_model_id: str | None = None,
        hub_token: str | None = None,
        checkpoint: bool = False,
    ):
        super().__init__(output_dir, save_strategy, save_steps, tokenizer)
        if checkpoint:
            raise ValueError("PushToHubCallback: checkpoint=True is not supported: only the model is uploaded")
        self.hub_model_id = hub_model_id or self.output_dir.resolve().name
        self.hub_token = hub_token
        self.pushed = None  # the step of the last upload

    def checkpoint(self, when: str) -> None:
        self.upload(f"Training in progress, {when}")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self.pushed != self.step:
            self.upload("End of training")

    def upload(self, message: str) -> None:
        self.save(self.output_dir)
        options = {"token": self.hub_token, "commit_message": message, "ignore_patterns": "checkpoint-*"}
        upload_folder(self.output_dir, self.hub_model_id, **options)
        self.pushed = self.step

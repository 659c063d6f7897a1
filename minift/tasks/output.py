"""The folder that a run writes to: nothing that another run has left there is lost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from minift.distributed.process import is_main_process
from minift.files import atomic_path, check_writable, read_yaml_object
from minift.report.run_page import Predictions, write_report
from minift.train.arguments import TrainingArguments

OF_A_MODEL = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
OPTIONS_FILE = "minift.yaml"
NOT_WRITTEN = ("hub_token", "overwrite_output_dir", "resume_from_checkpoint")
# fmt: off
MAIN = [
    "num_train_epochs", "per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate",
    "lr_scheduler_type", "warmup_steps", "weight_decay", "optim", "bf16", "fp16", "seed",
]
# fmt: on


def check_output(args: TrainingArguments) -> None:
    """Make the folder of a run; better now than after hours of training, say what is wrong with it.

    An OSError says that nothing can be written to it; a ValueError is that of `check_other_run`.
    """
    check_writable(args.output_dir)
    check_other_run(args)


def check_other_run(args: TrainingArguments) -> None:
    """Raise a ValueError if the folder holds a model or checkpoints that the run neither goes on from nor replaces."""
    folder = Path(args.output_dir)
    if args.overwrite_output_dir or args.resume_from_checkpoint:
        return
    models = [name for name in OF_A_MODEL if (folder / name).is_file()]
    found = models or sorted(path.name for path in folder.glob("checkpoint-*"))
    if found:
        raise ValueError(
            f"{folder} holds another run ({found[-1]}): choose another output_dir, or go on with that run "
            "(resume_from_checkpoint), or replace it (overwrite_output_dir)"
        )


def write_options(args: TrainingArguments, options: dict[str, Any]) -> None:
    """Write all options of a run beside its model, by the names of the flags: `--config` reads them back.

    The token for the Hub is left out, and how the run began: another one must not overwrite what it has not named.
    """
    everything = options | {name: value for name, value in args.to_dict().items() if name not in NOT_WRITTEN}
    everything = {name: plain(value) for name, value in everything.items() if value is not None}
    if is_main_process():  # args.process_index would import torch
        with atomic_path(Path(args.output_dir) / OPTIONS_FILE) as fresh:
            fresh.write_text(yaml.safe_dump(everything, sort_keys=False, allow_unicode=True), encoding="utf-8")


def plain(value: Any) -> Any:
    """Return a value as YAML has it: a path as text."""
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value if isinstance(value, str | int | float | dict) else str(value)


def read_options(folder: str | Path) -> dict[str, Any]:
    """Return the options that `write_options` has written beside a model; {} if there are none."""
    path = Path(folder) / OPTIONS_FILE
    return read_yaml_object(path) if path.is_file() else {}


def write_page(
    args: TrainingArguments,
    log: list[dict[str, Any]],
    settings: dict[str, Any],
    lengths: Sequence[int] = (),
    predictions: Predictions | None = None,
) -> None:
    """Write ``report.html`` beside the model, in the first of several processes; arguments as of `write_report`."""
    if is_main_process():
        page, rows = Path(args.output_dir, "report.html"), args.per_device_train_batch_size
        write_report(page, page.parent.name, log, settings | settings_of(args), lengths, rows, predictions)


def settings_of(args: TrainingArguments) -> dict[str, Any]:
    """Return the arguments to be shown: the main ones, and those that are not at their defaults."""
    values, defaults = args.to_dict(), type(args)().to_dict()
    others = [name for name, value in values.items() if name not in MAIN and value != defaults[name]]
    return {name: values[name] for name in MAIN + others if name != "hub_token"}

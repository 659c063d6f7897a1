"""What `minift finetune` and `minift mlm` share: flags, the choice of the framework, and the summary."""

import argparse
from collections.abc import Callable
from importlib import import_module
from typing import Any

from minift.cli.flags import add_flags, read_flags
from minift.distributed.process import is_main_process
from minift.tensors import import_tensorflow
from minift.train.report import log_metrics


def add_training_flags(parser: argparse.ArgumentParser, load: Callable, **defaults: Any) -> None:
    """Add the flags of `load`, which prepares the data of a task, with TrainingArguments among them."""
    add_flags(parser, load, **defaults)
    parser.add_argument("--framework", choices=("torch", "tf"), default="torch", help="torch, or TensorFlow [torch]")


def train(options: argparse.Namespace, load: Callable, task: str) -> None:
    """Call the function `task` ("file.function") of `minift.tasks` or `minift.tf`, and print its summary."""
    given = read_flags(load, options)
    module, _, function = task.partition(".")
    room = "tasks"
    if options.framework == "tf":
        import_tensorflow()  # or an error that says how to install it
        room = "tf"
    _, summary = getattr(import_module(f"minift.{room}.{module}"), function)(**given)
    if is_main_process():
        is_keras = isinstance(summary, dict)
        log_metrics("train", summary if is_keras else {"global_step": summary.global_step, **summary.metrics})
        print(f"saved to {given['args'].output_dir}")

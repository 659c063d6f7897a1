"""The command line."""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from minift.distributed.process import is_main_process, report_failure

# command -> its line in --help; the command's file has the same name
COMMANDS = {
    "demo": "the whole pipeline offline, in two minutes, on a generated corpus",
    "finetune": "train a classifier from a checkpoint and a data set",
    "predict": "label and probability for a text, a pair, or a file of them",
    "mlm": "adapt a checkpoint to a corpus by masked language modelling",
    "fill-mask": "the likeliest tokens for each [MASK] of a text",
    "crosscheck": "the same job on minift and on transformers, compared to the bit",
    "run": "run a script with minift in place of transformers, datasets, …",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; a user's error is reported in one line, with exit code 2."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="minift", description=f"The command line: {', '.join(COMMANDS)}.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        if argv[:1] == [name]:  # the others are not imported
            module_of(name).add(command)
    options = parser.parse_args(argv)
    if options.command != "run":  # a script sets up its own logging
        level = logging.INFO if is_main_process() else logging.ERROR
        logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
        logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return module_of(options.command).run(options) or 0
    except (ValueError, KeyError, TypeError, ImportError, OSError) as error:
        if not report_failure(error):  # of several processes that fail together, one prints
            return 2
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"minift {options.command}: {message}", file=sys.stderr)
        return 2


def module_of(command: str) -> ModuleType:
    """Import the file of a command."""
    return import_module(f"minift.cli.{command.replace('-', '_')}")

"""The command line: `minift COMMAND …`."""

import argparse
import logging
import sys
from collections.abc import Sequence

from minift.cli import commands
from minift.distributed.process import is_main_process, report_failure

# command -> its line in --help; commands.py has a function of the same name
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
    """Run a command and return its exit code; a user's error is reported in one line, with exit code 2."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="minift", description=f"The command line: {', '.join(COMMANDS)}.")
    subparsers = parser.add_subparsers(dest="command", required=True)
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text)
        if argv[:1] == [name]:  # what the others need is not imported
            getattr(commands, name.replace("-", "_"))(subparser)
    options = parser.parse_args(argv)
    if options.command != "run":  # a script sets up its own logging
        level = logging.INFO if is_main_process() else logging.ERROR
        logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
        logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return options.run(options) or 0
    except (ValueError, KeyError, TypeError, ImportError, OSError) as error:
        if not report_failure(error):  # of several processes that fail together, one prints
            return 2
        message = error.args[0] if isinstance(error, KeyError) else error
        print(f"minift {options.command}: {message}", file=sys.stderr)
        return 2

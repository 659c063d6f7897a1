"""Options that the command lines share, checked before anything is measured."""

import argparse
import os
from pathlib import Path

from minift.files import check_writable


def add_options(parser: argparse.ArgumentParser) -> None:
    """``--threads`` and ``--json``."""
    parser.add_argument("--threads", type=count, default=os.cpu_count(), help="threads of both sides; all cores")
    parser.add_argument("--json", type=file_to_write, metavar="FILE", help="write the document there as it grows")


def count(text: str) -> int:
    """A number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, not {text!r}")
    return int(text)


def file_to_write(text: str) -> Path:
    """A file's path, in a folder that can be written to."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder, not a file")
    try:
        check_writable(path.parent)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write to {path}: {error}") from None
    return path

"""`minift crosscheck`: its flags are the fields of `Job`. Exit code 1: a stage differs."""

import argparse

from minift.cli.flags import add_flags, read_flags
from minift.crosscheck.job import Job


def add(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, Job)
    parser.add_argument("--json", help="file to write the comparison to, for programs")


def run(options: argparse.Namespace) -> int:
    from minift.crosscheck.report import crosscheck

    return 0 if crosscheck(Job(**read_flags(Job, options)), options.json) else 1

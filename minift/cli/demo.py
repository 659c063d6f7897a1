"""`minift demo`: every stage once, on a generated corpus."""

import argparse

from minift.cli.flags import add_flags, read_flags
from minift.demo.demo import demo


def add(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, demo)


def run(options: argparse.Namespace) -> None:
    demo(**read_flags(demo, options))

"""`minift run`: a script with minift in place of the libraries. The exit code is the script's."""

import argparse

from minift.libraries.run import run as run_script


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("script", help="the file to run")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="the script's own arguments")


def run(options: argparse.Namespace) -> int:
    return run_script(options.script, options.args)

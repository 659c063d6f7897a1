"""`minift mlm`: its flags are the arguments of `load_blocks` and the fields of `TrainingArguments`."""

import argparse

from minift.cli.training import add_training_flags, train
from minift.tasks.blocks import load_blocks


def add(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser, load_blocks, eval_strategy="epoch", logging_strategy="epoch")


def run(options: argparse.Namespace) -> None:
    train(options, load_blocks, "mlm.mlm")

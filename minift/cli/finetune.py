"""`minift finetune`: its flags are the arguments of `load_rows` and the fields of `TrainingArguments`."""

import argparse

from minift.cli.training import add_training_flags, train
from minift.tasks.rows import load_rows


def add(parser: argparse.ArgumentParser) -> None:
    add_training_flags(parser, load_rows, eval_strategy="epoch")


def run(options: argparse.Namespace) -> None:
    train(options, load_rows, "classify.finetune")

"""`transformers.logging` and `datasets.logging`: the verbosity of minift's own messages."""

import logging


def get_logger(name: str | None = None) -> logging.Logger:
    return logging.getLogger(name or "minift")


def get_verbosity() -> int:
    return get_logger().getEffectiveLevel()


def set_verbosity(verbosity: int) -> None:
    get_logger().setLevel(verbosity)


def set_verbosity_debug() -> None:
    set_verbosity(logging.DEBUG)


def set_verbosity_info() -> None:
    set_verbosity(logging.INFO)


def set_verbosity_warning() -> None:
    set_verbosity(logging.WARNING)


def set_verbosity_error() -> None:
    set_verbosity(logging.ERROR)

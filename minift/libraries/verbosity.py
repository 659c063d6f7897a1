"""`transformers.logging`, `datasets.logging`, `evaluate.logging`: the verbosity of minift's own messages."""

import logging
from functools import partial


def get_logger(name: str | None = None) -> logging.Logger:
    return logging.getLogger(name or "minift")


def get_verbosity() -> int:
    return get_logger().getEffectiveLevel()


def set_verbosity(verbosity: int) -> None:
    get_logger().setLevel(verbosity)


set_verbosity_debug = partial(set_verbosity, logging.DEBUG)
set_verbosity_info = partial(set_verbosity, logging.INFO)
set_verbosity_warning = partial(set_verbosity, logging.WARNING)
set_verbosity_error = partial(set_verbosity, logging.ERROR)

"""`transformers.logging`, `datasets.logging`, `evaluate.logging`: the verbosity of minift's own messages."""

import logging
from functools import lru_cache, partial


def get_logger(name: str | None = None) -> logging.Logger:
    """Return a logger, with the methods that transformers' have besides: ``warning_once``, ``info_once``."""
    logger = logging.getLogger(name or "minift")
    if not hasattr(logger, "warning_once"):
        logger.warning_once, logger.info_once = lru_cache(None)(logger.warning), lru_cache(None)(logger.info)
        logger.warning_advice = logger.warning
    return logger


def get_verbosity() -> int:
    return get_logger().getEffectiveLevel()


def set_verbosity(verbosity: int) -> None:
    get_logger().setLevel(verbosity)


def enable_default_handler() -> None:
    """Write minift's messages to standard error."""
    if not get_logger().handlers:
        get_logger().addHandler(logging.StreamHandler())


def disable_default_handler() -> None:
    get_logger().handlers.clear()


def add_handler(handler: logging.Handler) -> None:
    get_logger().addHandler(handler)


def remove_handler(handler: logging.Handler) -> None:
    get_logger().removeHandler(handler)


def enable_propagation() -> None:
    """Hand the messages on to the root logger."""
    get_logger().propagate = True


def disable_propagation() -> None:
    get_logger().propagate = False


def enable_explicit_format() -> None:
    """Put level, file, line and time before each message."""
    for handler in get_logger().handlers:
        handler.setFormatter(logging.Formatter("[%(levelname)s|%(filename)s:%(lineno)s] %(asctime)s >> %(message)s"))


def reset_format() -> None:
    for handler in get_logger().handlers:
        handler.setFormatter(None)


def enable_progress_bar() -> None:
    """Do nothing: loading a model shows no progress."""


disable_progress_bar = enable_progress_bar

CRITICAL, ERROR, WARNING, INFO, DEBUG = (
    logging.CRITICAL,
    logging.ERROR,
    logging.WARNING,
    logging.INFO,
    logging.DEBUG,
)
set_verbosity_debug = partial(set_verbosity, logging.DEBUG)
set_verbosity_info = partial(set_verbosity, logging.INFO)
set_verbosity_warning = partial(set_verbosity, logging.WARNING)
set_verbosity_error = partial(set_verbosity, logging.ERROR)

"""`disable_caching`, `disable_progress_bars` and their like of `datasets`: switches in the environment."""

import os

CACHING, PROGRESS = "HF_DATASETS_DISABLE_CACHING", "HF_DATASETS_DISABLE_PROGRESS_BARS"


def disable_caching() -> None:
    """Change nothing but the answer of `is_caching_enabled`: `map` keeps no hidden cache here."""
    os.environ[CACHING] = "1"


def enable_caching() -> None:
    os.environ.pop(CACHING, None)


def is_caching_enabled() -> bool:
    return CACHING not in os.environ


def disable_progress_bars() -> None:
    os.environ[PROGRESS] = "1"


def enable_progress_bars() -> None:
    os.environ.pop(PROGRESS, None)


def are_progress_bars_disabled() -> bool:
    return os.environ.get(PROGRESS, "0").upper() in ("1", "TRUE", "YES", "ON")


disable_progress_bar, enable_progress_bar = disable_progress_bars, enable_progress_bars  # older names

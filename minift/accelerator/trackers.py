"""Trackers: where a loop's numbers go. Re-implements the base class of accelerate/tracking.py."""

import logging
from typing import Any

logger = logging.getLogger(__name__)


class GeneralTracker:
    """The base class of trackers: a subclass has a `name`, and stores what it is given.

    `main_process_only`: the methods run in the first process only. accelerate's own trackers (tensorboard, wandb, …)
    are not here: pass an object of a subclass as `log_with`.
    """

    name = "none"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, _blank: bool = False):
        self.blank = _blank

    @property
    def tracker(self) -> Any:
        """The object that does the work."""
        return self

    def start(self) -> None:
        """Begin the run."""

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """Store the arguments of the run."""

    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """Store numbers or text by name, at a step."""

    def finish(self) -> None:
        """End the run."""


def filter_trackers(log_with: Any) -> list[GeneralTracker]:
    """Return the trackers of `log_with`; "all" means those that are installed, of which there are none here."""
    chosen = log_with if isinstance(log_with, list | tuple) else [] if log_with is None else [log_with]
    names = [one for one in chosen if not isinstance(one, GeneralTracker)]
    for name in names:
        if str(name) != "all":
            raise ValueError(
                f"log_with: minift has no tracker {str(name)!r}; pass an object of a subclass of GeneralTracker"
            )
    if names:
        logger.warning("log_with='all': minift has no trackers of its own, so that nothing is tracked")
    return [one for one in chosen if isinstance(one, GeneralTracker)]

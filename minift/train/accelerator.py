"""Where `Accelerator` stood until it got a room of its own: scripts that import it from here still run."""

from typing import Any


def __getattr__(name: str) -> Any:
    from minift.accelerator import accelerator

    return getattr(accelerator, name)

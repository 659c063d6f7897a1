"""What torchrun tells each of its processes through environment variables; needs no torch."""

import os


def is_main_process() -> bool:
    """Tell whether this is the first of the processes that torchrun started, or the only process."""
    return os.environ.get("RANK", "0") == "0"

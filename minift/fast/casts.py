"""Weights that mixed precision has cast stay cast over several batches: around the plain loop over them."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def keep_casts() -> Iterator[None]:
    """Within the block, `torch.autocast` casts each weight once, not once for each batch. The weights must not change.

    Autocast keeps its casts until its outermost context ends (torch/amp/autocast_mode.py); this is one more context
    around it, which switches nothing on.
    """
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if torch.autocast_decrement_nesting() == 0:
            torch.clear_autocast_cache()

"""Memory that a step frees stays with the process, so that the next step need not ask the system for it again."""

import ctypes
import functools
import logging

logger = logging.getLogger(__name__)

# The parameters of glibc's mallopt (malloc.h)
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


@functools.cache
def keep_freed_memory() -> bool:
    """Tell glibc's malloc to keep what is freed, for the rest of the process; False where there is no glibc.

    By default it maps every large block afresh and unmaps it when it is freed, or trims its heap: the gradients and
    activations of each step, hundreds of megabytes, come as pages that the system has to find and clear one by one,
    which takes longer than to compute a small layer. The process then holds the most memory it ever needed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        logger.warning("keep_memory needs glibc's mallopt, which is not here: memory is handled as usual")
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))

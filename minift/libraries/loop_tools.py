"""What accelerate offers around a loop: a batch size that fits, messages of several processes, two ranks for a test."""

import functools
import gc
import inspect
import logging
import os
from collections.abc import Callable
from typing import Any

import torch

from minift.accelerator.nests import broadcast
from minift.accelerator.state import PartialState
from minift.distributed.process import notebook_launcher
from minift.train import seed as seeds
from minift.train.memory import is_out_of_memory


def find_executable_batch_size(
    function: Callable[..., Any] | None = None,
    starting_batch_size: int = 128,
    reduce_batch_size_fn: Callable[[], int] | None = None,
) -> Any:
    """Decorate ``function(batch_size, …)``: while memory does not suffice, it is called again with a smaller batch.

    The next size is 0.9 of the last, or what `reduce_batch_size_fn` returns. At 0 a RuntimeError ends it; other errors
    pass. Source: accelerate/utils/memory.py.
    """
    if function is None:
        options = {"starting_batch_size": starting_batch_size, "reduce_batch_size_fn": reduce_batch_size_fn}
        return functools.partial(find_executable_batch_size, **options)
    size = starting_batch_size

    @functools.wraps(function)
    def with_batch_size(*args: Any, **options: Any) -> Any:
        nonlocal size
        if len(inspect.signature(function).parameters) < len(args) + 1:
            raise TypeError(f"{function.__name__} gets batch_size as its first argument: call it without")
        while size > 0:
            release_memory()
            try:
                return function(size, *args, **options)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            size = reduce_batch_size_fn() if reduce_batch_size_fn else int(size * 0.9)
        raise RuntimeError("No executable batch size found, reached zero.")

    return with_batch_size


def release_memory(*objects: Any) -> list[None]:
    """Collect garbage, and return a None for each object, to be assigned to its name."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return [None] * len(objects)


class RankLogger(logging.LoggerAdapter):
    """A logger whose calls take `main_process_only` (True) and `in_order` (False: all processes, one after another)."""

    def log(self, level: int, msg: Any, *args: Any, **options: Any) -> None:
        if not PartialState.exists():
            raise RuntimeError(
                "make an Accelerator() or PartialState() before the first message of a get_logger logger"
            )
        state = PartialState()
        first_only, in_order = options.pop("main_process_only", True), options.pop("in_order", False)
        if not self.isEnabledFor(level):
            return
        options.setdefault("stacklevel", 2)
        for rank in range(state.num_processes) if in_order else [state.process_index]:
            if rank == state.process_index and (in_order or not first_only or state.is_main_process):
                self.logger.log(level, f"[RANK {rank}] {msg}", *args, **options)
            if in_order:
                state.wait_for_everyone()

    @functools.cache  # noqa: B019 — a logger lives as long as the process
    def warning_once(self, *args: Any, **options: Any) -> None:
        """As `warning`, but a message that has been given is not given again."""
        self.warning(*args, **options)


def get_logger(name: str, log_level: str | None = None) -> RankLogger:
    """Return a logger for several processes; `log_level` is by default the variable ACCELERATE_LOG_LEVEL."""
    logger, level = logging.getLogger(name), log_level or os.environ.get("ACCELERATE_LOG_LEVEL")
    if level:
        logger.setLevel(level.upper())
        logger.root.setLevel(level.upper())
    return RankLogger(logger, {})


def debug_launcher(function: Callable[..., Any], args: tuple = (), num_processes: int = 2) -> None:
    """Run ``function(*args)`` in several processes on the CPU."""
    notebook_launcher(function, args, num_processes)


def set_seed(seed: int, device_specific: bool = False, deterministic: bool = False) -> None:
    """Seed all generators, `device_specific` with ``seed + rank``."""
    seeds.set_seed(seed + (PartialState().process_index if device_specific else 0), deterministic)


def synchronize_rng_states(rng_types: list[Any], generator: torch.Generator | None = None) -> None:
    """Give all processes the state of process 0: of torch's global generator ("torch"), of "cuda"'s, of `generator`."""
    for kind in map(str, rng_types):
        if kind == "torch":
            torch.set_rng_state(broadcast(torch.get_rng_state()))
        elif kind == "cuda":
            torch.cuda.set_rng_state(broadcast(torch.cuda.get_rng_state()))
        elif kind != "generator":
            raise ValueError(f"synchronize_rng_states: rng_types are 'torch', 'cuda' and 'generator', not {kind!r}")
        elif generator is not None:
            generator.set_state(broadcast(generator.get_state()))

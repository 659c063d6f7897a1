"""Processes, without torch: what each of several knows of itself, how they fail together, what starts them."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

LAUNCHER_SECONDS = 5  # in which a launcher stops the other processes on its machine after one has failed
EXIT_SECONDS = 10  # in which a failed process must end
PRECISION = "ACCELERATE_MIXED_PRECISION"  # the environment variable in which accelerate passes it on


def process_count() -> int:
    """Return how many processes torchrun has started on all machines; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Tell whether this is the first of the processes that torchrun started, or the only process."""
    return os.environ.get("RANK", "0") == "0"


class PeerLostError(RuntimeError):
    """Another process ended while this one was waiting for it. The message of that process says why."""


@contextmanager
def lost_peers() -> Iterator[None]:
    """Turn the error of a broken connection into a `PeerLostError`, around every exchange and every wait for one."""
    try:
        yield
    except RuntimeError as error:  # gloo and nccl raise subclasses of it, and sometimes RuntimeError itself
        raise PeerLostError(f"rank {os.environ['RANK']} lost the connection to another rank: {error}") from error


def report_failure(error: BaseException) -> bool:
    """Tell whether this process should print `error`, so that only one prints when several fail together.

    Rank 0 prints at once. The others first wait until their launcher would have stopped them if rank 0 had failed too.
    A process that has lost a peer prints one line instead, and only if nobody stops it: this happens when the peer ran
    on another machine, under another launcher.
    """
    if process_count() == 1:
        return True
    # A connection that waits for a dead peer can block the exit of this process: the system then ends it.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LAUNCHER_SECONDS + EXIT_SECONDS)
    lost = isinstance(error, PeerLostError)
    if lost or not is_main_process():
        time.sleep(LAUNCHER_SECONDS)
    if lost:
        print(f"rank {os.environ['RANK']}: stopped, because another rank ended; its message says why", file=sys.stderr)
    return not lost


def report_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error that nothing has caught, unless another process prints it: the `sys.excepthook` of a run."""
    if not issubclass(kind, Exception) or report_failure(error):
        sys.__excepthook__(kind, error, trace)


def notebook_launcher(
    function: Callable,
    args: tuple = (),
    num_processes: int | None = None,
    mixed_precision: str = "no",
    use_port: str = "29500",
    master_addr: str = "127.0.0.1",
    node_rank: int = 0,
    num_nodes: int = 1,
    max_restarts: int = 0,
) -> None:
    """Run ``function(*args)`` in `num_processes` processes of this machine: by default one for each GPU, or one.

    Each is a fork of this one; a single one on a single machine is this process itself. An `Accelerator` or a `Trainer`
    that `function` makes finds its place in the run, an `Accelerator` also its `mixed_precision`. Make none before the
    call, and do not use the GPU before it. Of several machines, each makes the call, with its `node_rank` from 0; they
    meet at the first one's address and port. A run of which a process has failed starts again up to `max_restarts`
    times, then raises torch's ChildFailedError.
    """
    import torch
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if num_processes is None:
        num_processes = max(1, torch.cuda.device_count())
    before = os.environ.get(PRECISION)
    os.environ[PRECISION] = mixed_precision
    try:
        if num_processes == num_nodes == 1:
            function(*args)
            return
        config = LaunchConfig(
            min_nodes=num_nodes,
            max_nodes=num_nodes,
            nproc_per_node=num_processes,
            run_id="minift",
            rdzv_backend="static",
            rdzv_endpoint=f"{master_addr}:{use_port}",
            rdzv_configs={"rank": node_rank},
            max_restarts=max_restarts,
            start_method="fork",
        )
        elastic_launch(config, function)(*args)
    finally:
        os.environ.pop(PRECISION, None)
        if before is not None:
            os.environ[PRECISION] = before

"""`notebook_launcher`: run a function in several processes, by torch's own launcher."""

import os
from collections.abc import Callable

import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

PRECISION = "ACCELERATE_MIXED_PRECISION"  # the environment variable in which accelerate passes it on


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
    call, and do not use the GPU before it.

    Of several machines, each makes the call, with its `node_rank` from 0; they meet at the first one's address and
    port. A run of which a process has failed starts again up to `max_restarts` times; then torch's ChildFailedError is
    raised.
    """
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

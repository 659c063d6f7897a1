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
    """Run ``function(*args)`` in `num_processes` processes of this machine, started by torch.distributed.launcher.

    Each process is a fork of this one. An `Accelerator` or a `Trainer` that `function` makes finds its place in the
    run. Make none before the call, and do not use the GPU before it.

    Args:
        num_processes: by default one for each GPU, or one. A single one on a single machine is this process itself.
        mixed_precision: what an `Accelerator` made in `function` computes in, unless it says so itself.
        use_port, master_addr: where the processes meet: a port, and the address of the first machine.
        node_rank, num_nodes: the number of this machine, from 0, and the number of machines. Each makes the call.
        max_restarts: how often all processes are started again after one has failed.

    Raises:
        torch.distributed.elastic.multiprocessing.errors.ChildFailedError: a process has failed.
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
        if before is None:
            del os.environ[PRECISION]
        else:
            os.environ[PRECISION] = before

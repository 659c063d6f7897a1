"""`notebook_launcher`: several processes of a function, by torch's own launcher."""

import os
from collections.abc import Callable
from typing import Any

import torch


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

    Each is a fork of this one, in which an `Accelerator` or a `Trainer` made by `function` finds its place; none may
    have been made before, nor the GPU been used.

    Args:
        num_processes: by default one for each GPU, or one; a single one on a single machine is this process itself.
        mixed_precision: what an `Accelerator` made in `function` computes in, unless it says so itself.
        use_port, master_addr: where the processes meet; of several machines, the address of the first.
        node_rank, num_nodes: the number of this machine, from 0, of how many; the call is made on each.
        max_restarts: how often all processes are started anew when one has failed.

    Raises:
        torch.distributed.elastic.multiprocessing.errors.ChildFailedError: a process has failed.
    """
    os.environ["ACCELERATE_MIXED_PRECISION"] = mixed_precision
    if num_processes is None:
        num_processes = max(1, torch.cuda.device_count())
    try:
        if num_processes == num_nodes == 1:
            function(*args)
        else:
            _launch(function, args, num_processes, f"{master_addr}:{use_port}", node_rank, num_nodes, max_restarts)
    finally:
        del os.environ["ACCELERATE_MIXED_PRECISION"]


def _launch(
    function: Callable,
    args: tuple[Any, ...],
    num_processes: int,
    endpoint: str,
    node_rank: int,
    num_nodes: int,
    max_restarts: int,
) -> None:
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=num_nodes,
        max_nodes=num_nodes,
        nproc_per_node=num_processes,
        run_id="minift",
        rdzv_backend="static",
        rdzv_endpoint=endpoint,
        rdzv_configs={"rank": node_rank},
        max_restarts=max_restarts,
        start_method="fork",
    )
    elastic_launch(config, function)(*args)

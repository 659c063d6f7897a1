"""What an `Accelerator` can be told, in the forms of accelerate/utils/dataclasses.py."""

import os
from dataclasses import dataclass
from typing import Any


@dataclass
class DataLoaderConfiguration:
    """How processes share the batches of a loader.

    split_batches: the processes share each batch; otherwise they take whole batches in turn.
    dispatch_batches: process 0 reads and sends the batches; None: it does so for a stream.
    even_batches: give all processes equally many full batches, the last ones filled with rows from the beginning.
        Otherwise one process may get a batch less than another: the loop must then exchange nothing.
    use_seedable_sampler: shuffle epoch e with ``data_seed + e``; `data_seed` None: the seed of `set_seed`.
    use_stateful_dataloader: loaders have `state_dict` and `load_state_dict`, and `save_state` keeps their place.
    non_blocking: for GPUs with pinned memory; without effect here.
    """

    split_batches: bool = False
    dispatch_batches: bool | None = None
    even_batches: bool = True
    use_seedable_sampler: bool = False
    data_seed: int | None = None
    non_blocking: bool = False
    use_stateful_dataloader: bool = False


@dataclass
class GradientAccumulationPlugin:
    """How batches are accumulated.

    num_steps: batches in one update.
    adjust_scheduler: as accelerate, count the batches between updates in the schedule's own count.
    sync_with_dataloader: the last batch of an epoch ends an update.
    sync_each_batch: average gradients over the processes at each batch, not only at the last of an update.
    """

    num_steps: int | None = None
    adjust_scheduler: bool = True
    sync_with_dataloader: bool = True
    sync_each_batch: bool = False


@dataclass
class ProjectConfiguration:
    """Where `save_state` and trackers write.

    automatic_checkpoint_naming: `save_state` writes ``project_dir/checkpoints/checkpoint_<iteration>`` and keeps the
        last `total_limit` of them.
    """

    project_dir: str | os.PathLike | None = None
    logging_dir: str | os.PathLike | None = None
    automatic_checkpoint_naming: bool = False
    total_limit: int | None = None
    iteration: int = 0
    save_on_each_node: bool = False

    def __post_init__(self) -> None:
        self.set_directories(self.project_dir)

    def set_directories(self, project_dir: str | os.PathLike | None = None) -> None:
        self.project_dir = project_dir
        if self.logging_dir is None:
            self.logging_dir = project_dir


@dataclass
class InitProcessGroupKwargs:
    """How the processes meet. minift chooses the backend; a `timeout` is taken and has no effect."""

    backend: str | None = None
    init_method: str | None = None
    timeout: Any = None


@dataclass
class GradScalerKwargs:
    """The scale of losses under fp16, see `torch.amp.GradScaler`."""

    init_scale: float = 65536.0
    growth_factor: float = 2.0
    backoff_factor: float = 0.5
    growth_interval: int = 2000
    enabled: bool = True


@dataclass
class AutocastKwargs:
    """Whether mixed precision is on, and whether weights cast once are kept, see `torch.autocast`."""

    enabled: bool = True
    cache_enabled: bool | None = None


@dataclass
class DistributedDataParallelKwargs:
    """Options of torch's wrapper. minift averages by hooks: it needs none, and finds unused parameters by itself."""

    dim: int = 0
    broadcast_buffers: bool = True
    bucket_cap_mb: int = 25
    find_unused_parameters: bool = False
    check_reduction: bool = False
    gradient_as_bucket_view: bool = False
    static_graph: bool = False


def by_class(handlers: list[Any] | None) -> dict[type, Any]:
    """Return the handlers by their classes; one that minift does not have is a TypeError."""
    known = (InitProcessGroupKwargs, GradScalerKwargs, AutocastKwargs, DistributedDataParallelKwargs)
    for handler in handlers or []:
        if type(handler) not in known:
            raise TypeError(
                f"kwargs_handlers: Accelerator does not support {type(handler).__name__}; it has "
                f"{', '.join(one.__name__ for one in known)}"
            )
    return {type(handler): handler for handler in handlers or []}

"""Where this process stands, and where its loop is: three objects that all parts of a script share.

Re-implements accelerate/state.py. Every object of one of these classes shows the same values: what one part of a script
changes, the others see.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from minift.accelerator import nests
from minift.distributed import exchange
from minift.distributed.world import world

AUTOCAST_DTYPES = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class DistributedType(str, Enum):  # noqa: UP042 - its text shows the class, as accelerate's
    """How processes work together: accelerate's names. A run here is one of the first three."""

    NO = "NO"
    MULTI_CPU = "MULTI_CPU"
    MULTI_GPU = "MULTI_GPU"
    MULTI_NPU = "MULTI_NPU"
    MULTI_MLU = "MULTI_MLU"
    MULTI_SDAA = "MULTI_SDAA"
    MULTI_MUSA = "MULTI_MUSA"
    MULTI_XPU = "MULTI_XPU"
    MULTI_HPU = "MULTI_HPU"
    MULTI_NEURON = "MULTI_NEURON"
    DEEPSPEED = "DEEPSPEED"
    FSDP = "FSDP"
    XLA = "XLA"
    TPU = "TPU"  # the former name of XLA, which scripts still compare with
    MEGATRON_LM = "MEGATRON_LM"


class Shared:
    """All objects of one class have the same attributes."""

    _shared_state: dict[str, Any]

    def __init_subclass__(cls) -> None:
        cls._shared_state = {}

    def __new__(cls, *args: Any, **options: Any) -> "Shared":
        state = super().__new__(cls)
        state.__dict__ = cls._shared_state
        return state

    @property
    def initialized(self) -> bool:
        return self.exists()

    @classmethod
    def exists(cls) -> bool:
        """Whether an object of this class has been made, and its values are known."""
        return bool(cls._shared_state)

    @classmethod
    def reset(cls) -> None:
        """Forget the values; the next object finds them anew."""
        cls._shared_state.clear()

    _reset_state = reset  # accelerate's name

    def __getattr__(self, name: str) -> Any:
        kind = type(self).__name__
        raise AttributeError(
            f"`{kind}` object has no attribute `{name}`. This happens if `{kind}._reset_state()` was called and an "
            "`Accelerator` or `PartialState` was not made again."
        )


class PartialState(Shared):
    """The place of this process among all processes of the run, and its device.

    Args:
        cpu: stay on the CPU, even if there is a GPU. Only the first object of a process decides this.
    """

    def __init__(self, cpu: bool = False, **unsupported: Any):
        if unsupported:
            raise TypeError(f"{type(self).__name__} does not support {', '.join(map(repr, unsupported))}")
        if self.initialized:
            return
        place = world()
        self.process_index, self.num_processes = place.rank, place.size
        self.local_process_index, self.device, self._cpu = place.local_rank, place.device(cpu), cpu
        self.backend = None if place.size == 1 else "gloo" if self.device.type == "cpu" else "nccl"
        on_gpu = self.device.type == "cuda"
        kind = "NO" if place.size == 1 else "MULTI_GPU" if on_gpu else "MULTI_CPU"
        self.distributed_type, self.debug, self.fork_launched = DistributedType[kind], False, False

    is_main_process = property(lambda self: self.process_index == 0)
    is_local_main_process = property(lambda self: self.local_process_index == 0)
    is_last_process = property(lambda self: self.process_index == self.num_processes - 1)
    use_distributed = property(lambda self: self.num_processes > 1)
    wait_for_everyone = staticmethod(exchange.barrier)
    # the `with` block runs in the first process (of this machine) before the others, which find what it mapped
    main_process_first = staticmethod(functools.partial(exchange.main_process_first, local=False))
    local_main_process_first = staticmethod(exchange.main_process_first)

    def __repr__(self) -> str:
        backend = f"  Backend: {self.backend}" if self.backend else ""
        return (
            f"Distributed environment: {self.distributed_type}{backend}\nNum processes: {self.num_processes}\n"
            f"Process index: {self.process_index}\nLocal process index: {self.local_process_index}\n"
            f"Device: {self.device}\n"
        )

    def destroy_process_group(self, group: Any = None) -> None:
        """Do nothing: the process group ends with the process."""

    # -- work for some of the processes

    def on_main_process(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function that runs in the first process only; in the others it returns None."""
        return _only(lambda: self.is_main_process, function)

    def on_local_main_process(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return _only(lambda: self.is_local_main_process, function)

    def on_last_process(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return _only(lambda: self.is_last_process, function)

    def on_process(self, function: Callable[..., Any] | None = None, process_index: int | None = None) -> Any:
        """Decorate a function that runs in process `process_index` only."""
        if function is None:
            return functools.partial(self.on_process, process_index=process_index)
        return _only(lambda: self.process_index == process_index, function)

    def on_local_process(self, function: Callable[..., Any] | None = None, local_process_index: int = 0) -> Any:
        if function is None:
            return functools.partial(self.on_local_process, local_process_index=local_process_index)
        return _only(lambda: self.local_process_index == local_process_index, function)

    def print(self, *values: Any, **options: Any) -> None:
        """Print in the first process of each machine only."""
        if self.is_local_main_process:
            print(*values, **options)

    @contextmanager
    def split_between_processes(self, inputs: Any, apply_padding: bool = False) -> Iterator[Any]:
        """Give this process its share of a list, tuple, tensor or Dataset, or of each value of a dict of them.

        The first processes get one row more if the rows do not divide. `apply_padding` repeats the last row of a
        share, so that all shares are equally long and can be gathered.
        """
        if self.num_processes == 1:
            yield inputs
            return
        columns = inputs.values() if isinstance(inputs, Mapping) else [inputs]
        lengths = {len(column) for column in columns}
        if len(lengths) != 1:
            raise ValueError(f"split_between_processes: the values of the dict have {sorted(lengths)} rows")
        each, more = divmod(lengths.pop(), self.num_processes)
        start = self.process_index * each + min(self.process_index, more)
        end = start + each + (self.process_index < more)
        padded = each + (more > 0) if apply_padding else 0
        if isinstance(inputs, Mapping):
            yield {name: _share(column, start, end, padded) for name, column in inputs.items()}
        else:
            yield _share(inputs, start, end, padded)


class AcceleratorState(PartialState):
    """As `PartialState`, with what an `Accelerator` computes in."""

    def __init__(self, mixed_precision: str | None = None, cpu: bool = False, **unsupported: Any):
        if not self.initialized:
            PartialState(cpu, **unsupported)
            self.mixed_precision = mixed_precision or "no"
        elif mixed_precision not in (None, self.mixed_precision):
            raise ValueError(
                f"an Accelerator with mixed_precision={self.mixed_precision!r} has been made in this process: all of "
                f"them compute in one type. Start a new process for {mixed_precision!r}"
            )

    def __getattr__(self, name: str) -> Any:
        known = vars(PartialState()) if PartialState.exists() else {}
        return known[name] if name in known else super().__getattr__(name)

    def __repr__(self) -> str:
        return f"{super().__repr__()}\nMixed precision type: {self.mixed_precision}\n"

    @classmethod
    def reset(cls, reset_partial_state: bool = False) -> None:
        super().reset()
        if reset_partial_state:
            PartialState.reset()

    _reset_state = reset


class GradientState(Shared):
    """Where the loops of this process are in their update and in their epoch."""

    def __init__(self) -> None:
        if not self.initialized:
            self.sync_gradients = True  # whether this batch ends an update
            self.running: list[Any] = []  # prepared loaders in the middle of an epoch, the innermost last
            self.plugin_kwargs: dict[str, Any] = {}

    @property
    def active_dataloader(self) -> Any:
        return self.running[-1] if self.running else None

    in_dataloader = property(lambda self: bool(self.running))
    end_of_dataloader = property(lambda self: bool(self.running) and self.running[-1].end_of_dataloader)
    remainder = property(lambda self: self.running[-1].remainder if self.running else -1)
    num_steps = property(lambda self: self.plugin_kwargs.get("num_steps", 1))
    adjust_scheduler = property(lambda self: self.plugin_kwargs.get("adjust_scheduler", False))
    sync_with_dataloader = property(lambda self: self.plugin_kwargs.get("sync_with_dataloader", True))
    sync_each_batch = property(lambda self: self.plugin_kwargs.get("sync_each_batch", False))


def _only(here: Callable[[], bool], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **options: Any) -> Any:
        return function(*args, **options) if here() else None

    return inner


def _share(rows: Any, start: int, end: int, padded: int) -> Any:
    """Take rows `start` to `end`, the last row where there is none, and repeat its last row to `padded` rows."""
    if hasattr(rows, "select") and not isinstance(rows, Tensor):  # a Dataset
        start, end = (len(rows) - 1, len(rows)) if start >= len(rows) else (start, end)
        return rows.select([*range(start, end), *[end - 1] * (padded - (end - start))])
    if not isinstance(rows, list | tuple | Tensor):
        return rows
    share = rows[start:end] if start < len(rows) else rows[-1:]
    missing = padded - len(share)
    if missing <= 0:
        return share
    if isinstance(share, Tensor):
        return nests.concatenate([share, rows[-1:].expand(missing, *rows.shape[1:])])
    return share + type(share)([share[-1]]) * missing

"""`Accelerator`: the plain loop with the device, gradient accumulation and mixed precision taken care of.

Re-implements accelerate/accelerator.py and state.py. In one process gathering and waiting have nothing to do; torchrun,
or `notebook_launcher`, starts several (see `minift.distributed.exchange`), for which the loop stays as it is.
"""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from minift.accelerator import state as accelerator_state
from minift.accelerator.prepared import PreparedLoader, PreparedOptimizer, PreparedScheduler
from minift.distributed.exchange import (
    all_reduce,
    barrier,
    broadcast_module,
    gather,
    gather_objects,
    main_process_first,
    world,
)
from minift.distributed.gradients import Averaging, make_averaging
from minift.files import atomic_path

AUTOCAST_DTYPES = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
BUCKET_CAP_MB = 25.0  # as DistributedDataParallel's


@dataclass
class DataLoaderConfiguration:
    """How loaders are shared out among processes, see `Accelerator`."""

    split_batches: bool = False
    even_batches: bool = True


class Accelerator:
    """Prepares the parts of a training loop and runs its backward pass.

    Args:
        device_placement: move models and batches to `device`.
        split_batches: the processes share each batch of a loader out; otherwise they take whole batches in turn.
        mixed_precision: "no", "bf16" or "fp16": what prepared models compute in. Their parameters stay fp32, and
            their outputs are fp32 again; "fp16" scales the loss and needs a GPU.
        gradient_accumulation_steps: batches in one update, for loops that use `accumulate`; `backward` divides by it.
        cpu: stay on the CPU though there is a GPU.
        even_batches: give all processes equally many full batches: rows from the beginning fill the last ones up.
            Otherwise some process may get a batch less, and must not wait for the others in it.
        dataloader_config: `split_batches` and `even_batches` as accelerate takes them.

    Attributes:
        process_index, num_processes: the number of this process, from 0, of how many; `local_process_index` counts on
            this machine.
        is_main_process, is_local_main_process, is_last_process: whether it is the first (on this machine), or the last.

    Raises:
        TypeError: an argument of accelerate's that is not supported.
        ValueError: an unknown precision, "fp16" on the CPU, or less than one step.
    """

    def __init__(
        self,
        device_placement: bool = True,
        split_batches: bool = False,
        mixed_precision: str | None = None,
        gradient_accumulation_steps: int = 1,
        cpu: bool = False,
        even_batches: bool = True,
        dataloader_config: DataLoaderConfiguration | None = None,
        **unsupported: Any,
    ):
        if unsupported:
            raise TypeError(f"Accelerator does not support {', '.join(map(repr, unsupported))}")
        if gradient_accumulation_steps < 1:
            raise ValueError(f"gradient_accumulation_steps must be at least 1, not {gradient_accumulation_steps}")
        self.mixed_precision = mixed_precision or os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
        if self.mixed_precision not in AUTOCAST_DTYPES:
            known = ", ".join(map(repr, AUTOCAST_DTYPES))
            raise ValueError(f"mixed_precision must be one of {known}, not {self.mixed_precision!r}")
        place = world()
        self.process_index, self.local_process_index, self.num_processes = place.rank, place.local_rank, place.size
        self.is_main_process, self.is_local_main_process = place.is_main, place.local_rank == 0
        self.is_last_process, self.use_distributed = place.rank == place.size - 1, place.size > 1
        self.device = place.device(cpu)
        if self.mixed_precision == "fp16" and self.device.type == "cpu":
            raise ValueError("mixed_precision='fp16' needs a GPU; on the CPU there is 'bf16'")
        config = dataloader_config or DataLoaderConfiguration(split_batches, even_batches)
        self.device_placement = device_placement
        self.split_batches, self.even_batches = config.split_batches, config.even_batches
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.sync_gradients = True
        self.optimizer_step_was_skipped = False
        # A disabled scaler hands losses, gradients and steps on as they are.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.mixed_precision == "fp16")
        self._models: list[nn.Module] = []
        self._averagings: list[Averaging] = []  # one for each model
        self._optimizers: list[PreparedOptimizer] = []
        self._schedulers: list[PreparedScheduler] = []
        self._loaders: list[PreparedLoader] = []
        self._running: list[PreparedLoader] = []  # loaders in the middle of an epoch, the innermost last
        self._batches = 0  # since the last update

    def prepare(self, *parts: Any) -> Any:
        """Each part in the form in which the loop uses it, in the same order; a single one is not put in a tuple.

        DataLoaders, models, optimizers and schedulers change as the classes below say; anything else, and what has
        been prepared already, comes back as it is.
        """
        prepared = tuple(self._prepare(part) for part in parts)
        return prepared if len(parts) != 1 else prepared[0]

    def _prepare(self, part: Any) -> Any:
        if isinstance(part, PreparedOptimizer):
            return part
        if isinstance(part, DataLoader):
            self._loaders.append(PreparedLoader(part, self))
            return self._loaders[-1]
        if isinstance(part, nn.Module):
            return self.prepare_model(part)
        if isinstance(part, torch.optim.Optimizer):
            self._optimizers.append(PreparedOptimizer(part, self))
            return self._optimizers[-1]
        if isinstance(part, LRScheduler):
            self._schedulers.append(PreparedScheduler(part, self))
            return self._schedulers[-1]
        return part

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Move `model` to the device; under mixed precision its forward pass computes in that type, too.

        Of several processes, all get the weights of the first, and `backward` will average the gradients. The model
        stays what it is: there is nothing around it.
        """
        if self.device_placement:
            model = model.to(self.device)
        if not any(model is known for known in self._models):
            broadcast_module(model)
            self._models.append(model)
            self._averagings.append(make_averaging(model, "overlapped", BUCKET_CAP_MB))
        if self.mixed_precision != "no" and "forward" not in vars(model):
            model.forward = self._in_mixed_precision(model.forward)
        return model

    def _in_mixed_precision(self, forward: Callable) -> Callable:
        @functools.wraps(forward)
        def mixed(*args: Any, **kwargs: Any) -> Any:
            with self.autocast():
                outputs = forward(*args, **kwargs)
            return _to_fp32(outputs)

        return mixed

    def autocast(self) -> AbstractContextManager:
        """Compute what is in the `with` block in mixed precision, if one was asked for."""
        dtype = AUTOCAST_DTYPES[self.mixed_precision]
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def unwrap_model(self, model: nn.Module, keep_fp32_wrapper: bool = True) -> nn.Module:
        """The model that was given to `prepare`; without `keep_fp32_wrapper`, also with its own forward pass."""
        if not keep_fp32_wrapper:
            vars(model).pop("forward", None)
        return model

    def backward(self, loss: Tensor, **options: Any) -> None:
        """Add the gradients of `loss` (a scalar), divided by the batches in one update.

        They are means over all processes afterwards, unless more batches of the update are to come.
        """
        self.scaler.scale(loss / self.gradient_accumulation_steps).backward(**options)
        self.finish_gradients(all_models=True)

    def finish_gradients(self, all_models: bool = False) -> None:
        """Wait for the averages that a backward pass has begun; a loop that calls `loss.backward()` need not."""
        for averaging in self._averagings:
            if all_models or averaging.has_begun:
                averaging.finish()

    @contextmanager
    def accumulate(self, *models: nn.Module) -> Iterator[None]:
        """Around the work on one batch: prepared optimizers and schedulers step only at the last batch of an update.

        Until then the gradients of `models` stay in their process. The last batch of an epoch ends an update, however
        few batches it has.
        """
        self._batches += 1
        at_end = bool(self._running) and self._running[-1].end_of_dataloader
        self.sync_gradients = at_end or self._batches % self.gradient_accumulation_steps == 0
        if at_end:
            self._batches = 0
        with ExitStack() as stack:
            for model in () if self.sync_gradients else models:
                stack.enter_context(self.no_sync(model))
            yield

    @contextmanager
    def no_sync(self, model: nn.Module) -> Iterator[None]:
        """Gradients of `model`, which has been prepared, are not exchanged in the `with` block."""
        averaging = next((a for m, a in zip(self._models, self._averagings, strict=True) if m is model), None)
        if averaging is None:
            raise ValueError("no_sync needs a model that has been prepared")
        with averaging.no_sync():
            yield

    def unscale_gradients(self, optimizer: "PreparedOptimizer | None" = None) -> None:
        """Undo the scale of fp16 on the gradients of `optimizer`, or of all."""
        for one in [optimizer] if optimizer else self._optimizers:
            self.scaler.unscale_(one.optimizer)

    def clip_grad_norm_(self, parameters: Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> Tensor | None:
        """Scale the gradients so that their common norm is at most `max_norm`; return the norm that they had.

        None, and nothing done, at a batch that does not end an update.
        """
        if not self.sync_gradients:
            return None
        self.finish_gradients()
        self.unscale_gradients()
        return nn.utils.clip_grad_norm_(parameters, max_norm, norm_type=norm_type)

    def clip_grad_value_(self, parameters: Iterable[Tensor], clip_value: float) -> None:
        """Cut every element of the gradients to [-clip_value, clip_value]."""
        if self.sync_gradients:
            self.finish_gradients()
            self.unscale_gradients()
            nn.utils.clip_grad_value_(parameters, clip_value)

    def gather(self, tensor: Any) -> Any:
        """The tensors of all processes, in any nest of dicts, lists and tuples, joined at the first axis.

        Their first axes may differ in length. Numbers (no axis) become a vector; with one process, nothing changes.
        """
        if not self.use_distributed:
            return tensor
        return map_tensors(lambda one: torch.cat(gather(one.reshape(1) if one.dim() == 0 else one)), tensor)

    def gather_for_metrics(self, input_data: Any) -> Any:
        """As `gather`, without the rows that even out the last batch; also for a list of anything that JSON can hold.

        Raises:
            TypeError: neither tensors nor what JSON can hold.
        """
        if not self.use_distributed:
            return input_data
        running = self._running[-1] if self._running else None
        real = running.remainder if running is not None and running.end_of_dataloader else 0
        try:
            gathered = self.gather(input_data)
        except TypeError:
            gathered = [item for part in gather_objects(input_data) for item in part]
            return gathered[:real] if real else gathered
        return map_tensors(lambda one: one[:real], gathered) if real else gathered

    def reduce(self, tensor: Any, reduction: str = "sum", scale: float = 1.0) -> Any:
        """The sum or mean ("none": neither) of tensors over all processes; `scale` is for TPUs, and without effect."""
        if reduction not in ("sum", "mean", "none"):
            raise ValueError(f"reduction must be 'sum', 'mean' or 'none', not {reduction!r}")
        if not self.use_distributed or reduction == "none":
            return tensor

        def reduced(one: Tensor) -> Tensor:
            one = one.detach().clone()
            all_reduce(one)
            return one / self.num_processes if reduction == "mean" else one

        return map_tensors(reduced, tensor)

    def pad_across_processes(self, tensor: Any, dim: int = 0, pad_index: int = 0, pad_first: bool = False) -> Any:
        """Pad tensors with `pad_index` at the end (or the beginning) of axis `dim` to the longest of all processes."""

        def padded(one: Tensor) -> Tensor:
            if not -one.dim() <= dim < one.dim():
                return one
            missing = max(gather_objects(one.shape[dim])) - one.shape[dim]
            if missing == 0:
                return one
            filling = one.new_full([missing if axis == dim % one.dim() else n for axis, n in enumerate(one.shape)], 0)
            filling += pad_index
            return torch.cat([filling, one] if pad_first else [one, filling], dim)

        return map_tensors(padded, tensor) if self.use_distributed else tensor

    def wait_for_everyone(self) -> None:
        """Return when every process has come here: with one process, at once."""
        barrier()

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """The main process runs the `with` block before the others, which find what it mapped."""
        with main_process_first(local=False):
            yield

    @contextmanager
    def local_main_process_first(self) -> Iterator[None]:
        """The same on each machine, whose first process goes first."""
        with main_process_first(local=True):
            yield

    def print(self, *values: Any, **options: Any) -> None:
        """As `print`, from the first process of each machine only."""
        if self.is_local_main_process:
            print(*values, **options)

    def save(self, obj: Mapping[str, Tensor], f: str | os.PathLike, safe_serialization: bool = True) -> None:
        """Write named tensors to the safetensors file `f`; of several processes, the first does.

        Raises:
            ValueError: another kind of file or object was asked for: it would be a pickle, which can run code.
        """
        if not safe_serialization or Path(f).suffix != ".safetensors":
            raise ValueError(f"{f}: Accelerator.save writes .safetensors files only; other formats can run code")
        if not isinstance(obj, Mapping) or not all(isinstance(value, Tensor) for value in obj.values()):
            raise ValueError(f"{f}: Accelerator.save writes a dict of tensors, such as model.state_dict()")
        if not self.is_main_process:
            return
        tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in obj.items()}
        with atomic_path(f) as temporary:
            save_file(tensors, temporary, metadata={"format": "pt"})

    def free_memory(self, *objects: Any) -> list[None]:
        """Forget all that was prepared; returns a None for each object, to be assigned to its name."""
        for averaging in self._averagings:
            averaging.remove()
        for prepared in (self._models, self._averagings, self._optimizers, self._schedulers, self._loaders):
            prepared.clear()
        return [None] * len(objects)

    def save_state(self, output_dir: str | os.PathLike) -> str:
        """Write what `load_state` needs, see `minift.accelerator.state` (*collective*)."""
        return accelerator_state.save(self, output_dir)

    def load_state(self, input_dir: str | os.PathLike) -> None:
        """Bring models, optimizers, schedules and generators to where they were at `save_state`."""
        accelerator_state.load(self, input_dir)

    def end_training(self) -> None:
        """Nothing is left to close: the process group ends with the process."""


def map_tensors(function: Callable[[Tensor], Any], nest: Any) -> Any:
    """`function` of every tensor in a nest of dicts, lists and tuples.

    Raises:
        TypeError: there is something else in it.
    """
    if isinstance(nest, Tensor):
        return function(nest)
    if isinstance(nest, Mapping):
        return type(nest)(**{name: map_tensors(function, value) for name, value in nest.items()})
    if isinstance(nest, list | tuple):
        return type(nest)(map_tensors(function, value) for value in nest)
    raise TypeError(f"expected tensors, in dicts, lists or tuples, not {type(nest).__name__}")


def _to_fp32(outputs: Any) -> Any:
    """The half-precision tensors of a nest of dicts, lists and tuples as fp32."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
    if isinstance(outputs, Mapping):
        return type(outputs)(**{name: _to_fp32(value) for name, value in outputs.items()})
    if isinstance(outputs, list | tuple):
        return type(outputs)(_to_fp32(value) for value in outputs)
    return outputs

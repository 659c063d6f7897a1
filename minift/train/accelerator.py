"""`Accelerator`: the plain loop with the device, gradient accumulation and mixed precision taken care of.

Re-implements accelerate/accelerator.py, data_loader.py, optimizer.py and scheduler.py for one process, on which
gathering and waiting have nothing to do; they are here so that a loop written for several processes runs as it is.
"""

import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from minift.files import atomic_path
from minift.train.loader import to_device

AUTOCAST_DTYPES = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
_END = object()


class Accelerator:
    """Prepares the parts of a training loop and runs its backward pass.

    Args:
        device_placement: move models and batches to `device`.
        split_batches: share a batch out among the processes; there is one, which gets all of it.
        mixed_precision: "no", "bf16" or "fp16": what prepared models compute in. Their parameters stay fp32, and
            their outputs are fp32 again; "fp16" scales the loss and needs a GPU.
        gradient_accumulation_steps: batches in one update, for loops that use `accumulate`; `backward` divides by it.
        cpu: stay on the CPU though there is a GPU.

    Raises:
        TypeError: an argument of accelerate's that is not supported.
        ValueError: an unknown precision, "fp16" on the CPU, or less than one step.
        RuntimeError: it was started as one of several processes.
    """

    process_index = local_process_index = 0
    num_processes = 1
    is_main_process = is_local_main_process = is_last_process = True
    use_distributed = False

    def __init__(
        self,
        device_placement: bool = True,
        split_batches: bool = False,
        mixed_precision: str | None = None,
        gradient_accumulation_steps: int = 1,
        cpu: bool = False,
        **unsupported: Any,
    ):
        if unsupported:
            raise TypeError(f"Accelerator does not support {', '.join(map(repr, unsupported))}")
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise RuntimeError(f"Accelerator runs in one process, not in {os.environ['WORLD_SIZE']} (WORLD_SIZE)")
        if gradient_accumulation_steps < 1:
            raise ValueError(f"gradient_accumulation_steps must be at least 1, not {gradient_accumulation_steps}")
        self.mixed_precision = mixed_precision or os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
        if self.mixed_precision not in AUTOCAST_DTYPES:
            known = ", ".join(map(repr, AUTOCAST_DTYPES))
            raise ValueError(f"mixed_precision must be one of {known}, not {self.mixed_precision!r}")
        self.device = torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")
        if self.mixed_precision == "fp16" and self.device.type == "cpu":
            raise ValueError("mixed_precision='fp16' needs a GPU; on the CPU there is 'bf16'")
        self.device_placement, self.split_batches = device_placement, split_batches
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.sync_gradients = True
        self.optimizer_step_was_skipped = False
        # A disabled scaler hands losses, gradients and steps on as they are.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.mixed_precision == "fp16")
        self._optimizers: list[PreparedOptimizer] = []
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
            return PreparedLoader(part, self)
        if isinstance(part, nn.Module):
            return self.prepare_model(part)
        if isinstance(part, torch.optim.Optimizer):
            self._optimizers.append(PreparedOptimizer(part, self))
            return self._optimizers[-1]
        if isinstance(part, LRScheduler):
            return PreparedScheduler(part, self)
        return part

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Move `model` to the device; under mixed precision its forward pass computes in that type, too."""
        if self.device_placement:
            model = model.to(self.device)
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
        """Add the gradients of `loss` (a scalar), divided by the batches in one update."""
        self.scaler.scale(loss / self.gradient_accumulation_steps).backward(**options)

    @contextmanager
    def accumulate(self, *models: nn.Module) -> Iterator[None]:
        """Around the work on one batch: prepared optimizers and schedulers step only at the last batch of an update.

        The last batch of an epoch ends an update, however few batches it has.
        """
        self._batches += 1
        at_end = bool(self._running) and self._running[-1].end_of_dataloader
        self.sync_gradients = at_end or self._batches % self.gradient_accumulation_steps == 0
        if at_end:
            self._batches = 0
        yield

    @contextmanager
    def no_sync(self, model: nn.Module) -> Iterator[None]:
        """Gradients are not exchanged in the `with` block; one process never does."""
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
        self.unscale_gradients()
        return nn.utils.clip_grad_norm_(parameters, max_norm, norm_type=norm_type)

    def clip_grad_value_(self, parameters: Iterable[Tensor], clip_value: float) -> None:
        """Cut every element of the gradients to [-clip_value, clip_value]."""
        if self.sync_gradients:
            self.unscale_gradients()
            nn.utils.clip_grad_value_(parameters, clip_value)

    def gather(self, tensor: Any) -> Any:
        """The tensors of all processes, joined at the first axis: with one process, `tensor` itself."""
        return tensor

    def gather_for_metrics(self, input_data: Any) -> Any:
        """As `gather`, without the rows that even out the last batch; one process adds none."""
        return input_data

    def reduce(self, tensor: Any, reduction: str = "sum", scale: float = 1.0) -> Any:
        """The sum or mean ("none": neither) over all processes; `scale` has an effect only when there are several."""
        if reduction not in ("sum", "mean", "none"):
            raise ValueError(f"reduction must be 'sum', 'mean' or 'none', not {reduction!r}")
        return tensor

    def pad_across_processes(self, tensor: Any, dim: int = 0, pad_index: int = 0, pad_first: bool = False) -> Any:
        """Pad to the longest of all processes: with one process, `tensor` itself."""
        return tensor

    def wait_for_everyone(self) -> None:
        """Return when every process has come here: with one process, at once."""

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """The main process runs the `with` block before the others."""
        yield

    local_main_process_first = main_process_first

    def print(self, *values: Any, **options: Any) -> None:
        """As `print`, from one process only."""
        print(*values, **options)

    def save(self, obj: Mapping[str, Tensor], f: str | os.PathLike, safe_serialization: bool = True) -> None:
        """Write named tensors to the safetensors file `f`.

        Raises:
            ValueError: another kind of file or object was asked for: it would be a pickle, which can run code.
        """
        if not safe_serialization or Path(f).suffix != ".safetensors":
            raise ValueError(f"{f}: Accelerator.save writes .safetensors files only; other formats can run code")
        if not isinstance(obj, Mapping) or not all(isinstance(value, Tensor) for value in obj.values()):
            raise ValueError(f"{f}: Accelerator.save writes a dict of tensors, such as model.state_dict()")
        tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in obj.items()}
        with atomic_path(f) as temporary:
            save_file(tensors, temporary, metadata={"format": "pt"})

    def free_memory(self, *objects: Any) -> list[None]:
        """Forget the prepared optimizers; returns a None for each object, to be assigned to its name."""
        self._optimizers.clear()
        return [None] * len(objects)

    def end_training(self) -> None:
        """Nothing is left to close."""


class PreparedLoader:
    """Runs a DataLoader one batch ahead and moves its batches to the device.

    The look-ahead is part of the arithmetic, as in `minift.train.loader.Loader`: batch k+1 is collated before batch k
    is used. Starting an epoch draws what the DataLoader itself draws from torch's global generator: the base seed of
    its workers, and with `shuffle=True` the seed of the permutation.
    """

    def __init__(self, loader: DataLoader, accelerator: Accelerator):
        self.loader, self.accelerator = loader, accelerator
        self.end_of_dataloader = False

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        if name == "loader":  # not there yet while the object is being copied
            raise AttributeError(name)
        return getattr(self.loader, name)

    def __iter__(self) -> Iterator[Any]:
        iterator = iter(self.loader)
        self.end_of_dataloader = False
        self.accelerator._running.append(self)
        try:
            waiting = next(iterator, _END)
            while waiting is not _END:
                batch, waiting = waiting, next(iterator, _END)
                self.end_of_dataloader = waiting is _END
                yield self._to_device(batch)
        finally:  # also when the loop is left before its end
            self.accelerator._running.remove(self)

    def _to_device(self, batch: Any) -> Any:
        if not self.accelerator.device_placement:
            return batch
        device = self.accelerator.device
        return batch.to(device) if hasattr(batch, "to") else to_device(batch, device)


class PreparedOptimizer(torch.optim.Optimizer):
    """An optimizer whose `step` and `zero_grad` do nothing in the middle of an accumulated update."""

    def __init__(self, optimizer: torch.optim.Optimizer, accelerator: Accelerator):
        self.optimizer, self.accelerator = optimizer, accelerator  # and no parameters or state of its own

    state = property(lambda self: self.optimizer.state)
    param_groups = property(lambda self: self.optimizer.param_groups)
    defaults = property(lambda self: self.optimizer.defaults)

    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Update the parameters, unless more batches are to come or the gradients of fp16 overflowed."""
        if not self.accelerator.sync_gradients:
            return
        scaler = self.accelerator.scaler
        if not scaler.is_enabled():
            self.optimizer.step(closure)
            return
        scale = scaler.get_scale()
        scaler.step(self.optimizer)
        scaler.update()
        self.accelerator.optimizer_step_was_skipped = scaler.get_scale() < scale

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.accelerator.sync_gradients:
            self.optimizer.zero_grad(set_to_none=set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        self.optimizer.add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state_dict)


class PreparedScheduler:
    """A schedule that steps when the optimizers have."""

    def __init__(self, scheduler: LRScheduler, accelerator: Accelerator):
        self.scheduler, self.accelerator = scheduler, accelerator

    def step(self, *args: Any) -> None:
        if self.accelerator.sync_gradients and not self.accelerator.optimizer_step_was_skipped:
            self.scheduler.step(*args)

    def __getattr__(self, name: str) -> Any:
        if name == "scheduler":
            raise AttributeError(name)
        return getattr(self.scheduler, name)


def notebook_launcher(function: Callable, args: tuple = (), num_processes: int | None = None) -> None:
    """Run ``function(*args)``, in this process: several are not supported."""
    if num_processes not in (None, 1):
        raise ValueError(f"notebook_launcher runs one process, not num_processes={num_processes}")
    function(*args)


def _to_fp32(outputs: Any) -> Any:
    """The half-precision tensors of a nest of dicts, lists and tuples as fp32."""
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs
    if isinstance(outputs, Mapping):
        return type(outputs)(**{name: _to_fp32(value) for name, value in outputs.items()})
    if isinstance(outputs, list | tuple):
        return type(outputs)(_to_fp32(value) for value in outputs)
    return outputs

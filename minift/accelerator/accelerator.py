"""`Accelerator`: the plain loop with the device, gradient accumulation and mixed precision taken care of.

Re-implements accelerate/accelerator.py and state.py. The loop is the same for one process and for several.
"""

import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from minift.accelerator import nests, saved_state
from minift.accelerator.prepared import Loop, PreparedLoader, PreparedOptimizer, PreparedScheduler
from minift.distributed import exchange
from minift.distributed.gradients import make_averaging
from minift.distributed.world import world
from minift.files import atomic_path
from minift.tensors import map_nest

AUTOCAST_DTYPES = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
BUCKET_CAP_MB = 25.0  # as in DistributedDataParallel


@dataclass
class DataLoaderConfiguration:
    """How processes share the batches of a loader, see `Accelerator`."""

    split_batches: bool = False
    even_batches: bool = True


class Accelerator(Loop):
    """Prepares the parts of a training loop and runs its backward pass.

    Args:
        device_placement: move models and batches to `device`.
        split_batches: the processes share each batch of a loader; otherwise they take whole batches in turn.
        mixed_precision: "no", "bf16" or "fp16" (on a GPU): what prepared models compute in. Their parameters stay fp32,
            and their outputs are fp32 again.
        gradient_accumulation_steps: batches in one update, for loops that use `accumulate`; `backward` divides by it.
        even_batches: give all processes equally many full batches, the last ones filled with rows from the beginning.
            Otherwise one process may get a batch less than another: the loop must then exchange nothing.
        dataloader_config: the two options about batches in accelerate's form.
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
        self.process_index, self.num_processes, self.use_distributed = place.rank, place.size, place.size > 1
        self.is_main_process, self.is_last_process = place.is_main, place.rank == place.size - 1
        self.local_process_index, self.is_local_main_process = place.local_rank, place.local_rank == 0
        self.device = place.device(cpu)
        if self.mixed_precision == "fp16" and self.device.type == "cpu":
            raise ValueError("mixed_precision='fp16' needs a GPU; use 'bf16' on the CPU")
        config = dataloader_config or DataLoaderConfiguration(split_batches, even_batches)
        self.split_batches, self.even_batches = config.split_batches, config.even_batches
        self.device_placement, self.gradient_accumulation_steps = device_placement, gradient_accumulation_steps
        super().__init__(torch.amp.GradScaler(self.device.type, enabled=self.mixed_precision == "fp16"))

    # -- preparing

    def prepare(self, *parts: Any) -> Any:
        """Return models, optimizers, DataLoaders and schedulers in the form in which the loop uses them.

        A single one comes without a tuple; anything else, and what has been prepared already, as it is.
        """
        prepared = tuple(map(self._prepare, parts))
        return prepared if len(parts) != 1 else prepared[0]

    def _prepare(self, part: Any) -> Any:
        if isinstance(part, nn.Module):
            return self.prepare_model(part)
        if isinstance(part, DataLoader):
            device = self.device if self.device_placement else None
            self.loaders.append(PreparedLoader(part, self, device, self.split_batches, self.even_batches))
            return self.loaders[-1]
        if isinstance(part, torch.optim.Optimizer) and not isinstance(part, PreparedOptimizer):
            self.optimizers.append(part)
            return PreparedOptimizer(part, self)
        if isinstance(part, LRScheduler):
            self.schedulers.append(part)
            return PreparedScheduler(part, self, times=1 if self.split_batches else self.num_processes)
        return part

    def prepare_model(self, model: nn.Module) -> nn.Module:
        """Move `model` to the device; under mixed precision its forward pass computes in that type from now on.

        It is not wrapped. All processes get the weights of the first, and `backward` will average the gradients.
        """
        if self.device_placement:
            model = model.to(self.device)
        if model not in self.models:
            exchange.broadcast_module(model)
            self.models[model] = make_averaging(model, "overlapped", BUCKET_CAP_MB)
        if self.mixed_precision != "no" and "forward" not in vars(model):
            forward = model.forward

            @functools.wraps(forward)
            def in_mixed_precision(*args: Any, **kwargs: Any) -> Any:
                with self.autocast():
                    outputs = forward(*args, **kwargs)
                return map_nest(_to_fp32, outputs)

            model.forward = in_mixed_precision
        return model

    def autocast(self) -> AbstractContextManager:
        """Compute what is in the `with` block in mixed precision, if one was asked for."""
        dtype = AUTOCAST_DTYPES[self.mixed_precision]
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def unwrap_model(self, model: nn.Module, keep_fp32_wrapper: bool = True) -> nn.Module:
        """Return the model that was given to `prepare`; without `keep_fp32_wrapper`, with its own forward pass."""
        if not keep_fp32_wrapper:
            vars(model).pop("forward", None)
        return model

    def free_memory(self, *objects: Any) -> list[None]:
        """Forget all that was prepared; return a None for each object, to be assigned to its name."""
        for averaging in self.models.values():
            averaging.remove()
        for parts in (self.models, self.optimizers, self.schedulers, self.loaders):
            parts.clear()
        return [None] * len(objects)

    # -- one batch

    @contextmanager
    def accumulate(self, *models: nn.Module) -> Iterator[None]:
        """Around the work on one batch: prepared optimizers and schedulers step only at the last batch of an update.

        Until then the gradients of `models` stay in their process. The last batch of an epoch always ends an update.
        """
        self.batches += 1
        at_end = self.at_end()
        self.sync_gradients = at_end or self.batches % self.gradient_accumulation_steps == 0
        if at_end:
            self.batches = 0
        with ExitStack() as stack:
            for model in () if self.sync_gradients else models:
                stack.enter_context(self.no_sync(model))
            yield

    def no_sync(self, model: nn.Module) -> AbstractContextManager:
        """Keep the gradients of `model`, which has been prepared, in their process during the `with` block."""
        if model not in self.models:
            raise ValueError("no_sync needs a model that has been prepared")
        return self.models[model].no_sync()

    def backward(self, loss: Tensor, **options: Any) -> None:
        """Add the gradients of `loss` (a scalar) / `gradient_accumulation_steps`: means over all processes, if due."""
        self.scaler.scale(loss / self.gradient_accumulation_steps).backward(**options)
        self.finish_gradients(all_models=True)

    def unscale_gradients(self, optimizer: PreparedOptimizer | None = None) -> None:
        """Undo the scale of fp16 on the gradients of `optimizer`, or of all prepared ones."""
        for one in [optimizer.optimizer] if optimizer else self.optimizers:
            self.scaler.unscale_(one)

    def clip_grad_norm_(self, parameters: Iterable[Tensor], max_norm: float, norm_type: float = 2.0) -> Tensor | None:
        """Scale the gradients to a common norm of at most `max_norm`, if an update ends; return the norm before."""
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

    # -- several processes

    gather = staticmethod(nests.gather)
    reduce = staticmethod(nests.reduce)
    pad_across_processes = staticmethod(nests.pad_across_processes)
    wait_for_everyone = staticmethod(exchange.barrier)
    # the `with` block runs in the first process (of this machine) before the others, which find what it mapped
    main_process_first = staticmethod(functools.partial(exchange.main_process_first, local=False))
    local_main_process_first = staticmethod(exchange.main_process_first)

    def gather_for_metrics(self, input_data: Any) -> Any:
        """As `gather`, without the rows that fill up the last batch; also for a list of anything that JSON can hold."""
        real = self.running[-1].remainder if self.at_end() else 0
        return nests.gather_rows(input_data, real or None)

    def print(self, *values: Any, **options: Any) -> None:
        """Print in the first process of each machine only."""
        if self.is_local_main_process:
            print(*values, **options)

    # -- files

    def save(self, obj: Mapping[str, Tensor], f: str | os.PathLike, safe_serialization: bool = True) -> None:
        """Write named tensors to the safetensors file `f`; of several processes, the first does."""
        if not safe_serialization or Path(f).suffix != ".safetensors":
            raise ValueError(f"{f}: Accelerator.save writes .safetensors files only; other formats can run code")
        if not isinstance(obj, Mapping) or not all(isinstance(value, Tensor) for value in obj.values()):
            raise ValueError(f"{f}: Accelerator.save writes a dict of tensors, such as model.state_dict()")
        if self.is_main_process:
            tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in obj.items()}
            with atomic_path(f) as temporary:
                save_file(tensors, temporary, metadata={"format": "pt"})

    save_state = saved_state.save_state
    load_state = saved_state.load_state

    def end_training(self) -> None:
        """Do nothing: the process group ends with the process."""


def _to_fp32(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if half else value

"""`Accelerator`: the plain loop with the device, gradient accumulation and mixed precision taken care of.

Re-implements accelerate/accelerator.py and state.py. The loop is the same for one process and for several.
"""

import functools
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader

from minift.accelerator.configuration import (
    AutocastKwargs,
    DataLoaderConfiguration,
    GradientAccumulationPlugin,
    GradScalerKwargs,
    ProjectConfiguration,
    by_class,
)
from minift.accelerator.loaders import PreparedLoader, prepare_data_loader, skip_first_batches
from minift.accelerator.prepared import PreparedOptimizer, PreparedScheduler
from minift.accelerator.state import AUTOCAST_DTYPES, AcceleratorState
from minift.accelerator.surface import Surface
from minift.accelerator.trackers import filter_trackers
from minift.distributed import exchange
from minift.distributed.gradients import Averaging, make_averaging
from minift.distributed.world import world
from minift.fast.processor import bf16_is_real, emulated
from minift.tensors import map_nest

BUCKET_CAP_MB = 25.0  # as in DistributedDataParallel
# accelerate's arguments for engines that minift does not have: None is taken
OTHER_ENGINES = ("deepspeed_plugin", "deepspeed_plugins", "fsdp_plugin", "megatron_lm_plugin", "torch_tp_plugin")
OTHER_ENGINES += ("dynamo_backend", "dynamo_plugin", "parallelism_config")


class Accelerator(Surface):
    """Prepares the parts of a training loop and runs its backward pass.

    Args:
        device_placement: move models and batches to `device`.
        split_batches, even_batches: see `DataLoaderConfiguration`, which `dataloader_config` is.
        mixed_precision: "no", "bf16" or "fp16" (on a GPU): what prepared models compute in. Their parameters stay fp32,
            and their outputs are fp32 again.
        gradient_accumulation_steps: batches in one update, for loops that use `accumulate`; `backward` divides by it.
            `gradient_accumulation_plugin` has it, too, with more options.
        rng_types: the generators that all processes take from the first; only "generator", that of the order of rows.
        log_with: objects of subclasses of `GeneralTracker`; project_dir, project_config: where files go.
        step_scheduler_with_optimizer: a prepared schedule steps only when an update ends, and N times for N processes.
        kwargs_handlers: the options of accelerate/utils/dataclasses.py that are in `configuration`.
    """

    def __init__(
        self,
        device_placement: bool = True,
        split_batches: bool = False,
        mixed_precision: str | None = None,
        gradient_accumulation_steps: int = 1,
        cpu: bool = False,
        dataloader_config: DataLoaderConfiguration | None = None,
        rng_types: list[str] | None = None,
        log_with: Any = None,
        project_dir: str | os.PathLike | None = None,
        project_config: ProjectConfiguration | None = None,
        gradient_accumulation_plugin: GradientAccumulationPlugin | None = None,
        step_scheduler_with_optimizer: bool = True,
        kwargs_handlers: list[Any] | None = None,
        even_batches: bool = True,
        fp16: bool | None = None,
        **unsupported: Any,
    ):
        if fp16 is not None:  # of accelerate's first releases, which went on without it on a CPU
            mixed_precision = mixed_precision or ("fp16" if fp16 and world().device(cpu).type == "cuda" else "no")
            if fp16 and mixed_precision == "no":
                warnings.warn("fp16 needs a GPU: the loop computes in float32", stacklevel=2)
        given = [name for name, value in unsupported.items() if value is not None or name not in OTHER_ENGINES]
        if given:
            raise TypeError(f"Accelerator does not support {', '.join(map(repr, given))}")
        if rng_types not in (None, ["generator"]):
            raise ValueError(f"rng_types={rng_types}: minift's processes share the order of rows only (['generator'])")
        steps = int(os.environ.get("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", gradient_accumulation_steps))
        plugin = gradient_accumulation_plugin or GradientAccumulationPlugin(num_steps=steps)
        plugin.num_steps = plugin.num_steps or steps
        if plugin.num_steps < 1:
            raise ValueError(f"gradient_accumulation_steps must be at least 1, not {plugin.num_steps}")
        if gradient_accumulation_plugin and gradient_accumulation_steps not in (1, plugin.num_steps):
            raise ValueError("give gradient_accumulation_steps or gradient_accumulation_plugin, not both")
        precision = mixed_precision and str(mixed_precision)
        precision = precision or os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
        if precision not in AUTOCAST_DTYPES:
            known = ", ".join(map(repr, AUTOCAST_DTYPES))
            raise ValueError(f"mixed_precision must be one of {known}, not {precision!r}")
        device = world().device(cpu)
        if precision == "fp16" and device.type == "cpu":
            raise ValueError("mixed_precision='fp16' needs a GPU; use 'bf16' on the CPU")
        if precision == "bf16" and device.type == "cpu" and not bf16_is_real():
            warnings.warn(emulated("mixed_precision='bf16'"), stacklevel=2)
        handlers = by_class(kwargs_handlers)
        self.state = AcceleratorState(precision if mixed_precision else None, cpu)
        self.autocast_handler = handlers.get(AutocastKwargs, AutocastKwargs())
        scaling = handlers.get(GradScalerKwargs, GradScalerKwargs())
        scaling.enabled = scaling.enabled and precision == "fp16"
        super().__init__(torch.amp.GradScaler(device.type, **asdict(scaling)))
        self.gradient_state.plugin_kwargs = asdict(plugin)
        self.dataloader_config = dataloader_config or DataLoaderConfiguration(split_batches, even_batches=even_batches)
        self.project_configuration = project_config or ProjectConfiguration(project_dir)
        if project_dir is not None and self.project_dir is None:
            self.project_configuration.set_directories(project_dir)
        self.log_with = filter_trackers(log_with, self.project_configuration.logging_dir)
        self.trackers, self.triggered = [], False
        self.device_placement, self.step_scheduler_with_optimizer = device_placement, step_scheduler_with_optimizer

    # -- preparing

    def prepare(self, *parts: Any, device_placement: list[bool] | None = None) -> Any:
        """Return models, optimizers, DataLoaders and schedulers in the form in which the loop uses them.

        A single one comes without a tuple; anything else, and what has been prepared already, as it is.
        `device_placement` says for each part whether it is moved to `device`.
        """
        places = device_placement or [None] * len(parts)
        prepared = tuple(self._prepare(part, place) for part, place in zip(parts, places, strict=True))
        return prepared if len(parts) != 1 else prepared[0]

    def _prepare(self, part: Any, place: bool | None) -> Any:
        if isinstance(part, nn.Module):
            return self.prepare_model(part, place)
        if isinstance(part, DataLoader):
            return self.prepare_data_loader(part, place)
        if isinstance(part, torch.optim.Optimizer):
            return self.prepare_optimizer(part)
        return self.prepare_scheduler(part) if isinstance(part, LRScheduler) else part

    def prepare_data_loader(self, data_loader: DataLoader, device_placement: bool | None = None) -> PreparedLoader:
        """Share out a DataLoader as `dataloader_config` says, see `loaders.prepare_data_loader`."""
        if isinstance(data_loader, PreparedLoader):
            return data_loader
        options = asdict(self.dataloader_config)
        del options["non_blocking"]
        place = self.device_placement if device_placement is None else device_placement
        self.loaders.append(prepare_data_loader(data_loader, self.device, put_on_device=place, **options))
        return self.loaders[-1]

    def prepare_optimizer(self, optimizer: torch.optim.Optimizer, device_placement: Any = None) -> PreparedOptimizer:
        if isinstance(optimizer, PreparedOptimizer):
            return optimizer
        self.optimizers.append(optimizer)
        return PreparedOptimizer(optimizer, self)

    def prepare_scheduler(self, scheduler: LRScheduler) -> PreparedScheduler:
        if isinstance(scheduler, PreparedScheduler):
            return scheduler
        self.schedulers.append(scheduler)
        times = 1 if self.split_batches else self.num_processes
        return PreparedScheduler(scheduler, self, times if self.step_scheduler_with_optimizer else 0)

    def prepare_model(
        self, model: nn.Module, device_placement: bool | None = None, evaluation_mode: bool = False
    ) -> nn.Module:
        """Move `model` to the device; under mixed precision its forward pass computes in that type from now on.

        It is not wrapped. All processes get the weights of the first, and `backward` will average the gradients, unless
        in `evaluation_mode`.
        """
        if self.device_placement if device_placement is None else device_placement:
            model = model.to(self.device)
        if model not in self.models and not evaluation_mode:
            exchange.broadcast_module(model)
            self.models[model] = make_averaging(model, "overlapped", BUCKET_CAP_MB)
            if self.use_distributed:
                self.models[model].watch_forward()
        if self.mixed_precision != "no" and "forward" not in vars(model):
            forward = model.forward

            @functools.wraps(forward)
            def in_mixed_precision(*args: Any, **kwargs: Any) -> Any:
                with self.autocast():
                    outputs = forward(*args, **kwargs)
                return map_nest(_to_fp32, outputs)

            model.forward = in_mixed_precision
        return model

    def skip_first_batches(self, dataloader: DataLoader | PreparedLoader, num_batches: int = 0) -> Any:
        """Make a loader like `dataloader` without its first batches, to go on in the middle of an epoch."""
        return skip_first_batches(dataloader, num_batches)

    def autocast(self, autocast_handler: AutocastKwargs | None = None) -> AbstractContextManager:
        """Compute what is in the `with` block in mixed precision, if one was asked for."""
        dtype, handler = AUTOCAST_DTYPES[self.mixed_precision], autocast_handler or self.autocast_handler
        if dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype, handler.enabled, handler.cache_enabled)

    # -- one batch

    @contextmanager
    def accumulate(self, *models: nn.Module) -> Iterator[None]:
        """Around the work on one batch: prepared optimizers and schedulers step only at the last batch of an update.

        Until then the gradients of `models` stay in their process. The last batch of an epoch always ends an update.
        """
        where = self.gradient_state
        at_end = where.end_of_dataloader and where.sync_with_dataloader
        self.batches = 0 if at_end else self.batches + 1
        self.sync_gradients = at_end or self.batches % self.gradient_accumulation_steps == 0
        with ExitStack() as stack:
            for model in () if self.sync_gradients or where.sync_each_batch else models:
                stack.enter_context(self.no_sync(model))
            yield

    def no_sync(self, model: nn.Module) -> AbstractContextManager:
        """Keep the gradients of `model`, which has been prepared, in their process during the `with` block."""
        return self._averaging(model).no_sync()

    def _averaging(self, model: nn.Module) -> Averaging:
        if model not in self.models:
            raise ValueError("no_sync, accumulate and join_uneven_inputs need a model that has been prepared")
        return self.models[model]

    @contextmanager
    def trigger_sync_in_backward(self, model: nn.Module) -> Iterator[None]:
        """Average the gradients of a backward pass whose forward pass was in `no_sync`."""
        self._averaging(model).expected = True
        yield

    @contextmanager
    def join_uneven_inputs(self, joinables: list[nn.Module], even_batches: bool | None = None) -> Iterator[None]:
        """Let processes have different numbers of batches in the `with` block: one that has ended waits for the others.

        `even_batches` replaces the Accelerator's for that long, except for streams.
        """
        if not self.distributed_type.name.startswith("MULTI"):
            if self.num_processes > 1:
                warnings.warn("join_uneven_inputs is only supported for multi-GPU and multi-CPU training", stacklevel=3)
            yield
            return
        samplers = [loader.batch_sampler for loader in self.loaders]
        if even_batches is not None and not all(hasattr(one, "even_batches") for one in samplers):
            warnings.warn("join_uneven_inputs: even_batches is only supported for map-style datasets", stacklevel=3)
        before = [(one, one.even_batches) for one in samplers if hasattr(one, "even_batches")]
        even = self.even_batches if even_batches is None else even_batches
        for one, _ in before if even_batches is not None else ():
            one.even_batches = even
        try:
            with ExitStack() as stack:
                for model in () if even else joinables:
                    stack.enter_context(self._averaging(model).join())
                yield
        finally:
            for one, value in before:
                one.even_batches = value

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


def _to_fp32(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16)
    return value.float() if half else value

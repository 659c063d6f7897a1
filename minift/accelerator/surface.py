"""What an `Accelerator` offers besides the loop's own calls: processes, trackers, files. No number depends on it."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from minift.accelerator import nests, saved_state
from minift.accelerator.configuration import DataLoaderConfiguration, ProjectConfiguration
from minift.accelerator.prepared import Loop
from minift.accelerator.state import AcceleratorState
from minift.accelerator.trackers import TRACKERS, GeneralTracker, make_tracker
from minift.distributed import exchange
from minift.files import atomic_path
from minift.model.files.folder import write_checkpoint


def of_state(name: str) -> property:
    return property(lambda self: getattr(self.state, name), doc=f"See `AcceleratorState`: {name}.")


def of_loaders(name: str) -> property:
    def change(self: "Surface", value: Any) -> None:
        setattr(self.dataloader_config, name, value)

    return property(
        lambda self: getattr(self.dataloader_config, name), change, doc=f"See `DataLoaderConfiguration`: {name}."
    )


class Surface(Loop):
    """The part of `Accelerator` that only passes on: to its state, its configuration, its trackers and its files."""

    state: AcceleratorState
    dataloader_config: DataLoaderConfiguration
    project_configuration: ProjectConfiguration
    log_with: list[GeneralTracker | str]
    trackers: list[GeneralTracker]
    triggered: bool

    # -- where this process is

    device, distributed_type, mixed_precision = map(of_state, ("device", "distributed_type", "mixed_precision"))
    num_processes, process_index = of_state("num_processes"), of_state("process_index")
    local_process_index, use_distributed = of_state("local_process_index"), of_state("use_distributed")
    multi_device = of_state("use_distributed")
    is_main_process, is_last_process = of_state("is_main_process"), of_state("is_last_process")
    is_local_main_process = of_state("is_local_main_process")
    on_main_process, on_local_main_process = of_state("on_main_process"), of_state("on_local_main_process")
    on_last_process, on_process = of_state("on_last_process"), of_state("on_process")
    on_local_process, split_between_processes = of_state("on_local_process"), of_state("split_between_processes")
    main_process_first = of_state("main_process_first")
    local_main_process_first, print = of_state("local_main_process_first"), of_state("print")
    wait_for_everyone = staticmethod(exchange.barrier)

    # -- how it was configured

    split_batches, dispatch_batches = of_loaders("split_batches"), of_loaders("dispatch_batches")
    even_batches, use_seedable_sampler = of_loaders("even_batches"), of_loaders("use_seedable_sampler")
    non_blocking, use_stateful_dataloader = of_loaders("non_blocking"), of_loaders("use_stateful_dataloader")

    @property
    def use_fp16(self) -> bool:
        """Whether models compute in fp16: the form in which scripts of accelerate 0.x ask."""
        return self.mixed_precision == "fp16"

    @property
    def project_dir(self) -> Any:
        return self.project_configuration.project_dir

    @property
    def logging_dir(self) -> Any:
        return self.project_configuration.logging_dir

    @property
    def save_iteration(self) -> int:
        """The number of the next checkpoint under automatic names."""
        return self.project_configuration.iteration

    @property
    def should_save_model(self) -> bool:
        return self.is_main_process

    @property
    def gradient_accumulation_steps(self) -> int:
        """Batches in one update."""
        return self.gradient_state.num_steps

    @gradient_accumulation_steps.setter
    def gradient_accumulation_steps(self, steps: int) -> None:
        self.gradient_state.plugin_kwargs["num_steps"] = steps

    # -- exchanges

    gather = staticmethod(nests.gather)
    pad_across_processes = staticmethod(nests.pad_across_processes)

    def reduce(self, tensor: Any, reduction: str = "sum", scale: float = 1.0) -> Any:
        """As `nests.reduce`: the sum by default."""
        return nests.reduce(tensor, reduction, scale)

    def gather_for_metrics(self, input_data: Any, use_gather_object: bool = False) -> Any:
        """As `gather`, without the rows that fill up the last batch; also for a list of anything that JSON can hold."""
        real = self.gradient_state.remainder if self.gradient_state.end_of_dataloader else 0
        return nests.gather_rows(input_data, real if real > 0 else None, use_gather_object)

    def set_trigger(self) -> None:
        """Raise a flag, which `check_trigger` sees on all processes: to leave a loop together."""
        self.triggered = True

    def check_trigger(self) -> bool:
        """Return whether any process has called `set_trigger`, and lower the flags (*collective*)."""
        seen = exchange.sum_over_ranks(self.triggered)[0] > 0
        self.triggered = self.triggered and not seen
        return seen

    # -- trackers

    def init_trackers(
        self,
        project_name: str,
        config: dict[str, Any] | None = None,
        init_kwargs: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Start the trackers of `log_with`, and hand them the `config` of the run."""
        for chosen in self.log_with:
            kind = TRACKERS[chosen] if isinstance(chosen, str) else chosen
            if self.is_main_process or not kind.main_process_only:
                options = (init_kwargs or {}).get(kind.name, {})
                tracker = make_tracker(chosen, project_name, self.logging_dir, options)
                self.trackers.append(tracker)
                tracker.start()
                if config is not None:
                    tracker.store_init_configuration(config)

    def get_tracker(self, name: str, unwrap: bool = False) -> Any:
        """Return the tracker of this name, or (`unwrap`) the object that does its work."""
        for tracker in self.trackers:
            if tracker.name == name:
                return tracker.tracker if unwrap else tracker
        if self.trackers:
            raise ValueError(f"no tracker is called {name!r}; there is {', '.join(one.name for one in self.trackers)}")
        return GeneralTracker(_blank=True)

    def log(self, values: dict[str, Any], step: int | None = None, log_kwargs: dict[str, dict] | None = None) -> None:
        """Hand numbers or text to all trackers."""
        for tracker in self.trackers:
            tracker.log(values, step=step, **(log_kwargs or {}).get(tracker.name, {}))

    def end_training(self) -> None:
        """End the trackers' runs. The process group ends with the process."""
        for tracker in self.trackers:
            tracker.finish()

    # -- files

    save_state = saved_state.save_state
    load_state = saved_state.load_state
    register_for_checkpointing = saved_state.register_for_checkpointing

    def get_state_dict(self, model: nn.Module, unwrap: bool = True) -> dict[str, Tensor]:
        """Return the tensors of a prepared model; it is never wrapped."""
        return model.state_dict()

    def save_model(
        self,
        model: nn.Module,
        save_directory: str | os.PathLike,
        max_shard_size: int | str = "10GB",
        safe_serialization: bool = True,
    ) -> None:
        """Write the weights of a model as safetensors files of at most `max_shard_size`, with their index."""
        if not safe_serialization:
            raise ValueError(f"{save_directory}: save_model writes safetensors only; other formats can run code")
        if Path(save_directory).is_file():
            raise NotADirectoryError(f"{save_directory} is a file: save_model needs a folder")
        if self.is_main_process:
            shared: dict[int, str] = {}  # a tied weight is stored once, as save_pretrained does
            tensors = {n: t for n, t in model.state_dict().items() if shared.setdefault(t.data_ptr(), n) == n}
            Path(save_directory).mkdir(parents=True, exist_ok=True)
            write_checkpoint(tensors, save_directory, max_shard_size, partial(save_file, metadata={"format": "pt"}))
        exchange.barrier()

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

    def unwrap_model(
        self, model: nn.Module, keep_fp32_wrapper: bool = True, keep_torch_compile: bool = True
    ) -> nn.Module:
        """Return the model that was given to `prepare`; without `keep_fp32_wrapper`, with its own forward pass.

        Without `keep_torch_compile` it is also taken out of `torch.compile`.
        """
        if not keep_fp32_wrapper:
            vars(model).pop("forward", None)
        return model if keep_torch_compile else getattr(model, "_orig_mod", model)

    def clear(self, *objects: Any) -> list[None]:
        """As `free_memory`."""
        return self.free_memory(*objects)

    def free_memory(self, *objects: Any) -> list[None]:
        """Forget all that was prepared; return a None for each object, to be assigned to its name."""
        for averaging in self.models.values():
            averaging.remove()
        for parts in (self.models, self.optimizers, self.schedulers, self.loaders, self.others):
            parts.clear()
        self.batches = 0
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return [None] * len(objects)

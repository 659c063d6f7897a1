"""What `trainer.accelerator` is here: the few calls that a subclass's `training_step` makes of it."""

from typing import Any

from torch import Tensor, nn

from minift.distributed.exchange import barrier, gather_nests
from minift.train.run import Run


class TrainerAccelerator:
    """The part of accelerate's `Accelerator` that a subclass of `Trainer` reaches for. Anything else is an error."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.device = run.args.device
        self.num_processes, self.process_index = run.args.world_size, run.args.process_index
        config = run.args.accelerator_config
        config.check_ranks(self.num_processes)
        self.split_batches, self.dispatch_batches = config.split_batches, config.dispatch_batches
        self.even_batches, self.use_seedable_sampler = config.even_batches, config.use_seedable_sampler

    def backward(self, loss: Tensor, **options: Any) -> None:
        """Do the backward pass of a loss, with the scale that float16 needs."""
        self.run.scaler.scale(loss).backward(**options)

    def unwrap_model(self, model: nn.Module, keep_fp32_wrapper: bool = True) -> nn.Module:
        """Return the plain model of a compiled one."""
        return self.run.model if model is self.run.model_in_use else model

    def wait_for_everyone(self) -> None:
        barrier()

    def gather_object(self, value: Any) -> list[Any]:
        """Collect a value from every rank, in the order of the ranks."""
        return gather_nests(value)

    @property
    def is_main_process(self) -> bool:
        return self.process_index == 0

    is_local_main_process = is_main_process

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"trainer.accelerator has no {name!r}; it has backward, unwrap_model, wait_for_everyone, …"
        )

"""An optimizer whose state is shared out: each of N ranks keeps 1/N of the moments and updates 1/N of the weights."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from minift.distributed.exchange import gather, peers, world
from minift.distributed.gradients import into_buckets

EXCHANGE_MB = 25  # weights that are exchanged at a time


class ShardedOptimizer(torch.optim.Optimizer):
    """Wraps an elementwise optimizer (AdamW, SGD) so that each rank runs it on a slice of every parameter.

    After the step the slices are gathered, and all ranks hold all weights again: to the bit those of the optimizer
    alone, for 1/N of its state's memory. This is the first stage of ZeRO (Rajbhandari et al., 2019,
    https://arxiv.org/abs/1910.02054); cutting every parameter, not the list of them, makes the slices equal however
    large the embeddings are.

    Its `state_dict` is that of the optimizer alone, whole, so that a checkpoint can be resumed from by any number of
    ranks, sharded or not.

    Args:
        optimizer: has not stepped yet. It must treat every element on its own, and its parameters must be contiguous.

    Raises:
        ValueError: it has stepped, or a parameter is not contiguous.
    """

    def __init__(self, optimizer: torch.optim.Optimizer):
        if optimizer.state:
            raise ValueError("shard_optimizer needs an optimizer that has not stepped yet")
        whole = [dict(group) for group in optimizer.param_groups]
        super().__init__(whole, optimizer.defaults)
        self.optimizer = optimizer
        self.slices: dict[Tensor, Tensor] = {}  # parameter -> this rank's part of it, which shares its memory
        for group, own in zip(self.param_groups, optimizer.param_groups, strict=True):
            for parameter in group["params"]:
                if not parameter.is_contiguous():
                    raise ValueError(f"shard_optimizer needs contiguous parameters, not one of {parameter.shape}")
                self.slices[parameter] = slice_of(parameter.detach())
            own["params"] = [self.slices[parameter] for parameter in group["params"]]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update this rank's slices, then exchange them (*collective*)."""
        if closure is not None:
            raise ValueError("a sharded optimizer takes no closure")
        self._pass_on_settings()
        for parameter, part in self.slices.items():
            part.grad = None if parameter.grad is None else slice_of(parameter.grad)
        self.optimizer.step()
        updated = [parameter for parameter in self.slices if parameter.grad is not None]
        for bucket in into_buckets(updated, EXCHANGE_MB):
            exchange_slices(bucket)

    def _pass_on_settings(self) -> None:
        """Give the inner groups what may have changed in these, such as the learning rate by a schedule."""
        for group, own in zip(self.param_groups, self.optimizer.param_groups, strict=True):
            own.update({name: value for name, value in group.items() if name != "params"})

    def state_dict(self) -> dict[str, Any]:
        """The whole state (*collective*): on rank 0 as the optimizer alone would give it, elsewhere without tensors."""
        self._pass_on_settings()
        state = self.optimizer.state_dict()
        whole = {}
        for number, parameter in enumerate(self.slices):
            for name, value in state["state"].get(number, {}).items():
                if is_slice(value, self.slices[parameter]):
                    parts = gather(value)
                    value = torch.cat(parts).view(parameter.shape) if world().is_main else None
                if world().is_main:
                    whole.setdefault(number, {})[name] = value
        return {"state": whole, "param_groups": state["param_groups"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take this rank's slices of a whole state."""
        own = {}
        for number, parameter in enumerate(self.slices):
            for name, value in state_dict["state"].get(number, {}).items():
                cut = isinstance(value, Tensor) and value.shape == parameter.shape and value.dim() > 0
                own.setdefault(number, {})[name] = slice_of(value).clone() if cut else value
        self.optimizer.load_state_dict({"state": own, "param_groups": state_dict["param_groups"]})
        for group, loaded in zip(self.param_groups, self.optimizer.param_groups, strict=True):
            group.update({name: value for name, value in loaded.items() if name != "params"})


def bounds(length: int, rank: int, size: int) -> tuple[int, int]:
    """Where the slice of a rank begins and ends: N slices of equal length, the last ones shorter, or empty."""
    each = -(-length // size)
    return min(rank * each, length), min((rank + 1) * each, length)


def slice_of(tensor: Tensor) -> Tensor:
    """This rank's slice of a tensor's elements, flat; it shares the tensor's memory if that is contiguous."""
    begin, end = bounds(tensor.numel(), world().rank, world().size)
    return tensor.reshape(-1)[begin:end]


def is_slice(value: Any, part: Tensor) -> bool:
    """Whether a value of the state belongs to the elements of a slice, as moments do and step counts do not."""
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape == part.shape


def exchange_slices(parameters: list[Tensor]) -> None:
    """Replace the slices of other ranks, in parameters of one dtype, by what those ranks have (*collective*)."""
    size = world().size
    each = [-(-parameter.numel() // size) for parameter in parameters]  # elements of a slice, unless it is the last
    mine = parameters[0].new_zeros(sum(each))
    for place, parameter in zip(mine.split(each), parameters, strict=True):
        own = slice_of(parameter)
        place[: own.numel()] = own
    parts = [torch.empty_like(mine) for _ in range(size)]
    with peers():
        dist.all_gather(parts, mine)
    for rank, part in enumerate(parts):
        for place, parameter in zip(part.split(each), parameters, strict=True):
            begin, end = bounds(parameter.numel(), rank, size)
            parameter.view(-1)[begin:end] = place[: end - begin]

"""An optimizer whose state is shared out: each of N ranks keeps 1/N of the moments and updates 1/N of the weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minift.distributed.buckets import into_buckets
from minift.distributed.exchange import gather
from minift.distributed.world import world

EXCHANGE_MB = 25  # MiB of weights that are exchanged at a time


class ShardedOptimizer(torch.optim.Optimizer):
    """Wraps an elementwise optimizer (AdamW, SGD) so that each rank runs it on a slice of every parameter.

    After the step the ranks exchange their slices, and every rank holds all weights again: those of the optimizer
    alone, to the bit. This is the first stage of ZeRO (Rajbhandari et al., 2019, https://arxiv.org/abs/1910.02054).
    Every parameter is cut, not the list of parameters, so that slices are equal however large the embeddings are. Its
    `state_dict` is that of the optimizer alone, whole: any number of ranks can resume from it, sharded or not.
    """

    def __init__(self, optimizer: torch.optim.Optimizer):
        if optimizer.state:
            raise ValueError("shard_optimizer needs an optimizer that has not stepped yet")
        super().__init__([dict(group) for group in optimizer.param_groups], optimizer.defaults)
        self.optimizer = optimizer
        self.slices: dict[Tensor, Tensor] = {}  # parameter -> this rank's slice of it, which shares its memory
        for group, own in zip(self.param_groups, optimizer.param_groups, strict=True):
            for parameter in group["params"]:
                if not parameter.is_contiguous():
                    raise ValueError(f"shard_optimizer needs contiguous parameters, not one of {parameter.shape}")
                self.slices[parameter] = own_slice(parameter.detach())
            own["params"] = [self.slices[parameter] for parameter in group["params"]]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update this rank's slices, then exchange them (*collective*)."""
        if closure is not None:
            raise ValueError("a sharded optimizer takes no closure")
        copy_settings(self, self.optimizer)
        for parameter, part in self.slices.items():
            part.grad = None if parameter.grad is None else own_slice(parameter.grad)
        self.optimizer.step()
        updated = [parameter for parameter in self.slices if parameter.grad is not None]
        for bucket in into_buckets(updated, EXCHANGE_MB):
            exchange_slices(bucket)

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state on rank 0, as the optimizer alone gives it; no tensors elsewhere (*collective*)."""
        copy_settings(self, self.optimizer)
        state = self.optimizer.state_dict()
        whole: dict[int, dict[str, Any]] = {}
        for number, (parameter, part) in enumerate(self.slices.items()):
            for name, value in state["state"].get(number, {}).items():
                if is_moment(value, part):
                    shapes = [one.shape for one in slices(parameter)]
                    value = torch.cat(gather(value, shapes)).view(parameter.shape)
                if world().is_main:
                    whole.setdefault(number, {})[name] = value
        return {"state": whole, "param_groups": state["param_groups"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take this rank's slices of a whole state."""
        own: dict[int, dict[str, Any]] = {}
        for number, parameter in enumerate(self.slices):
            for name, value in state_dict["state"].get(number, {}).items():
                part = own_slice(value).clone() if is_moment(value, parameter) else value
                own.setdefault(number, {})[name] = part
        self.optimizer.load_state_dict({"state": own, "param_groups": state_dict["param_groups"]})
        copy_settings(self.optimizer, self)


def copy_settings(source: torch.optim.Optimizer, target: torch.optim.Optimizer) -> None:
    """Copy what groups hold beside their parameters, such as a learning rate that a schedule has changed."""
    for group, other in zip(source.param_groups, target.param_groups, strict=True):
        other.update({name: value for name, value in group.items() if name != "params"})


def slices(tensor: Tensor) -> list[Tensor]:
    """Cut a tensor, flat, into a slice for each rank, the last shorter or empty; of a contiguous one they are views."""
    flat, each = tensor.reshape(-1), -(-tensor.numel() // world().size)
    return [flat[rank * each : (rank + 1) * each] for rank in range(world().size)]


def own_slice(tensor: Tensor) -> Tensor:
    return slices(tensor)[world().rank]


def is_moment(value: Any, like: Tensor) -> bool:  # and not a count of steps
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape == like.shape


def exchange_slices(parameters: list[Tensor]) -> None:
    """Replace the other ranks' slices of parameters, of one dtype, by what those ranks have (*collective*)."""
    cut = [slices(parameter.detach()) for parameter in parameters]
    lengths = [len(first) for first, *_ in cut]  # the first slice is the longest
    mine = parameters[0].new_zeros(sum(lengths))
    for place, own in zip(mine.split(lengths), cut, strict=True):
        place[: len(own[world().rank])] = own[world().rank]
    for rank, part in enumerate(gather(mine, [mine.shape] * world().size)):
        for place, ranks in zip(part.split(lengths), cut, strict=True):
            ranks[rank].copy_(place[: len(ranks[rank])])

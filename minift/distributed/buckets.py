"""What travels when gradients are averaged: buckets of many gradients, and the rows of embedding tables in use."""

import torch
from torch import Tensor, nn

from minift.distributed.exchange import all_reduce, gather, start_all_reduce, wait_for
from minift.distributed.world import world

ALIGNMENT = 16  # elements: every gradient in a bucket starts where a tensor of its own could
TABLE_ROWS = 1 << 13  # from so many embeddings on, it pays to look for the rows that a batch has used


def into_buckets(parameters: list[nn.Parameter], bucket_cap_mb: float) -> list[list[nn.Parameter]]:
    """Cut parameters into buckets of at most so many MiB, one dtype and one device: the last first, as in backward."""
    buckets: list[list[nn.Parameter]] = []
    size = 0  # bytes in the last bucket
    for parameter in reversed(parameters):
        fits = buckets and size + parameter.nbytes <= bucket_cap_mb * 2**20
        if not fits or (parameter.dtype, parameter.device) != (buckets[-1][0].dtype, buckets[-1][0].device):
            buckets.append([])
            size = 0
        buckets[-1].append(parameter)
        size += parameter.nbytes
    return buckets


class Bucket:
    """One flat tensor for the gradients of P parameters: first the gradients, then P numbers.

    Number p tells whether this rank has gradient p. After the exchange it is the share of ranks that have it.
    """

    def __init__(self, parameters: list[nn.Parameter]):
        self.parameters = parameters
        sizes = [-(-parameter.numel() // ALIGNMENT) * ALIGNMENT for parameter in parameters]
        self.flat = parameters[0].new_zeros(sum(sizes) + len(parameters))
        *parts, self.exists = self.flat.split([*sizes, len(parameters)])
        # the part of each gradient, in its shape
        self.views = [part[: p.numel()].view(p.shape) for part, p in zip(parts, parameters, strict=True)]
        self.work = None  # the exchange, while it runs
        self.missing = len(parameters)  # gradients that backward has not computed yet

    @torch.no_grad()
    def send(self) -> None:
        """Fill the bucket with gradient / number of ranks, and start to sum it over the ranks."""
        size = world().size
        for parameter, view in zip(self.parameters, self.views, strict=True):
            if parameter.grad is None:
                view.zero_()
            else:
                torch.div(parameter.grad, size, out=view)
        self.exists.copy_(torch.tensor([parameter.grad is not None for parameter in self.parameters]) / size)
        self.work = start_all_reduce(self.flat)

    def receive(self) -> None:
        """Wait for the sum. The gradients are then views of it, so that nothing is copied back."""
        wait_for(self.work)
        self.work, self.missing = None, len(self.parameters)
        for parameter, view, share in zip(self.parameters, self.views, self.exists.tolist(), strict=True):
            parameter.grad = view if share > 0 else None


def large_tables(model: nn.Module) -> set[Tensor]:
    """Find the weights of the model's large embedding tables on the CPU, of whose gradients only rows travel."""
    weights = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    return {weight for weight in weights if len(weight) >= TABLE_ROWS and weight.device.type == "cpu"}


class Table:
    """The gradient (R, E) of an embedding table, with the methods of a `Bucket`: only rows that batches use travel.

    A batch of eight pairs of sentences uses one row in a hundred: the gradient of the others is zero. If the ranks use
    so many rows that the whole table is less to send, it travels whole, as in masked language modelling, where the
    table is also the last layer. `send` only starts to exchange how many rows there are; the rows follow in `receive`.
    Little is lost by that, because backward usually computes the gradients of the embeddings last.
    """

    def __init__(self, table: nn.Parameter):
        self.parameters = [table]
        self.work = None
        self.missing = 1

    @torch.no_grad()
    def send(self) -> None:
        """Find the U rows that this rank has used, and start to tell the other ranks how many they are."""
        gradient = self.parameters[0].grad
        if gradient is None:
            self.rows = torch.zeros(0, dtype=torch.int64)
        else:
            used = gradient.bool().view(torch.uint8).amax(dim=1)  # (R,): as any(dim=1), in less than half the time
            self.rows = used.nonzero().squeeze(1)  # (U,)
        self.counts = torch.zeros(2, world().size, dtype=torch.int64)  # for each rank: U; 1 if it has a gradient
        self.counts[:, world().rank] = torch.tensor([len(self.rows), gradient is not None])
        self.work = start_all_reduce(self.counts)

    @torch.no_grad()
    def receive(self) -> None:
        """Exchange the rows and add them up in the order of the ranks, as `SumInOrder` does."""
        wait_for(self.work)
        self.work, self.missing = None, 1
        (table,), size = self.parameters, world().size
        counts, exist = self.counts.tolist()
        if not any(exist):
            return
        if table.grad is None:
            table.grad = torch.zeros_like(table)
        if size * max(counts) > len(table):
            all_reduce(table.grad.div_(size))
            return
        rows = gather(self.rows, [(count,) for count in counts])  # of each rank: (U,)
        parts = gather(table.grad[self.rows] / size, [(count, table.size(1)) for count in counts])  # (U, E)
        table.grad[self.rows] = 0
        for used, part in zip(rows, parts, strict=True):
            table.grad.index_add_(0, used, part)

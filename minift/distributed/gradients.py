"""Averaging gradients over ranks, in three steps: plainly, in buckets, and in buckets while backward still runs.

All three give every rank the same gradients: the sum over the ranks of gradient / number of ranks. A parameter that has
no gradient on some rank counts as zero there; one that has none on any rank keeps None, so that an optimizer leaves it
alone. On the CPU the three agree to the bit (`distributed.SumInOrder`).

What torch's DistributedDataParallel does (Li et al., 2020, https://arxiv.org/abs/2006.15704), on the parameters of a
model that stays as it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from minift.distributed.exchange import all_reduce, gather, wait_for, world

ALIGNMENT = 16  # elements: every gradient in a bucket starts where a tensor of its own could
TABLE_ROWS = 1 << 13  # embeddings from which on it pays to look for those that a batch has used


class Averaging:
    """What the three have in common; for one rank, all there is to do: nothing.

    Args:
        model: has the same parameters in the same order on every rank; those that need no gradient are left out.
    """

    def __init__(self, model: nn.Module):
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.enabled = True

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Gradients of backward passes in the `with` block add up on each rank and wait for a later one."""
        before, self.enabled = self.enabled, False
        try:
            yield
        finally:
            self.enabled = before

    @property
    def has_begun(self) -> bool:
        """Whether gradients are on their way, so that `finish` has to be called before they are used."""
        return False

    def finish(self) -> None:
        """After the backward pass: make every gradient the mean over all ranks (*collective*)."""

    def remove(self) -> None:
        """Take back what has been attached to the parameters."""


class NaiveAveraging(Averaging):
    """One exchange for each gradient, one after the other, when all are computed."""

    def finish(self) -> None:
        if not self.enabled:
            return
        exists = torch.tensor([parameter.grad is not None for parameter in self.parameters], dtype=torch.int32)
        all_reduce(exists)  # (P,): on how many ranks
        for parameter, ranks in zip(self.parameters, exists.tolist(), strict=True):
            if ranks == 0:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.div_(world().size)
            all_reduce(parameter.grad)


class BucketedAveraging(Averaging):
    """One exchange for each bucket: fewer and larger messages, each of which pays its latency once.

    Large embedding tables on the CPU come after the buckets, see `Table`.

    Args:
        bucket_cap_mb: MiB that a bucket may hold; a larger gradient has one of its own.
    """

    def __init__(self, model: nn.Module, bucket_cap_mb: float):
        super().__init__(model)
        embeddings = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
        large = {weight for weight in embeddings if len(weight) >= TABLE_ROWS and weight.device.type == "cpu"}
        tables = [parameter for parameter in self.parameters if parameter in large]
        others = [parameter for parameter in self.parameters if parameter not in large]
        self.buckets = [*map(Bucket, into_buckets(others, bucket_cap_mb)), *map(Table, tables)]

    def finish(self) -> None:
        if not self.enabled:
            return
        for bucket in self.buckets:
            bucket.send()
        for bucket in self.buckets:
            bucket.receive()


class OverlappedAveraging(BucketedAveraging):
    """Each bucket is sent as soon as its last gradient is there, while backward computes the next ones.

    Buckets go out in one order on all ranks, whatever order gradients are ready in: a bucket waits for those before
    it. `finish` sends what is left, such as a bucket with a parameter that the loss does not depend on.
    """

    def __init__(self, model: nn.Module, bucket_cap_mb: float):
        super().__init__(model, bucket_cap_mb)
        self.sent = 0  # the number of buckets on their way
        self.handles = [
            parameter.register_post_accumulate_grad_hook(self._hook_of(bucket))
            for bucket in self.buckets
            for parameter in bucket.parameters
        ]

    def _hook_of(self, bucket: "Bucket | Table"):
        def is_ready(parameter: Tensor) -> None:
            if not self.enabled:
                return
            if bucket.work is not None:
                raise RuntimeError(
                    "a second backward pass has changed a gradient that is on its way: call the first one in no_sync, "
                    "or average with 'bucketed'"
                )
            bucket.missing -= 1
            while self.sent < len(self.buckets) and self.buckets[self.sent].missing <= 0:
                self.buckets[self.sent].send()
                self.sent += 1

        return is_ready

    @property
    def has_begun(self) -> bool:
        return any(bucket.missing < len(bucket.parameters) for bucket in self.buckets)

    def finish(self) -> None:
        if not self.enabled:
            return
        for bucket in self.buckets[self.sent :]:
            bucket.send()
        for bucket in self.buckets:
            bucket.receive()
        self.sent = 0

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()


def into_buckets(parameters: list[nn.Parameter], bucket_cap_mb: float) -> list[list[nn.Parameter]]:
    """Parameters in reverse order, about that in which backward reaches them, cut where a bucket is full.

    The parameters of a bucket have one dtype and one device.
    """
    buckets, size = [], 0
    for parameter in reversed(parameters):
        before = buckets[-1][-1] if buckets else None
        same_kind = before is not None and (before.dtype, before.device) == (parameter.dtype, parameter.device)
        if not same_kind or size + parameter.nbytes > bucket_cap_mb * 2**20:
            buckets.append([])
            size = 0
        buckets[-1].append(parameter)
        size += parameter.nbytes
    return buckets


class Bucket:
    """Gradients that travel together: one flat tensor, with a view of the shape of each parameter.

    At its end there is an element for each parameter, which says whether there is a gradient. After the exchange it is
    the share of ranks that had one.
    """

    def __init__(self, parameters: list[nn.Parameter]):
        self.parameters = parameters
        sizes = [-(-parameter.numel() // ALIGNMENT) * ALIGNMENT for parameter in parameters]
        self.flat = parameters[0].new_zeros(sum(sizes) + len(parameters))
        *parts, self.exists = self.flat.split([*sizes, len(parameters)])
        self.views = [part[: p.numel()].view(p.shape) for part, p in zip(parts, parameters, strict=True)]
        self.work = None
        self.missing = len(parameters)  # gradients that backward has not reached

    @torch.no_grad()
    def send(self) -> None:
        """Fill the bucket with gradient / number of ranks, and start the sum."""
        size = world().size
        for parameter, view in zip(self.parameters, self.views, strict=True):
            if parameter.grad is None:
                view.zero_()
            else:
                torch.div(parameter.grad, size, out=view)
        self.exists.copy_(torch.tensor([parameter.grad is not None for parameter in self.parameters]) / size)
        self.work = all_reduce(self.flat, asynchronously=True)

    def receive(self) -> None:
        """Wait for the sum. The gradients are then views of it: nothing is copied back."""
        wait_for(self.work)
        self.work, self.missing = None, len(self.parameters)
        for parameter, view, share in zip(self.parameters, self.views, self.exists.tolist(), strict=True):
            parameter.grad = view if share > 0 else None


class Table:
    """The gradient of an embedding table: only the rows that the ranks' batches use travel, and which ones they are.

    The word embeddings hold half of MiniLM's parameters, and a batch of eight sentence pairs uses one row in a hundred;
    the gradient of the others is zero. Where so many rows are used that the whole table is less to send, it travels
    whole: that of a masked language model, which is its last layer, too.

    Has the methods of a `Bucket`. But `send` starts only the exchange of how many rows there are; what is in them
    follows in `receive`, after the buckets. As a rule the embeddings' gradients are the last that backward computes.
    """

    def __init__(self, table: nn.Parameter):
        self.parameters = [table]
        self.work = None
        self.missing = 1

    @torch.no_grad()
    def send(self) -> None:
        """Find the rows, and start to tell the other ranks how many there are."""
        gradient = self.parameters[0].grad
        if gradient is None:
            self.rows = torch.zeros(0, dtype=torch.int64)
        else:
            used = gradient.bool().view(torch.uint8).amax(dim=1)  # (R,): any(dim=1), in less than half its time
            self.rows = used.nonzero().squeeze(1)  # (U,)
        self.counts = torch.zeros(2, world().size, dtype=torch.int64)  # of each rank: rows; 1 if there is a gradient
        self.counts[:, world().rank] = torch.tensor([len(self.rows), gradient is not None])
        self.work = all_reduce(self.counts, asynchronously=True)

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
        rows = gather(self.rows, [(count,) for count in counts])
        parts = gather(table.grad[self.rows] / size, [(count, table.size(1)) for count in counts])
        table.grad[self.rows] = 0
        for used, part in zip(rows, parts, strict=True):
            table.grad.index_add_(0, used, part)


def make_averaging(model: nn.Module, kind: str, bucket_cap_mb: float) -> Averaging:
    """The averaging of that kind: "naive", "bucketed" or "overlapped"; with one rank, none."""
    if world().size == 1:
        return Averaging(model)
    if kind == "naive":
        return NaiveAveraging(model)
    return {"bucketed": BucketedAveraging, "overlapped": OverlappedAveraging}[kind](model, bucket_cap_mb)

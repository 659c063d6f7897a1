"""Averaging gradients over ranks, in three steps: naive, in buckets, and in buckets while backward still runs.

All three give every rank the same gradients: the sum over the ranks of gradient / number of ranks. If a parameter has a
gradient on some ranks only, it counts as zero on the others. If it has one on no rank, it stays None, so that the
optimizer leaves the parameter alone. On the CPU the three are equal to the bit, see `exchange.SumInOrder`.

What torch's DistributedDataParallel does (Li et al., 2020, https://arxiv.org/abs/2006.15704), without a wrapper around
the model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from minift.distributed.buckets import Bucket, Table, into_buckets, large_tables
from minift.distributed.exchange import all_reduce, broadcast, gather_objects, sum_over_ranks
from minift.distributed.world import world


class Averaging:
    """What the three ways have in common. One rank alone uses this class: it has nothing to average.

    Every rank's model must have the same parameters in the same order. Those that need no gradient are left out.
    """

    has_begun = False  # whether gradients are on their way, so that `finish` must be called before they are used

    def __init__(self, model: nn.Module):
        self.model = model
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.hooks: list[RemovableHandle] = []
        self.enabled = True  # not in `no_sync`
        self.expected = True  # not after a forward pass in `no_sync`
        self.joining = False  # whether ranks may do fewer passes than others
        self.passes = 0  # forward passes of this rank since then

    def __reduce__(self) -> tuple:
        """A copy of a model, which takes its hooks along, is averaged by nobody."""
        return Averaging, (nn.Module(),)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Only add gradients up on each rank: those of the backward passes in the `with` block."""
        before, self.enabled = self.enabled, False
        try:
            yield
        finally:
            self.enabled = before

    def finish(self) -> None:
        """After the backward pass: make every gradient the mean over all ranks (*collective*)."""
        if self.enabled and self.expected:
            self.average()

    def watch_forward(self) -> None:
        """Let the model's forward pass do what DistributedDataParallel's does, see `before_forward`."""
        self.hooks.append(self.model.register_forward_pre_hook(self.before_forward))

    def before_forward(self, *_: object) -> None:
        """A forward pass finishes what a backward pass has begun.

        One in `no_sync` keeps the gradients that come of it in their rank, wherever their backward pass is.
        """
        if self.has_begun:
            self.finish()
        self.expected = self.enabled
        if self.joining:
            self.passes += 1
            sum_over_ranks(1, torch.is_grad_enabled() and self.enabled)

    @contextmanager
    def join(self) -> Iterator[None]:
        """Let a rank leave the `with` block after fewer passes: until all have left, it has no gradients.

        At the end all ranks get the weights of the one that did most passes, as torch's `Join` does.
        """
        self.joining, self.passes = True, 0
        try:
            yield
        finally:
            self.joining = False
        if self.has_begun:
            self.finish()
        while (left := sum_over_ranks(0, 0))[0]:  # the ranks that do another pass, and those that average it
            if left[1]:
                for parameter in self.parameters:
                    parameter.grad = None
                self.average()
        passes = gather_objects(self.passes)
        last = max(range(len(passes)), key=lambda rank: (passes[rank], rank))
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            broadcast(tensor.detach(), last)

    def average(self) -> None:
        """What `finish` does, unless it is called in `no_sync`."""

    def remove(self) -> None:
        """Take the hooks off the model and its parameters."""
        for hook in self.hooks:
            hook.remove()
        self.hooks.clear()


class NaiveAveraging(Averaging):
    """Sum one gradient after the other over the ranks, when backward has computed them all."""

    def average(self) -> None:
        exists = torch.tensor([parameter.grad is not None for parameter in self.parameters], dtype=torch.int32)
        all_reduce(exists)  # (P,): on how many ranks each of the P parameters has a gradient
        for parameter, ranks in zip(self.parameters, exists.tolist(), strict=True):
            if ranks == 0:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.div_(world().size)
            all_reduce(parameter.grad)


class BucketedAveraging(Averaging):
    """Sum one bucket of gradients after the other: the messages are fewer and larger, and each pays its latency once.

    A bucket holds at most `bucket_cap_mb` MiB; a gradient that is larger has one of its own. The gradients of large
    embedding tables on the CPU come after the buckets, see `Table`.
    """

    def __init__(self, model: nn.Module, bucket_cap_mb: float):
        super().__init__(model)
        large = large_tables(model)
        tables = [parameter for parameter in self.parameters if parameter in large]
        others = [parameter for parameter in self.parameters if parameter not in large]
        self.buckets = [*map(Bucket, into_buckets(others, bucket_cap_mb)), *map(Table, tables)]

    def average(self) -> None:
        for bucket in self.buckets:
            bucket.send()
        for bucket in self.buckets:
            bucket.receive()


class OverlappedAveraging(BucketedAveraging):
    """Send each bucket as soon as its last gradient is there, while backward computes the next ones.

    All ranks send the buckets in one order, although gradients may be ready in another: a bucket waits for those before
    it. `average` sends the buckets that are left, such as one with a parameter that the loss does not depend on.
    """

    def __init__(self, model: nn.Module, bucket_cap_mb: float):
        super().__init__(model, bucket_cap_mb)
        self.sent = 0  # buckets that are on their way
        self.hooks = [
            parameter.register_post_accumulate_grad_hook(partial(self.gradient_is_ready, bucket))
            for bucket in self.buckets
            for parameter in bucket.parameters
        ]

    def gradient_is_ready(self, bucket: Bucket | Table, parameter: nn.Parameter) -> None:
        """Count one more gradient of `bucket`, and send the buckets that are complete; called by backward."""
        if not (self.enabled and self.expected):
            return
        if bucket.work is not None:
            raise RuntimeError(
                "a second backward pass has changed a gradient that is on its way: call the first one in no_sync, or "
                "average with 'bucketed'"
            )
        bucket.missing -= 1
        while self.sent < len(self.buckets) and self.buckets[self.sent].missing <= 0:
            self.buckets[self.sent].send()
            self.sent += 1

    @property
    def has_begun(self) -> bool:
        return any(bucket.missing < len(bucket.parameters) for bucket in self.buckets)

    def average(self) -> None:
        for bucket in self.buckets[self.sent :]:
            bucket.send()
        self.sent = 0
        for bucket in self.buckets:
            bucket.receive()


def make_averaging(model: nn.Module, kind: str, bucket_cap_mb: float) -> Averaging:
    """Make the averaging of one kind, "naive", "bucketed" or "overlapped"; for one rank, one that does nothing."""
    if world().size == 1:
        return Averaging(model)
    if kind == "naive":
        return NaiveAveraging(model)
    return {"bucketed": BucketedAveraging, "overlapped": OverlappedAveraging}[kind](model, bucket_cap_mb)

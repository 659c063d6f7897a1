"""AdamW in cache-sized blocks, equal to the bit, or compiled: in the place of `update_group` of `optim.adamw.AdamW`."""

from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from minift.optim import adamw
from minift.optim.adamw import step_numbers, update

# Elements that one block of a large tensor holds. The update passes nine times over parts of five arrays (parameter,
# gradient, two moments, denominator): 5 MiB in fp32, which stays in cache in between, so that memory is read once.
BLOCK_SIZE = 1 << 18
COMPILED_FROM = 1 << 14  # elements from which on the one pass of compiled code saves more than its call costs


class AdamW(adamw.AdamW):
    """The plain `AdamW` with a faster update.

    Args:
        params, options: as for the plain one.
        compiled: one pass over memory by torch.compile (`update_in_one_pass`), which rounds differently in the last
            bits; small parameters, not worth the call, all at once (`update_together`). False: equal to the bit.
    """

    def __init__(self, params: Iterable, *args: Any, compiled: bool = False, **options: Any) -> None:
        super().__init__(params, *args, **options)
        self.compiled_update = torch.compile(update_in_one_pass) if compiled else None

    def __getstate__(self) -> dict[str, Any]:
        """What a deep copy takes over."""
        return {**super().__getstate__(), "compiled_update": self.compiled_update}

    def update_group(self, group: dict[str, Any], parameters: list[nn.Parameter]) -> None:
        small: dict[tuple, list] = defaultdict(list)  # numbers -> tensors of parameters not worth a compiled call
        for parameter in parameters:
            state = self.count_step(parameter)
            tensors = (parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"])
            numbers = step_numbers(group, state["step"].item())
            if self.compiled_update is None:
                update_in_blocks(*tensors, *numbers)
            elif parameter.numel() < COMPILED_FROM or not all(map(Tensor.is_contiguous, tensors)):
                small[numbers].append(tensors)
            else:
                rate, root, decay, beta1, beta2, eps = numbers
                changing = map(torch.tensor, (rate * root, eps * root, decay))  # as floats, compiled for each value
                self.compiled_update(*(tensor.view(-1) for tensor in tensors), *changing, beta1, beta2)
        for numbers, parts in small.items():
            update_together(*map(list, zip(*parts, strict=True)), *numbers)


def update_in_blocks(
    parameter: Tensor, gradient: Tensor, mean: Tensor, mean_square: Tensor, rate: float, root: float, *numbers: float
) -> None:
    """Call the plain `update` for one block of a large tensor after the other."""
    tensors = (parameter, gradient, mean, mean_square)
    square_root = partial(square_root_of_unseen, root=root, eps=numbers[-1])
    if parameter.device.type != "cpu" or parameter.numel() <= BLOCK_SIZE or not all(map(Tensor.is_contiguous, tensors)):
        return update(*tensors, rate, root, *numbers, square_root)
    blocks = (tensor.view(-1).split(BLOCK_SIZE) for tensor in tensors)  # every operation is elementwise
    for block in zip(*blocks, strict=True):
        update(*block, rate, root, *numbers, square_root)


def square_root_of_unseen(mean_square: Tensor, root: float, eps: float) -> Tensor:
    """√v where many v are 0 (words never seen) or subnormal: MKL takes 8 to 40 times as long for these.

    The smallest normal number stands in for them where its root is so small that adding ε rounds it away.
    """
    number = torch.finfo(mean_square.dtype)
    smallest = number.tiny if number.tiny**0.5 / root < eps * number.eps / 4 else 0.0
    return mean_square.clamp_min(smallest).sqrt_()


def update_in_one_pass(
    parameter: Tensor,
    gradient: Tensor,
    mean: Tensor,
    mean_square: Tensor,
    rate: Tensor,
    eps: Tensor,
    decay: Tensor,
    beta1: float,
    beta2: float,
) -> None:
    """`update` for torch.compile, which reads and writes each element once, with one division less.

    `rate` is η·√(1 − β₂ᵗ) / (1 − β₁ᵗ) and `eps` is ε·√(1 − β₂ᵗ): the order that the end of section 2 of "Adam" (Kingma
    & Ba, 2015), https://arxiv.org/abs/1412.6980, gives. Both and `decay` are tensors of one number.
    """
    mean.lerp_(gradient, 1 - beta1)
    mean_square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    parameter.mul_(decay).sub_(rate * mean / (mean_square.sqrt() + eps))


def update_together(
    parameters: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    mean_squares: list[Tensor],
    rate: float,
    root: float,
    decay: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """`update` of many small tensors, equal to the bit: each operation is one call for all of them.

    The `torch._foreach_` functions are those of torch's own optimizers.
    """
    torch._foreach_mul_(parameters, decay)
    torch._foreach_lerp_(means, gradients, 1 - beta1)
    torch._foreach_mul_(mean_squares, beta2)
    torch._foreach_addcmul_(mean_squares, gradients, gradients, 1 - beta2)
    denominators = torch._foreach_sqrt(mean_squares)
    torch._foreach_div_(denominators, root)
    torch._foreach_add_(denominators, eps)
    torch._foreach_addcdiv_(parameters, means, denominators, -rate)

"""Dropout (Srivastava et al., 2014) for a tenth of the time on random numbers: in the place of `nn.Dropout.forward`."""

import torch
from torch import Tensor, nn


def drop_by_few_bits(module: nn.Dropout, x: Tensor) -> Tensor:
    """In training, zero each element of x with the module's probability and scale the others up; otherwise nothing."""
    if not module.training or module.p == 0:
        return x
    return x * draw_keep(x.numel(), module.p, x).view(x.shape)


def draw_keep(count: int, rate: float, like: Tensor, fast: bool = True) -> Tensor:
    """Draw what dropout multiplies by: 0 with probability `rate`, otherwise a constant that leaves the mean at 1.

    torch's Bernoulli draws of the CPU cost as much as a small matrix product. Here one random 64-bit integer decides
    over four elements, 16 bits each, so that the rate is rounded to a multiple of 2⁻¹⁶ (0.1 is 0.100006); the constant
    is that of the rounded rate, so the mean is 1 up to the rounding of that constant. Not `fast`: torch's draws.

    Returns (count,) in the dtype and on the device of `like`, drawn from the device's global generator.
    """
    if not fast:
        return like.new_empty(count).bernoulli_(1 - rate).div_(1 - rate)
    dropped = min(max(round(rate * 2**16), 1), 2**16 - 1)  # of the 2¹⁶ values that 16 bits take
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
    kept = bits.view(torch.int16)[:count] >= dropped - 2**15
    return kept.to(like.dtype).mul_(2**16 / (2**16 - dropped))

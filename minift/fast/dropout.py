"""Dropout (Srivastava et al., 2014): torch's own, and one that spends a tenth of the time on random numbers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from minift.model.config import PretrainedConfig


class Dropout(nn.Module):
    """In training, zero each element with probability `rate` and scale the others up; otherwise nothing.

    Draws by `F.dropout`, or by `draw_keep` if the model's configuration says `fast_dropout`.
    """

    def __init__(self, rate: float, config: PretrainedConfig) -> None:
        super().__init__()
        self.rate, self.config = rate, config

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        if not self.config.fast_dropout:
            return F.dropout(x, self.rate)
        return x * draw_keep(x.numel(), self.rate, x).view(x.shape)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


def draw_keep(count: int, rate: float, like: Tensor, fast: bool = True) -> Tensor:
    """What dropout multiplies by: 0 with probability `rate`, otherwise a constant that leaves the mean at 1.

    torch's Bernoulli draws of the CPU cost as much as a small matrix product. Here one random 64-bit integer decides
    over four elements, 16 bits each, so that the rate is rounded to a multiple of 2⁻¹⁶ (0.1 is 0.100006); the constant
    is that of the rounded rate, so the mean is 1 up to the rounding of that constant.

    Args:
        count: elements to draw.
        rate: in (0, 1).
        like: gives dtype and device.
        fast: False draws by torch's `bernoulli_`.

    Returns:
        (count,), drawn from the device's global generator.
    """
    if not fast:
        return like.new_empty(count).bernoulli_(1 - rate).div_(1 - rate)
    dropped = min(max(round(rate * 2**16), 1), 2**16 - 1)  # of the 2¹⁶ values that 16 bits take
    bits = torch.empty(-(-count // 4), dtype=torch.int64, device=like.device).random_(-(2**63), None)
    kept = bits.view(torch.int16)[:count] >= dropped - 2**15
    return kept.to(like.dtype).mul_(2**16 / (2**16 - dropped))

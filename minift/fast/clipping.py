"""Gradients clipped by the kernel that updates the weights: in the place of `torch.nn.utils.clip_grad_norm_`."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def clipping_in_update(optimizer: torch.optim.Optimizer) -> Callable[[Iterable[nn.Parameter], float], Tensor]:
    """Return a function that has the optimizer's next step clip the gradients, and returns their norm.

    It takes what `clip_grad_norm_` takes, which multiplies all gradients in memory. torch's fused kernels divide each
    gradient by `optimizer.grad_scale` when they read it; that is there for mixed precision in float16
    (torch/amp/grad_scaler.py), and is taken back after the step.

    Raises:
        ValueError: the optimizer has no such kernel.
    """
    if not getattr(optimizer, "_step_supports_amp_scaling", False):
        raise ValueError(f"clip_in_update needs optim='adamw_torch_fused', or another fused one, not {optimizer!r}")
    optimizer.register_step_post_hook(lambda optimizer, args, options: setattr(optimizer, "grad_scale", None))

    def clip(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
        optimizer.grad_scale = ((norm + 1e-6) / max_norm).clamp_min(1.0)
        return norm

    return clip

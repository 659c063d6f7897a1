"""The fast path: gradients clipped by the kernel that updates the weights, without a pass over memory of their own."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def clip_in_update(optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Have the optimizer's next step clip the gradients to `max_norm`; returns their norm, a tensor of one number.

    What `torch.nn.utils.clip_grad_norm_` does, but that it multiplies all gradients in memory first. torch's fused
    kernels divide each gradient by `optimizer.grad_scale` when they read it, which is there for mixed precision in
    float16 (torch/amp/grad_scaler.py); it has to be None again after the step.

    Raises:
        ValueError: the optimizer has no such kernel.
    """
    if not getattr(optimizer, "_step_supports_amp_scaling", False):
        raise ValueError(f"clip_in_update needs optim='adamw_torch_fused', or another fused one, not {optimizer!r}")
    norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    optimizer.grad_scale = ((norm + 1e-6) / max_norm).clamp_min(1.0)
    return norm

"""AdamW: Adam with decoupled weight decay, and the parameter groups it is used with."""

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from minift.libraries.keywords import drops_keywords
from minift.ranges import AT_LEAST_0, PROBABILITY


class AdamW(torch.optim.Optimizer):
    """AdamW, "Decoupled Weight Decay Regularization" (Loshchilov & Hutter, 2019), https://arxiv.org/abs/1711.05101.

    Equal to the bit to `torch.optim.AdamW(foreach=False, fused=False)`, whose state dicts it reads and writes
    (`step`, `exp_avg`, `exp_avg_sq`). Unlike torch's, `weight_decay` is 0 by default, as in transformers' AdamW and
    Trainer.

    Args:
        params: parameters, named parameters or groups of them, of any real floating dtype and shape; each moment has
            its parameter's shape and dtype.
        lr: learning rate, a number ≥ 0; the schedules change it.
        betas: decay of the mean and of the mean square of the gradients, each in [0, 1).
        eps: ≥ 0, added to the root of the mean square.
        weight_decay: ≥ 0; every step takes lr·weight_decay of a parameter away.
        correct_bias: divide the moments by 1 − βᵗ; False is what the TensorFlow code of BERT did.

    Raises:
        ValueError: a number out of its range, or one of torch's other options (`amsgrad`, …) that is set.
    """

    @drops_keywords
    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        correct_bias: bool = True,
    ) -> None:
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, correct_bias=correct_bias)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure`, which may compute them, returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self.update_group(group, [parameter for parameter in group["params"] if parameter.grad is not None])
        return loss

    def update_group(self, group: dict[str, Any], parameters: list[nn.Parameter]) -> None:
        """Update those parameters of a group that have a gradient."""
        for parameter in parameters:
            state = self.count_step(parameter)
            numbers = step_numbers(group, state["step"].item())
            update(parameter, parameter.grad, state["exp_avg"], state["exp_avg_sq"], *numbers)

    def count_step(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """Return the parameter's state, made of zeros in the first step, with this step counted."""
        if parameter.grad.layout != torch.strided or parameter.is_complex():
            raise ValueError("AdamW needs dense real gradients; for sparse ones there is torch.optim.SparseAdam")
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        state["step"] += 1
        return state

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with its own settings; the constructor comes through here for every group."""
        check_settings({**self.defaults, **param_group})
        super().add_param_group(param_group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what torch.optim.AdamW may have saved: only what changes the result matters."""
        super().__setstate__(state)
        for saved in self.state.values():
            if "step" in saved and not torch.is_tensor(saved["step"]):  # older releases of torch count in numbers
                saved["step"] = torch.tensor(float(saved["step"]))
        for group in self.param_groups:
            for option in ("amsgrad", "maximize"):
                if group.get(option):
                    raise ValueError(f"AdamW does not support {option}=True, with which this state was saved")
            group.setdefault("correct_bias", True)


def step_numbers(group: dict[str, Any], step: float) -> tuple[float, float, float, float, float, float]:
    """What `update` takes besides tensors, from a group's settings and the number of the step t, from 1.

    Returns:
        η / (1 − β₁ᵗ), √(1 − β₂ᵗ), 1 − η·λ, β₁, β₂ and ε.
    """
    lr, (beta1, beta2) = group["lr"], group["betas"]
    bias1, bias2 = (1 - beta1**step, 1 - beta2**step) if group["correct_bias"] else (1.0, 1.0)
    return lr / bias1, bias2**0.5, 1 - lr * group["weight_decay"], beta1, beta2, group["eps"]


def update(
    parameter: Tensor,
    gradient: Tensor,
    mean: Tensor,
    mean_square: Tensor,
    rate: float,
    root: float,
    decay: float,
    beta1: float,
    beta2: float,
    eps: float,
    square_root: Callable[[Tensor], Tensor] = torch.sqrt,
) -> None:
    """Take one AdamW step in place: `parameter` θ, `gradient` g, `mean` m, `mean_square` v, all of one shape.

    The numbers are those of `step_numbers`. The order of the operations is torch's (torch/optim/adam.py,
    `_single_tensor_adam`).
    """
    if decay != 1:
        parameter.mul_(decay)  # θ ← θ · (1 − η·λ)
    mean.lerp_(gradient, 1 - beta1)  # m ← m + (1 − β₁) · (g − m)
    mean_square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)  # v ← β₂·v + (1 − β₂)·g²
    denominator = square_root(mean_square).div_(root).add_(eps)  # √v / √(1 − β₂ᵗ) + ε
    parameter.addcdiv_(mean, denominator, value=-rate)  # θ ← θ − η / (1 − β₁ᵗ) · m / denominator


def parameter_groups(
    model: nn.Module, weight_decay: float, decaying: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """Sort a model's trainable parameters into two groups, each in model order: those that decay, then the others.

    `decaying` names those that decay; None is `decay_parameter_names`. The grouping of transformers'
    `Trainer.create_optimizer`, so that the groups of a saved optimizer fit.
    """
    names = set(decay_parameter_names(model) if decaying is None else decaying)
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for name, parameter in trained if name in names], "weight_decay": weight_decay},
        {"params": [parameter for name, parameter in trained if name not in names], "weight_decay": 0.0},
    ]


def decay_parameter_names(model: nn.Module) -> list[str]:
    """List the parameters that decay, in model order: all but biases and those of LayerNorms."""
    no_decay = re.compile(r"bias|layernorm|rmsnorm|(^|\.)norm($|\.)|_norm($|\.)")
    in_norm = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if isinstance(module, nn.LayerNorm)
        for name, _ in module.named_parameters()
    }
    return [name for name, _ in model.named_parameters() if name not in in_norm and not no_decay.search(name.lower())]


def check_settings(settings: dict[str, Any]) -> None:
    """Raise a ValueError for a setting of a group that is not in its range."""
    for name in ("lr", "eps", "weight_decay"):
        AT_LEAST_0.check(f"AdamW: {name}", settings[name])
    betas = settings["betas"]
    if not isinstance(betas, list | tuple) or len(betas) != 2:
        raise ValueError(f"AdamW: betas must be two numbers, not {betas!r}")
    for beta in betas:
        PROBABILITY.check("AdamW: each of betas", beta)

"""AdamW: Adam with decoupled weight decay, and the parameter groups it is used with."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

# Elements that one block of a large tensor holds. The update passes nine times over parts of five arrays (parameter,
# gradient, two moments, denominator): 5 MiB in fp32, which stays in cache in between, so that memory is read once.
BLOCK_SIZE = 1 << 18
COMPILED_FROM = 1 << 14  # elements from which on the one pass of compiled code saves more than its call costs


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
        compiled: one pass over memory by torch.compile (`update_in_one_pass`), which rounds differently in the last
            bits; small parameters, not worth the call, all at once (`update_together`).
        amsgrad, maximize, foreach, capturable, differentiable, fused: torch's other options; not supported.
        no_deprecation_warning: silenced a warning of transformers 4's AdamW; here is none to silence.

    Raises:
        ValueError: a number out of its range, or an unsupported option that is set.
    """

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        correct_bias: bool = True,
        compiled: bool = False,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        no_deprecation_warning: bool = False,
    ) -> None:
        _reject(
            amsgrad=amsgrad,
            maximize=maximize,
            foreach=foreach,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
        )
        defaults = dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, correct_bias=correct_bias)
        super().__init__(params, defaults)
        self.compiled_update = torch.compile(update_in_one_pass) if compiled else None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with its own settings; the constructor comes through here for every group."""
        _check({**self.defaults, **param_group})
        super().add_param_group(param_group)

    def __getstate__(self) -> dict[str, Any]:
        """What a deep copy takes over."""
        return {**super().__getstate__(), "compiled_update": self.compiled_update}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over groups that torch.optim.AdamW may have saved: only what changes the result matters."""
        super().__setstate__(state)
        for group in self.param_groups:
            _reject(amsgrad=group.get("amsgrad", False), maximize=group.get("maximize", False))
            group.setdefault("correct_bias", True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure`, which may compute them, returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            numbers_of = cache(partial(self._numbers, group))  # steps counted -> numbers: as a rule one for all
            small: dict[tuple, list] = defaultdict(list)  # numbers -> tensors of parameters not worth a compiled call
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._step_one(parameter, parameter.grad, numbers_of, small)
            for numbers, tensors in small.items():
                update_together(*map(list, zip(*tensors, strict=True)), numbers)
        return loss

    def _step_one(self, parameter: Tensor, gradient: Tensor, numbers_of: Callable, small: dict[tuple, list]) -> None:
        """Update one parameter, or leave it in `small` for an update together with others."""
        if gradient.layout != torch.strided or parameter.is_complex():
            raise ValueError("AdamW needs dense real gradients; for sparse ones there is torch.optim.SparseAdam")
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        state["step"] += 1

        tensors = [parameter, gradient, state["exp_avg"], state["exp_avg_sq"]]
        numbers, compiled_numbers = numbers_of(state["step"].item())
        if self.compiled_update is not None and parameter.numel() < COMPILED_FROM:
            small[numbers].append(tensors)
            return None
        if all(tensor.is_contiguous() for tensor in tensors):
            tensors = [tensor.view(-1) for tensor in tensors]  # every operation is elementwise
            if self.compiled_update is not None:
                return self.compiled_update(*tensors, *compiled_numbers)
            if parameter.device.type == "cpu" and parameter.numel() > BLOCK_SIZE:
                for block in zip(*(tensor.split(BLOCK_SIZE) for tensor in tensors), strict=True):
                    update(*block, *numbers)
                return None
        return update(*tensors, *numbers)

    def _numbers(self, group: dict[str, Any], step: float) -> tuple[tuple, tuple]:
        """What `update` and `update_in_one_pass` take beside tensors, in the step with this number, from 1."""
        lr, (beta1, beta2), eps = group["lr"], group["betas"], group["eps"]
        bias1, bias2 = (1 - beta1**step, 1 - beta2**step) if group["correct_bias"] else (1.0, 1.0)
        rate, root, decay = lr / bias1, bias2**0.5, 1 - lr * group["weight_decay"]
        numbers = rate, root, decay, beta1, beta2, eps
        if self.compiled_update is None:
            return numbers, ()
        changing = map(torch.tensor, (rate * root, eps * root, decay))  # as floats, each value would be compiled anew
        return numbers, (*changing, beta1, beta2)


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
) -> None:
    """One AdamW step t in place on `parameter` θ, with `gradient` g, `mean` m and `mean_square` v all of one shape.

    `rate` is η / (1 − β₁ᵗ), `root` is √(1 − β₂ᵗ), `decay` is 1 − η·λ. The order of the operations is torch's
    (torch/optim/adam.py, `_single_tensor_adam`).
    """
    if decay != 1:
        parameter.mul_(decay)  # θ ← θ · (1 − η·λ)
    mean.lerp_(gradient, 1 - beta1)  # m ← m + (1 − β₁) · (g − m)
    mean_square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)  # v ← β₂·v + (1 − β₂)·g²
    # MKL's square root takes 8 to 40 times as long where v is 0 (words never seen) or subnormal. The smallest normal
    # number can stand in for these where its root is so small that adding ε rounds it away.
    number = torch.finfo(mean_square.dtype)
    smallest = number.tiny if number.tiny**0.5 / root < eps * number.eps / 4 else 0.0
    denominator = mean_square.clamp_min(smallest).sqrt_().div_(root).add_(eps)  # √(v / (1 − β₂ᵗ)) + ε
    parameter.addcdiv_(mean, denominator, value=-rate)  # θ ← θ − η · m / (1 − β₁ᵗ) / denominator


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
    numbers: tuple[float, ...],
) -> None:
    """`update` of many small tensors, equal to the bit: each operation is one call for all of them.

    `numbers` are those that `update` takes, in its order. The `torch._foreach_` functions are those of torch's own
    optimizers. Without the guard of `update` against zeros, which matters in large tensors only.
    """
    rate, root, decay, beta1, beta2, eps = numbers
    torch._foreach_mul_(parameters, decay)
    torch._foreach_lerp_(means, gradients, 1 - beta1)
    torch._foreach_mul_(mean_squares, beta2)
    torch._foreach_addcmul_(mean_squares, gradients, gradients, 1 - beta2)
    denominators = torch._foreach_sqrt(mean_squares)
    torch._foreach_div_(denominators, root)
    torch._foreach_add_(denominators, eps)
    torch._foreach_addcdiv_(parameters, means, denominators, -rate)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups of `model`'s trainable parameters, each in model order: with decay, and biases and norms without.

    The grouping of transformers' `Trainer.create_optimizer`, so that the groups of a saved optimizer fit.
    """
    no_decay = re.compile(r"bias|layernorm|rmsnorm|(^|\.)norm($|\.)|_norm($|\.)")
    in_norm = {
        f"{prefix}.{name}" if prefix else name
        for prefix, module in model.named_modules()
        if isinstance(module, nn.LayerNorm)
        for name, _ in module.named_parameters()
    }
    groups = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[name not in in_norm and not no_decay.search(name.lower())].append(parameter)
    return [
        {"params": groups[True], "weight_decay": weight_decay},
        {"params": groups[False], "weight_decay": 0.0},
    ]


def _reject(**options: Any) -> None:
    for name, value in options.items():
        if value:
            raise ValueError(f"AdamW does not support {name}={value!r}; leave {name} out")


def _check(settings: dict[str, Any]) -> None:
    """Raise ValueError for a setting of a group that is not a number in its range."""
    for name in ("lr", "eps", "weight_decay"):
        value = settings[name]
        if not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise ValueError(f"AdamW: {name} must be a finite number ≥ 0, not {value!r}")
    betas = settings["betas"]
    if (
        not isinstance(betas, list | tuple)
        or len(betas) != 2
        or not all(isinstance(beta, int | float) and 0 <= beta < 1 for beta in betas)
    ):
        raise ValueError(f"AdamW: betas must be two numbers in [0, 1), not {betas!r}")

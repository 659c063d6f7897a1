"""The optimizers by their names in `optim`: classes and arguments."""

from typing import Any

import torch

from minift.fast.adamw import AdamW
from minift.train.arguments import TrainingArguments

# name -> class, and the options that `optim_args` may set (transformers/trainer_optimizer.py)
OTHERS: dict[str, tuple[type[torch.optim.Optimizer], tuple[str, ...]]] = {
    "adagrad": (torch.optim.Adagrad, ("lr_decay", "weight_decay", "eps")),
    "rmsprop": (torch.optim.RMSprop, ("momentum", "alpha", "eps", "weight_decay")),
    "sgd": (torch.optim.SGD, ("momentum", "dampening", "weight_decay", "nesterov")),
}


def optimizer_class(args: TrainingArguments) -> tuple[type[torch.optim.Optimizer], dict[str, Any]]:
    """Return the class of torch's optimizer that `args.optim` names, and its arguments besides the parameters."""
    options: dict[str, Any] = {"lr": args.learning_rate}
    if args.optim in OTHERS:
        kind, known = OTHERS[args.optim]
        return kind, options | parse_options(args.optim_args, args.optim, known)
    options |= {"betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon}
    if args.optim == "adamw_torch_fused":
        return torch.optim.AdamW, options | {"fused": True}
    return torch.optim.AdamW, options


def with_our_adamw(kind: type[torch.optim.Optimizer], options: dict[str, Any], args: TrainingArguments) -> Any:
    """Put minift's AdamW in the place of torch's: the same bits, faster or, for adamw_compiled, compiled."""
    if kind is not torch.optim.AdamW or "fused" in options:
        return kind, options
    return AdamW, options | {"compiled": args.optim == "adamw_compiled"}


def parse_options(text: str | None, optimizer: str, known: tuple[str, ...]) -> dict[str, float | bool]:
    """Read ``"momentum=0.9, nesterov=true"``; an option that the optimizer does not have is a ValueError."""
    options: dict[str, float | bool] = {}
    for part in filter(None, (text or "").replace(" ", "").split(",")):
        name, _, value = part.partition("=")
        if name not in known:
            reads = ", ".join(known) or "none"
            raise ValueError(f"optim_args={text!r}: there is no {name!r}; {optimizer} has: {reads}")
        try:
            options[name] = value.lower() in ("true", "1", "yes") if name == "nesterov" else float(value)
        except ValueError:
            raise ValueError(f"optim_args={text!r}: expected {name}=NUMBER, not {part!r}") from None
    return options

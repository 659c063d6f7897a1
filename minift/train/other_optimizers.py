"""The optimizers of torch beside AdamW, by their names in `optim`, with `optim_args`."""

from typing import Any

import torch

from minift.train.arguments import TrainingArguments

# name -> class, and the options that `optim_args` may set (transformers/trainer_optimizer.py)
OTHERS: dict[str, tuple[type[torch.optim.Optimizer], tuple[str, ...]]] = {
    "adagrad": (torch.optim.Adagrad, ("lr_decay", "weight_decay", "eps")),
    "rmsprop": (torch.optim.RMSprop, ("momentum", "alpha", "eps", "weight_decay")),
    "sgd": (torch.optim.SGD, ("momentum", "dampening", "weight_decay", "nesterov")),
}


def other_optimizer(groups: list[dict[str, Any]], args: TrainingArguments) -> torch.optim.Optimizer:
    """Make the optimizer that `args.optim` names, over the groups of parameters."""
    kind, known = OTHERS[args.optim]
    return kind(groups, lr=args.learning_rate, **parse_options(args.optim_args, args.optim, known))


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

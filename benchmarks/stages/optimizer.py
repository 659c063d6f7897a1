"""One AdamW step on BERT-base's parameters: plain, in blocks and compiled, beside torch's loops and fused kernel."""

import copy
from collections.abc import Callable, Iterator

import torch

from benchmarks.checks import close, equal
from benchmarks.harness import Case, Side
from benchmarks.settings import Settings
from minift.fast.adamw import AdamW
from minift.model.auto import AutoModel
from minift.model.config import BertConfig
from minift.optim.adamw import AdamW as PlainAdamW
from minift.optim.adamw import parameter_groups

OPTIONS = {"lr": 5e-5, "betas": (0.9, 0.999), "eps": 1e-8}
WARM_UP = 3  # steps after the first: torch.compile compiles again where a number changes


def cases(settings: Settings) -> Iterator[Case]:
    torch.manual_seed(0)
    model = AutoModel.from_config(BertConfig(num_hidden_layers=settings.pick(quick=2, full=12)))
    name = settings.pick(quick="AdamW step, BERT-base with 2 layers", full="AdamW step, BERT-base")
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) * 1e-3
    count = sum(parameter.numel() for parameter in model.parameters())
    facts = {"parameters": count, "floor": "parameters, gradients and moments read, all but the gradients written"}
    torch_adamw = torch.optim.AdamW
    # each case is made where it is yielded, so that the gigabytes of one are gone before the next
    yield Case(
        name,
        Side("torch.optim.AdamW", stepper(model, torch_adamw)),
        [
            Side("AdamW, plain", stepper(model, PlainAdamW), equal),
            Side("AdamW", stepper(model, AdamW), equal, 1.5, mover(model)),
        ],
        facts=facts,
    )
    yield Case(
        f"{name}, compiled",
        Side("torch.optim.AdamW(fused=True)", stepper(model, torch_adamw, fused=True)),
        [Side("AdamW(compiled=True)", stepper(model, AdamW, compiled=True), close(1e-4), 0.85, mover(model))],
        facts=facts,
    )


def mover(model: torch.nn.Module) -> Callable[[], None]:
    """Move the memory of an update, in three passes that compute next to nothing."""
    mine, sizes = None, [parameter.shape for parameter in model.parameters()]

    def move() -> None:
        nonlocal mine
        mine = mine or [[torch.zeros(size) for size in sizes] for _ in range(3)]
        for source, weight, mean, mean_square in zip(model.parameters(), *mine, strict=True):
            weight.add_(source.grad)
            mean.mul_(1.0)
            mean_square.mul_(1.0)

    return move


def stepper(model: torch.nn.Module, kind: type[torch.optim.Optimizer], **options: bool) -> Callable[[], dict]:
    """Step a copy of the model; what is made: how far each parameter has moved, and its moments' norms."""
    mine, state = None, None

    def step() -> dict:
        nonlocal mine, state
        if mine is None:
            mine = copy.deepcopy(model)
            for parameter, source in zip(mine.parameters(), model.parameters(), strict=True):
                parameter.grad = source.grad  # read alone, so that all sides may share it
            state = kind(parameter_groups(mine, 0.01), **OPTIONS, **options)
            for _ in range(1 + WARM_UP):
                state.step()
            made = {name: [] for name in ("moved", "exp_avg", "exp_avg_sq")}
            for parameter, source in zip(mine.parameters(), model.parameters(), strict=True):
                moments = {name: state.state[parameter][name] for name in ("exp_avg", "exp_avg_sq")}
                for name, tensor in ({"moved": parameter.detach() - source.detach()} | moments).items():
                    made[name].append(tensor.norm(dtype=torch.float64).item())
            return made
        state.step()
        return {}

    return step

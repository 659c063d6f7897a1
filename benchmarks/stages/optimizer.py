"""One AdamW step on BERT-base's parameters: minift's blocks beside torch's loops and torch's fused kernel."""

import copy
from collections.abc import Callable, Iterator

import torch

from benchmarks.checks import close, equal
from benchmarks.harness import Case, Side
from benchmarks.machine import rates
from benchmarks.settings import Settings
from minift.model.auto import AutoModel
from minift.model.config import BertConfig
from minift.optim.adamw import AdamW, parameter_groups

OPTIONS = {"lr": 5e-5, "betas": (0.9, 0.999), "eps": 1e-8}
WARM_UP = 3  # steps after the first: torch.compile compiles again where a number changes
MOVED = 28  # bytes a parameter: parameter, gradient and two moments read, parameter and moments written, fp32


def cases(settings: Settings) -> Iterator[Case]:
    torch.manual_seed(0)
    model = AutoModel.from_config(BertConfig())
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter) * 1e-3
    count = sum(parameter.numel() for parameter in model.parameters())
    floor = count * MOVED / rates()["copy"]
    facts = {"parameters": count, "floor": f"{MOVED} bytes a parameter at the measured bandwidth of memory"}
    torch_adamw = torch.optim.AdamW
    # each case is made where it is yielded, so that the gigabytes of one are gone before the next
    yield Case(
        "AdamW step, BERT-base",
        Side("torch.optim.AdamW", stepper(model, torch_adamw)),
        [Side("AdamW", stepper(model, AdamW), equal, 1.5, floor)],
        facts=facts,
    )
    yield Case(
        "AdamW step, BERT-base, compiled",
        Side("torch.optim.AdamW(fused=True)", stepper(model, torch_adamw, fused=True)),
        [Side("AdamW(compiled=True)", stepper(model, AdamW, compiled=True), close(1e-6), 0.85, floor)],
        facts=facts,
    )


def stepper(model: torch.nn.Module, kind: type[torch.optim.Optimizer], **options: bool) -> Callable[[], dict]:
    """Step a copy of the model; what is made is its first and its last matrix after the first step."""
    mine, state = None, None

    def step() -> dict:
        nonlocal mine, state
        if mine is None:
            mine = copy.deepcopy(model)
            for parameter, source in zip(mine.parameters(), model.parameters(), strict=True):
                parameter.grad = source.grad  # read alone, so that all sides may share it
            state = kind(parameter_groups(mine, 0.01), **OPTIONS, **options)
            state.step()
            parameters = list(mine.parameters())
            made = {"first": parameters[0].detach().clone(), "last": parameters[-2].detach().clone()}
            for _ in range(WARM_UP):
                state.step()
            return made
        state.step()
        return {}

    return step

"""AdamW, its groups and the schedules against torch's and transformers' own, bit for bit."""

import copy

import pytest
import torch
import transformers
from torch import nn

from minift.fast import adamw as fast
from minift.optim import adamw as plain
from minift.optim import schedule
from minift.optim.adamw import parameter_groups

SHAPES = [(3,), (33, 17), (2, 3, 5), (fast.BLOCK_SIZE // 100 + 7, 101)]  # the last one takes two blocks
BOTH = pytest.mark.parametrize("AdamW", [plain.AdamW, fast.AdamW], ids=["plain", "in blocks"])
SETTINGS = [
    {},
    {"lr": 5e-5, "weight_decay": 0.01},
    {"lr": 0.1, "betas": (0.5, 0.7), "eps": 1e-3, "weight_decay": 0.3},
    {"lr": 0.0, "weight_decay": 0.1},
    {"betas": (0.0, 0.0), "eps": 1e-6},
]


def parameters(dtype: torch.dtype) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    dense = [torch.randn(shape, generator=generator).to(dtype) for shape in SHAPES]
    transposed = torch.randn(33, 65, generator=generator).to(dtype).t()
    return [nn.Parameter(tensor) for tensor in [*dense, transposed]]


def set_gradients(groups: list[list[nn.Parameter]], generator: torch.Generator, step: int) -> None:
    for index, same in enumerate(zip(*groups, strict=True)):
        gradient = torch.randn(same[0].shape, generator=generator).to(same[0].dtype)
        if index == 1 or (index == 3 and step % 5 == 0):  # strides other than the parameter's
            gradient = gradient.t().contiguous().t()
        for parameter in same:
            parameter.grad = None if index == 2 and step % 3 else gradient


@BOTH
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_adamw_equals_torch_over_100_steps(AdamW, settings):
    settings = {"weight_decay": 0.0, **settings}
    ours, theirs = parameters(torch.float32), parameters(torch.float32)
    optimizers = [AdamW(ours, **settings), torch.optim.AdamW(theirs, foreach=False, fused=False, **settings)]
    generator = torch.Generator().manual_seed(1)
    for step in range(100):
        set_gradients([ours, theirs], generator, step)
        for optimizer in optimizers:
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@BOTH
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_adamw_equals_torch_in_other_dtypes(AdamW, dtype):
    ours, theirs = parameters(dtype), parameters(dtype)
    optimizers = [
        AdamW(ours, eps=1e-4, weight_decay=0.1),
        torch.optim.AdamW(theirs, eps=1e-4, weight_decay=0.1, foreach=False, fused=False),
    ]
    generator = torch.Generator().manual_seed(2)
    for step in range(10):
        set_gradients([ours, theirs], generator, step)
        for optimizer in optimizers:
            optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert optimizers[0].state[ours[0]]["exp_avg"].dtype == dtype


@BOTH
@pytest.mark.parametrize(("eps", "beta2"), [(1e-8, 0.999), (1e-9, 0.999), (1e-9, 0.999999), (1e-12, 0.99), (0.0, 0.9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_adamw_equals_torch_where_gradients_are_zero_or_tiny(AdamW, dtype, eps, beta2):
    """Their mean squares are 0 or subnormal; on weights of 0 every bit of the update shows."""
    generator = torch.Generator().manual_seed(4)
    ours, theirs = (nn.Parameter(torch.zeros(3000, dtype=dtype)) for _ in range(2))
    optimizers = [
        AdamW([ours], eps=eps, betas=(0.9, beta2)),
        torch.optim.AdamW([theirs], eps=eps, betas=(0.9, beta2), weight_decay=0.0, foreach=False, fused=False),
    ]
    magnitude = 10 ** torch.linspace(-30, 1, 3000)
    magnitude[:1000] = 0
    for _ in range(10):
        ours.grad = theirs.grad = (torch.randn(3000, generator=generator) * magnitude).to(dtype)
        for optimizer in optimizers:
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@BOTH
@pytest.mark.parametrize("from_torch", [True, False])
def test_state_dicts_are_exchanged_with_torch(AdamW, from_torch):
    def theirs(params):
        return torch.optim.AdamW(params, foreach=False, weight_decay=0.1)

    def ours(params):
        return AdamW(params, weight_decay=0.1)

    first, second = (theirs, ours) if from_torch else (ours, theirs)
    straight, generator = parameters(torch.float32), torch.Generator().manual_seed(3)
    optimizer = first(straight)
    set_gradients([straight], generator, 0)
    optimizer.step()
    resumed = copy.deepcopy(straight)
    resumed_optimizer = second(resumed)
    resumed_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for step in range(1, 4):
        set_gradients([straight, resumed], generator, step)
        optimizer.step()
        resumed_optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))


@pytest.mark.parametrize("kind", ["Bert", "DistilBert"])
def test_parameter_groups_equal_trainers(kind, tmp_path):
    if kind == "Bert":
        config = transformers.BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, vocab_size=9)
    else:
        config = transformers.DistilBertConfig(dim=8, n_layers=2, n_heads=2, vocab_size=9)
    model = getattr(transformers, f"{kind}ForSequenceClassification")(config)
    arguments = transformers.TrainingArguments(tmp_path, weight_decay=0.3, use_cpu=True, report_to=[])
    expected = transformers.Trainer(model, arguments).create_optimizer().param_groups
    groups = parameter_groups(model, 0.3)
    assert [group["weight_decay"] for group in groups] == [group["weight_decay"] for group in expected]
    assert [list(map(id, group["params"])) for group in groups] == [list(map(id, g["params"])) for g in expected]


@pytest.mark.parametrize(("warmup", "total"), [(0, 50), (7, 50), (20, 21), (60, 50)])
@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("linear", {}),
        ("cosine", {}),
        ("cosine", {"num_cycles": 1.7}),
        ("cosine_with_restarts", {"num_cycles": 3}),
        ("polynomial", {}),
        ("polynomial", {"power": 2.5, "lr_end": 1e-5}),
        ("constant", None),
        ("constant_with_warmup", None),
        ("inverse_sqrt", {}),
        ("inverse_sqrt", {"timescale": 13}),
        ("cosine_with_min_lr", {"min_lr": 1e-5}),
        ("cosine_with_min_lr", {"min_lr_rate": 0.3, "num_cycles": 1.2}),
        ("warmup_stable_decay", {"num_decay_steps": 10}),
        ("warmup_stable_decay", {"num_decay_steps": 12, "min_lr_ratio": 0.1, "decay_type": "linear"}),
        ("warmup_stable_decay", {"num_decay_steps": 9, "warmup_type": "cosine", "decay_type": "1-sqrt"}),
        ("warmup_stable_decay", {"num_decay_steps": 9, "warmup_type": "1-sqrt", "num_cycles": 0.8}),
    ],
    ids=str,
)
def test_schedules_equal_transformers(name, kwargs, warmup, total):
    rates = []
    for get_scheduler in (schedule.get_scheduler, transformers.get_scheduler):
        params = [nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
        sgd = torch.optim.SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.01}], lr=3e-4)
        scheduler = get_scheduler(name, sgd, warmup, total, kwargs)
        rates.append([])
        for _ in range(60):
            rates[-1].append(scheduler.get_last_lr())
            sgd.step()
            scheduler.step()
    assert rates[0] == rates[1]

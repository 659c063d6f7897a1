"""The learning-rate factors at the steps that matter, and `get_scheduler`'s errors."""

import pytest
import torch

from minift.optim import schedule
from minift.optim.schedule import SchedulerType, get_scheduler


def optimizer(lr: float = 2.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def learning_rates(name: str, steps: int, warmup: int = 2, total: int = 6, **kwargs) -> list[float]:
    sgd = optimizer()
    scheduler = get_scheduler(name, sgd, warmup, total, kwargs)
    rates = []
    for _ in range(steps):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("name", "kwargs", "expected"),
    [
        ("linear", {}, [0, 1, 2, 1.5, 1, 0.5, 0, 0]),
        ("cosine", {}, [0, 1, 2, 1.7071067811865475, 1, 0.2928932188134524, 0, 0.2928932188134524]),
        ("cosine", {"num_cycles": 1}, [0, 1, 2, 1, 0, 1, 2, 1]),
        ("cosine_with_restarts", {"num_cycles": 2}, [0, 1, 2, 1, 2, 1, 0, 0]),
        ("polynomial", {"power": 2, "lr_end": 1.0}, [0, 1, 2, 1.5625, 1.25, 1.0625, 1, 1]),
        ("constant", {}, [2] * 8),
        ("constant_with_warmup", {}, [0, 1, 2, 2, 2, 2, 2, 2]),
        ("inverse_sqrt", {"timescale": 1}, [0, 1, 2, 2 / 2**0.5, 2 / 3**0.5, 1, 2 / 5**0.5, 2 / 6**0.5]),
    ],
)
def test_learning_rates_by_hand(name, kwargs, expected):
    assert learning_rates(name, 8, **kwargs) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine", "cosine_with_restarts", "polynomial"])
def test_all_warmup_and_no_decay_does_not_divide_by_zero(name):
    assert learning_rates(name, 3, warmup=3, total=3)[:3] == pytest.approx([0, 2 / 3, 4 / 3])
    assert learning_rates(name, 1, warmup=0, total=0)[0] >= 0


def test_inverse_sqrt_falls_with_the_length_of_the_warmup():
    assert learning_rates("inverse_sqrt", 9)[2:] == pytest.approx([2 / (1 + t / 2) ** 0.5 for t in range(7)])
    assert learning_rates("inverse_sqrt", 2, warmup=0) == pytest.approx([2, 2 / (1 + 1 / 10_000) ** 0.5])


def test_factors_are_functions_of_the_step_alone():
    assert [schedule.linear(step, 0, 4) for step in (4, 0, 2)] == [0, 1, 0.5]


def test_resuming_continues_the_schedule():
    sgd = optimizer()
    sgd.param_groups[0]["initial_lr"] = 2.0
    schedule.get_linear_schedule_with_warmup(sgd, 2, 6, last_epoch=3)
    assert sgd.param_groups[0]["lr"] == learning_rates("linear", 8)[4]


def test_names_are_strings():
    assert SchedulerType.LINEAR == "linear"
    assert get_scheduler(SchedulerType.LINEAR, optimizer(), 0, 4).get_last_lr() == [2.0]


@pytest.mark.parametrize(
    ("name", "steps", "kwargs", "error", "message"),
    [
        ("liner", (0, 4), None, ValueError, "unknown schedule 'liner'; there are: linear, cosine, .*inverse_sqrt"),
        ("greedy", (0, 4), None, ValueError, "unknown schedule 'greedy'"),
        ("linear", (None, 4), None, ValueError, "linear requires `num_warmup_steps`"),
        ("cosine", (0, None), None, ValueError, "cosine requires `num_training_steps`"),
        ("linear", (-1, 4), None, ValueError, "`num_warmup_steps` must be ≥ 0, not -1"),
        ("polynomial", (0, 4), {"lr_end": 3.0}, ValueError, r"lr_end \(3.0\) must be smaller than initial lr \(2.0\)"),
        ("linear", (0, 4), {"power": 2}, TypeError, "power"),
        ("constant", (0, 4), {"power": 2}, TypeError, "power"),
    ],
)
def test_errors(name, steps, kwargs, error, message):
    with pytest.raises(error, match=message):
        get_scheduler(name, optimizer(), *steps, kwargs)

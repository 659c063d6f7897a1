"""Growth, profile and accuracy: slopes, groups and means, on figures made up."""

import json
import sys
from types import SimpleNamespace

import pytest

from benchmarks import accuracy, growth
from benchmarks.profile import OTHER, OUTSIDE, by_group
from benchmarks.profile import table as profile_table


def test_the_slope_is_the_exponent_between_the_largest_sizes():
    assert growth.slope([1, 10, 100, 1000], [9.0, 1e2, 1e4, 1e6]) == pytest.approx(2)
    assert growth.slope([10, 100], [3.0, 30.0]) == pytest.approx(1)
    assert growth.slope([10], [1.0]) is None


def test_a_series_ends_before_it_takes_too_long(monkeypatch):
    clock = iter(range(10**6))
    monkeypatch.setattr("benchmarks.harness.time.perf_counter", lambda: float(next(clock)))  # every call takes 1 s
    ran = []
    work = growth.Work("work", "rows", [1, 5, 100], lambda size: {"minift": lambda: ran.append(size)})
    (line,) = growth.measure(work, limit=60.0)
    assert line["sizes"] == [1, 5]  # 100 would take 20 s, five times
    assert line["seconds"] == [1.0, 1.0]
    assert set(ran) == {1, 5}
    assert {"work", "size", "side", "slope", "megabytes"} <= set(line)


def test_a_table_of_growth():
    line = {"work": "map", "size": "rows", "side": "minift", "sizes": [10, 1000], "seconds": [0.1, 2.0]}
    document = {"command": "python -m benchmarks.growth", "growth": [{**line, "slope": 1.0, "megabytes": [1.0, 2.0]}]}
    assert "| map | rows | minift | 1.00 | 1,000 | 2 s | 2 MB |" in growth.table(document)


def test_shares_of_groups_make_up_the_whole():
    def event(name, milliseconds, parent=None):
        return SimpleNamespace(name=name, self_cpu_time_total=1000 * milliseconds, cpu_parent=parent)

    step = event("Optimizer.step#AdamW.step", 50)
    events = [
        event("aten::addmm", 550, event("aten::linear", 0)),
        event("aten::mul_", 50),
        event("aten::mul_", 50, step),
        event("aten::clamp_min", 50, step),
        event("aten::unheard_of", 50),
        step,
    ]
    shares = by_group(events, wall=1.0)
    expected = {"matrix products": 0.55, OUTSIDE: 0.2, "optimizer": 0.15, "elementwise": 0.05, OTHER: 0.05}
    assert shares == pytest.approx(expected)
    assert next(iter(shares)) == "matrix products"
    step = {"job": "MRPC", "path": "plain", "seconds": 0.5, "mfu": 0.42, "shares": shares}
    document = {"command": "c", "rates": {"float32": 1e11, "bfloat16": 2e11}, "steps": [step]}
    assert "| MRPC | plain | 500 ms | 42% | matrix products 55%, " in profile_table(document)


def test_accuracy_goes_on_where_it_was_stopped(monkeypatch, tmp_path, capsys):
    file, ran = tmp_path / "accuracy.json", []

    def fine_tune(path, seed, epochs):
        if len(ran) == 3:
            raise KeyboardInterrupt
        ran.append((path, seed))
        return {"accuracy": 0.8 + seed / 100, "f1": 0.9}

    monkeypatch.setattr(accuracy, "fine_tune", fine_tune)
    monkeypatch.setattr(accuracy, "require", lambda *folders: None)
    monkeypatch.setattr("benchmarks.__main__.prepare_environment", lambda threads: None)
    monkeypatch.setattr(sys, "argv", ["accuracy", "--seeds", "1", "3", "--json", str(file)])
    with pytest.raises(KeyboardInterrupt):
        accuracy.main()
    assert len(json.loads(file.read_text())) == 3
    ran.clear()
    accuracy.main()
    assert ran == [("fast, bf16", 3)]
    assert "| plain | 2 | 0.8200 ± 0.0141 | 0.9000 ± 0.0000 |" in capsys.readouterr().out

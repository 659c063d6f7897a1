"""The harness: ratios and ranges, sides in turns, and no time for a wrong answer."""

import json

import numpy as np
import pytest
import torch

from benchmarks.checks import close, equal, same_rows
from benchmarks.flops import training_flops
from benchmarks.harness import Case, Refused, Row, Side, Spread, Timed, measure, show
from minift.data.dataset import Dataset
from minift.model.config import BertConfig, DistilBertConfig


def timed(name, seconds, log=None, made=1, **options):
    """A side that says it took the next of these seconds."""
    left = iter(seconds)

    def run():
        if log is not None:
            log.append(name)
        return Timed(next(left), made, {"name": name})

    return Side(name, run, **options)


def row(seconds, peer_seconds, target=None, floor=()):
    return Row("stage", "case", "ours", "theirs", target, seconds, peer_seconds, list(floor))


def test_the_ratio_is_taken_round_by_round():
    measured = row([1.0, 2.0, 4.0], [3.0, 4.0, 40.0], floor=[0.5])
    assert measured.ratio == Spread(3.0, 2.0, 10.0)
    assert measured.floor_ratio == 8.0
    assert row([1.0], [2.0]).floor_ratio is None


def test_a_line_says_whether_the_target_is_reached():
    assert "reached" in row([1.0], [2.0], target=2.0).line()
    assert "BELOW" in row([1.0], [1.9], target=2.0).line()
    assert "target" not in row([1.0], [1.9]).line()


def test_rounds_run_in_turns_after_a_warm_up():
    log = []
    peer = timed("peer", [9, 2, 4], log)
    sides = [timed("a", [9, 1, 1], log, target=1.5), timed("b", [9, 2, 1], log, floor=0.5)]
    rows = list(measure("stage", Case("case", peer, sides, facts={"size": 3}), repeats=2))
    assert log == ["peer", "a", "b", "peer", "a", "b", "a", "b", "peer"]
    assert [r.ratio for r in rows] == [Spread(3.0, 2.0, 4.0), Spread(2.5, 1.0, 4.0)]
    assert rows[0].target == 1.5
    assert rows[1].floor_seconds == [0.5]
    assert rows[0].facts == {"size": 3, "name": "a", "peer_name": "peer"}


def test_sides_of_one_name_stay_apart():
    rows = list(measure("stage", Case("case", timed("same", [9, 6]), [timed("same", [9, 2])]), repeats=1))
    assert rows[0].ratio.median == 3.0


def test_a_short_call_is_repeated_within_a_sample():
    calls = []
    case = Case("case", Side("peer", lambda: calls.append(0)), [Side("ours", lambda: None, floor=lambda: None)])
    rows = list(measure("stage", case, repeats=2))
    assert len(calls) > 100
    assert len(rows[0].floor_seconds) == len(rows[0].seconds) == 2


def test_a_fast_wrong_answer_is_refused_before_it_is_timed():
    log = []
    case = Case("case", timed("peer", [1, 1], log, made=1), [timed("ours", [0.1, 0.1], log, made=2, check=equal)])
    with pytest.raises(Refused, match=r"stage, case, ours beside peer: it differ.*2.*expected.*1"):
        list(measure("stage", case, repeats=1))
    assert log == ["peer", "ours"]


def test_the_document_gives_the_rows_back():
    measured = row([1.0, 2.0], [3.0, 4.0], target=1.0, floor=[0.1])
    assert Row(**json.loads(json.dumps(measured.to_dict()))) == measured


def test_show():
    assert [show(s) for s in (2.5, 0.0123, 4.2e-5, 3e-8)] == ["2.5 s", "12.3 ms", "42 µs", "30 ns"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (1.0, 1.0 + 1e-12),
        ("a", "b"),
        ([1, 2], [1, 3]),
        ({"a": [1]}, {"b": [1]}),
        ({"a": torch.ones(2)}, {"a": torch.zeros(2)}),
        (np.zeros((2, 1)), np.zeros((1, 2))),
        (torch.ones(2, dtype=torch.int64), torch.ones(2, dtype=torch.int8)),
        ([[1], [2, 3]], [[1], [2]]),
        ([[1], [2, 3]], [[1]]),
    ],
)
def test_what_differs_is_refused(theirs, ours):
    equal(theirs, theirs)
    with pytest.raises(Refused):
        equal(theirs, ours)


def test_close_is_relative_to_the_largest():
    close(1e-3)([1000.0, 0.0], [1000.5, 0.5])
    with pytest.raises(Refused):
        close(1e-3)([1000.0, 0.0], [1000.0, 1.5])
    with pytest.raises(Refused):
        close(1e-3)([1.0], [float("nan")])


def test_same_rows():
    rows = Dataset.from_dict({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    same_rows(rows, rows)
    for other in (rows.select([0, 1]), rows.remove_columns("b"), rows.select([0, 2, 1])):
        with pytest.raises(Refused):
            same_rows(rows, other)


def test_flops_count_the_weights_of_linear_layers():
    config = BertConfig(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, vocab_size=50)
    weights = 2 * (4 * 8 * 8 + 2 * 8 * 16)
    attention = 2 * 2 * (3**2 + 5**2) * 8
    assert training_flops(config, np.array([3, 5])) == 6 * (8 * weights + attention)
    assert training_flops(config, np.array([4]), 0.5) == 6 * (4 * weights + 2 * 2 * 16 * 8 + 2 * (64 + 8 * 50))
    last = 8 * (2 * 8 * 8 + 2 * 8 * 16) + 2 * (3**2 + 5**2) * 8  # of the last layer, what other tokens need not have
    first = 2 * (2 * 8 * 8 + 2 * 8 * 16) + 2 * (3 + 5) * 8
    assert training_flops(config, np.array([3, 5]), first_only=True) == 6 * (8 * weights + attention - last + first)
    same = DistilBertConfig(dim=8, n_layers=2, n_heads=2, hidden_dim=16, vocab_size=50)
    assert training_flops(same, np.array([3, 5])) == training_flops(config, np.array([3, 5]))

"""The table of a run fits the terminal, and its numbers are those of the log."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from minift.train.console import evaluation_row, number, table_lines


def row(log, metrics, strategy="epoch"):
    state = SimpleNamespace(epoch=1.0, global_step=20, log_history=[*log, metrics])
    return evaluation_row(SimpleNamespace(eval_strategy=strategy), state, metrics, 61)


def test_the_training_loss_is_the_mean_since_the_evaluation_before():
    metrics = {"eval_loss": 0.5, "eval_accuracy": 0.75, "eval_runtime": 1.0}
    log = [{"loss": 9.0}, {"eval_loss": 0.7}, {"loss": 1.0}, {"loss": 2.0}]
    expected = {"epoch": "1", "loss": "1.5000", "eval loss": "0.5000", "accuracy": "0.7500", "time": "0:01:01"}
    assert row(log, metrics) == expected
    first = row([], metrics, "steps")
    assert (first["step"], first["loss"], "epoch" in first) == ("20", "-", False)


@given(st.lists(st.text("abc_", min_size=1, max_size=30), unique=True, max_size=12), st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal(names, width):
    metrics = {"eval_loss": 0.5, **{f"eval_x{name}": 0.1 for name in names}}
    head, line = table_lines([row([{"loss": 1.0}], metrics)], width)
    assert len(head) == len(line) <= max(width, 44)
    assert head.split()[-1] == "time"


def test_numbers():
    assert [number(value) for value in (0.123456, 12345.678, 3, "x")] == ["0.1235", "12,345.7", "3", "x"]

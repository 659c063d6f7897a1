"""Charts: round ticks, places of points, and nothing that breaks the page."""

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minift.report.charts import Series, histogram, line_chart, sparkline, ticks


@given(st.floats(-1e4, 1e4), st.floats(1e-2, 1e6))
def test_ticks_are_round_and_within(low, span):
    high = low + span
    found = ticks(low, high)
    assert len(found) <= 12
    for value in found:
        assert low - 1e-6 * span <= value <= high + 1e-6 * span
    steps = {round(b - a, 9) for a, b in pairwise(found)}
    assert all(re.match(r"[125]", f"{step:e}") for step in steps if step > 1e-8 * abs(low))


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (3, 3, [3]), (0, 99, [0, 20, 40, 60, 80])]
)
def test_some_ticks(low, high, expected):
    assert ticks(low, high) == expected


def parse(drawing):
    return ET.fromstring(re.search(r"(?s)<svg.*</svg>", drawing)[0])


def test_a_line_has_its_points_in_order_and_in_the_frame():
    drawing = line_chart([Series("loss", [1, 2, 4], [3.0, 1.0, 2.0], marked=True)], "step", "a & b")
    svg = parse(drawing)
    space = "{http://www.w3.org/2000/svg}"
    points = [tuple(map(float, pair.split(","))) for pair in svg.find(f"{space}polyline").get("points").split()]
    across, down = zip(*points, strict=True)
    assert across[0] < across[1] < across[2]
    assert (across[2] - across[1]) == pytest.approx(2 * (across[1] - across[0]), abs=0.2)
    assert down[0] < down[2] < down[1]  # y grows downwards
    assert all(0 <= x <= 480 and 0 <= y <= 260 for x, y in points)
    assert svg.find(f"{space}title").text == "a & b"
    assert [dot.find(f"{space}title").text for dot in svg.findall(f"{space}circle")][1] == "loss: 1 at 2"


def test_what_is_not_finite_is_left_out_and_nothing_gives_nothing():
    drawing = line_chart([Series("loss", [1, 2, 3], [math.nan, 1.0, math.inf])], "step", "loss")
    assert "nan" not in drawing
    assert "inf" not in drawing
    assert line_chart([Series("loss", [], [])], "step", "loss") == ""


def test_a_line_keeps_its_colour_where_another_has_no_points():
    drawing = line_chart([Series("a", [], []), Series("b", [1, 2], [1.0, 2.0])], "step", "loss")
    assert 'class="line c1"' in drawing
    assert '<i class="c1"></i>b' in drawing


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=200))
def test_the_bars_hold_all_values(values):
    svg = parse(histogram(values, "tokens", "rows"))
    bars = svg.findall("{http://www.w3.org/2000/svg}rect")
    assert len(bars) <= 31
    counts = [int(bar[0].text.rpartition(": ")[2].replace(",", "")) for bar in bars]
    assert sum(counts) == len(values)


def test_sparkline():
    assert sparkline([1, 2, 3]) == "▁▅█"
    assert sparkline([5, 5]) == "▁▁"
    assert sparkline([1, math.nan, 2]) == "▁ █"
    assert sparkline([math.inf]) == ""

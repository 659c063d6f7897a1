"""Charts as SVG text: lines over steps, and bars. Colours are CSS classes of the page, so that they fit its theme."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 480, 260  # units of the drawing; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 42  # of these, what is around the plot


class Series(NamedTuple):
    name: str
    x: Sequence[float]
    y: Sequence[float]
    marked: bool = False  # with a dot at each point


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about `count` round numbers from `low` to `high`: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def label_of(value: float) -> str:
    """Write a number at an axis: 1,500 or 0.25 or 5e-05."""
    if value and abs(value) < 0.001:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


class Axes:
    """The frame of a chart: places numbers, and draws the ticks of both axes with their names."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], x_name: str, y_name: str):
        self.x, self.y, self.names = x, y, (x_name, y_name)

    def across(self, value: float) -> float:
        low, high = self.x
        return LEFT + (WIDTH - LEFT - RIGHT) * ((value - low) / (high - low) if high > low else 0.5)

    def down(self, value: float) -> float:
        low, high = self.y
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * ((value - low) / (high - low) if high > low else 0.5)

    def draw(self, x_ticks: Sequence[float] | None = None) -> str:
        parts = []
        for value in ticks(*self.y):
            y = self.down(value)
            parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label_of(value)}</text>')
        for value in ticks(*self.x) if x_ticks is None else x_ticks:
            x = self.across(value)
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{label_of(value)}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(self.names[0])}</text>')
        return "".join(parts)


def drawing(content: str, title: str) -> str:
    """Wrap what is drawn in an SVG element that has a title for readers who do not see it."""
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img"><title>{escape(title)}</title>{content}</svg>'


def line_chart(series: Sequence[Series], x_name: str, title: str) -> str:
    """Draw a line for each series; points that are not finite are left out. Without points the answer is ""."""
    kept = []
    for number, one in enumerate(series):  # which decides its colour, also where another has no points
        points = [(x, y) for x, y in zip(one.x, one.y, strict=True) if math.isfinite(y)]
        if points:
            kept.append((number, one, points))
    if not kept:
        return ""
    everything = [point for _, _, points in kept for point in points]
    xs, ys = [x for x, _ in everything], [y for _, y in everything]
    margin = 0.05 * (max(ys) - min(ys))
    axes = Axes((min(xs), max(xs)), (min(ys) - margin, max(ys) + margin), x_name, title)
    parts = [axes.draw()]
    for number, one, points in kept:
        places = [(axes.across(x), axes.down(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="line c{number % 8}" points="{path}"/>')
        if one.marked or len(points) == 1:
            for (x, y), (step, value) in zip(places, points, strict=True):
                tip = f"<title>{escape(one.name)}: {value:.4g} at {step:,.6g}</title>"
                parts.append(f'<circle class="dot c{number % 8}" cx="{x:.1f}" cy="{y:.1f}" r="3.5">{tip}</circle>')
    return drawing("".join(parts), title) + legend({number: one.name for number, one, _ in kept})


def legend(names: Mapping[int, str]) -> str:
    keys = "".join(f'<span><i class="c{number % 8}"></i>{escape(name)}</span>' for number, name in names.items())
    return f'<p class="legend">{keys}</p>'


def histogram(values: Sequence[int], x_name: str, title: str, bins: int = 30) -> str:
    """Draw how many of the whole numbers fall into each of at most `bins` ranges of one width."""
    low, high = min(values), max(values)
    width = max(1, math.ceil((high - low + 1) / bins))
    counts = [0] * ((high - low) // width + 1)
    for value in values:
        counts[(value - low) // width] += 1
    axes = Axes((low, low + width * len(counts)), (0, max(counts)), x_name, title)
    parts = [axes.draw()]
    for number, count in enumerate(counts):
        first = low + number * width
        left, right = axes.across(first), axes.across(first + width)
        top = axes.down(count)
        tip = (
            f"<title>{first} to {first + width - 1}: {count:,}</title>"
            if width > 1
            else f"<title>{first}: {count:,}</title>"
        )
        box = f'x="{left + 0.5:.1f}" y="{top:.1f}" width="{max(right - left - 1, 0.5):.1f}"'
        parts.append(f'<rect class="bar c0" {box} height="{HEIGHT - BOTTOM - top:.1f}">{tip}</rect>')
    return drawing("".join(parts), title)


def sparkline(values: Sequence[float]) -> str:
    """Write a series as a line of block characters, for the terminal: the lowest is ▁, the highest █."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, span = min(finite), max(finite) - min(finite) or 1.0
    return "".join("▁▂▃▄▅▆▇█"[round(7 * (value - low) / span)] if math.isfinite(value) else " " for value in values)

"""Inline SVG: axes, lines, bars and areas from plain numbers. Colours and type come from the page's style sheet.

Every mark that carries a value has a `data-tip`, which the page shows on hover and on keyboard focus.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

COLOURS = 8
DECADE = math.log(10)


class Axis(NamedTuple):
    """A scale from values to pixels; `log` for a logarithmic one."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = True

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (math.log(max(v, 1e-12)) if self.log else v for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.begin + share * (self.end - self.begin), 1)


class Point(NamedTuple):
    """A value of a line. tip: what hovering shows, empty for a point without a mark."""

    x: float
    y: float
    tip: str = ""


class Line(NamedTuple):
    """A named line; its number gives its colour."""

    name: str
    points: Sequence[Point]


class Bar(NamedTuple):
    """A named value."""

    name: str
    value: float
    tip: str
    colour: int


def text(x: float, y: float, words: str, anchor: str = "middle", kind: str = "") -> str:
    """One line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    """The chart; one tab stop, from where arrow keys go through its values."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="group" aria-label="{escape(label, quote=True)}" '
        f'class="chart">{"".join(parts)}</svg>'
    )


def mark(x: float, y: float, tip: str, colour: int) -> str:
    """A dot that tells its value."""
    return (
        f'<circle cx="{x}" cy="{y}" r="3.5" class="mark c{colour % COLOURS}" tabindex="-1" role="img" '
        f'data-tip="{escape(tip, quote=True)}" aria-label="{escape(tip, quote=True)}"/>'
    )


def decades(low: float, high: float) -> list[float]:
    """Powers of ten inside [low, high], thinned out to 8 at most."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    step = max(1, math.ceil((last - first + 1) / 8))
    return [10.0**k for k in range(first, last + 1, step)]


def powers(low: float, high: float, most: int) -> list[float]:
    """Powers of two inside [low, high], thinned out."""
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    step = next(k for k in (1, 2, 4, 6, 10, 20, 40) if (last - first) / k <= most)
    return [2.0**k for k in range(first, last + 1, step)]


def round_steps(high: float) -> list[float]:
    """0 and some 4 round numbers up to high."""
    unit = 10.0 ** math.floor(math.log10(high / 4)) if high > 0 else 1.0
    step = next(unit * k for k in (1, 2, 5, 10) if high / (unit * k) <= 5)
    return [step * k for k in range(int(high / step) + 1)]


def grid(x: Axis, y: Axis, xs: Sequence[tuple[float, str]], ys: Sequence[tuple[float, str]]) -> list[str]:
    """Lines at the ticks, and their labels below and to the left."""
    parts = []
    for value, label in ys:
        at = y.at(value)
        parts.append(f'<line x1="{x.begin}" x2="{x.end}" y1="{at}" y2="{at}" class="grid"/>')
        parts.append(text(x.begin - 6, at + 4, label, "end", "tick"))
    for value, label in xs:
        at = x.at(value)
        parts.append(f'<line x1="{at}" x2="{at}" y1="{y.begin}" y2="{y.end}" class="grid"/>')
        parts.append(text(at, y.begin + 17, label, "middle", "tick"))
    return parts


def lines_chart(
    lines: Sequence[Line],
    *,
    label: str,
    width: float,
    x_ticks: Sequence[tuple[float, str]],
    x_title: str,
    y_label: Callable[[float], str],
    x_log: bool = True,
) -> str:
    """Lines over a vertical logarithmic axis. x_ticks: (value, label), the first and last one being the ends."""
    values = [point.y for line in lines for point in line.points]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)) + 1e-9)
    height = 330.0
    x = Axis(x_ticks[0][0], x_ticks[-1][0], 62, width - 30, x_log)
    y = Axis(low, max(high, low * 10), height - 44, 12)
    parts = grid(x, y, x_ticks, [(tick, y_label(tick)) for tick in decades(low, max(high, low * 10))])
    parts.append(text((x.begin + x.end) / 2, height - 6, x_title, "middle", "title"))
    for number, line in enumerate(lines):
        colour, dash = number % COLOURS, number // COLOURS % 4
        path = " ".join(f"{x.at(point.x)},{y.at(point.y)}" for point in line.points)
        parts.append(f'<polyline points="{path}" class="line c{colour} dash{dash}"/>')
    for number, line in enumerate(lines):
        parts += [mark(x.at(p.x), y.at(p.y), f"{line.name}: {p.tip}", number) for p in line.points if p.tip]
    return svg(width, height, label, parts)


def bars_chart(bars: Sequence[Bar], *, label: str, width: float, show: Callable[[float], str]) -> str:
    """Horizontal bars from 0, each under its name."""
    row = 44.0
    height = row * len(bars) + 34
    high = max(bar.value for bar in bars) * 1.02
    x = Axis(0, high, 14, width - 76, log=False)
    parts = []
    for tick in round_steps(high):
        at = x.at(tick)
        parts.append(f'<line x1="{at}" x2="{at}" y1="4" y2="{height - 26}" class="grid"/>')
        parts.append(text(at, height - 8, show(tick) if tick else "0", "middle", "tick"))
    for number, bar in enumerate(bars):
        top = number * row + 6
        tip = escape(bar.tip, quote=True)
        parts.append(text(x.begin, top + 11, bar.name, "start", "name"))
        parts.append(
            f'<rect x="{x.begin}" y="{top + 16}" width="{max(x.at(bar.value) - x.begin, 2):.1f}" height="15" rx="3" '
            f'class="mark bar c{bar.colour % COLOURS}" tabindex="-1" role="img" data-tip="{tip}" aria-label="{tip}"/>'
        )
        parts.append(text(x.at(bar.value) + 6, top + 28, show(bar.value), "start", "value"))
    return svg(width, height, label, parts)


class Ridge(NamedTuple):
    """One distribution: shares by value, in a colour, and marks such as p50 at values."""

    shares: Sequence[tuple[float, float]]
    marks: Sequence[tuple[float, str]]
    colour: int


def ridges_chart(
    strips: Sequence[tuple[str, Sequence[Ridge]]], *, label: str, width: float, show: Callable[[float], str]
) -> str:
    """Distributions below each other over one logarithmic axis, each as high as its highest share."""
    edges = [value for _, ridges in strips for ridge in ridges for value, _ in ridge.shares]
    edges += [value for _, ridges in strips for ridge in ridges for value, _ in ridge.marks]
    low, high = 10 ** math.floor(math.log10(max(min(edges), 1))), 10 ** math.ceil(math.log10(max(edges)) + 1e-9)
    strip = 62.0
    height = strip * len(strips) + 40
    x = Axis(low, max(high, low * 10), 24, width - 30)
    parts = []
    for tick in decades(low, max(high, low * 10)):
        at = x.at(tick)
        parts.append(f'<line x1="{at}" x2="{at}" y1="6" y2="{height - 30}" class="grid"/>')
        parts.append(text(at, height - 12, show(tick), "middle", "tick"))
    for number, (name, ridges) in enumerate(strips):
        base = (number + 1) * strip
        parts.append(text(x.begin, base - strip + 16, name, "start", "name"))
        parts.append(f'<line x1="{x.begin}" x2="{x.end}" y1="{base}" y2="{base}" class="base"/>')
        for ridge in ridges:
            parts.append(_area(ridge, x, base, strip - 24))
        for ridge in ridges:
            parts += [mark(x.at(value), base, f"{name}: {tip}", ridge.colour) for value, tip in ridge.marks]
    return svg(width, height, label, parts)


def _area(ridge: Ridge, x: Axis, base: float, height: float) -> str:
    top = max(share for _, share in ridge.shares)
    points = [f"{x.at(value)},{round(base - share / top * height, 1)}" for value, share in ridge.shares]
    first, last = x.at(ridge.shares[0][0]), x.at(ridge.shares[-1][0])
    path = f"M{first},{base} L{' '.join(points)} L{last},{base} Z"
    return f'<path d="{path}" class="area c{ridge.colour % COLOURS}"/>'

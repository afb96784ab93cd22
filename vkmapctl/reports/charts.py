"""Inline SVG: axes, lines, bars and areas from plain numbers. Colours and type come from the page's style sheet.

Every mark that carries a value has a `data-tip`, which the page shows on hover and on keyboard focus. Which fonts a
reader has, nobody knows: text is given the room that the widest of the usual ones takes, and is broken or left out
where there is less.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple
from unicodedata import east_asian_width

COLOURS = 8
DASHES = 4  # patterns of lines in the style sheet, the first without gaps
SHAPES = (  # of marks, about their middle: circle, square, triangle, diamond
    "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
    "m-3.6-3.6h7.2v7.2h-7.2z",
    "m0-5.4l5 8.8h-10z",
    "m0-5.4l5.4 5.4l-5.4 5.4l-5.4-5.4z",
)
MOST_LINES = DASHES * len(SHAPES)  # so many differ without their colours
LETTER, WIDE_LETTER = 8.4, 13.0  # pixels of a letter at 12 pixels: a digit takes 7.6 in Verdana, 7.2 in monospace
LINE = 18.0  # pixels from one line of text to the next
LANE = 27.0  # pixels of one distribution or interval
SHEET = 840.0  # pixels: a chart that is higher is drawn as several, each of which fits on paper
_RATIOS = (  # ends and ticks of a scale of ratios
    (0.95, 1.0, 1.05),
    (0.9, 0.95, 1.0, 1.05, 1.1),
    (0.8, 0.9, 1.0, 1.1, 1.25),
    (0.5, 0.7, 1.0, 1.4, 2.0),
    (0.2, 0.5, 1.0, 2.0, 5.0),
    (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)

Ticks = Sequence[tuple[float, str]]  # values and their labels


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


class Style(NamedTuple):
    """What tells a line from the others: its colour, its dashes and the shape of its marks."""

    colour: int
    dash: int
    shape: int


class Point(NamedTuple):
    """A value of a line. tip: what hovering shows, empty for a point without a mark."""

    x: float
    y: float
    tip: str = ""


class Line(NamedTuple):
    """A named line; its number gives its style."""

    name: str
    points: Sequence[Point]


class Bar(NamedTuple):
    """A value, and what stands beside its bar."""

    value: float
    words: str
    tip: str
    colour: int


class Ridge(NamedTuple):
    """One distribution: shares by value, in a colour, and marks such as p50 at values."""

    name: str
    shares: Sequence[tuple[float, float]]
    marks: Sequence[tuple[float, str]]
    colour: int


class Interval(NamedTuple):
    """A ratio with its interval, what stands beside it, and the class of its verdict. low, high: None without one."""

    name: str
    value: float
    low: float | None
    high: float | None
    words: str
    tip: str
    kind: str


def style(number: int) -> Style:
    """Of line `number`: of MOST_LINES no two have both dashes and marks in common."""
    return Style(number % COLOURS, number % DASHES, (number + number // DASHES) % len(SHAPES))


def room(words: str) -> float:
    """Pixels that a line of text may take."""
    return math.fsum(WIDE_LETTER if east_asian_width(letter) in "WF" else LETTER for letter in words)


def wrapped(words: str, width: float) -> list[str]:
    """Text in lines that fit, broken at blanks, and inside a word that is longer than a line."""
    lines = [""]
    for word in words.split():
        joined = f"{lines[-1]} {word}".strip()
        if room(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if lines[-1] and room(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def labelled(ticks: Ticks, axis: Axis, width: float) -> Ticks:
    """The same ticks, with labels on as many of them, evenly, as there is room for between 0 and width."""
    for step in range(1, len(ticks) + 1):
        for first in (0, 1):
            shown = {tick: _edges(axis, tick) for tick in ticks[first::step] if tick[1]}
            shown = {tick: (low, high) for tick, (low, high) in shown.items() if low >= 0 and high <= width}
            edges = list(shown.values())
            if edges and all(one[1] + 4 <= after[0] for one, after in pairwise(edges)):
                return [(value, label if (value, label) in shown else "") for value, label in ticks]
    return [(value, "") for value, _ in ticks]


def _edges(axis: Axis, tick: tuple[float, str]) -> tuple[float, float]:
    at, half = axis.at(tick[0]), room(tick[1]) / 2
    return at - half, at + half


def text(x: float, y: float, words: str, anchor: str = "middle", kind: str = "") -> str:
    """One line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(words)}</text>'


def svg(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    """The chart; one tab stop, from where arrow keys go through its values."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="group" aria-label="{escape(label, quote=True)}" '
        f'class="chart">{"".join(parts)}</svg>'
    )


def sample(style: Style) -> str:
    """A line as the legend shows it."""
    return (
        f'<svg viewBox="0 0 44 12" aria-hidden="true"><path d="M1 6H43" class="line c{style.colour} dash{style.dash}"/>'
        f'<path d="M22 6{SHAPES[style.shape]}" class="mark c{style.colour}"/></svg>'
    )


def mark(x: float, y: float, tip: str, kind: str, shape: int = 0) -> str:
    """A small shape that tells its value."""
    return (
        f'<path d="M{x} {y}{SHAPES[shape]}" class="mark {kind}" tabindex="-1" role="img" '
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


def ratios(low: float, high: float) -> Sequence[float]:
    """Ticks about 1 whose ends hold [low, high]."""
    for ticks in _RATIOS:
        if ticks[0] <= low and high <= ticks[-1]:
            return ticks
    far = math.ceil(max(-math.log10(max(low, 1e-9)), math.log10(min(high, 1e9))))
    return decades(10.0**-far, 10.0**far) if far < 4 else [10.0**-far, 1.0, 10.0**far]


def x_grid(x: Axis, top: float, bottom: float, ticks: Ticks, width: float) -> list[str]:
    """Upright lines at the ticks, and below them the labels that there is room for."""
    parts = []
    for value, label in labelled(ticks, x, width):
        at = x.at(value)
        parts.append(f'<line x1="{at}" x2="{at}" y1="{top}" y2="{bottom}" class="grid"/>')
        if label:
            parts.append(text(at, bottom + 24, label, "middle", "tick"))
    return parts


def y_grid(x: Axis, y: Axis, ticks: Ticks) -> list[str]:
    """Level lines at the ticks, and their labels to the left."""
    parts = []
    for value, label in ticks:
        at = y.at(value)
        parts.append(f'<line x1="{x.begin}" x2="{x.end}" y1="{at}" y2="{at}" class="grid"/>')
        parts.append(text(x.begin - 8, at + 4, label, "end", "tick"))
    return parts


def lines_chart(
    lines: Sequence[Line],
    *,
    label: str,
    width: float,
    x_ticks: Ticks,
    x_title: str,
    y_label: Callable[[float], str],
    x_log: bool = True,
) -> str:
    """Lines over a vertical logarithmic axis. x_ticks: (value, label), the first and last one being the ends."""
    values = [point.y for line in lines for point in line.points]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)) + 1e-9)
    height = 342.0
    y = Axis(low, max(high, low * 10), height - 58, 12)
    y_ticks = [(tick, y_label(tick)) for tick in decades(y.low, y.high)]
    x = Axis(x_ticks[0][0], x_ticks[-1][0], max(room(words) for _, words in y_ticks) + 10, width - 32, x_log)
    parts = [*y_grid(x, y, y_ticks), *x_grid(x, y.end, y.begin, x_ticks, width)]
    parts.append(text((x.begin + x.end) / 2, height - 9, x_title, "middle", "title"))
    for number, line in enumerate(lines):
        path = " ".join(f"{x.at(point.x)},{y.at(point.y)}" for point in line.points)
        parts.append(f'<polyline points="{path}" class="line c{style(number).colour} dash{style(number).dash}"/>')
    for number, line in enumerate(lines):
        kind, shape = f"c{style(number).colour}", style(number).shape
        parts += [mark(x.at(p.x), y.at(p.y), f"{line.name}: {p.tip}", kind, shape) for p in line.points if p.tip]
    return svg(width, height, label, parts)


class Block(NamedTuple):
    """What is drawn of one row, from 0 down, and how high it is."""

    parts: Sequence[str]
    height: float


def stacked(
    blocks: Sequence[Block], x: Axis, ticks: Ticks, *, label: str, width: float, title: str = "", one: bool = False
) -> str:
    """Blocks below each other over one scale, in as many charts as paper needs. one: with a line at 1."""
    sheets: list[list[Block]] = [[]]
    for block in blocks:
        if sheets[-1] and sum(each.height for each in sheets[-1]) + block.height > SHEET:
            sheets.append([])
        sheets[-1].append(block)
    drawn = []
    for number, sheet in enumerate(sheets, 1):
        at, parts = 6.0, []
        for block in sheet:
            parts.append(f'<g transform="translate(0 {at:g})">{"".join(block.parts)}</g>')
            at += block.height
        scale = x_grid(x, 4, at, ticks, width)
        if one:
            scale.append(f'<line x1="{x.at(1)}" x2="{x.at(1)}" y1="4" y2="{at}" class="one"/>')
        if title:
            scale.append(text((x.begin + x.end) / 2, at + 46, title, "middle", "title"))
        of = f", {number} of {len(sheets)}" if len(sheets) > 1 else ""
        drawn.append(svg(width, at + (56 if title else 34), label + of, [*scale, *parts]))
    return "".join(drawn)


def _name(words: str, width: float) -> tuple[list[str], float]:
    """A name in as many lines as it needs, and where they end."""
    lines = wrapped(words, width - 28)
    parts = [text(14, 12 + i * LINE, line, "start", "name") for i, line in enumerate(lines)]
    return parts, len(lines) * LINE + 2


def bars_chart(
    groups: Sequence[tuple[str, Sequence[Bar]]], *, label: str, width: float, show: Callable[[float], str]
) -> str:
    """Horizontal bars from 0, in groups under their names."""
    bars = [bar for _, among in groups for bar in among]
    x = Axis(0, max(bar.value for bar in bars), 14, width - max(room(bar.words) for bar in bars) - 12, log=False)
    blocks = []
    for name, among in groups:
        parts, at = _name(name, width)
        for bar in among:
            tip, length = escape(bar.tip, quote=True), max(x.at(bar.value) - x.begin, 2)
            parts.append(
                f'<rect x="{x.begin}" y="{at}" width="{length:.1f}" height="15" rx="3" class="mark bar c{bar.colour}" '
                f'tabindex="-1" role="img" data-tip="{tip}" aria-label="{tip}"/>'
            )
            parts.append(text(x.begin + length + 6, at + 12, bar.words, "start", "value"))
            at += 20
        blocks.append(Block(parts, at + 8))
    ticks = [(tick, show(tick) if tick else "0") for tick in round_steps(x.high)]
    return stacked(blocks, x, ticks, label=label, width=width)


def ridges_chart(
    strips: Sequence[tuple[str, Sequence[Ridge]]], *, label: str, width: float, show: Callable[[float], str]
) -> str:
    """Distributions below each other over one logarithmic axis, each as high as its highest share."""
    every = [ridge for _, ridges in strips for ridge in ridges]
    edges = [value for ridge in every for value, _ in (*ridge.shares, *ridge.marks)]
    low, high = 10 ** math.floor(math.log10(max(min(edges), 1))), 10 ** math.ceil(math.log10(max(edges)) + 1e-9)
    x = Axis(low, max(high, low * 10), max(room(ridge.name) for ridge in every) + 16, width - 30)
    blocks = []
    for name, ridges in strips:
        parts, at = _name(name, width)
        for ridge in ridges:
            at += LANE
            parts.append(text(x.begin - 10, at, ridge.name, "end", "tick"))
            parts.append(f'<line x1="{x.begin}" x2="{x.end}" y1="{at}" y2="{at}" class="base"/>')
            parts.append(_area(ridge, x, at, LANE - 5))
            parts += [mark(x.at(value), at, f"{name}: {tip}", f"c{ridge.colour}") for value, tip in ridge.marks]
        blocks.append(Block(parts, at + 12))
    ticks = [(tick, show(tick)) for tick in decades(x.low, x.high)]
    return stacked(blocks, x, ticks, label=label, width=width)


def _area(ridge: Ridge, x: Axis, base: float, height: float) -> str:
    top = max(share for _, share in ridge.shares)
    points = [f"{x.at(value)},{round(base - share / top * height, 1)}" for value, share in ridge.shares]
    first, last = x.at(ridge.shares[0][0]), x.at(ridge.shares[-1][0])
    path = f"M{first},{base} L{' '.join(points)} L{last},{base} Z"
    return f'<path d="{path}" class="area c{ridge.colour}"/>'


def intervals_chart(strips: Sequence[tuple[str, Sequence[Interval]]], *, label: str, width: float, title: str) -> str:
    """Ratios with their intervals below each other, over one logarithmic axis with 1 in its middle."""
    every = [one for _, among in strips for one in among]
    ends = [end for one in every for end in (one.value, one.low, one.high) if end is not None]
    scale = ratios(max(min(ends), 1e-9), max(ends))
    beside = max(room(one.words) for one in every)
    x = Axis(scale[0], scale[-1], max(room(one.name) for one in every) + 16, width - beside - 16)
    blocks = []
    for name, among in strips:
        parts, at = _name(name, width)
        for one in among:
            at += LANE
            parts.append(text(x.begin - 10, at - 5, one.name, "end", "tick"))
            parts.append(text(x.end + 10, at - 5, one.words, "start", f"tick {one.kind}"))
            if one.low is not None and one.high is not None:
                low, high = x.at(max(one.low, x.low)), x.at(min(one.high, x.high))
                parts.append(f'<path d="M{low} {at - 13}v8m0-4H{high}m0-4v8" class="line {one.kind}"/>')
            parts.append(mark(x.at(one.value), at - 9, f"{name}: {one.tip}", one.kind))
        blocks.append(Block(parts, at + 12))
    ticks = [(tick, f"{tick:g}") for tick in scale]
    return stacked(blocks, x, ticks, label=label, width=width, title=title, one=True)

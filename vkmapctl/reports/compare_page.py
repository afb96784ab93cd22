"""A comparison as one HTML page: what changed at the median as a chart, and all that the terminal shows."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from vkmapctl import units
from vkmapctl.figures.compare import CompareReport, Comparison, Delta
from vkmapctl.model.documents import Run
from vkmapctl.reports import charts, html
from vkmapctl.reports.charts import Interval
from vkmapctl.reports.compare import verdict_text
from vkmapctl.reports.elements import Block, Element, Fitted, Table, Text
from vkmapctl.reports.page import Sheet

MOST_ROWS = 40  # in the chart
ROOM = 10_000  # characters: a page scrolls


class Part(NamedTuple):
    """A table under its heading, and the lines above and below it."""

    sheet: Sheet
    before: Sequence[str]
    after: list[str]


def to_html(report: CompareReport, view: Iterable[Element], runs: Iterable[tuple[str, Run]]) -> bytes:
    """The page, UTF-8. view: what the terminal shows of it."""
    verdict = verdict_text(report).plain
    several = len(report.comparisons) > 1
    return html.rendered(
        "compare.html",
        title=html.page_title("compare", [run for _, run in runs]),
        verdict=verdict,
        good=not any(comparison.worse() for comparison in report.comparisons),
        charts=[chart for one in report.comparisons for chart in _medians(one, several)],
        parts=_parts(element for element in view if not (isinstance(element, Text) and element.plain == verdict)),
    )


def _parts(view: Iterable[Element]) -> list[Part]:
    """Bold lines are headings, other lines stand above the table that follows them, and after the last one below it."""
    parts: list[Part] = []
    heading: list[str] = []
    lines: list[str] = []
    for element in _laid_out(view):
        content = element.content if isinstance(element, Block) else element
        if isinstance(content, Table):
            parts.append(Part(_sheet(content, ", ".join(heading)), lines, []))
            heading, lines = [], []
        elif isinstance(content, Text) and content.plain.strip():
            if content.parts[0][1] == "bold":
                if parts:
                    parts[-1].after.extend(lines)
                    lines = []
                heading.append(content.plain.strip())
            else:
                lines.append(content.plain.strip())
    if parts:
        parts[-1].after.extend(lines)
    return parts


def _laid_out(view: Iterable[Element]) -> Iterator[Text | Table | Block]:
    """With what depends on the room there is laid out."""
    for element in view:
        yield from element.made_for(ROOM) if isinstance(element, Fitted) else [element]


def _sheet(table: Table, title: str) -> Sheet:
    titles = [column.header for column in table.columns]
    words = next((i for i, column in enumerate(table.columns) if column.right), len(titles))
    rows: list[list[str]] = []
    for line in table.rows:
        first, *others = (cell.plain if isinstance(cell, Text) else cell for cell in line.cells)
        rows.append([first or rows[-1][0] if rows else first, *others])  # a screen reader reads a line by itself
    return Sheet(title, titles, rows, words)


def _medians(comparison: Comparison, several: bool) -> Iterable[html.Chart]:
    """How time per pair and the medians of the calls changed; what changed beside them, the table tells."""
    strips = []
    for pair in comparison.pairs:
        medians = [one for one in pair.deltas if one.metric == "ns_per_pair" or one.metric.endswith(".p50")]
        if medians:
            strips.append((pair.row.job, [_interval(delta) for delta in medians]))
    shown, left_out = strips[:MOST_ROWS], len(strips[MOST_ROWS:])
    if not shown:
        return
    title = "What changed at the median" + (f": {comparison.new}" if several else "")
    note = "NEW over BASE, and its interval of 95 %: 1 is no change, left of it is faster, right of it slower."
    if left_out:
        note += f" {left_out} more {'row is' if left_out == 1 else 'rows are'} in the table."
    wide, narrow = (
        charts.intervals_chart(shown, label=title, width=width, title="NEW over BASE")
        for width in (html.WIDE, html.NARROW)
    )
    yield html.Chart(title, note, wide, narrow)


def _interval(delta: Delta) -> Interval:
    change = f"{delta.change:+.1%}"
    tip = f"{delta.metric} {units.duration(delta.base)} to {units.duration(delta.new)}, {change}, {delta.verdict}"
    low, high = (None if end is None else 1 + end for end in (delta.low, delta.high))
    words = change if delta.verdict == "same" else f"{change} {delta.verdict}"
    return Interval(delta.metric, 1 + delta.change, low, high, words, tip, delta.verdict)

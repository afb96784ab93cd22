"""A recording as one HTML page: its sentences, charts over time, and the tables."""

from collections.abc import Iterable, Sequence

from vkmapctl import units
from vkmapctl.model.recorded import MAPPING_CALLS, RecordReport
from vkmapctl.reports import charts, page
from vkmapctl.reports.charts import Axis, Bar, Line, Point
from vkmapctl.reports.html import NARROW, WIDE, Chart, rendered
from vkmapctl.reports.recording import CURVES, Curve, curves, heads, legend, tables, ticks

_HEIGHT = 230.0


def to_html(report: RecordReport) -> bytes:
    """The page."""
    return rendered(
        "recording.html",
        title=f"vkmapctl record: {report.program.name}",
        report=report,
        heads=[line.strip() for line in heads(report)],
        charts=[*_over_time(report), *_by_call(report)],
        sheets=[page.sheet_of(title, made) for title, made, _ in tables(report)],
        legend=legend(report),
        machine=page.facts(report),
    )


def _over_time(report: RecordReport) -> Iterable[Chart]:
    shown = curves(report)
    objects, sizes = CURVES[0], [one for one in shown if one is not CURVES[0]]
    if objects in shown:
        yield _chart("Live objects over time", report, [objects])
    if sizes:
        yield _chart("Bytes over time", report, sizes)


def _chart(title: str, report: RecordReport, shown: Sequence[Curve]) -> Chart:
    wide, narrow = (_drawn(title, report, shown, width) for width in (WIDE, NARROW))
    lines = [(charts.style(i), one.name) for i, one in enumerate(shown)] if len(shown) > 1 else []
    return Chart(title, "The most at one time in each step.", wide, narrow, lines)


def _drawn(title: str, report: RecordReport, shown: Sequence[Curve], width: float) -> str:
    moments = report.timeline
    high = max(one.value(moment) for one in shown for moment in moments)
    y = Axis(0, high, _HEIGHT - 58, 14, log=False)
    y_ticks = [(tick, shown[0].show(round(tick))) for tick in ticks(shown[0], high)]
    last = moments[-1].seconds or 1e-9
    begin = max(charts.room(words) for _, words in y_ticks) + 10
    x = Axis(0, last, begin, width - 32, log=False)
    x_ticks = [(tick, units.duration(tick * 1e9)) for tick in charts.round_steps(last)]
    parts = [*charts.y_grid(x, y, y_ticks), *charts.x_grid(x, y.end, y.begin, x_ticks, width)]
    parts.append(charts.text((x.begin + x.end) / 2, _HEIGHT - 9, "time since the recording began", "middle", "title"))
    lines = [Line(one.name, [Point(each.seconds, one.value(each)) for each in moments]) for one in shown]
    for number, line in enumerate(lines):
        path = " ".join(f"{x.at(point.x)},{y.at(point.y)}" for point in line.points)
        kind = charts.style(number)
        parts.append(f'<polyline points="{path}" class="line c{kind.colour} dash{kind.dash}"/>')
    for number, one in enumerate(shown):
        most = max(moments, key=one.value)
        tip = f"{one.name}: at most {one.show(one.value(most))} at {units.duration(most.seconds * 1e9)}"
        kind = charts.style(number)
        parts.append(charts.mark(x.at(most.seconds), y.at(one.value(most)), tip, f"c{kind.colour}", kind.shape))
    return charts.svg(width, _HEIGHT, title, parts)


def _by_call(report: RecordReport) -> Iterable[Chart]:
    bars = [
        Bar(one.seconds, units.duration(one.seconds * 1e9), f"{one.call}: {units.count(one.count)} calls", 0)
        for one in report.calls
        if one.call in MAPPING_CALLS and one.seconds
    ]
    names = [one.call for one in report.calls if one.call in MAPPING_CALLS and one.seconds]
    if bars:
        title = "Time by call"
        groups = [(name, [bar]) for name, bar in zip(names, bars, strict=True)]
        wide, narrow = (
            charts.bars_chart(groups, label=title, width=width, show=lambda seconds: units.duration(seconds * 1e9))
            for width in (WIDE, NARROW)
        )
        yield Chart(title, "All calls of one name, of all threads.", wide, narrow)

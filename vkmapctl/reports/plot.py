"""Distributions and size sweeps drawn with characters, by plotext."""

import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from vkmapctl import units
from vkmapctl.errors import UsageProblem
from vkmapctl.figures.findings import sweep_labels, sweeps
from vkmapctl.model.documents import Run
from vkmapctl.model.recorded import RecordReport
from vkmapctl.reports.charts import decades, powers, round_steps
from vkmapctl.reports.elements import Text
from vkmapctl.reports.html import shares
from vkmapctl.reports.recording import Curve as OverTime
from vkmapctl.reports.recording import curves, ticks

MOST_LINES = 6
HEIGHT = 18
WIDEST, NARROWEST = 110, 50
Curve = tuple[str, list[tuple[float, float]]]


def recorded_plots(report: RecordReport) -> Iterable[Text]:
    """What there was over time. Raises UsageProblem where plotext is not installed."""
    plotter = library()
    for curve in curves(report):
        yield _over_time(plotter, report, curve)


def plots(run: Run) -> Iterable[Text]:
    """Size sweeps, then distributions. Raises UsageProblem where plotext is not installed."""
    plotter = library()
    among = sweeps(run.results)
    for call in ("map", "unmap"):
        lines = [(label, _medians(swept, call)) for label, swept in zip(sweep_labels(among), among, strict=True)]
        lines = [line for line in lines if len(line[1]) > 1]
        if lines:
            yield _drawn(plotter, f"p50 of {call} by size", lines, _size_ticks(lines), times_across=False)
    for call in ("map", "unmap"):
        found: list[Curve] = []
        for row in run.results:
            latency = getattr(row, call)
            if latency and latency.histogram.bins:
                found.append((row.job, [(ns, share * 100) for ns, share in shares(latency)]))
        if found:
            yield _drawn(plotter, f"% of {call} calls by time", found, _time_ticks(found, 0), times_across=True)


def library() -> Any:
    """What draws. Raises UsageProblem where it is not installed."""
    try:
        import plotext
    except ImportError:
        raise UsageProblem("--plot needs plotext", "pip install 'vkmapctl[plot]'") from None
    return plotext


def _medians(swept: Sequence[Any], call: str) -> list[tuple[float, float]]:
    found = [(row.allocation_size, getattr(row, call)) for row in swept]
    return [(float(size), max(latency.p50_ns, 1.0)) for size, latency in found if latency and latency.p50_ns]


def _size_ticks(lines: Sequence[Curve]) -> list[tuple[float, str]]:
    sizes = [x for _, points in lines for x, _ in points]
    return [(tick, units.size(int(tick))) for tick in powers(min(sizes), max(sizes), 6)]


def _time_ticks(lines: Sequence[Curve], axis: int) -> list[tuple[float, str]]:
    """Decades over the values of one axis, both ends rounded outwards."""
    values = [max(point[axis], 1.0) for _, points in lines for point in points]
    return [(tick, units.duration(tick)) for tick in decades(min(values) / 10, max(values) * 10)]


def _over_time(plotter: Any, report: RecordReport, curve: OverTime) -> Text:
    """One figure on linear axes."""
    xs = [one.seconds for one in report.timeline]
    ys = [curve.value(one) for one in report.timeline]
    _begin(plotter)
    plotter.plot(xs, ys, marker="braille")
    times = round_steps(xs[-1])
    plotter.xticks(times, [units.duration(tick * 1e9) for tick in times])
    plotter.ylim(0, max(ys))
    values = ticks(curve, max(ys))
    plotter.yticks(values, [curve.show(round(tick)) for tick in values])
    return Text(f"\n{curve.name} over time\n{plotter.uncolorize(plotter.build()).rstrip()}")


def _begin(plotter: Any) -> None:
    plotter.clear_figure()
    plotter.theme("clear")
    plotter.plot_size(max(NARROWEST, min(shutil.get_terminal_size((100, 24)).columns - 2, WIDEST)), HEIGHT)


def _drawn(
    plotter: Any, title: str, lines: Sequence[Curve], x_ticks: Sequence[tuple[float, str]], *, times_across: bool
) -> Text:
    """One figure without colours, so that a log shows it as a terminal does."""
    _begin(plotter)
    plotter.xscale("log")
    for (name, points), marker in zip(lines, ("braille", "hd", "*", "+", "o", "x"), strict=False):
        xs, ys = zip(*points, strict=True)
        plotter.plot(xs, ys, marker=marker, label=name)
    values = [y for _, points in lines[:MOST_LINES] for _, y in points]
    low, high = min(x for _, points in lines for x, _ in points), max(x for _, points in lines for x, _ in points)
    shown = [(tick, words) for tick, words in x_ticks if low <= tick <= high]
    plotter.xticks([tick for tick, _ in shown], [words for _, words in shown])
    if not times_across:
        plotter.yscale("log")
        ticks = [(tick, words) for tick, words in _time_ticks(lines, 1) if min(values) <= tick <= max(values)]
        plotter.yticks([tick for tick, _ in ticks], [words for _, words in ticks])
    drawn = plotter.uncolorize(plotter.build()).rstrip()
    more = f"\n({len(lines) - MOST_LINES} more in the tables)" if len(lines) > MOST_LINES else ""
    return Text(f"\n{title}\n{drawn}{more}")

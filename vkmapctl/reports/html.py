"""A run as one HTML page that needs nothing else: charts, tables, machine."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vkmapctl import units
from vkmapctl.figures.answers import answer
from vkmapctl.figures.findings import findings, sharing, sweep_labels, sweeps
from vkmapctl.model import bins
from vkmapctl.model.case import memory_label
from vkmapctl.model.documents import Run
from vkmapctl.model.loop import CALLS
from vkmapctl.model.measured import TIMED, Latency, Row
from vkmapctl.reports import charts, columns
from vkmapctl.reports.charts import Bar, Line, Point, Ridge
from vkmapctl.reports.columns import FIGURES, PERCENTILES
from vkmapctl.reports.common import machine_text

WIDE, NARROW = 860.0, 360.0
SLICES = 20  # of a decade, in the distributions
MOST_LINES = 16
_NINES = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


class Chart(NamedTuple):
    """A chart in two widths, of which the page shows the one that fits, and what its colours mean."""

    title: str
    note: str
    wide: str
    narrow: str
    legend: Sequence[tuple[int, int, str]] = ()


class Sheet(NamedTuple):
    """A table of text: `words` columns to the left are text, the others figures."""

    title: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int


def to_html(run: Run) -> bytes:
    """The page, UTF-8."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["svg"] = Markup
    page = environment.get_template("report.html").render(
        run=run,
        title=f"vkmapctl: {', '.join(device.name for device in run.devices)}",
        charts=[chart for make in (_scaling, _bandwidth, _distributions, _percentiles) for chart in make(run)],
        sheets=[_throughput(run), _latency(run), *_sharing(run)],
        answer=answer(run),
        findings=findings(run.results),
        reasons=[row for row in run.results if row.status != "ok"],
        machine=_machine(run),
        processor=machine_text(run.host),
    )
    return page.encode()


def _both(make: Callable[[float], str]) -> tuple[str, str]:
    return make(WIDE), make(NARROW)


def _good(run: Run) -> list[Row]:
    return [row for row in run.results if any(latency.histogram.bins for latency in row.latencies().values())]


def _distributions(run: Run) -> Iterable[Chart]:
    rows = _good(run)
    made = [call for call in CALLS if any(row.latency(call) for row in rows)]
    strips = []
    for row in rows:
        ridges = [
            Ridge(shares(latency), _ridge_marks(call, latency), made.index(call))
            for call, latency in row.latencies().items()
            if call in made and latency.histogram.bins
        ]
        strips.append((row.job, ridges))
    if strips:
        title = "Latency distributions"
        wide, narrow = _both(lambda width: charts.ridges_chart(strips, label=title, width=width, show=units.duration))
        note = "How often each call took how long; time grows by a factor of ten from line to line."
        yield Chart(title, note, wide, narrow, [(colour, 0, call) for colour, call in enumerate(made)])


def shares(latency: Latency) -> list[tuple[float, float]]:
    """(ns, share of samples) in equal slices of the logarithm, with a zero beside each run of samples."""
    slices: dict[int, int] = {}
    for edge, count in latency.histogram.bins:
        at = math.floor(math.log10(max(bins.middle(edge), 1.0)) * SLICES)
        slices[at] = slices.get(at, 0) + count
    shares: dict[int, float] = {}
    for at, count in slices.items():
        shares[at] = count / latency.count
        for beside in (at - 1, at + 1):
            shares.setdefault(beside, 0.0)
    return [(10 ** ((at + 0.5) / SLICES), share) for at, share in sorted(shares.items())]


def _ridge_marks(call: str, latency: Latency) -> list[tuple[float, str]]:
    values = (("p50", latency.p50_ns), ("p99", latency.p99_ns), ("max", latency.max_ns))
    return [(value, f"{call} {name} {units.duration(value)}") for name, value in values if value]


def _percentiles(run: Run) -> Iterable[Chart]:
    rows = _good(run)
    for call in TIMED:
        latencies = [(row, latency) for row in rows if (latency := row.latency(call)) and latency.count]
        shown = latencies[:MOST_LINES]
        if not shown:
            continue
        lines = [Line(row.job, _percentile_points(latency)) for row, latency in shown]
        last = max(point.x for line in lines for point in line.points)
        ticks = [
            (0.0, "0 %"),
            *((-math.log10(1 - q), f"{q * 100:.9g} %") for q in _NINES if -math.log10(1 - q) <= last),
        ]
        ticks = _ends(ticks, last)
        what = "each cycle, from when it was due" if call == "response" else call
        left_out = len(latencies) - len(shown)
        note = "Read: so many percent of the calls took at most so long."
        if left_out:
            note += f" {left_out} more rows are in the tables."
        wide, narrow = (
            charts.lines_chart(
                lines,
                label=f"Percentiles of {what}",
                width=width,
                x_ticks=ticks if width > NARROW else _thinned(ticks),
                x_title="percentile",
                y_label=units.duration,
                x_log=False,
            )
            for width in (WIDE, NARROW)
        )
        yield Chart(f"Percentiles of {what}", note, wide, narrow, _legend(lines))


def _thinned(ticks: list[tuple[float, str]]) -> list[tuple[float, str]]:
    """The same ticks, with a label only where a narrow chart has room for it."""
    labelled = {0, 2, len(ticks) - 2} if len(ticks) > 5 else {0, 2, 3}
    return [(value, words if i in labelled else "") for i, (value, words) in enumerate(ticks)]


def _ends(ticks: list[tuple[float, str]], last: float) -> list[tuple[float, str]]:
    """The ticks with an unlabelled one at the far end."""
    return ticks if ticks[-1][0] >= last else [*ticks, (last, "")]


def _legend(lines: Sequence[Line]) -> list[tuple[int, int, str]]:
    return [(i % charts.COLOURS, i // charts.COLOURS % 4, line.name) for i, line in enumerate(lines)]


def _percentile_points(latency: Latency) -> list[Point]:
    """The whole curve, with marks at the percentiles that people name and at the largest sample."""
    points, seen, named = [Point(0.0, float(max(latency.min_ns or 1, 1)))], 0, list(_NINES)
    far = math.log10(latency.count) if latency.count > 1 else 1.0
    for edge, count in latency.histogram.bins:
        seen += count
        share = seen / latency.count
        value = max(min(bins.middle(edge), float(latency.max_ns or 1)), 1.0)
        tip = ""
        while named and share >= named[0] and latency.count * (1 - named[0]) >= 1 - 1e-9:
            tip = f"p{named.pop(0) * 100:.9g} {units.duration(value)}"
        x = min(-math.log10(1 - share), far) if share < 1 else far
        if tip or x - points[-1].x > 0.02 or value > points[-1].y * 1.05:
            points.append(Point(round(x, 3), value, tip))
    largest = float(latency.max_ns or 1)
    points.append(Point(round(far, 3), max(largest, 1.0), f"largest {units.duration(largest)}"))
    return points


def _scaling(run: Run) -> Iterable[Chart]:
    among = sweeps(run.results)
    for call in ("map", "unmap"):
        lines = []
        for label, swept in zip(sweep_labels(among)[:MOST_LINES], among, strict=False):
            points = [_size_point(row, getattr(row, call)) for row in swept]
            lines.append(Line(label, [point for point in points if point]))
        lines = [line for line in lines if line.points]
        if not lines:
            continue
        sizes = [point.x for line in lines for point in line.points]
        wide, narrow = (
            charts.lines_chart(
                lines,
                label=f"p50 of {call} by size",
                width=width,
                x_ticks=_size_ticks(min(sizes), max(sizes), most),
                x_title="allocation size",
                y_label=units.duration,
            )
            for width, most in ((WIDE, 12), (NARROW, 5))
        )
        note = "Both axes are logarithmic: a flat line is O(1), one that climbs a decade a decade is O(size)."
        yield Chart(f"p50 of {call} by size", note, wide, narrow, _legend(lines))


def _size_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    ticks = [(tick, units.size(int(tick))) for tick in charts.powers(low, high, most)]
    return ticks if ticks[-1][0] >= high else [*ticks, (high, "")]


def _size_point(row: Row, latency: Latency | None) -> Point | None:
    if not latency or not latency.p50_ns:
        return None
    tail = f", p99 {units.duration(latency.p99_ns)}" if latency.p99_ns else ""
    tip = f"{units.size(row.allocation_size)}, p50 {units.duration(latency.p50_ns)}{tail}"
    return Point(row.allocation_size, max(latency.p50_ns, 1.0), tip)


def _bandwidth(run: Run) -> Iterable[Chart]:
    bars = []
    for row in run.results:
        rates = (("write", row.touch_bytes_per_second.write), ("read", row.touch_bytes_per_second.read))
        for colour, (kind, rate) in enumerate(rates):
            if rate:
                name = f"{kind}, {memory_label(row)}, {units.size(row.allocation_size)}"
                bars.append(Bar(name, rate, f"{row.job}: {kind} {units.bandwidth(rate)}", colour))
    bars.sort(key=lambda bar: bar.colour)
    if bars:
        title = "Bandwidth by memory type"
        wide, narrow = _both(lambda width: charts.bars_chart(bars, label=title, width=width, show=units.bandwidth))
        yield Chart(
            title, "Through the mapping, all threads together.", wide, narrow, [(0, 0, "write"), (1, 0, "read")]
        )


def _throughput(run: Run) -> Sheet:
    shown = columns.figures(run.results)
    rows = [[row.job, memory_label(row), row.api, *(one.text(row) for one in shown)] for row in run.results]
    return Sheet("Throughput", ["row", "memory type", "api", *(one.title for one in shown)], rows, 3)


def _latency(run: Run) -> Sheet:
    rows: list[list[str]] = []
    if run.floor:
        rows.append(["floor", "timer", *columns.percentiles(run.floor.timer_latency)])
        rows.append(["floor", "null", *columns.percentiles(run.floor.call_latency)])
    for row in run.results:
        rows += [[row.job, title, *columns.percentiles(latency)] for _, title, latency in columns.distributions(row)]
    return Sheet("Latency", ["row", "call", *(one.title for one in PERCENTILES)], rows, 2)


def _sharing(run: Run) -> Iterable[Sheet]:
    pairs = sharing(run.results)
    if pairs:
        rate = next(one for one in FIGURES if one.key == "pairs_per_second")
        rows = [[f"{alone.device}", alone.job, rate.text(alone), rate.text(together)] for alone, together in pairs]
        yield Sheet("What sharing costs", ["device", "row", "pairs/s alone", "pairs/s together"], rows, 2)


def _machine(run: Run) -> list[tuple[str, str]]:
    facts: list[tuple[str, Any]] = []
    for device in run.devices:
        facts += [
            ("device", device.name),
            ("type", device.type),
            ("driver", f"{device.driver_name} {device.driver_info} ({device.driver_version})"),
            ("Vulkan", device.api_version),
            ("UUID", device.device_uuid),
            ("memory types", "; ".join(one.label for one in device.memory_types)),
            ("placed maps", "emulated by vkmapctl's test layer" if device.placed.emulated else ""),
        ]
    facts += [("loader", run.loader), *run.host.items()]
    if run.floor:
        facts += [("timer", f"{run.floor.timer}, step {units.duration(run.floor.timer_step_ns)}")]
    facts += [("started", run.started), ("vkmapctl", run.tool.version), ("command", " ".join(run.tool.command))]
    return [(name.replace("_", " "), str(value)) for name, value in facts if value not in (None, "")]

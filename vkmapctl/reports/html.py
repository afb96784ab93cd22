"""A run as one HTML page that needs nothing else: charts, tables, machine; and what other pages share with it."""

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
from vkmapctl.model.measured import TIMED, Latency, Row
from vkmapctl.model.workload import Workload
from vkmapctl.reports import charts, columns
from vkmapctl.reports.charts import MOST_LINES, Bar, Line, Point, Ridge, Style
from vkmapctl.reports.columns import FIGURES, PERCENTILES
from vkmapctl.reports.common import KINDS, command_text, machine_text, side_lines
from vkmapctl.reports.page import Sheet, sheet_of
from vkmapctl.reports.replays import TITLE, replays_table

WIDE, NARROW = 860.0, 360.0
SLICES = 20  # of a decade, in the distributions
_NINES = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


class Chart(NamedTuple):
    """A chart in two widths, of which the page shows the one that fits, and which line is which."""

    title: str
    note: str
    wide: str
    narrow: str
    legend: Sequence[tuple[Style, str]] = ()


def rendered(template: str, **given: Any) -> bytes:
    """A template of vkmapctl/templates filled in, UTF-8; all text is escaped but what the charts draw."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parents[1] / "templates"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["svg"] = Markup
    environment.filters["sample"] = lambda style: Markup(charts.sample(style))
    environment.globals["kinds"] = KINDS
    return environment.get_template(template).render(**given).encode()


def page_title(verb: str, runs: Sequence[Run]) -> str:
    """What a page is of: the verb, the workloads that have a name, and the devices."""
    names = dict.fromkeys(run.workload.name for run in runs if run.workload.name != Workload().name)
    devices = dict.fromkeys(device.name for run in runs for device in run.devices)
    return f"{' '.join(('vkmapctl', verb, *[', '.join(names)] * bool(names)))}: {', '.join(devices)}"


def to_html(run: Run) -> bytes:
    """The page of a run."""
    return rendered(
        "report.html",
        run=run,
        title=page_title("stress", [run]),
        charts=[chart for make in (_scaling, _bandwidth, _distributions, _percentiles) for chart in make(run)],
        sheets=[_throughput(run), _latency(run), *_sharing(run), *_replays(run)],
        answer=answer(run),
        findings=findings(run.results),
        reasons=[row for row in run.results if row.status != "ok"],
        machine=_machine(run),
        processor=machine_text(run.host),
    )


def _replays(run: Run) -> Iterable[Sheet]:
    made = sheet_of(TITLE, replays_table(run.results))
    return [made] if made.rows else []


def _both(make: Callable[[float], str]) -> tuple[str, str]:
    return make(WIDE), make(NARROW)


def _good(run: Run) -> list[Row]:
    return [row for row in run.results if any(latency.histogram.bins for latency in row.latencies().values())]


def _distributions(run: Run) -> Iterable[Chart]:
    rows = _good(run)
    made = [call for call in TIMED if any(row.latency(call) for row in rows)]
    strips = []
    for row in rows:
        ridges = [
            Ridge(columns.call_title(call), shares(latency), _ridge_marks(call, latency), made.index(call))
            for call, latency in row.latencies().items()
            if latency.histogram.bins
        ]
        strips.append((row.job, ridges))
    if strips:
        title = "Latency distributions"
        wide, narrow = _both(lambda width: charts.ridges_chart(strips, label=title, width=width, show=units.duration))
        note = "How often each call took how long; time grows by a factor of ten from line to line."
        yield Chart(title, note, wide, narrow)


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
    """A chart of each call that several rows made, and one of all calls that a single row made."""
    rows = _good(run)
    alone: dict[str, Line] = {}
    for call in TIMED:
        made = [(row, latency) for row in rows if (latency := row.latency(call)) and latency.histogram.bins]
        what = "each cycle, from when it was due" if call == "response" else call
        if len(made) == 1:
            row, latency = made[0]
            name = columns.call_title(call) if len(rows) == 1 else f"{row.job}: {columns.call_title(call)}"
            alone[what] = Line(name, _percentile_points(latency))
        elif made:
            lines = [Line(row.job, _percentile_points(latency)) for row, latency in made[:MOST_LINES]]
            yield _percentile_chart(what, lines, len(made) - len(lines))
    if alone:
        yield _percentile_chart(_listed([*alone]), [*alone.values()], 0)


def _listed(words: Sequence[str]) -> str:
    return " and ".join((", ".join(words[:-1]), words[-1])) if len(words) > 1 else words[0]


def _percentile_chart(what: str, lines: Sequence[Line], left_out: int) -> Chart:
    last = max(point.x for line in lines for point in line.points)
    ticks = [(-math.log10(1 - q), f"{q * 100:.9g} %") for q in (0.0, *_NINES) if -math.log10(1 - q) <= last]
    if ticks[-1][0] < last:
        ticks.append((last, ""))
    title = f"Percentiles of {what}"
    note = "Read: so many percent of the calls took at most so long."
    if left_out:
        note += f" {left_out} more {'row is' if left_out == 1 else 'rows are'} in the tables."
    wide, narrow = _both(
        lambda width: charts.lines_chart(
            lines,
            label=title,
            width=width,
            x_ticks=ticks,
            x_title="percentile",
            y_label=units.duration,
            x_log=False,
        )
    )
    return Chart(title, note, wide, narrow, _legend(lines))


def _legend(lines: Sequence[Line]) -> list[tuple[Style, str]]:
    return [(charts.style(number), line.name) for number, line in enumerate(lines)]


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
    for call in TIMED:
        lines = []
        for label, swept in zip(sweep_labels(among)[:MOST_LINES], among, strict=False):
            points = [_size_point(row, row.latency(call)) for row in swept]
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
    groups = []
    for row in run.results:
        rates = (("write", row.touch_bytes_per_second.write), ("read", row.touch_bytes_per_second.read))
        shown = [(colour, f"{kind} {units.bandwidth(rate)}", rate) for colour, (kind, rate) in enumerate(rates) if rate]
        if shown:
            groups.append((row.job, [Bar(rate, words, f"{row.job}: {words}", colour) for colour, words, rate in shown]))
    if groups:
        title = "Bandwidth through the mapping"
        wide, narrow = _both(lambda width: charts.bars_chart(groups, label=title, width=width, show=units.bandwidth))
        yield Chart(title, "All threads of a row together.", wide, narrow)


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
    if run.versus:
        facts += [("the other side", "; ".join(side_lines(run.versus)))]
    facts += [("loader", run.loader), *run.host.items()]
    if run.floor:
        facts += [("timer", f"{run.floor.timer}, step {units.duration(run.floor.timer_step_ns)}")]
    facts += [("started", run.started), ("vkmapctl", run.tool.version), ("command", command_text(run.tool))]
    return [(name.replace("_", " "), str(value)) for name, value in facts if value not in (None, "")]

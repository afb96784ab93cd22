"""One run against others: rows matched by what was asked of them, deltas with confidence intervals, verdicts. Pure."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from msgspec.structs import replace

from vkmapctl.figures import stats, trust
from vkmapctl.figures.pooling import as_one, pooled, repeats_of
from vkmapctl.model import bins
from vkmapctl.model.base import Data, Note
from vkmapctl.model.case import EFFORT
from vkmapctl.model.device import Device
from vkmapctl.model.documents import Run
from vkmapctl.model.measured import TIMED, Latency, Repetition, Row

Change = Literal["same", "slower", "faster", "unclear", "missing", "failed"]
Group = Literal["device", "driver", "layers", "machine", "settings"]
Z = 1.96  # of a two-sided interval of 95 %
LEAST_DEGREES = 2  # of freedom, for the scatter between processes to be measured: with 1, t is 12.7
ASSUMED, ASSUMED_BUSY, ASSUMED_DEGREES = 0.06, 0.35, 4  # docs/reports.md says where they come from
_WIDEST = 100.0  # of a percentile's interval, high over low: one that begins at 0 has no logarithm
BUSY = ("busy-machine", "more-threads-than-cpus")
DOUBTFUL = ("drift", "scatter")
SHOWN = ("governor", "layer-in-path")
_MACHINE = ("cpu_model", "cpu_count", "machine", "kernel", "governor", "clocksource", "virtualised")


class Limits(Data, frozen=True):
    """What counts as a change: by more than a share (`tail` for p99 and p99.9), and by more than absolute_ns.

    The absolute limit is for calls that the clock timed one by one; ns_per_pair has no clock's steps in it. metrics:
    those that judge; without any, time per pair and each call's p50.
    """

    relative: float = 0.10
    absolute_ns: float = 20.0
    tail: float = 0.25
    metrics: tuple[str, ...] = ()


class Difference(Data, frozen=True):
    """One fact in which two runs differ."""

    group: Group
    name: str
    base: str
    new: str


class Delta(Data, frozen=True):
    """One metric of one row in both runs.

    base, new: geometric means over the processes that measured it. change: NEW over BASE minus 1, so that 0.1 is 10 %
    more. low, high: an interval of 95 % for it, None where the runs hold too little for one. detectable: the smallest
    change that such an interval would tell from none. judges: the verdict is one of the pair's. Times are in ns,
    bandwidths in bytes per second.
    """

    metric: str
    base: float
    new: float
    change: float
    low: float | None
    high: float | None
    verdict: Change
    detectable: float | None = None
    judges: bool = True


class Pair(Data, frozen=True):
    """A row of BASE with the row of NEW that has the same job and parameters, if there is one.

    repeats: how many processes measured it in each.
    """

    row: Row
    found: bool
    verdict: Change
    reason: str = ""
    deltas: tuple[Delta, ...] = ()
    repeats: tuple[int, int] = (1, 1)


class Comparison(Data, frozen=True):
    """BASE against one other run. added: jobs that only NEW has. warnings: those of both that make figures doubtful."""

    base: str
    new: str
    differences: tuple[Difference, ...]
    pairs: tuple[Pair, ...]
    added: tuple[str, ...] = ()
    warnings: tuple[Note, ...] = ()

    def worse(self) -> tuple[Pair, ...]:
        """What a gate is about."""
        return tuple(pair for pair in self.pairs if pair.verdict in ("slower", "failed", "missing"))


class CompareReport(Data, frozen=True, tag_field="kind", tag="compare"):
    """The document of `report compare --json`."""

    schema: str
    limits: Limits
    gate: Literal["warn", "fail"]
    comparisons: tuple[Comparison, ...]
    exit_code: int


class Metric(NamedTuple):
    """How a metric is read from what a process found, and its interval within a row.

    tail: has the wider tolerance. higher: more is better. timed: each call by the clock, whose steps the absolute limit
    is for. judges: without --metric.
    """

    name: str
    value: Callable[[Repetition], float | None]
    interval: Callable[[Row], tuple[float, float] | None] | None = None
    tail: bool = False
    higher: bool = False
    timed: bool = False
    judges: bool = False


def quantile_interval(latency: Latency | None, quantile: float) -> tuple[float, float] | None:
    """95 % interval in ns of a percentile, from order statistics: no shape of distribution is taken for granted.

    None where the interval's rank lies beyond the largest sample.
    """
    if latency is None or latency.count == 0:
        return None
    middle = quantile * latency.count
    spread = Z * math.sqrt(latency.count * quantile * (1 - quantile))
    low, high = math.floor(middle - spread), math.ceil(middle + spread)
    if high > latency.count:
        return None
    return _bin_at(latency, max(low, 1))[0], _bin_at(latency, high)[1]


def _bin_at(latency: Latency, rank: int) -> tuple[float, float]:
    """Both ends in ns of the bin that holds the sample of that rank: nothing finer is known."""
    seen = 0
    for edge, count in latency.histogram.bins:
        seen += count
        if seen >= rank:
            return float(edge), float(edge if edge < bins.EXACT else edge + bins.width(edge))
    return float(latency.max_ns or 0), float(latency.max_ns or 0)


def _latency_metric(call: str, name: str, quantile: float) -> Metric:
    return Metric(
        f"{call}.{name}",
        lambda one: getattr(one, f"{name}_ns").get(call),
        lambda row: quantile_interval(row.latency(call), quantile),
        tail=name != "p50",
        timed=True,
        judges=name == "p50",
    )


def _idle_interval(row: Row) -> tuple[float, float] | None:
    return row.ratio_to_idle and row.ratio_to_idle[1:]


METRICS = (
    Metric("ns_per_pair", lambda one: one.ns_per_pair, judges=True),
    *(
        _latency_metric(call, name, quantile)
        for call in TIMED
        for name, quantile in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    ),
    Metric("ratio_to_idle", lambda one: one.ratio_to_idle, _idle_interval),
    Metric("write", lambda one: one.touch_bytes_per_second.write, higher=True),
    Metric("read", lambda one: one.touch_bytes_per_second.read, higher=True),
)


def compare(base: tuple[str, Run], new: tuple[str, Run], limits: Limits, *, runs_each: int = 1) -> Comparison:
    """Every row of BASE beside its like in NEW. The strings name the runs. runs_each: how many each is pooled of."""
    matched, added = match(base[1], new[1])
    runs = (base[1], new[1])
    doubt = _Doubt(
        busy=runs_each < 2 and any(note.code in BUSY for run in runs for note in run.warnings),
        step_ns=max((run.floor.timer_step_ns for run in runs if run.floor), default=0.0),
    )
    return Comparison(
        base=base[0],
        new=new[0],
        differences=differing(base[1], new[1], matched),
        pairs=tuple(_pair(row, other, limits, doubt) for row, other in matched),
        added=tuple(row.job for row in added),
        warnings=tuple(
            Note(note.code, f"{name}: {note.message}")
            for name, run in (("BASE", base[1]), ("NEW", new[1]))
            for note in run.warnings
            if note.code in (*BUSY, *DOUBTFUL, *SHOWN)
        ),
    )


def differing(base: Run, new: Run, matched: Iterable[tuple[Row, Row | None]]) -> tuple[Difference, ...]:
    """Every fact in which the runs, or the settings of their matched rows, differ."""
    settings = [difference for row, other in matched if other for difference in _settings(row, other)]
    return (*differences(base, new), *dict.fromkeys(settings))


def pooled_run(runs: Sequence[Run]) -> Run:
    """Several runs of one build as one: each row of the first with its like of the others, and all their warnings.

    What a run found counts once, however many processes it had: from run to run the machine changes too, and the
    highest level that varies is what has to be repeated.
    """
    first = runs[0]
    if len(runs) == 1:
        return first
    alike = [[as_one(row)] for row in first.results]
    for run in runs[1:]:
        for found, (_, other) in zip(alike, match(first, run)[0], strict=True):
            found += [as_one(other)] if other else []
    notes = dict.fromkeys(note for run in runs for note in run.warnings)
    return replace(first, results=tuple(pooled(rows) for rows in alike), warnings=tuple(notes))


def match(base: Run, new: Run) -> tuple[list[tuple[Row, Row | None]], list[Row]]:
    """Each row of BASE with its like in NEW, and the rows that only NEW has.

    Alike is what was asked alike: in everything, else in all but how long and with which seed and script. Of several
    that are alike, the first goes with the first. Across two devices the memory type's flags count and not its number.
    """
    across = _device_facts(base) != _device_facts(new) and len(base.devices) == len(new.devices) == 1
    where = ("device", "memory_type") if across else ()
    found: list[Row | None] = [None] * len(base.results)
    left = list(new.results)
    for but in (where, (*where, *EFFORT)):
        waiting: dict[tuple[object, ...], deque[Row]] = {}
        for row in left:
            waiting.setdefault(row.identity(but=but), deque()).append(row)
        for i, row in enumerate(base.results):
            alike = waiting.get(row.identity(but=but))
            if found[i] is None and alike:
                found[i] = alike.popleft()
        taken = {id(row) for row in found}
        left = [row for row in left if id(row) not in taken]
    return list(zip(base.results, found, strict=True)), left


class _Doubt(NamedTuple):
    """What makes figures less sure. busy: the machine of a single run was; step_ns: of the coarser clock."""

    busy: bool
    step_ns: float


def _pair(row: Row, other: Row | None, limits: Limits, doubt: _Doubt) -> Pair:
    if other is None:
        return Pair(row, False, "missing", "NEW has no such row")
    if row.status != "ok":
        verdict: Change = "same" if other.status == row.status else "unclear"
        return Pair(row, True, verdict, f"BASE: {row.status}, NEW: {other.status}")
    if other.status != "ok":
        return Pair(row, True, "failed", f"{other.status}: {other.reason}")
    withheld = _why_withheld(row, other)
    found = (_delta(metric, row, other, limits, doubt, withheld=bool(withheld)) for metric in METRICS)
    deltas = tuple(delta for delta in found if delta)
    verdicts = {delta.verdict for delta in deltas if delta.judges}
    worst: tuple[Change, ...] = ("slower", "unclear", "faster")
    verdict = next((one for one in worst if one in verdicts), "same")
    repeats = (len(repeats_of(row)), len(repeats_of(other)))
    return Pair(row, True, verdict, withheld if verdict == "unclear" else "", deltas, repeats)


def _why_withheld(row: Row, other: Row) -> str:
    """Why no figure of a row that one process measured may be called changed, empty where it may."""
    told = (
        f"{name}: {note.code}"
        for name, one in (("BASE", row), ("NEW", other))
        if len(repeats_of(one)) == 1
        for note in trust.row_notes(one)
        if note.code in DOUBTFUL
    )
    return ", ".join(told)


def _delta(metric: Metric, base: Row, new: Row, limits: Limits, doubt: _Doubt, *, withheld: bool) -> Delta | None:
    before, after = _known(metric, base), _known(metric, new)
    if not before or not after:
        return None
    old, now = stats.middle(before), stats.middle(after)
    change = now / old - 1
    half = _half_width(metric, (base, before), (new, after), doubt)
    interval = None if half is None else ((1 + change) * math.exp(-half) - 1, (1 + change) * math.exp(half) - 1)
    low, high = interval or (None, None)
    verdict = _verdict(metric, old, now, interval, limits)
    if withheld and verdict in ("slower", "faster"):
        verdict = "unclear"
    judges = metric.name in limits.metrics if limits.metrics else metric.judges
    detectable = None if half is None else math.expm1(half)
    return Delta(metric.name, old, now, change, low, high, verdict, detectable, judges)


def _known(metric: Metric, row: Row) -> list[float]:
    """The metric in each process that measured the row, as far as it has one."""
    return [value for one in repeats_of(row) if (value := metric.value(one)) is not None and value > 0]


def _half_width(
    metric: Metric, base: tuple[Row, list[float]], new: tuple[Row, list[float]], doubt: _Doubt
) -> float | None:
    """Half of the interval of 95 % of the logarithm of NEW over BASE; None where there is too little for one.

    A t interval of the processes' figures (Kalibera and Jones, Rigorous Benchmarking in Reasonable Time, ISMM 2013:
    what varies between executions has to be repeated at that level, and their means hold all that varies below it),
    of logarithms, since figures are compared by ratio. Where fewer than two degrees of freedom are left, the scatter
    is not measured but taken to be ASSUMED, and a run to be no steadier than its rounds. On a busy machine all of a
    run is off by something that its own processes share: ASSUMED_BUSY, unless runs were repeated too. To that the
    percentiles' own intervals are added, with half a step of the clock, and the histogram's bins in them.
    """
    counts = [len(values) for _, values in (base, new)]
    degrees = sum(counts) - 2
    session = ASSUMED_BUSY**2 if doubt.busy else 0.0
    if degrees >= LEAST_DEGREES:
        variance = stats.pooled_variance(base[1], new[1])
        between = stats.student(degrees) ** 2 * sum(variance / count for count in counts)
        between += stats.student(ASSUMED_DEGREES) ** 2 * 2 * session
    else:
        assumed = ASSUMED**2 + session
        rows = (base[0], new[0])
        if metric.interval is None and any(len(row.rounds_ns_per_pair) < stats.LEAST_ROUNDS for row in rows):
            return None
        variances = [assumed + stats.rounds_variance(row.rounds_ns_per_pair) for row in rows]
        between = stats.student(ASSUMED_DEGREES) ** 2 * sum(
            one / count for one, count in zip(variances, counts, strict=True)
        )
    within = 0.0
    if metric.interval is not None:
        for row, _ in (base, new):
            interval = metric.interval(row)
            if interval is None:
                return None
            low, high = interval[0] - doubt.step_ns / 2, interval[1] + doubt.step_ns / 2
            within += (math.log(high / max(low, high / _WIDEST)) / 2) ** 2
    return math.sqrt(between + within)


def _verdict(
    metric: Metric, before: float, after: float, interval: tuple[float, float] | None, limits: Limits
) -> Change:
    """`unclear`: beyond the limits, but the interval holds 0, or there is none."""
    change = after / before - 1
    is_time = not metric.higher
    if abs(change) <= (limits.tail if metric.tail else limits.relative):
        return "same"
    if metric.timed and abs(after - before) <= limits.absolute_ns:
        return "same"
    if interval is None or interval[0] <= 0 <= interval[1]:
        return "unclear"
    return "slower" if (change > 0) == is_time else "faster"


# --- what must be alike ---------------------------------------------------------------------------


def differences(base: Run, new: Run) -> list[Difference]:
    """Every fact that should be alike and is not."""
    found: list[Difference] = []
    for group, facts in _FACTS:
        before, after = facts(base), facts(new)
        for name in dict.fromkeys((*before, *after)):
            if before.get(name) != after.get(name):
                found.append(Difference(group, name, before.get(name, "none"), after.get(name, "none")))
    return found


def of_build(found: Sequence[Difference]) -> list[Difference]:
    """Those that another build of one and the same driver makes; none where the driver is another."""
    driver = [one for one in found if one.group == "driver"]
    if any(one.name.endswith("driver") for one in driver):
        return []
    return [one for one in driver if one.name.endswith(_BUILD)]


def _by_device(run: Run, facts: Callable[[Device], dict[str, str]]) -> dict[str, str]:
    several = len(run.devices) > 1
    return {
        f"device {device.index} {name}" if several else name: value
        for device in run.devices
        for name, value in facts(device).items()
    }


def _device_facts(run: Run) -> dict[str, str]:
    """A software device's name and UUID change with its driver, so they say nothing about the device."""
    return _by_device(
        run,
        lambda one: {
            "name": "" if one.software else one.name,
            "type": one.type,
            "UUID": "" if one.software else one.device_uuid,
            "placed maps": "emulated" if one.placed.emulated else "the driver's own",
        },
    )


def _driver_facts(run: Run) -> dict[str, str]:
    facts = _by_device(
        run,
        lambda one: {
            "driver": one.driver_name,
            "driver info": one.driver_info,
            "driver version": one.driver_version,
            "Vulkan": one.api_version,
        },
    )
    return {**facts, "loader": run.loader}


def _machine_facts(run: Run) -> dict[str, str]:
    return {name: str(run.host.get(name)) for name in _MACHINE}


def _layer_facts(run: Run) -> dict[str, str]:
    """What stands between the program and the driver."""
    return {"layers": ", ".join(run.layers) or "none", "injected fault": run.injected or "none"}


def _timer_facts(run: Run) -> dict[str, str]:
    return {"timer": run.floor.timer} if run.floor else {}


def _settings(row: Row, other: Row) -> list[Difference]:
    """In what two rows that stand beside each other were measured differently; what a file does not tell is no such."""
    told = ((name, getattr(row, name), getattr(other, name)) for name in EFFORT)
    return [
        Difference("settings", f"{row.job}: {name}", str(before), str(after))
        for name, before, after in told
        if before != after and None not in (before, after) and (name != "script" or (before and after))
    ]


_BUILD = ("driver info", "driver version", "Vulkan")
_FACTS: tuple[tuple[Group, Callable[[Run], dict[str, str]]], ...] = (
    ("device", _device_facts),
    ("driver", _driver_facts),
    ("layers", _layer_facts),
    ("machine", _machine_facts),
    ("settings", _timer_facts),
)


def devices_side_by_side(runs: Iterable[tuple[str, Run]]) -> dict[tuple[object, ...], dict[str, Row]]:
    """Rows of the same job and parameters by device, where the runs hold more than one device."""
    table: dict[tuple[object, ...], dict[str, Row]] = {}
    but = ("device", "memory_type")
    for _, run in runs:
        names = {device.index: device_label(device) for device in run.devices}
        for row in run.results:
            table.setdefault(row.identity(but=but), {}).setdefault(names[row.device], row)
    several = {name for rows in table.values() for name in rows}
    return table if len(several) > 1 else {}


def device_label(device: Device) -> str:
    """Name and driver: what a column of its own is for."""
    return f"{device.name}, {device.driver_info} [{device.index}]"

"""One run against others: rows matched by what was asked of them, deltas with confidence intervals, verdicts. Pure."""

import math
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from statistics import median
from typing import Literal, NamedTuple

from vkmapctl.model import bins
from vkmapctl.model.base import Data
from vkmapctl.model.case import EFFORT
from vkmapctl.model.device import Device
from vkmapctl.model.documents import Run
from vkmapctl.model.measured import TIMED, Latency, Row

Change = Literal["same", "slower", "faster", "unclear", "missing", "failed"]
Group = Literal["device", "driver", "layers", "machine", "settings"]
Z = 1.96  # of a two-sided interval of 95 %
LEAST_ROUNDS = 4
MOST_ROUNDS = 200
_MACHINE = ("cpu_model", "cpu_count", "machine", "kernel", "governor", "clocksource", "virtualised")


class Limits(Data, frozen=True):
    """What counts as a change: by more than a share (`tail` for p99 and p99.9), and by more than absolute_ns.

    The absolute limit is for calls that the clock timed one by one; ns_per_pair has no clock's steps in it.
    """

    relative: float = 0.10
    absolute_ns: float = 20.0
    tail: float = 0.25


class Difference(Data, frozen=True):
    """One fact in which two runs differ."""

    group: Group
    name: str
    base: str
    new: str


class Delta(Data, frozen=True):
    """One metric of one row in both runs.

    change: NEW over BASE minus 1, so that 0.1 is 10 % more. low, high: an interval of 95 % for it, None where the runs
    hold too little for one. Times are in ns, bandwidths in bytes per second.
    """

    metric: str
    base: float
    new: float
    change: float
    low: float | None
    high: float | None
    verdict: Change


class Pair(Data, frozen=True):
    """A row of BASE with the row of NEW that has the same job and parameters, if there is one."""

    row: Row
    found: bool
    verdict: Change
    reason: str = ""
    deltas: tuple[Delta, ...] = ()


class Comparison(Data, frozen=True):
    """BASE against one other run. added: jobs that only NEW has."""

    base: str
    new: str
    differences: tuple[Difference, ...]
    pairs: tuple[Pair, ...]
    added: tuple[str, ...] = ()

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
    """How a metric is read from a row, with its interval. tail: has the wider tolerance. higher: more is better.

    timed: each call by the clock, whose steps the absolute limit is for."""

    name: str
    value: Callable[[Row], float | None]
    interval: Callable[[Row], tuple[float, float] | None]
    tail: bool = False
    higher: bool = False
    timed: bool = False


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


def rounds_interval(base: Sequence[float], new: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of NEW over BASE minus 1, from the rounds of both runs.

    The Hodges-Lehmann interval of the Mann-Whitney test, on logarithms: rounds differ as much as runs do, which
    single calls within a round do not show.
    """
    base, new = _thinned(base), _thinned(new)
    m, n = len(base), len(new)
    if m < LEAST_ROUNDS or n < LEAST_ROUNDS or min(*base, *new) <= 0:
        return None
    shifts = sorted(math.log(b / a) for a, b in product(base, new))
    skip = math.floor(m * n / 2 - Z * math.sqrt(m * n * (m + n + 1) / 12))
    if skip < 0:
        return None
    return math.expm1(shifts[skip]), math.expm1(shifts[len(shifts) - 1 - skip])


def _thinned(rounds: Sequence[float]) -> Sequence[float]:
    """Some MOST_ROUNDS of them, evenly from all of the run: of two soaks of a day each pair of rounds is too many."""
    return rounds[:: len(rounds) // MOST_ROUNDS + 1]


def _per_pair(row: Row) -> float | None:
    """ns of the median round, which a round that something disturbed does not move."""
    return median(row.rounds_ns_per_pair) if len(row.rounds_ns_per_pair) >= LEAST_ROUNDS else row.ns_per_pair


def _latency_metric(call: str, name: str, quantile: float) -> Metric:
    return Metric(
        f"{call}.{name}",
        lambda row: getattr(row.latency(call), f"{name}_ns", None),
        lambda row: quantile_interval(row.latency(call), quantile),
        tail=name != "p50",
        timed=True,
    )


def _idle_interval(row: Row) -> tuple[float, float] | None:
    return row.ratio_to_idle and row.ratio_to_idle[1:]


METRICS = (
    Metric("ns_per_pair", _per_pair, lambda row: None),
    *(
        _latency_metric(call, name, quantile)
        for call in TIMED
        for name, quantile in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    ),
    Metric("ratio_to_idle", lambda row: row.ratio_to_idle and row.ratio_to_idle[0], _idle_interval),
    Metric("write", lambda row: row.touch_bytes_per_second.write, lambda row: None, higher=True),
    Metric("read", lambda row: row.touch_bytes_per_second.read, lambda row: None, higher=True),
)


def compare(base: tuple[str, Run], new: tuple[str, Run], limits: Limits) -> Comparison:
    """Every row of BASE beside its like in NEW. The strings name the runs."""
    matched, added = match(base[1], new[1])
    settings = [difference for row, other in matched if other for difference in _settings(row, other)]
    return Comparison(
        base=base[0],
        new=new[0],
        differences=(*differences(base[1], new[1]), *dict.fromkeys(settings)),
        pairs=tuple(_pair(row, other, limits) for row, other in matched),
        added=tuple(row.job for row in added),
    )


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


def _pair(row: Row, other: Row | None, limits: Limits) -> Pair:
    if other is None:
        return Pair(row, False, "missing", "NEW has no such row")
    if row.status != "ok":
        verdict: Change = "same" if other.status == row.status else "unclear"
        return Pair(row, True, verdict, f"BASE: {row.status}, NEW: {other.status}")
    if other.status != "ok":
        return Pair(row, True, "failed", f"{other.status}: {other.reason}")
    deltas = tuple(delta for metric in METRICS if (delta := _delta(metric, row, other, limits)))
    verdicts = {delta.verdict for delta in deltas}
    worst: tuple[Change, ...] = ("slower", "unclear", "faster")
    return Pair(row, True, next((one for one in worst if one in verdicts), "same"), "", deltas)


def _delta(metric: Metric, base: Row, new: Row, limits: Limits) -> Delta | None:
    before, after = metric.value(base), metric.value(new)
    if before is None or after is None or before <= 0 or after <= 0:
        return None
    change = after / before - 1
    rounds = rounds_interval(base.rounds_ns_per_pair, new.rounds_ns_per_pair)
    if metric.name == "ns_per_pair":
        interval = rounds
    elif metric.higher:
        interval = _widened((change, change), rounds) if rounds else None
    else:
        interval = _widened(_ratio_interval(metric.interval(base), metric.interval(new)), rounds)
    verdict = _verdict(metric, before, after, interval, limits)
    low, high = interval or (None, None)
    return Delta(metric.name, before, after, change, low, high, verdict)


def _ratio_interval(base: tuple[float, float] | None, new: tuple[float, float] | None) -> tuple[float, float] | None:
    """Of a ratio of two figures with intervals: their far ends, which is wider than 95 %."""
    if base is None or new is None or base[0] <= 0:
        return None
    return new[0] / base[1] - 1, new[1] / base[0] - 1


def _widened(interval: tuple[float, float] | None, rounds: tuple[float, float] | None) -> tuple[float, float] | None:
    """The interval with the scatter of the rounds added: calls of one moment are alike, moments are not."""
    if interval is None or rounds is None:
        return interval
    low, high = (max(1 + end, sys.float_info.epsilon) for end in rounds)  # NEW over BASE may be all but 0
    scatter = math.sqrt(high / low)  # a factor, so that no end falls below -100 %
    return (1 + interval[0]) / scatter - 1, (1 + interval[1]) * scatter - 1


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


def _by_device(run: Run, facts: Callable[[Device], dict[str, str]]) -> dict[str, str]:
    several = len(run.devices) > 1
    return {
        f"device {device.index} {name}" if several else name: value
        for device in run.devices
        for name, value in facts(device).items()
    }


def _device_facts(run: Run) -> dict[str, str]:
    """A software device's UUID changes with its driver, so it says nothing about the device."""
    return _by_device(
        run,
        lambda one: {
            "name": one.name,
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

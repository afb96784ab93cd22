"""Conditions that turn a report into a verdict: --require, --expect-driver, --fail-if."""

import operator
import re
from collections.abc import Iterable, Sequence

from vkmapctl import units
from vkmapctl.model.base import Data
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.loop import CALLS
from vkmapctl.model.measured import TIMED, Row

_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
_THRESHOLD = r"([a-z0-9_.-]+)\s*(>=|<=|>|<)\s*(\S+)"
_PERCENTILES = {"min": "min_ns", "mean": "mean_ns", "p50": "p50_ns", "p90": "p90_ns",
                "p99": "p99_ns", "p999": "p999_ns", "max": "max_ns"}  # fmt: skip
_LARGEST_LIMIT = 1e18  # more pairs, bytes or errors than any run counts
_API_REQUIREMENT = r"api>=(\d{1,9})\.(\d{1,9})"
_PROVED_BY = {
    "map2": ("core", "khr"),
    "core14": ("core",),
    "placed": ("placed",),
    "range-placed": ("placed",),
    "reserve": ("reserve",),
}
_NEEDS = {
    "map2": "Vulkan 1.4 or VK_KHR_map_memory2",
    "core14": "Vulkan 1.4",
    "placed": "memoryMapPlaced",
    "range-placed": "memoryMapPlaced",
    "reserve": "a placed map to reserve after",
}
VERSUS = ("versus", *(f"versus.{call}.p50" for call in CALLS))  # ratios, which have an interval
REQUIREMENTS = ("map2", "core14", "placed", "range-placed", "reserve", "api>=1.4")


class Threshold(Data, frozen=True):
    """One --fail-if: a metric of a row, a comparison, and the limit in the metric's own unit."""

    text: str
    metric: str
    comparison: str
    limit: float


def metrics() -> list[str]:
    """Every name that --fail-if knows."""
    latencies = [f"{call}.{name}" for call in TIMED for name in _PERCENTILES]
    others = ("ns_per_pair", "pairs_per_second", "write", "read", "ratio_to_idle", "mismatches", "errors")
    return [*latencies, *others, *VERSUS]


def parse_threshold(text: str) -> Threshold:
    """`map.p99>50us`, `pairs_per_second<1e6`, `write<5GB/s`. Raises ValueError."""
    match = re.fullmatch(_THRESHOLD, text.strip())
    if not match:
        raise ValueError(f"'{text}' is not a condition such as map.p99>50us")
    metric, comparison, value = match[1], match[2], match[3]
    if metric not in metrics():
        raise ValueError(f"unknown metric '{metric}'; known: {', '.join(metrics())}")
    return Threshold(text.strip(), metric, comparison, _limit(metric, value))


def _limit(metric: str, value: str) -> float:
    if metric.partition(".")[0] in TIMED or metric == "ns_per_pair":
        return round(units.parse_duration(value) * 1e9, 3)
    if metric in ("write", "read"):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)B/s", value)
        if not match:
            raise ValueError(f"'{value}' is not a bandwidth such as 5GB/s")
        limit = float(match[1]) * {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}[match[2]]
    else:
        try:
            limit = float(value)
        except ValueError:
            raise ValueError(f"'{value}' is not a number") from None
    if not abs(limit) <= _LARGEST_LIMIT:
        raise ValueError(f"'{value}' is not a number up to {_LARGEST_LIMIT:g}")
    return limit


def value_of(metric: str, row: Row) -> float | None:
    """The metric in a row, None where the row does not have it."""
    call, _, name = metric.partition(".")
    value: float | None
    if metric in VERSUS:
        ratio = _ratio_of(metric, row)
        value = ratio[0] if ratio else None
    elif name:
        distribution = row.latency(call)
        value = None if distribution is None else getattr(distribution, _PERCENTILES[name])
    elif metric in ("write", "read"):
        value = getattr(row.touch_bytes_per_second, metric)
    elif metric == "errors":
        value = sum(row.errors.values())
    elif metric == "ratio_to_idle":
        value = row.ratio_to_idle and row.ratio_to_idle[0]
    else:
        value = getattr(row, metric)
    return value


def missed(thresholds: Iterable[Threshold], rows: Iterable[Row]) -> list[str]:
    """A line for each row and threshold that was missed or that could not be judged.

    A row that ended well and does nothing that a threshold is about is left out, where another row does it.
    """
    lines: list[str] = []
    rows, thresholds = list(rows), list(thresholds)
    apart = {metric for metric in {one.metric for one in thresholds} if not all(_lacks(metric, row) for row in rows)}
    for row in rows:
        for threshold in thresholds:
            if threshold.metric in apart and _lacks(threshold.metric, row):
                continue
            if threshold.metric in VERSUS:
                lines += _missed_ratio(threshold, row)
                continue
            value = value_of(threshold.metric, row)
            if value is None:
                lines.append(f"{row.job}: {threshold.metric} could not be judged: {_why_not(threshold, row)}")
            elif _COMPARE[threshold.comparison](value, threshold.limit):
                lines.append(f"{row.job}: {threshold.text}: it is {_shown(threshold.metric, value)}")
    return lines


def _missed_ratio(threshold: Threshold, row: Row) -> Iterable[str]:
    """A ratio is judged by its interval, all of which has to be on one side of the limit."""
    ratio = _ratio_of(threshold.metric, row)
    if not ratio:
        yield f"{row.job}: {threshold.metric} could not be judged: {_why_not(threshold, row)}"
        return
    middle, low, high = ratio
    beyond = [_COMPARE[threshold.comparison](end, threshold.limit) for end in (low, high)]
    if all(beyond):
        yield f"{row.job}: {threshold.text}: it is {middle:.3f} ({low:.3f} to {high:.3f})"
    elif any(beyond):
        interval = f"{low:.3f} to {high:.3f}"
        yield f"{row.job}: {threshold.metric} could not be judged: its interval, {interval}, holds the limit"


def _ratio_of(metric: str, row: Row) -> tuple[float, float, float] | None:
    _, _, which = metric.partition(".")
    if row.versus is None:
        return None
    return row.versus.ratios.get(which) if which else row.versus.ratio


def _why_not(threshold: Threshold, row: Row) -> str:
    if row.status != "ok":
        return f"the row ended as {row.status}"
    return _lacks(threshold.metric, row) or ("too few rounds" if threshold.metric in VERSUS else "too few samples")


def _lacks(metric: str, row: Row) -> str:
    """What the row would have to do to have the metric, however long it took; empty where it does, or ended early."""
    call, _, name = metric.removeprefix("versus.").partition(".")
    if row.status != "ok":
        return ""
    if metric in VERSUS and row.versus is None:
        return "only --versus gives it"
    if call == "response":
        return "" if row.rate else "only --rate gives it"
    if name:
        return "" if row.latency(call) else f"this row makes no such call as {call}"
    if metric == "ratio_to_idle" and row.gpu_load == "none":
        return "only a row with --gpu-load has it"
    if metric in ("ns_per_pair", "ratio_to_idle") and row.waits and value_of(metric, row) is None:
        return "a row with --rate or --gap waits between its calls"
    if metric in ("write", "read") and value_of(metric, row) is None and row.touch not in (metric, "verify"):
        return "this row writes nothing" if metric == "write" else "this row reads nothing"
    return ""


def _shown(metric: str, value: float) -> str:
    if "." in metric or metric == "ns_per_pair":
        return units.duration(value)
    if metric == "ratio_to_idle":
        return f"{value:.2f}"
    return units.bandwidth(value) if metric in ("write", "read") else units.count(value)


def check_requirement(text: str) -> None:
    """Raises ValueError for a --require that probe does not know."""
    if text not in REQUIREMENTS and not re.fullmatch(_API_REQUIREMENT, text):
        raise ValueError(f"unknown requirement '{text}'; known: {', '.join(REQUIREMENTS)}")


def missing(requirements: Iterable[str], expected_driver: str | None, probe: Probe) -> list[str]:
    """What a device lacks, each with the reason."""
    device = probe.device
    if device is None:
        return [f"no facts about the device: {probe.reason}"]
    lines = [line for text in requirements if (line := _needed(text, device, probe))]
    if expected_driver and not driver_matches(device, expected_driver):
        lines.append(f"driver {expected_driver}: this is {device.driver_name} ({device.driver_id})")
    return lines


def unmet(requirements: Iterable[str], expected_driver: str | None, used: Sequence[Probe]) -> tuple[str, ...]:
    """What the devices that a command uses lack, each of which must have all of it."""
    wanted = tuple(requirements)
    lines = []
    for probe in used:
        where = f"device {probe.device.index}: " if probe.device and len(used) > 1 else ""
        lines += [f"{where}{line}" for line in missing(wanted, expected_driver, probe)]
    return tuple(lines)


def driver_matches(device: Device, text: str) -> bool:
    """Part of the driver's name, id or information, in any case."""
    known = (device.driver_name, device.driver_id, device.driver_info)
    return any(text.lower() in one.lower() for one in known)


def _needed(text: str, device: Device, probe: Probe) -> str | None:
    placed = device.placed
    features = {
        "placed": ("memoryMapPlaced", placed.memory_map_placed),
        "range-placed": ("memoryMapRangePlaced", placed.memory_map_range_placed),
        "reserve": ("memoryUnmapReserve", placed.memory_unmap_reserve),
    }
    if text in features and not features[text][1]:
        return f"{text}: the feature {features[text][0]} is missing"
    if text in _PROVED_BY:
        proofs = [proof for proof in probe.proofs if proof.by in _PROVED_BY[text]]
        if any(proof.status == "ok" for proof in proofs):
            return None
        if not proofs:
            return f"{text}: {_NEEDS[text]} is missing"
        return f"{text}: not proved: {'; '.join(proof.detail for proof in proofs)}"
    match = re.fullmatch(_API_REQUIREMENT, text)
    if match and device.version() < (int(match[1]), int(match[2])):
        return f"{text}: this device has {device.api_version}"
    return None

"""Saved documents for programs that follow figures over time: Prometheus, github-action-benchmark, Bencher, pyperf."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from vkmapctl.errors import UsageProblem
from vkmapctl.model.device import Device
from vkmapctl.model.documents import Run, VerifyReport
from vkmapctl.model.measured import Row
from vkmapctl.reports.columns import distributions

_QUANTILES = {"0.5": "p50_ns", "0.99": "p99_ns"}
Sample = tuple[str, Mapping[str, str], float]  # what follows the family's name, labels, value
Metric = tuple[str, str, str, str, Sequence[Sample]]  # name, type, unit, meaning


def to_openmetrics(document: Run | VerifyReport) -> bytes:
    """OpenMetrics text: seconds and bytes, two quantiles of each call. It is Prometheus' older text format too.

    https://prometheus.io/docs/specs/om/open_metrics_spec/
    """
    return openmetrics(_families(document))


def openmetrics(families: Iterable[Metric]) -> bytes:
    """OpenMetrics text of families, those without a sample left out."""
    lines = []
    for name, kind, unit, meaning, samples in families:
        full = f"vkmapctl_{name}"
        told = [f"# TYPE {full} {kind}", *([f"# UNIT {full} {unit}"] * bool(unit)), f"# HELP {full} {meaning}"]
        shown = [f"{full}{suffix}{_labels(labels)} {value:.10g}" for suffix, labels, value in samples]
        lines += [*told, *shown] if shown else []
    return "\n".join([*lines, "# EOF", ""]).encode()


def _families(document: Run | VerifyReport) -> Iterator[Metric]:
    began: list[Sample] = []
    with suppress(ValueError, OverflowError):  # a document may say anything, or nothing
        began.append(("", {}, datetime.fromisoformat(document.started).timestamp()))
    yield "start_timestamp_seconds", "gauge", "seconds", "When it began, since the epoch.", began
    yield "exit_code", "gauge", "", "What vkmapctl exited with: 0 is well.", [("", {}, document.exit_code)]
    devices: list[Sample] = [("", _about(one), 1) for one in document.devices]
    yield "device", "gauge", "", "The devices by their index, with driver and version.", devices
    if isinstance(document, VerifyReport):
        statuses = sorted({"pass", "fail", *(row.status for row in document.results)})
        yield (
            "checks",
            "gauge",
            "",
            "Checks by how they ended, on each memory type.",
            [
                ("", {"device": str(one.index), "status": status}, float(_count(document, one, status)))
                for one in document.devices
                for status in statuses
            ],
        )
        return
    rows = [({"device": str(row.device), "row": row.job}, row) for row in document.results]
    yield (
        "row_ok",
        "gauge",
        "",
        "Whether a row was measured to its end.",
        [("", labels, row.status == "ok") for labels, row in rows],
    )
    yield (
        "pair_seconds",
        "gauge",
        "seconds",
        "Mean time for a map and an unmap.",
        [("", labels, row.ns_per_pair * 1e-9) for labels, row in rows if row.ns_per_pair is not None],
    )
    yield (
        "call_seconds",
        "summary",
        "seconds",
        "Time of one call.",
        [sample for labels, row in rows for sample in _summaries(labels, row)],
    )
    yield (
        "touched_bytes_per_second",
        "gauge",
        "",
        "Bandwidth through the mapping.",
        [
            ("", {**labels, "by": by}, value)
            for labels, row in rows
            for by, value in (("write", row.touch_bytes_per_second.write), ("read", row.touch_bytes_per_second.read))
            if value is not None
        ],
    )


def _about(device: Device) -> dict[str, str]:
    driver = f"{device.driver_name} {device.driver_info}".strip()
    return {"device": str(device.index), "name": device.name, "driver": driver, "vulkan": device.api_version}


def _count(report: VerifyReport, device: Device, status: str) -> int:
    return sum(row.device == device.index and row.status == status for row in report.results)


def _summaries(labels: Mapping[str, str], row: Row) -> Iterator[Sample]:
    for call, _, latency in distributions(row):
        of = {**labels, "call": call}
        for quantile, key in _QUANTILES.items():
            value = getattr(latency, key)
            if value is not None:
                yield "", {**of, "quantile": quantile}, value * 1e-9
        if latency.mean_ns is not None:
            yield "_sum", of, latency.mean_ns * latency.count * 1e-9
            yield "_count", of, latency.count


def _labels(labels: Mapping[str, str]) -> str:
    escaped = {
        name: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for name, value in labels.items()
    }
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped.items()) + "}" if labels else ""


def to_github_benchmark(run: Run) -> bytes:
    """A list for github-action-benchmark's tool `customSmallerIsBetter`: times in ns, of a pair and each call's median.

    range: half of what lies between the fastest and the slowest round.
    https://github.com/benchmark-action/github-action-benchmark
    """
    devices = {one.index: f"{one.name}, {one.driver_name} {one.driver_info}".strip() for one in run.devices}
    entries = []
    for row in run.results:
        about = {"unit": "ns", "extra": devices[row.device]}
        rounds = row.rounds_ns_per_pair
        spread = {"range": f"± {(max(rounds) - min(rounds)) / 2:.3g}"} if rounds else {}
        if row.ns_per_pair is not None:
            entries.append({"name": f"{row.job}: per pair", "value": row.ns_per_pair, **about, **spread})
        if row.first_touch_ns_per_page is not None:
            entries.append({"name": f"{row.job}: per page", "value": row.first_touch_ns_per_page, **about})
        for _, call, latency in distributions(row):
            if latency.p50_ns is not None:
                entries.append({"name": f"{row.job}: {call} p50", "value": latency.p50_ns, **about})
    return _json(entries)


def to_bencher(run: Run) -> bytes:
    """Bencher Metric Format: its measures `latency`, in ns, and `throughput`, in pairs per second.

    The bounds of a pair's time are the fastest and the slowest round. https://bencher.dev/docs/reference/bencher-metric-format
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in run.results:
        rounds = row.rounds_ns_per_pair
        bounds = {"lower_value": min(rounds), "upper_value": max(rounds)} if rounds else {}
        if row.ns_per_pair is not None:
            found.setdefault(row.job, {})["latency"] = {"value": row.ns_per_pair, **bounds}
        if row.pairs_per_second is not None:
            found.setdefault(row.job, {})["throughput"] = {"value": row.pairs_per_second}
        for _, call, latency in distributions(row):
            if latency.p50_ns is not None:
                found[f"{row.job}: {call} p50"] = {"latency": {"value": latency.p50_ns}}
    return _json(found)


def to_pyperf(run: Run) -> bytes:
    """A suite of pyperf 1.0 JSON: of each row the rounds' mean times for a pair, in seconds.

    Raises UsageProblem for a run without rounds, of which pyperf reads no suite. https://pyperf.readthedocs.io
    """
    rows = [row for row in run.results if row.rounds_ns_per_pair]
    if not rows:
        raise UsageProblem("no row has rounds, which pyperf's values are made of")
    benchmarks = [
        {
            "metadata": {"name": row.job, "unit": "second"},
            "runs": [{"values": [ns * 1e-9 for ns in row.rounds_ns_per_pair]}],
        }
        for row in rows
    ]
    return _json({"version": "1.0", "benchmarks": benchmarks})


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"

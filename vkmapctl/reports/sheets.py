"""A saved run as CSV: a line for each row, for each round of a row, or for each bin of a histogram; and checks.

Units are in the names of the columns, a missing value is empty. Every line says when, on which device and driver, and
what was asked of its row, so that files of many runs can be put below each other.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from vkmapctl.model import bins
from vkmapctl.model.case import Case
from vkmapctl.model.documents import Run, VerifyReport
from vkmapctl.model.measured import TIMED, Row
from vkmapctl.model.recorded import RecordReport
from vkmapctl.reports.columns import FIGURES, distributions

_ASKED = tuple(name for name in Case.__struct_fields__ if name != "memory_flags")
_ABOUT = ("started", "device_name", "driver_name", "driver_info", "job", *_ASKED, "memory_flags")
_RATIOS = ("ratio_to_v1", "ratio_to_idle", "versus")  # each with its interval
_PARTS = (*(f"{name}_{end}" for name in _RATIOS for end in ("low", "high")), "minor_faults", "major_faults")
_COUNTS = ("seconds", "verified_bytes", "mismatches", "missed_cycles", "write_way")
_LATENCY_KEYS = ("count", "min_ns", "mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")
Line = Iterable[object]


def to_csv(run: Run) -> bytes:
    """A line for each row, every figure in its own column."""
    calls = [f"{call}_{key}" for call in TIMED for key in _LATENCY_KEYS]
    figures = (one.key for one in FIGURES)
    titles = [*_ABOUT, *figures, *_PARTS, *_COUNTS, *calls, "errors", "reason"]
    return sheet(titles, ([*about, *_figures(row)] for about, row in _rows(run)))


def to_csv_rounds(run: Run) -> bytes:
    """A line for each round of each row: its number from 0 on, and its mean time for a pair."""
    lines = (
        [*about, number, value] for about, row in _rows(run) for number, value in enumerate(row.rounds_ns_per_pair)
    )
    return sheet([*_ABOUT, "round", "ns_per_pair"], lines)


def to_csv_bins(run: Run) -> bytes:
    """A line for each bin that is not empty: `count` samples of at least low_ns and less than high_ns.

    The samples beyond the last bin have no high_ns.
    """
    lines = ([*about, *line] for about, row in _rows(run) for line in _bins(row))
    return sheet([*_ABOUT, "call", "low_ns", "high_ns", "count"], lines)


def _bins(row: Row) -> Iterator[Line]:
    for call, _, latency in distributions(row):
        for edge, count in latency.histogram.bins:
            yield call, edge, edge + bins.width(edge), count
        if latency.histogram.overflow:
            yield call, bins.HIGHEST, None, latency.histogram.overflow


def _rows(run: Run) -> Iterator[tuple[list[object], Row]]:
    """Each row with what _ABOUT says of it."""
    devices = {device.index: device for device in run.devices}
    for row in run.results:
        device = devices[row.device]
        of = (run.started, device.name, device.driver_name, device.driver_info)
        yield [*of, row.job, *(getattr(row, name) for name in _ASKED), " ".join(row.memory_flags)], row


def _figures(row: Row) -> Line:
    ratios = {one.key: one.value(row) or (None, None, None) for one in FIGURES if one.key in _RATIOS}
    yield from (ratios[one.key][0] if one.key in ratios else one.value(row) for one in FIGURES)
    yield from (end for name in _RATIOS for end in ratios[name][1:])
    yield from (row.page_faults.get("minor"), row.page_faults.get("major"))
    yield from (getattr(row, name) for name in _COUNTS)
    for latency in (row.latency(call) for call in TIMED):
        yield from (getattr(latency, key, None) for key in _LATENCY_KEYS)
    yield " ".join(f"{name}={n}" for name, n in row.errors.items())
    yield row.reason


_VERIFY_COLUMNS = (
    "device", "device_name", "driver_name", "driver_info", "driver_version", "check", "title", "level", "memory_type",
    "memory_flags", "status", "detail", "seconds", "rule", "breaks", "at_fault", "started",
)  # fmt: skip


def verify_csv(report: VerifyReport) -> bytes:
    """A line for each check and memory type, with its device and driver."""
    devices = {device.index: device for device in report.devices}
    lines = []
    for row in report.results:
        one = devices[row.device]
        cells = [row.device, one.name, one.driver_name, one.driver_info, one.driver_version, row.id, row.title]
        cells += [row.level, row.memory_type, " ".join(row.memory_flags), row.status, row.detail, row.seconds]
        lines.append([*cells, row.rule, row.breaks, " ".join(row.at_fault), report.started])
    return sheet(_VERIFY_COLUMNS, lines)


_RECORDED_COLUMNS = (
    "started", "program", "call", "count", "failed", "unreturned", "seconds", *_LATENCY_KEYS[1:], "at_floor", "errors",
)  # fmt: skip


def recording_csv(report: RecordReport) -> bytes:
    """A line for each call that was recorded."""
    lines = [
        [
            report.started, report.program.name, one.call, one.count, one.failed, one.unreturned, one.seconds,
            *(getattr(one.latency, key) for key in _LATENCY_KEYS[1:]), one.latency.at_floor,
            " ".join(f"{name}={n}" for name, n in one.errors.items()),
        ]
        for one in report.calls
    ]  # fmt: skip
    return sheet(_RECORDED_COLUMNS, lines)


def sheet(titles: Sequence[str], lines: Iterable[Line]) -> bytes:
    """CSV with a line of titles; None is an empty cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(titles)
    writer.writerows([_cell(value) for value in line] for line in lines)
    return out.getvalue().encode()


def _cell(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets a quote in front."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value

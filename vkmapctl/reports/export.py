"""A saved run in other formats: Markdown, CSV, JUnit. Each is a function from plain data to bytes."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence

from vkmapctl import units
from vkmapctl.errors import UsageProblem
from vkmapctl.figures.findings import findings, memory_label
from vkmapctl.model.documents import Run, VerifyReport
from vkmapctl.model.measured import Latency, Row
from vkmapctl.reports import junit, verification

_PERCENTILES = ("count", "min_ns", "mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")
_PLAIN = ("job", "part", "device", "api", "memory_type", "allocation_size", "offset", "map_size", "placed", "reserve",
          "touch", "threads", "live", "unmap_order", "rate", "steps", "together", "pairs", "seconds",
          "pairs_per_second", "ns_per_pair")  # fmt: skip
_KINDS = {"ok": "passed", "unsupported": "skipped", "not-run": "skipped", "failed": "failure"}


def to_csv(run: Run) -> bytes:
    """A line for each row, every figure in its own column; units are in the names, a missing value is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    calls = [f"{call}_{name}" for call in ("map", "unmap", "response") for name in _PERCENTILES]
    writer.writerow(
        [*_PLAIN, "memory_flags", *calls, "write_bytes_per_second", "read_bytes_per_second", "minor_faults",
         "major_faults", "verified_bytes", "mismatches", "errors", "status", "reason"]
    )  # fmt: skip
    for row in run.results:
        writer.writerow([_csv_cell(value) for value in _csv_row(row)])
    return out.getvalue().encode()


def _csv_row(row: Row) -> Iterable[object]:
    yield from (getattr(row, name) for name in _PLAIN)
    yield " ".join(row.memory_flags)
    for latency in (row.map, row.unmap, row.response):
        yield from (getattr(latency, name, None) for name in _PERCENTILES)
    yield from (row.touch_bytes_per_second.write, row.touch_bytes_per_second.read)
    yield from (row.page_faults.get("minor"), row.page_faults.get("major"))
    yield from (row.verified_bytes, row.mismatches, " ".join(f"{name}={n}" for name, n in row.errors.items()))
    yield from (row.status, row.reason)


def _csv_cell(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets a quote in front."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def to_markdown(run: Run) -> bytes:
    """Machine, tables and findings, for an issue or a merge request."""
    lines = ["# vkmapctl stress", ""]
    for device in run.devices:
        emulated = ", placed maps emulated by vkmapctl's test layer" if device.placed.emulated else ""
        lines.append(
            f"- {_md(device.name)}: driver {_md(device.driver_name)} {_md(device.driver_info)}, "
            f"Vulkan {device.api_version}{emulated}"
        )
    lines.append(f"- {_md(str(run.host.get('cpu_model')))}, kernel {_md(str(run.host.get('kernel')))}; {run.started}")
    lines += ["", *_md_table(_THROUGHPUT, run.results), "", *_md_table(_LATENCY, _calls(run.results)), ""]
    lines += [f"- {_md(line)}" for line in findings(run.results)]
    lines += [f"- **{row.status}**: {_md(f'{row.job}, {row.api}: {row.reason}')}" for row in run.results if row.reason]
    lines += [f"- warning [{note.code}] {_md(note.message)}" for note in run.warnings]
    lines += ["", f"Outcome: **{run.outcome}** (exit code {run.exit_code})", ""]
    return "\n".join(lines).encode()


Cells = Sequence[tuple[str, Callable[[Row], str]]]


def _shown(show: Callable[[float], str], value: float | None) -> str:
    return "-" if value is None else show(value)


_THROUGHPUT: Cells = (
    ("job", lambda row: row.job),
    ("memory type", memory_label),
    ("api", lambda row: row.api),
    ("pairs/s", lambda row: _shown(units.count, row.pairs_per_second)),
    ("per pair", lambda row: _shown(units.duration, row.ns_per_pair)),
    ("write", lambda row: _shown(units.bandwidth, row.touch_bytes_per_second.write)),
    ("read", lambda row: _shown(units.bandwidth, row.touch_bytes_per_second.read)),
    ("status", lambda row: row.status),
)


def _calls(rows: Iterable[Row]) -> list[tuple[Row, str, Latency]]:
    return [
        (row, name, latency)
        for row in rows
        for name, latency in (("map", row.map), ("unmap", row.unmap), ("from due", row.response))
        if latency
    ]


_LATENCY = ("job", "api", "call", "samples", "min", "p50", "p90", "p99", "p99.9", "max")


def _md_table(what: object, rows: Sequence[object]) -> list[str]:
    if what is _LATENCY:
        titles: Sequence[str] = _LATENCY
        body = [_latency_cells(*entry) for entry in rows]  # type: ignore[misc]
        words = 3
    else:
        titles = [title for title, _ in _THROUGHPUT]
        body = [[value(row) for _, value in _THROUGHPUT] for row in rows]  # type: ignore[arg-type]
        words = 3
    rule = ["---"] * words + ["---:"] * (len(titles) - words)
    return [f"| {' | '.join(map(_md, line))} |" if line is not rule else f"| {' | '.join(rule)} |"
            for line in (titles, rule, *body)]  # fmt: skip


def _latency_cells(row: Row, call: str, latency: Latency) -> list[str]:
    values = (latency.min_ns, latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p999_ns, latency.max_ns)
    return [row.job, row.api, call, units.count(latency.count), *(_shown(units.duration, one) for one in values)]


def _md(text: str) -> str:
    """Text that cannot end a cell or start markup."""
    for char in "\\|<>*_`[]":
        text = text.replace(char, f"\\{char}")
    return text.replace("\n", " ")


def to_junit(run: Run) -> bytes:
    """A case for each row, and one for each threshold that was missed."""
    names = {device.index: device.name for device in run.devices}
    cases = [
        junit.Case(
            suite=f"vkmapctl stress: {names.get(row.device, row.device)}",
            name=f"{row.job}, {row.api}" + (f", {row.together} devices at once" if row.together > 1 else ""),
            kind=_KINDS.get(row.status, "error"),
            text=row.reason,
            output=_junit_text(row),
            seconds=row.seconds,
        )
        for row in run.results
    ]
    cases += [
        junit.Case("vkmapctl stress: thresholds", note.message.partition(": ")[0], "failure", note.message)
        for note in run.warnings
        if note.code == "threshold"
    ]
    if not cases:
        cases = [junit.Case("vkmapctl stress", "run", "error", f"outcome {run.outcome}, no row was measured")]
    return junit.document("vkmapctl stress", cases)


def _junit_text(row: Row) -> str:
    parts = [f"pairs/s {_shown(units.count, row.pairs_per_second)}"]
    for _, call, latency in _calls([row]):
        middle, tail = _shown(units.duration, latency.p50_ns), _shown(units.duration, latency.p99_ns)
        parts.append(f"{call} p50 {middle}, p99 {tail}")
    return "; ".join(parts)


def verify_junit(report: VerifyReport) -> bytes:
    """Skips carry their reasons; a quality finding passes and says what it saw."""
    names = {device.index: device.name for device in report.devices}
    cases = [
        junit.Case(
            suite=f"vkmapctl verify: {names[row.device]}",
            name=f"{row.id} {row.title}" + ("" if row.memory_type is None else f" [{verification.memory_label(row)}]"),
            kind=verification.KINDS[row.status],
            text=row.detail,
            output=f"rule: {row.rule}\n{row.status}: {row.detail}".rstrip(": "),
            seconds=row.seconds,
        )
        for row in report.results
    ]
    return junit.document("vkmapctl verify", cases)


def export(document: object, wanted: str) -> bytes:
    """A saved document as `md`, `csv`, `junit` or `html`. Raises UsageProblem for one that has no such form."""
    if isinstance(document, VerifyReport) and wanted == "junit":
        return verify_junit(document)
    if not isinstance(document, Run):
        raise UsageProblem(f"only stress runs export to {wanted}", "report show prints any saved document")
    if wanted == "html":
        from vkmapctl.reports.html import to_html

        return to_html(document)
    return {"md": to_markdown, "csv": to_csv, "junit": to_junit}[wanted](document)

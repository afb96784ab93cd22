"""A saved run in other formats: Markdown, CSV. Each is a function from plain data to bytes."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from vkmapctl.figures.answers import answer
from vkmapctl.figures.findings import findings
from vkmapctl.model.case import Case
from vkmapctl.model.documents import Run, VerifyReport
from vkmapctl.model.measured import TIMED, Row
from vkmapctl.reports import columns
from vkmapctl.reports.columns import FIGURES, FLOOR_MARK, PERCENTILES
from vkmapctl.reports.common import command_text, machine_text

_ASKED = tuple(name for name in Case.__struct_fields__ if name != "memory_flags")
_RATIOS = ("ratio_to_v1", "ratio_to_idle", "versus")  # each with its interval
_PARTS = (*(f"{name}_{end}" for name in _RATIOS for end in ("low", "high")), "minor_faults", "major_faults")
_COUNTS = ("seconds", "verified_bytes", "mismatches", "missed_cycles", "write_way")


def to_csv(run: Run) -> bytes:
    """A line for each row, every figure in its own column; units are in the names, a missing value is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    calls = [f"{call}_{key}" for call in TIMED for key in _LATENCY_KEYS]
    figures = (one.key for one in FIGURES)
    writer.writerow(["job", *_ASKED, "memory_flags", *figures, *_PARTS, *_COUNTS, *calls, "errors", "reason"])
    for row in run.results:
        writer.writerow([_csv_cell(value) for value in _csv_row(row)])
    return out.getvalue().encode()


_LATENCY_KEYS = ("count", "min_ns", "mean_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns")


def _csv_row(row: Row) -> Iterable[object]:
    yield row.job
    yield from (getattr(row, name) for name in _ASKED)
    yield " ".join(row.memory_flags)
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
    """A line for each check and memory type, with its device and driver; a missing value is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    devices = {device.index: device for device in report.devices}
    writer.writerow(_VERIFY_COLUMNS)
    for row in report.results:
        one = devices[row.device]
        cells = [row.device, one.name, one.driver_name, one.driver_info, one.driver_version, row.id, row.title]
        cells += [row.level, row.memory_type, " ".join(row.memory_flags), row.status, row.detail, row.seconds]
        cells += [row.rule, row.breaks, " ".join(row.at_fault), report.started]
        writer.writerow([_csv_cell(value) for value in cells])
    return out.getvalue().encode()


def _csv_cell(value: object) -> object:
    """Text that a spreadsheet would take for a formula gets a quote in front."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def to_markdown(run: Run) -> bytes:
    """Machine, tables and findings, for an issue or a merge request."""
    lines = ["# vkmapctl stress", ""]
    answered = answer(run)
    if answered:
        lines += [f"{md(run.workload.question)} **{md(answered)}**", ""]
    for device in run.devices:
        emulated = ", placed maps emulated by vkmapctl's test layer" if device.placed.emulated else ""
        lines.append(
            f"- {md(device.name)}: driver {md(device.driver_name)} {md(device.driver_info)}, "
            f"Vulkan {md(device.api_version)}{emulated}"
        )
    lines.append(f"- {md(machine_text(run.host))}; {md(run.started)}")
    command = command_text(run.tool)
    lines += [f"- {md_code(command)}"] * bool(command)
    lines += ["", *_tables(run), ""] if run.results else [""]
    lines += [f"- {md(line)}" for line in findings(run.results)]
    lines += [f"- **{row.status}**: {md(f'{row.job}: {row.reason}')}" for row in run.results if row.reason]
    lines += [f"- warning {md(f'[{note.code}] {note.message}')}" for note in run.warnings]
    lines += ["", f"Outcome: **{run.outcome}** (exit code {run.exit_code})", ""]
    return "\n".join(lines).encode()


def _tables(run: Run) -> Iterable[str]:
    """Throughput and latency; a row is called by its label in both, and described by what all rows share above."""
    _, shared = columns.aspects(run.results)
    apis = {row.api for row in run.results}
    yield md(f"All rows: {', '.join([shared] * bool(shared) + [f'api {row}' for row in apis] * (len(apis) == 1))}.")
    yield ""
    shown = columns.figures(run.results)
    body = [[row.job, *(one.text(row) for one in shown)] for row in run.results]
    yield from md_table(["row", *(one.title for one in shown)], body, words=1)
    yield ""
    calls = [
        [row.job, title, *columns.percentiles(latency)]
        for row in run.results
        for _, title, latency in columns.distributions(row)
    ]
    yield from md_table(["row", "call", *(one.title for one in PERCENTILES)], calls, words=2)
    if any(cell.startswith(FLOOR_MARK) for line in calls for cell in line):
        yield ""
        yield f"`{FLOOR_MARK}`: not clear of the floor, less than twice a call that does nothing."


def md_table(titles: Sequence[str], body: Sequence[Sequence[str]], *, words: int) -> Iterable[str]:
    """A table in Markdown. words: how many columns at the left are text; the others are figures."""
    yield f"| {' | '.join(map(md, titles))} |"
    yield f"| {' | '.join(['---'] * words + ['---:'] * (len(titles) - words))} |"
    for line in body:
        yield f"| {' | '.join(map(md, line))} |"


def md(text: str) -> str:
    """Text that cannot end a cell or start markup, nor grow a link out of an address."""
    for char in "\\|<>*_`[]":
        text = text.replace(char, f"\\{char}")
    return text.replace("://", ":\\//").replace("www.", "www\\.").replace("\n", " ")


def md_code(text: str) -> str:
    """Text as it stands, to be copied: between more backquotes than it has in a row."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    blank = " " if "`" in text else ""
    return f"{fence}{blank}{' '.join(text.splitlines())}{blank}{fence}"

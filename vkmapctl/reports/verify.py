"""Verify and selftest reports to tables. Knows no driver, no C and no files."""

from collections.abc import Iterable, Sequence

from vkmapctl.model.documents import CheckRow, SelftestReport, VerifyReport
from vkmapctl.reports.common import KINDS, check_label, device_head, notes_view, status_text
from vkmapctl.reports.elements import Element, Text, table
from vkmapctl.units import NONE


def verify_view(report: VerifyReport) -> Iterable[Element]:
    """One row for each check and memory type, then the count of each verdict."""
    if report.layers:
        yield Text(f"active layers: {', '.join(report.layers)}")
    for device in report.devices:
        yield from device_head(device, report.loader)
        rows = [row for row in report.results if row.device == device.index]
        checks = table("check", "what it tests", "memory type", "verdict", "seen", numeric_from=99)
        for row in rows:
            checks.add(row.id, row.title, check_label(row), status_text(row.status), row.detail)
        yield Text("")
        yield checks
        counts = {status: sum(row.status == status for row in rows) for status in KINDS}
        yield Text("\n" + ", ".join(f"{count} {status}" for status, count in counts.items() if count))
    broken = [row for row in report.results if KINDS[row.status] in ("failure", "error")]
    for row in broken:
        yield Text.of(status_text(row.status), f": {row.id} on {check_label(row)}: rule: {row.rule}")
    yield from notes_view(report.warnings)
    yield Text.of("\n", status_text(report.outcome), f" (exit code {report.exit_code})")


def check_line(row: CheckRow) -> str:
    """A finished check in one line, for progress without a terminal."""
    return f"{row.id} {check_label(row)}: {row.status}{': ' + row.detail if row.detail else ''}"


def catalogue_view(rows: Sequence[tuple[str, str, str, str, str]]) -> Iterable[Element]:
    """Checks as (id, level, needs, title, rule)."""
    listing = table("check", "level", "needs", "what it tests", "rule", numeric_from=99)
    for row in rows:
        listing.add(*row)
    yield listing


def selftest_view(report: SelftestReport) -> Iterable[Element]:
    """Fault, what should notice it, whether it did, and how."""
    if report.layers:
        yield Text(f"active layers: {', '.join(report.layers)}")
    yield from device_head(report.device, report.loader)
    listing = table("fault", "injected", "caught by", "caught", "how", numeric_from=99)
    for trial in report.trials:
        caught = {True: Text("yes", style="green"), False: Text("NO", style="bold red"), None: Text(NONE)}
        listing.add(trial.fault, trial.description, trial.by or NONE, caught[trial.caught], trial.how)
    yield Text("")
    yield listing
    for line in report.baseline:
        yield Text.of(("without any fault", "bold red"), f": {line}")
    missed = [trial.fault for trial in report.trials if trial.caught is False]
    count = len({trial.fault for trial in report.trials})
    yield Text(f"\n{count} faults, {len(missed)} uncaught" + (f": {', '.join(missed)}" if missed else ""))
    yield Text.of(status_text(report.outcome), f" (exit code {report.exit_code})")

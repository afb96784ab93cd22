"""A verify report: what is broken first, what that means, and every row only where it is asked for."""

from collections.abc import Iterable, Sequence

from vkmapctl.figures.checked import Finding, Left, Seen, Summary, plural, summaries
from vkmapctl.model.documents import CheckRow, VerifyReport
from vkmapctl.reports import page as pages
from vkmapctl.reports.common import KINDS, check_label, flags_text
from vkmapctl.reports.elements import Block, Element, Text
from vkmapctl.reports.page import Entry, Headline, Page, Part, Section, Sheet

MOST_NAMED = 3  # checks that were left out for one reason, by name; more are counted
_DEATHS = {  # what it means where a check did not come to its end
    "crashed": "A program that does the same dies with the driver.",
    "hung": "A program that does the same never goes on.",
    "lost": "A program that does the same loses its device, and all that is on it.",
    "out-of-memory": "",
}


def verify_view(report: VerifyReport, *, verbose: bool = False) -> Iterable[Element]:
    """The headline, what broke, what was left out and why; every row where `verbose`."""
    yield from pages.page_view(verify_page(report), verbose=verbose)


def verify_page(report: VerifyReport) -> Page:
    """A part for each device."""
    found = summaries(report)
    headlines = [Headline(one.headline, one.good) for one in found]
    if not found:
        headlines = [Headline(f"nothing was checked: {report.reason or report.outcome}", False)]
    return Page(
        title=f"vkmapctl verify: {', '.join(one.device.name for one in found)}".rstrip(": "),
        headlines=headlines,
        parts=[_part(one, report) for one in found],
        legend=flags_text(flag for row in report.results for flag in row.memory_flags),
        notes=report.warnings,
        outcome=report.outcome,
        exit_code=report.exit_code,
        facts=pages.facts(report),
    )


def _part(one: Summary, report: VerifyReport) -> Part:
    sections = [
        Section(title, [_entry(finding) for finding in findings])
        for title, findings in one.chapters.items()
        if findings
    ]
    if one.left:
        sections.append(Section("Left out", lines=[_left_text(left) for left in one.left]))
    counts = {status: sum(row.status == status for row in one.rows) for status in KINDS}
    counted = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    sections.append(Section("Passed", lines=[plural(len(one.passes), "check")]))
    return Part(
        title=pages.device_title(one.device),
        about=pages.device_about(one.device, report),
        sections=sections,
        details=[_rows(f"{plural(len(one.rows), 'row')}: {counted}", one.rows)] if one.rows else [],
    )


def _entry(finding: Finding) -> Entry:
    first, status = finding.first, finding.seen[0].status
    facts = [(_where(seen), _detail(seen, status)) for seen in finding.seen]
    breaks = _DEATHS.get(status, first.breaks)
    if KINDS[status] in ("failure", "error"):
        facts = [("breaks", breaks)] * bool(breaks) + facts + [("rule", first.rule)]
    elif status == "quality" and first.breaks:
        facts = [("means", first.breaks), *facts]
    return Entry(status, f"{first.id}  {first.title}", facts)


def _where(seen: Seen) -> str:
    return f"on {', '.join(seen.types)}" if seen.types else "on every memory type"


def _detail(seen: Seen, status: str) -> str:
    """What was seen, behind its own status where that is not the entry's."""
    return ": ".join([seen.status] * (seen.status != status or not seen.detail) + [seen.detail] * bool(seen.detail))


def _left_text(left: Left) -> str:
    """`11 checks skipped: memoryMapPlaced is missing`."""
    few = len(left.checks) <= MOST_NAMED
    names = ", ".join(left.checks) if few else plural(len(left.checks), "check")
    types = f" on {', '.join(left.types)}" if left.types else ""
    return f"{names} {'skipped' if left.status == 'skip' else 'not run'}{types}: {left.reason}"


def _rows(title: str, rows: Sequence[CheckRow]) -> Sheet:
    titles = ["check", "what it tests", "memory type", "verdict", "seen"]
    return Sheet(
        title, titles, [[row.id, row.title, check_label(row), row.status, row.detail] for row in rows], len(titles)
    )


def catalogue_view(rows: Sequence[tuple[str, str, str, str, str, str]]) -> Iterable[Element]:
    """Checks as (id, level, needs, title, rule, breaks)."""
    for identifier, level, needs, title, rule, breaks in rows:
        yield Text.of((identifier, "bold"), f"  {title}")
        yield Block(Text(f"{level}{f', needs {needs}' if needs else ''}; rule: {rule}"))
        yield Block(Text.of(("breaks: ", "dim"), breaks))

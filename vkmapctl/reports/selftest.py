"""A selftest: faults that went unnoticed first, then what could not be tried here, then the others."""

from collections.abc import Iterable

from vkmapctl.figures.checked import plural
from vkmapctl.model.documents import SelftestReport, Trial
from vkmapctl.reports import page as pages
from vkmapctl.reports.elements import Element
from vkmapctl.reports.page import Entry, Headline, Page, Part, Section, Sheet
from vkmapctl.units import NONE


def selftest_view(report: SelftestReport, *, verbose: bool = False) -> Iterable[Element]:
    """The headline, what went unnoticed, what was not tried; every trial where `verbose`."""
    yield from pages.page_view(selftest_page(report), verbose=verbose)


def selftest_page(report: SelftestReport) -> Page:
    """One device, and every fault on it."""
    sections = []
    if report.baseline:
        sections.append(Section("Reported without any fault", lines=report.baseline))
    missed = [trial for trial in report.trials if trial.caught is False]
    if missed:
        sections.append(Section("Not noticed", [_entry(trial) for trial in missed]))
    reasons: dict[str, list[str]] = {}
    for trial in report.trials:
        if trial.caught is None:
            reasons.setdefault(trial.how, []).append(trial.fault)
    if reasons:
        lines = [f"{', '.join(dict.fromkeys(faults))}: {reason}" for reason, faults in reasons.items()]
        sections.append(Section("Not to be had here", lines=lines))
    caught = {trial.fault for trial in report.trials if trial.caught} - {trial.fault for trial in missed}
    sections.append(Section("Noticed", lines=[f"{plural(len(caught), 'fault')}, by every check that should"]))
    titles = ["fault", "injected", "caught by", "caught", "how"]
    words = {True: "yes", False: "NO", None: NONE}
    rows = [[one.fault, one.description, one.by or NONE, words[one.caught], one.how] for one in report.trials]
    return Page(
        title=f"vkmapctl selftest: {report.device.name}",
        headlines=[_headline(report, {trial.fault for trial in missed}, len(caught))],
        parts=[
            Part(
                title=pages.device_title(report.device),
                about=pages.device_about(report.device, report),
                sections=sections,
                details=[Sheet(plural(len(rows), "trial"), titles, rows, len(titles))] if rows else [],
            )
        ],
        notes=report.warnings,
        outcome=report.outcome,
        exit_code=report.exit_code,
        facts=pages.facts(report),
    )


def _headline(report: SelftestReport, missed: set[str], caught: int) -> Headline:
    tried = caught + len(missed)
    if missed:
        names = ", ".join(fault for fault in dict.fromkeys(one.fault for one in report.trials) if fault in missed)
        return Headline(f"{len(missed)} of {plural(tried, 'injected fault')} went unnoticed: {names}", False)
    if report.baseline:
        return Headline(f"{plural(len(report.baseline), 'failure')} reported without any fault", False)
    if report.outcome != "ok":
        why = f": {report.reason}" if report.reason else ""
        return Headline(f"the selftest is {report.outcome} after {plural(tried, 'fault')}{why}", False)
    return Headline(f"every injected fault is noticed: {caught} of {tried}", True)


def _entry(trial: Trial) -> Entry:
    facts = [("injected", trial.description), ("should notice", trial.by or NONE), ("seen", trial.how or NONE)]
    return Entry("unnoticed", trial.fault, facts)

"""A doctor's answers on one screen of 80 columns, and as Markdown for a bug report."""

import textwrap
from collections.abc import Iterable

from vkmapctl.model.documents import DoctorReport
from vkmapctl.reports import page as pages
from vkmapctl.reports.common import flags_text, machine_text, notes_view, status_text
from vkmapctl.reports.elements import Element, Fitted, Text
from vkmapctl.reports.page import Headline, Page, Part, Section, Sheet

_ABOUT, _VERDICT = 24, 5
_STYLES = {"yes": "green", "no": "yellow", "-": ""}


def doctor_view(report: DoctorReport) -> Iterable[Element]:
    """What was found, every answer, and what to type next."""
    yield from _heads(report)
    for one in report.devices:
        if one.device is None:
            yield Text.of("broken driver: ", status_text(one.status), f": {one.reason}")
    yield Text("")
    yield Fitted(lambda width: _answers(report, width), len(report.answers))
    if report.next:
        yield Text("")
        yield Text(f"{'next':{_ABOUT}}{'; '.join(report.next)}")
    yield from notes_view([note for note in report.warnings if note.code != "loader-said"])
    yield Text.of("\n", status_text(report.outcome), f" (exit code {report.exit_code})")


def _heads(report: DoctorReport) -> Iterable[Text]:
    for one in report.devices:
        if one.device:
            mark = "*" if one.device.index == report.device else " "
            yield Text(
                f"{mark} device {one.device.index}: {one.device.name}, {one.device.type}", style="bold" * (mark == "*")
            )
            yield Text(f"    {one.device.driver_name} {one.device.driver_info}, Vulkan {one.device.api_version}")
    host = report.host
    where = f", in {host['container']}" if host.get("container") else ""
    yield Text(f"  loader {report.loader or '-'}, {machine_text(host)}{where}")


def _answers(report: DoctorReport, width: int) -> Iterable[Text]:
    room = max(min(width, 120) - _ABOUT - _VERDICT, 20)
    for answer in report.answers:
        first, *more = textwrap.wrap(answer.text, room) or [""]
        verdict = "" if answer.verdict == "-" else answer.verdict
        yield Text.of(f"{answer.about:{_ABOUT}}", (f"{verdict:{_VERDICT}}", _STYLES[answer.verdict]), first)
        for line in more:
            yield Text(" " * (_ABOUT + _VERDICT) + line)
    for line in textwrap.wrap(_legend(report), room):
        yield Text(" " * (_ABOUT + _VERDICT) + line, style="dim")


def doctor_page(report: DoctorReport) -> Page:
    """The same for HTML."""
    rows = [[one.about, "" if one.verdict == "-" else one.verdict, one.text, one.see] for one in report.answers]
    broken = [f"broken driver: {one.status}: {one.reason}" for one in report.devices if one.device is None]
    about = [part.plain.strip() for part in _heads(report)] + broken
    works = next((one for one in report.answers if one.verdict != "-"), None)
    said = f"{works.about}: {works.verdict}, {works.text}" if works else f"{report.reason or report.outcome}"
    return Page(
        title="vkmapctl doctor",
        headlines=[Headline(said, report.outcome == "ok")],
        parts=[
            Part(
                "What was found",
                about,
                sheets=[Sheet("Answers", ["question", "answer", "why", "page"], rows, 4)] if rows else [],
            ),
            *([Part("Next", sections=[Section("Type", lines=report.next)])] if report.next else []),
        ],
        notes=report.warnings,
        outcome=report.outcome,
        exit_code=report.exit_code,
        facts=pages.facts(report),
        legend=_legend(report),
    )


def _legend(report: DoctorReport) -> str:
    """Of the flags in the answers."""
    types = [one for probe in report.devices if probe.device for one in probe.device.memory_types]
    shown = [one for one in types if any(one.label in answer.text for answer in report.answers)]
    return flags_text(flag for one in shown for flag in one.flags)


def doctor_markdown(report: DoctorReport) -> bytes:
    """For a bug report: the same answers, each with the page that explains it."""
    from vkmapctl.reports.export import md

    lines = ["### vkmapctl doctor", ""]
    lines += [f"- {md(part.plain.strip())}" for part in _heads(report)]
    lines += [
        f"- layers: {md(', '.join(report.layers) or 'none')}",
        f"- vkmapctl {report.tool.version}, {report.started}",
        "",
    ]
    lines += ["| question | answer | why | page |", "| --- | --- | --- | --- |"]
    for answer in report.answers:
        verdict = "" if answer.verdict == "-" else answer.verdict
        lines.append(f"| {md(answer.about)} | {verdict} | {md(answer.text)} | {answer.see} |")
    lines += ["", *(f"- {note.code}: {md(note.message)}" for note in report.warnings)]
    lines += [f"- broken driver: {md(one.reason)}" for one in report.devices if one.device is None]
    lines += ["", f"Outcome: **{report.outcome}** (exit code {report.exit_code})", ""]
    return "\n".join(lines).encode()

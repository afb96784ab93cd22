"""What verify, selftest, probe and doctor have to say, most important first: as text, Markdown and HTML."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vkmapctl.model.base import Note
from vkmapctl.model.device import Device
from vkmapctl.model.documents import Document
from vkmapctl.reports.common import command_text, machine_text, notes_view, status_text
from vkmapctl.reports.elements import Block, Column, Element, Table, Text

_GOOD, _BAD = "bold green", "bold red"


class Sheet(NamedTuple):
    """A table of text: `words` columns to the left are text, the others figures."""

    title: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int


class Headline(NamedTuple):
    """What a reader in a hurry needs, in one sentence. good: whether it is good news."""

    text: str
    good: bool


class Entry(NamedTuple):
    """One thing with its status, and below it what there is to say of it: what it is, and the text."""

    status: str
    title: str
    facts: Sequence[tuple[str, str]]


class Section(NamedTuple):
    """Entries and lines under a title."""

    title: str
    entries: Sequence[Entry] = ()
    lines: Sequence[str] = ()


class Part(NamedTuple):
    """A device, or whatever else there are several of. details: tables that text shows only where it is asked to."""

    title: str
    about: Sequence[str] = ()
    sections: Sequence[Section] = ()
    sheets: Sequence[Sheet] = ()
    details: Sequence[Sheet] = ()


class Page(NamedTuple):
    """A whole document. facts: about the machine and the run. legend: what flags of memory types mean."""

    title: str
    headlines: Sequence[Headline]
    parts: Sequence[Part]
    notes: Sequence[Note]
    outcome: str
    exit_code: int
    facts: Sequence[tuple[str, str]]
    legend: str = ""


def device_about(device: Device, document: Document) -> list[str]:
    """Driver, Vulkan and loader, the layers on the way, and whether placed maps are the driver's own."""
    loader = f", loader {document.loader}" if document.loader else ""
    lines = [f"driver {device.driver_name} {device.driver_info}, Vulkan {device.api_version}{loader}"]
    lines += [f"active layers: {', '.join(document.layers)}"] * bool(document.layers)
    return lines + ["emulated: placed maps and reserve come from vkmapctl's test layer"] * device.placed.emulated


def device_title(device: Device) -> str:
    """`NVIDIA H100 [device 0, discrete]`."""
    return f"{device.name}  [device {device.index}, {device.type}]"


def facts(document: Document) -> list[tuple[str, str]]:
    """The run and its machine, as far as a document tells them."""
    found: list[tuple[str, object]] = [
        ("machine", machine_text(document.host)),
        ("injected fault", document.injected),
        ("started", document.started),
        ("vkmapctl", document.tool.version),
        ("command", command_text(document.tool)),
    ]
    return [(name, str(value)) for name, value in found if value]


def sheet_of(title: str, made: Table) -> Sheet:
    """A table of a view as one of a page."""
    rows = [[cell.plain if isinstance(cell, Text) else cell for cell in row.cells] for row in made.rows]
    return Sheet(
        title,
        [column.header.strip() for column in made.columns] if made.has_header else ["fact", "value"],
        [[cell.strip() for cell in row] for row in rows],
        sum(not column.right for column in made.columns),
    )


def page_view(page: Page, *, verbose: bool) -> Iterable[Element]:
    """As text: the headlines first, the details only where `verbose`."""
    for one in page.headlines:
        yield Text(one.text, style=_GOOD if one.good else _BAD)
    for part in page.parts:
        yield Text(f"\n{part.title}", style="bold")
        for line in part.about:
            yield Block(Text(line, style="yellow" * line.startswith("emulated")))
        for section in part.sections:
            yield from _section_view(section)
        for sheet in part.details:
            if verbose:
                yield Text(f"\n{sheet.title}", style="bold")
                yield Block(_table(sheet))
            else:
                yield Block(Text(f"{sheet.title} (all of them: --verbose)", style="dim"))
    if page.legend:
        yield Block(Text(page.legend, style="dim"))
    yield from notes_view(page.notes)
    yield Text.of("\n", status_text(page.outcome), f" (exit code {page.exit_code})")


def _section_view(section: Section) -> Iterable[Element]:
    yield Text(f"\n{section.title}", style="bold")
    for entry in section.entries:
        yield Block(Text.of(status_text(entry.status), f"  {entry.title}"))
        for what, text in entry.facts:
            yield Block(Text.of((f"{what}: ", "dim"), text), indent=6)
    for line in section.lines:
        yield Block(Text(line))


def _table(sheet: Sheet) -> Table:
    made = Table(Column(title, right=i >= sheet.words) for i, title in enumerate(sheet.titles))
    status = next((i for i, title in enumerate(sheet.titles) if title == "verdict"), None)
    for row in sheet.rows:
        made.add(*(status_text(cell) if i == status else cell for i, cell in enumerate(row)))
    return made


def page_markdown(page: Page) -> bytes:
    """For an issue or a merge request; the details fold."""
    from vkmapctl.reports.export import md, md_table

    lines = [f"# {md(page.title)}", ""]
    lines += [line for one in page.headlines for line in (f"**{md(one.text)}**", "")]
    for part in page.parts:
        lines += [f"## {md(part.title)}", "", *(f"- {md(line)}" for line in part.about), ""]
        for section in part.sections:
            lines += [f"### {md(section.title)}", ""]
            for entry in section.entries:
                lines.append(f"- **{md(entry.status)}** {md(entry.title)}")
                lines += [f"  - {md(what)}: {md(text)}" for what, text in entry.facts]
            lines += [f"- {md(line)}" for line in section.lines]
            lines.append("")
        for sheet in part.sheets:
            lines += [f"### {md(sheet.title)}", "", *md_table(sheet.titles, sheet.rows, words=sheet.words), ""]
        for sheet in part.details:
            lines += [f"<details><summary>{md(sheet.title)}</summary>", ""]
            lines += [*md_table(sheet.titles, sheet.rows, words=sheet.words), "", "</details>", ""]
    lines += [md(page.legend), ""] * bool(page.legend)
    lines += [f"- warning {md(f'[{note.code}] {note.message}')}" for note in page.notes]
    lines += [f"- {md(name)}: {md(value)}" for name, value in page.facts]
    lines += ["", f"Outcome: **{page.outcome}** (exit code {page.exit_code})", ""]
    return "\n".join(lines).encode()


def page_html(page: Page) -> bytes:
    """One file that needs nothing else."""
    from vkmapctl.reports.html import rendered

    return rendered("page.html", page=page, title=page.title)

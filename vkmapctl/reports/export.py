"""A saved run as Markdown."""

import re
from collections.abc import Iterable, Sequence

from vkmapctl.figures.answers import answer
from vkmapctl.figures.findings import findings
from vkmapctl.model.documents import Run
from vkmapctl.reports import columns
from vkmapctl.reports.columns import FLOOR_MARK, FLOOR_WORDS, PERCENTILES
from vkmapctl.reports.common import command_text, machine_text, side_lines
from vkmapctl.reports.page import sheet_of
from vkmapctl.reports.replays import TITLE, replays_table


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
    lines += [f"- {md('; '.join(side_lines(run.versus)))}"] if run.versus else []
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
    replays = sheet_of(TITLE, replays_table(run.results))
    if replays.rows:
        yield ""
        yield from md_table(replays.titles, replays.rows, words=replays.words)
    if any(cell.startswith(FLOOR_MARK) for line in calls for cell in line):
        yield ""
        yield f"`{FLOOR_MARK}`: not clear of the floor, {FLOOR_WORDS}."


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

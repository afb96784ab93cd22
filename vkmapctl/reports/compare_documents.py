"""Comparisons of verify runs and of probes as text: what newly fails first."""

from collections.abc import Iterable, Sequence

from vkmapctl.figures.checked import plural
from vkmapctl.figures.compare_documents import KINDS, Change, Compared, DocumentsReport
from vkmapctl.reports.common import status_text
from vkmapctl.reports.elements import Block, Element, Text, table
from vkmapctl.units import NONE


def documents_view(report: DocumentsReport) -> Iterable[Element]:
    """For each file that BASE is compared with: a sentence, then what changed."""
    for number, one in enumerate(report.comparisons):
        yield Text.of("\n" * bool(number), (_headline(report.of, one), "bold red" if one.worse else "bold green"))
        yield Text("")
        yield from _heads(one)
        if report.of == "verify":
            yield from _changes(one)
        elif one.facts:
            yield from _facts(one)
    worse = any(one.worse for one in report.comparisons)
    warns = " (gate: warn)" if worse and report.gate == "warn" else ""
    yield Text.of("\n", status_text("failed" if worse else "ok"), f"{warns} (exit code {report.exit_code})")


def _headline(of: str, one: Compared) -> str:
    if of == "probe":
        if one.worse:
            return f"no longer proved: {', '.join(one.worse)}"
        return (
            f"{plural(len(one.facts), 'fact')} differ{'s' if len(one.facts) == 1 else ''}"
            if one.facts
            else "no fact differs"
        )
    counts = {kind: [change for change in one.changes if change.kind == kind] for kind in KINDS}
    fails, passes = counts["fails"], counts["passes"]
    text = _counted(fails, "newly fails", "newly fail") if fails else "nothing newly fails"
    text += f"; {_counted(passes, 'newly passes', 'newly pass')}" if passes else ""
    return f"{text}; {one.passing} pass in both, {len(one.failing)} fail in both"


def _counted(changes: Sequence[Change], one: str, many: str) -> str:
    names = ", ".join(dict.fromkeys(change.check for change in changes))
    return f"{plural(len(changes), f'check {one}', f'checks {many}')}: {names}"


def _heads(one: Compared) -> Iterable[Element]:
    for word, side in (("BASE", one.base), ("NEW ", one.new)):
        yield Text(f"{word} {side.file}", style="bold")
        for device in side.devices:
            yield Block(Text(device), indent=5)
        if side.outcome == "interrupted":
            yield Block(Text("interrupted: not all of it was run", style="yellow"), indent=5)
    if one.base.version != one.new.version:
        yield Text(f"made by vkmapctl {one.base.version} and {one.new.version}: checks may differ", style="yellow")


def _changes(one: Compared) -> Iterable[Element]:
    several = len(one.base.devices) > 1
    for kind, title in KINDS.items():
        changes = [change for change in one.changes if change.kind == kind]
        if changes:
            yield Text(f"\n{title}", style="bold")
        for change in changes:
            where = f" [device {change.device}]" * several
            turn = Text.of(_told(change.base), " → ", _told(change.new))
            yield Block(Text.of((change.check, "bold"), f"  {change.title}{where}: ", turn))
            if kind in ("fails", "quality") and change.breaks:
                yield Block(Text.of(("breaks: ", "dim"), change.breaks), indent=6)
            on = f"on {', '.join(change.types)}: " if change.types else ""
            for seen in change.seen:
                yield Block(Text.of((on, "dim"), seen), indent=6)
    if one.failing:
        yield Text("\nFail in both", style="bold")
        yield Block(Text(", ".join(one.failing)))


def _told(statuses: Sequence[str]) -> Text:
    parts = [part for status in statuses for part in (", ", status_text(status))][1:]
    return Text.of(*parts) if parts else Text(NONE)


def _facts(one: Compared) -> Iterable[Element]:
    several = len(one.base.devices) > 1
    made = table("fact", "BASE", "NEW", numeric_from=9)
    for fact in one.facts:
        name = f"{fact.name} [device {fact.device}]" if several else fact.name
        made.add(name, fact.base, Text(fact.new, style="bold red" * fact.lost))
    yield Text("")
    yield Block(made)

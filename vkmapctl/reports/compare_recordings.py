"""Comparisons of recordings as text: what was found newly and what is gone, then figures and calls."""

from collections.abc import Iterable

from vkmapctl import units
from vkmapctl.figures.checked import plural
from vkmapctl.figures.compare_recordings import (
    HARMLESS,
    TURNS,
    FigureChange,
    RecordingsCompared,
    RecordingsReport,
    Unit,
)
from vkmapctl.figures.recorded_words import number, per_cent, spent
from vkmapctl.reports.common import status_text
from vkmapctl.reports.elements import Block, Column, Element, Table, Text, table
from vkmapctl.reports.fitting import fitted
from vkmapctl.units import NONE

_SPARE = ("p99\nBASE", "p99\nNEW")


def recordings_view(report: RecordingsReport) -> Iterable[Element]:
    """For each recording that BASE is compared with: a sentence, then what changed."""
    for place, one in enumerate(report.comparisons):
        yield Text.of("\n" * bool(place), (_headline(one), "bold red" if one.worse else "bold green"))
        yield Text("")
        yield from _heads(one)
        yield from _findings(one)
        for title, made in (("Figures", _figures(one)), ("Calls", _calls(one))):
            if made.rows:
                yield Text(f"\n{title}", style="bold")
                yield fitted(made, _SPARE)
    worse = any(one.worse for one in report.comparisons)
    warns = " (gate: warn)" if worse and report.gate == "warn" else ""
    yield Text.of("\n", status_text("failed" if worse else "ok"), f"{warns} (exit code {report.exit_code})")


def _headline(one: RecordingsCompared) -> str:
    gone = [each.code for each in one.findings if each.turn == "gone" and each.code not in HARMLESS]
    text = f"newly found: {', '.join(one.worse)}" if one.worse else "nothing is newly found"
    text += f"; {plural(len(gone), 'finding')} gone: {', '.join(gone)}" if gone else ""
    spend = next((each for each in one.figures if each.name == "in these calls"), None)
    if spend is None:
        return text
    return f"{text}; time in these calls {_shown(spend.unit, spend.base)} → {_shown(spend.unit, spend.new)}"


def _heads(one: RecordingsCompared) -> Iterable[Element]:
    for word, side in (("BASE", one.base), ("NEW ", one.new)):
        yield Text(f"{word} {side.file}: {side.program}", style="bold")
        for device in side.devices:
            yield Block(Text(device), indent=5)
        if side.dropped:
            yield Block(Text(f"{side.dropped} events were lost: counts are at least so high", "yellow"), indent=5)


def _findings(one: RecordingsCompared) -> Iterable[Element]:
    for turn, title in TURNS.items():
        found = [each for each in one.findings if each.turn == turn]
        if found:
            yield Text(f"\n{title}", style="bold")
        for each in found:
            yield Block(Text.of((each.code, "bold"), f"  {each.new or each.base}"))
            if each.new and each.base and each.new != each.base:
                yield Block(Text.of(("before: ", "dim"), each.base), indent=6)


def _figures(one: RecordingsCompared) -> Table:
    made = table("figure", "BASE", "NEW", "NEW over BASE")
    for each in one.figures:
        made.add(each.name, _shown(each.unit, each.base), _shown(each.unit, each.new), _ratio(each))
    return made


def _ratio(one: FigureChange) -> str:
    return NONE if not one.base or one.new is None else f"{one.new / one.base:.2f}"


def _calls(one: RecordingsCompared) -> Table:
    titles = (f"{name}\n{side}" for name in ("calls", "in all", "p50", "p99") for side in ("BASE", "NEW"))
    made = Table(Column(title, right=i > 0, folds=False) for i, title in enumerate(("call", *titles)))
    for each in one.calls:
        percentiles = (each.base_p50_ns, each.new_p50_ns, each.base_p99_ns, each.new_p99_ns)
        made.add(
            each.call,
            number(each.base_count),
            number(each.new_count),
            spent(each.base_seconds),
            spent(each.new_seconds),
            *(NONE if value is None else units.duration(value) for value in percentiles),
        )
    return made


def _shown(unit: Unit, value: float | None) -> str:
    if value is None:
        return NONE
    match unit:
        case "seconds":
            return spent(value)
        case "bytes":
            return units.size(int(value))
        case "share":
            return per_cent(value)
    return number(value) if value == int(value) else f"{value:.2f}"

"""The ledger of a fleet's run as text: what did not end well first, hosts that share a fate in one line."""

import shlex
from collections.abc import Iterable

from vkmapctl import hostlist
from vkmapctl.figures.checked import plural
from vkmapctl.model.fleet import Ledger, LedgerEntry, State
from vkmapctl.reports.common import notes_view
from vkmapctl.reports.elements import Column, Element, Table, Text

ORDER: tuple[State, ...] = ("failed", "missing", "interrupted", "swapped", "foreign", "ok")
_STYLES = {"ok": "green", "failed": "bold red", "missing": "bold red", "interrupted": "bold red"}
_Fate = tuple[State, str, tuple[int, ...]]


def ledger_view(ledger: Ledger) -> Iterable[Element]:
    """A head, a count of each state, a table of what is not ok, notes, and the verdict."""
    run = ledger.run
    by = f", by {run.engine}" if run.engine else ""
    yield Text(f"run {run.id}: {shlex.join(run.command)}{by}", style="bold")
    ended = f", ended {ledger.ended.ended}" if ledger.ended else ""
    yield Text(f"begun {run.started}{ended}{f', repeats {run.again}' if run.again else ''}")
    counts = [(state, ledger.count(state)) for state in reversed(ORDER)]
    expected = len(ledger.entries) - ledger.count("foreign")
    parts: list[tuple[str, str] | str] = []
    for state, count in counts:
        if count:
            parts += [", " if parts else "", (f"{count} {state}", _STYLES.get(state, "yellow"))]
    yield Text.of(f"{plural(expected, 'GPU')} expected: ", *parts)
    table = Table([Column("state"), Column("hosts"), Column("slots"), Column("GPUs", right=True), Column("why")])
    for (state, why, slots), hosts in _fates(ledger.entries).items():
        count = len(hosts) * len(slots)
        table.add(Text(state, style=_STYLES.get(state, "yellow")), hostlist.fold(hosts), _slots(slots), str(count), why)
    if table.rows:
        yield Text("")
        yield table
    yield from notes_view(ledger.notes)
    well = ledger.exit_code == 0
    text = "ok" if well else "no host has answered" if ledger.exit_code == 3 else "not every GPU ended well"
    yield Text.of("\n", (text, "green" if well else "bold red"), f" (exit code {ledger.exit_code})")


def _fates(entries: Iterable[LedgerEntry]) -> dict[_Fate, list[str]]:
    """The hosts by what became of the same slots, the worst first; what is ok is left out."""
    slots: dict[tuple[str, State, str], list[int]] = {}
    for entry in entries:
        if entry.state != "ok":
            slots.setdefault((entry.host, entry.state, entry.why), []).append(entry.slot)
    found: dict[_Fate, list[str]] = {}
    for (host, state, why), numbers in sorted(slots.items(), key=lambda one: ORDER.index(one[0][1])):
        found.setdefault((state, why, tuple(numbers)), []).append(host)
    return found


def _slots(numbers: tuple[int, ...]) -> str:
    """`0-7`, `0,2-3`."""
    return hostlist.fold(map(str, numbers)).strip("[]")

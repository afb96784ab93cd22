"""A fleet's run as one HTML page that needs nothing else: failures and suspects first, then one cell for each GPU."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from vkmapctl.figures.checked import plural
from vkmapctl.model.fleet import LedgerEntry
from vkmapctl.model.outliers import Odd
from vkmapctl.reports.fleet import STATES, Sweep, odd_text
from vkmapctl.reports.html import rendered
from vkmapctl.reports.outliers import AGAINST, VERDICTS, about_gpu, explained, gpu_text, shift_text, summary
from vkmapctl.reports.page import Sheet

MOST_ROWS = 500  # of a table: the cells tell of all
SPARK_WIDTH, SPARK_HEIGHT = 72.0, 18.0
LEAST_SPAN = 0.1  # of a spark line: what scatters by less looks flat


class Mark(NamedTuple):
    """What a cell can be. name: its class; letter: what it shows; words: what that means."""

    name: str
    letter: str
    words: str


MARKS = {
    one.name: one
    for one in (
        Mark("failed", "F", "failed"),
        Mark("missing", "M", "missing"),
        Mark("interrupted", "I", "interrupted"),
        Mark("suspect", "S", "suspect: odd in two runs"),
        Mark("run-again", "R", "to be run again: odd in one run"),
        Mark("swapped", "W", "ok, and another card than before"),
        Mark("foreign", "X", "of a host that was not asked"),
        Mark("ok", "·", "ok"),
    )
}


class Cell(NamedTuple):
    """A GPU in the overview."""

    name: str
    letter: str


class Host(NamedTuple):
    """A host in the overview. odd: it is so itself."""

    name: str
    odd: str
    cells: Sequence[Cell]


class OddRow(NamedTuple):
    """A line of the table of what is odd. spark: the line of its history, empty where there is none."""

    verdict: str
    name: str
    host: str
    gpu: str
    against: str
    shift: str
    before: str
    spark: str


def to_html(sweep: Sweep) -> bytes:
    """The page. 10,000 GPUs are a megabyte or two."""
    run, ledger = sweep.ledger.run, sweep.ledger
    odd = sweep.odd()
    hosts = _hosts(sweep, odd)
    expected = sum(entry.state != "foreign" for entry in ledger.entries)
    counts = [(MARKS[state], ledger.count(state)) for state in STATES]
    shown = [one for one in sweep.outliers.found if one.verdict != "cleared"]
    return rendered(
        "fleet.html",
        title=f"vkmapctl fleet: {' '.join(run.command)}",
        sweep=sweep,
        headline=", ".join(f"{count:,} {mark.name}" for mark, count in counts if count) or "no GPU",
        expected=plural(expected, "GPU"),
        summary=summary(sweep.outliers),
        good=not ledger.exit_code and not sweep.outliers.exit_code,
        odd=[_odd_row(one, sweep) for one in shown[:MOST_ROWS]],
        more_odd=max(len(shown) - MOST_ROWS, 0),
        failures=_failures(ledger.entries),
        hosts=hosts,
        legend=[mark for mark in MARKS.values() if any(c.name == mark.name for host in hosts for c in host.cells)],
        explained=explained(sweep.outliers),
        facts=_facts(sweep),
        data=_data(sweep, odd),
    )


def _hosts(sweep: Sweep, odd: dict[tuple[str, str], Odd]) -> list[Host]:
    found: dict[str, list[Cell]] = {}
    for entry in sweep.ledger.entries:
        mark = MARKS[_mark(entry, odd)]
        found.setdefault(entry.host, []).append(Cell(mark.name, mark.letter))
    return [Host(host, _host_mark(host, odd), cells) for host, cells in found.items()]


def _host_mark(host: str, odd: dict[tuple[str, str], Odd]) -> str:
    one = odd.get((host, ""))
    return one.verdict if one and one.slower else ""


def _mark(entry: LedgerEntry, odd: dict[tuple[str, str], Odd]) -> str:
    """What did not end well first, then what is odd."""
    one = odd.get((entry.host, entry.gpu)) if entry.gpu else None
    return one.verdict if entry.state in ("ok", "swapped") and one else entry.state


def _odd_row(one: Odd, sweep: Sweep) -> OddRow:
    history = sweep.histories.get((one.host, one.gpu), ()) if one.gpu else ()
    return OddRow(
        verdict=VERDICTS[one.verdict],
        name=one.verdict,
        host=one.host,
        gpu=about_gpu(one),
        against=AGAINST[one.against] + (f": {one.row}" if one.row else ""),
        shift=shift_text(one.shift),
        before="" if one.before is None else shift_text(one.before),
        spark=spark([value for _, value in history]),
    )


def spark(values: Sequence[float]) -> str:
    """Points of a polyline, the slower the higher; empty for fewer than two."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    middle, span = (low + high) / 2, max(high - low, LEAST_SPAN)
    step = SPARK_WIDTH / (len(values) - 1)
    room = SPARK_HEIGHT - 4
    return " ".join(
        f"{i * step:.1f},{SPARK_HEIGHT / 2 - (value - middle) / span * room:.1f}" for i, value in enumerate(values)
    )


def _failures(entries: Iterable[LedgerEntry]) -> Sheet:
    """What did not end well, the same fate of a host's GPUs in one line."""
    fates: dict[tuple[str, str, str], list[str]] = {}
    for entry in entries:
        if entry.state != "ok":
            fates.setdefault((entry.state, entry.host, entry.why), []).append(str(entry.slot))
    order = list(MARKS)
    rows = [
        [state, host, ", ".join(slots), why]
        for (state, host, why), slots in sorted(fates.items(), key=lambda one: (order.index(one[0][0]), one[0][1:]))
    ]
    more = f", the first {MOST_ROWS} of {len(rows)}" if len(rows) > MOST_ROWS else ""
    return Sheet(f"What is not simply ok{more}", ["state", "host", "slots", "why"], rows[:MOST_ROWS], 4)


def _facts(sweep: Sweep) -> list[tuple[str, str]]:
    run, ended = sweep.ledger.run, sweep.ledger.ended
    found = [
        ("run", run.id),
        ("command", " ".join(run.command)),
        ("by", run.engine),
        ("begun", run.started),
        ("ended", ended.ended if ended else ""),
        ("repeats", run.again),
        *((f"note: {note.code}", note.message) for note in sweep.ledger.notes[:MOST_ROWS]),
    ]
    return [one for one in found if one[1]]


def _data(sweep: Sweep, odd: dict[tuple[str, str], Odd]) -> str:
    """What the page says of a cell, in the order of cells: [slot, GPU, why, odd, history in tenths of a per cent].

    words: what GPUs share, such as models and drivers, each once. `</` is written so that it ends no script.
    """
    words: dict[str, int] = {}
    cells: list[list[object]] = []
    for entry in sweep.ledger.entries:
        one = odd.get((entry.host, entry.gpu)) if entry.gpu else None
        about = words.setdefault(", driver ".join(part for part in (entry.model, entry.driver) if part), len(words))
        history = [round(1000 * value) for _, value in sweep.histories.get((entry.host, entry.gpu), ())]
        cell: list[object] = [entry.slot, gpu_text(entry.gpu), about, entry.why, odd_text(one) if one else "", *history]
        cells.append(cell)
    runs = max((history for history in sweep.histories.values()), key=len, default=())
    data = {"words": list(words), "runs": [run for run, _ in runs], "cells": cells}
    return msgspec.json.encode(data).decode().replace("<", "\\u003c")

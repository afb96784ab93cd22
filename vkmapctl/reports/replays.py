"""A trace's replay beside its recording, as a table."""

from collections.abc import Sequence

from vkmapctl import units
from vkmapctl.model.measured import TIMED, Latency, Row
from vkmapctl.reports.columns import FLOOR_MARK
from vkmapctl.reports.elements import Block, Column, Table, Text
from vkmapctl.units import NONE

TITLE = "Replay beside its recording"
_TITLES = ("row", "call", "recorded", "p50", "p99", "replayed", "p50", "p99", "p50 ratio")


def replays_view(rows: Sequence[Row]) -> Sequence[Text | Block]:
    """Nothing where nothing was replayed."""
    made = replays_table(rows)
    return [Text(f"\n{TITLE}", style="bold"), Block(made)] if made.rows else []


def replays_table(rows: Sequence[Row]) -> Table:
    """A line for each call of each trace: how often it was made, and how long it took, there and here."""
    made = Table(Column(title, right=i > 1) for i, title in enumerate(_TITLES))
    for row in rows:
        if row.replay is None:
            continue
        calls = [call for call in TIMED if call in row.replay.calls or call in row.replay.recorded]
        for number, call in enumerate(calls):
            there, here = row.replay.recorded.get(call), row.latency(call)
            made.add(
                "" if number else row.job,
                call,
                NONE if there is None else units.count(there.count),
                *_figures(there),
                units.count(row.replay.calls.get(call, 0)),
                *_figures(here),
                _ratio(there, here),
            )
    return made


def _figures(latency: Latency | None) -> tuple[str, str]:
    middle, tail = (latency.p50_ns, latency.p99_ns) if latency else (None, None)
    mark = FLOOR_MARK if latency and latency.at_floor else ""
    return (
        NONE if middle is None else mark + units.duration(middle),
        NONE if tail is None else units.duration(tail),
    )


def _ratio(there: Latency | None, here: Latency | None) -> str:
    """Of the medians, the replay's to the recording's."""
    if there is None or here is None or not there.p50_ns or here.p50_ns is None:
        return NONE
    return f"{here.p50_ns / there.p50_ns:.2f}"

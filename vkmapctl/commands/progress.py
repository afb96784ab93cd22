"""What a person sees while a run goes on: a live line on a terminal, a line a row elsewhere, on standard error.

A standard error that nobody reads, or that is full, costs the progress and not the run.
"""

import sys
from collections.abc import Sequence
from contextlib import suppress

from vkmapctl import units
from vkmapctl.commands import console
from vkmapctl.driver.messages import Round
from vkmapctl.figures import stats
from vkmapctl.model.measured import Row
from vkmapctl.model.workload import Job
from vkmapctl.reports.stress import row_line
from vkmapctl.runner import Slot, Watcher


def watcher(*, quiet: bool, color: bool) -> Watcher:
    """The watcher that fits this standard error."""
    if quiet:
        return Watcher()
    return LiveLine(color) if sys.stderr.isatty() else LineARow()


class LineARow(Watcher):
    """For logs: one line for each finished row, and for each round of a job that has a period."""

    def round(self, group: Sequence[Job], slots: Sequence[Slot], reply: Round) -> None:
        console.say(round_line(group, slots, reply))

    def row(self, row: Row) -> None:
        console.say(row_line(row))


class LiveLine(Watcher):
    """For terminals: a progress bar over the rows, with the running row's rate and percentiles."""

    def __init__(self, color: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}"),
            console=console.make(stderr=True, color=color),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None, now="")

    def begin(self, jobs: Sequence[Job]) -> None:
        self._progress.update(self._task, total=len(jobs))
        with suppress(OSError):
            self._progress.start()

    def tick(self, group: Sequence[Job], slots: Sequence[Slot]) -> None:
        if not group:
            return
        busy = next((i for i in range(len(group)) if slots[i].place()), 0)
        self._progress.update(self._task, description=group[busy].job, now=_now(slots[busy]))
        with suppress(OSError):
            self._progress.refresh()

    def round(self, group: Sequence[Job], slots: Sequence[Slot], reply: Round) -> None:
        with suppress(OSError):
            self._progress.console.print(round_line(group, slots, reply))

    def row(self, row: Row) -> None:
        self._progress.advance(self._task)
        with suppress(OSError):
            self._progress.refresh()

    def end(self) -> None:
        with suppress(OSError):
            self._progress.stop()


def round_line(group: Sequence[Job], slots: Sequence[Slot], reply: Round) -> str:
    """`soak: round 3 of 360: 1.2 M pairs/s, …, 0 mismatches, 35 MiB resident, 91 mappings, 12 files`."""
    counted = [slots[i].counted() for i in range(len(group))]
    verified, wrong = sum(one.verified_bytes for one in counted), sum(one.mismatches for one in counted)
    usage = reply.usage
    return (
        f"{group[0].job}: round {reply.number} of {reply.rounds}: {_now(slots[0])}, "
        f"{units.size(verified)} verified, {wrong} mismatches, {units.size(usage['rss_bytes'])} resident, "
        f"{usage['mappings']} mappings, {usage['files']} files"
    )


def _now(slot: Slot) -> str:
    """`1.2 M pairs/s, map p50 30 ns, p99 40 ns`, as far as it is known."""
    counted = slot.counted()
    parts = []
    if counted.pairs and counted.longest_rate_ns:
        parts.append(f"{units.count(counted.pairs / counted.longest_rate_ns * 1e9)} pairs/s")
    call, timed = next((one for one in counted.calls.items() if one[1].count), ("", None))
    for name, quantile in (("p50", 0.5), ("p99", 0.99)):
        value = stats.percentile(timed, quantile) if timed else None
        if value is not None:
            parts.append(f"{f'{call} ' if name == 'p50' else ''}{name} {units.duration(value)}")
    return ", ".join(parts)

"""What a person sees while a run goes on: a live line on a terminal, a line a row elsewhere, on standard error.

A standard error that nobody reads, or that is full, costs the progress and not the run.
"""

import sys
import time
from collections.abc import Callable, Sequence
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


BAR = 12  # cells


class Time:
    """How much is done and left, by what the jobs are planned to take. clock: of time.monotonic, in seconds."""

    def __init__(self, jobs: Sequence[Job], sides: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._planned = [None if job.planned_seconds is None else job.planned_seconds * sides for job in jobs]
        self._clock, self._begin = clock, clock()
        self.done = 0
        self._spent = 0.0  # when the latest row was done

    @property
    def rows(self) -> int:
        """All there are; more than were planned where devices then measure together."""
        return max(len(self._planned), self.done)

    @property
    def elapsed(self) -> float:
        return self._clock() - self._begin

    def row(self) -> None:
        """One more is done."""
        self.done, self._spent = self.done + 1, self.elapsed

    def whole(self) -> float | None:
        """Seconds that all will have taken, None where nothing tells: what was planned, longer by what was so far."""
        known = [one for one in self._planned[: self.done] if one is not None]
        left = self._planned[self.done :]
        each = self._spent / self.done if self.done else None
        if each is None and None in left:
            return None
        longer = max(1.0, self._spent / sum(known)) if known and len(known) == self.done else 1.0
        rest = sum((each or 0.0) if one is None else one * longer for one in left)
        return max(self._spent + rest, self.elapsed)

    def told(self) -> str:
        """`3 of 12 rows, 8 s of about 31 s`."""
        whole = self.whole()
        of = "" if whole is None or self.done == self.rows else f" of about {_span(whole)}"
        return f"{self.done} of {self.rows} {'row' if self.rows == 1 else 'rows'}, {_span(self.elapsed)}{of}"


def _span(seconds: float) -> str:
    """`0.7 s`, `8 s`, `25 min`, `3.5 h`: as exact as an estimate is."""
    if seconds < 2.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


class LineARow(Watcher):
    """For logs: one line for each finished row, and for each round of a job that has a period."""

    def __init__(self) -> None:
        self._time = Time(())

    def begin(self, jobs: Sequence[Job], *, sides: int = 1) -> None:
        self._time = Time(jobs, sides)

    def round(self, group: Sequence[Job], slots: Sequence[Slot], reply: Round) -> None:
        console.say(round_line(group, slots, reply))

    def row(self, row: Row) -> None:
        self._time.row()
        console.say(f"[{self._time.told()}] {row_line(row)}")


class LiveLine(Watcher):
    """For terminals: a bar over the time that the rows will take, with the running row's rate and percentiles."""

    def __init__(self, color: bool) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._time = Time(())
        self._now = ""
        self._progress = Progress(
            BarColumn(bar_width=BAR),
            TextColumn("{task.description}", markup=False),
            console=console.make(stderr=True, color=color),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def begin(self, jobs: Sequence[Job], *, sides: int = 1) -> None:
        self._time = Time(jobs, sides)
        self._show()
        with suppress(OSError):
            self._progress.start()

    def tick(self, group: Sequence[Job], slots: Sequence[Slot]) -> None:
        if not group:
            return
        busy = next((i for i in range(len(group)) if slots[i].place()), 0)
        self._now = f"{group[busy].job}  {_now(slots[busy])}"
        self._show()
        with suppress(OSError):
            self._progress.refresh()

    def round(self, group: Sequence[Job], slots: Sequence[Slot], reply: Round) -> None:
        with suppress(OSError):
            self._progress.console.print(round_line(group, slots, reply))

    def row(self, row: Row) -> None:
        self._time.row()
        self._show()
        with suppress(OSError):
            self._progress.refresh()

    def _show(self) -> None:
        """A bar by time where that is known, by rows where not; and one line, of which what is left comes first."""
        whole = self._time.whole()
        done, total = (self._time.done, self._time.rows) if whole is None else (self._time.elapsed, whole)
        line = cut(f"{self._time.told()}  {self._now}", self._progress.console.width - BAR - 2)
        self._progress.update(self._task, completed=done, total=total, description=line)

    def end(self) -> None:
        with suppress(OSError):
            self._progress.stop()


def cut(line: str, width: int) -> str:
    """What of a line fits in so many cells of a terminal."""
    from rich.text import Text

    text = Text(line)
    text.truncate(max(width, 1), overflow="ellipsis")
    return text.plain


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

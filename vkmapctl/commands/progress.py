"""What a person sees while a run goes on: a live line on a terminal, a line a row elsewhere, on standard error."""

import sys
from collections.abc import Sequence

from vkmapctl import units
from vkmapctl.driver.messages import Round
from vkmapctl.figures import stats
from vkmapctl.model.case import Job, Plan
from vkmapctl.model.measured import Row
from vkmapctl.native import Results
from vkmapctl.report import row_line
from vkmapctl.stress import Watcher


def watcher(*, quiet: bool, color: bool) -> Watcher:
    """The watcher that fits this standard error."""
    if quiet:
        return Watcher()
    return LiveLine(color) if sys.stderr.isatty() else LineARow()


class LineARow(Watcher):
    """For logs: one line for each finished row, and for each round of a job that has a period."""

    def round(self, group: Sequence[Job], results: Sequence[Results], reply: Round) -> None:
        print(round_line(group, results, reply), file=sys.stderr, flush=True)

    def row(self, row: Row) -> None:
        print(row_line(row), file=sys.stderr, flush=True)


class LiveLine(Watcher):
    """For terminals: a progress bar over the rows, with the running row's rate and percentiles."""

    def __init__(self, color: bool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        from vkmapctl.commands import console

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

    def begin(self, plan: Plan) -> None:
        rows = sum(len(group) for group in plan.groups)
        task = self._progress.tasks[0]
        self._progress.update(self._task, total=(task.total or 0) + rows)
        self._progress.start()

    def tick(self, group: Sequence[Job], results: Sequence[Results]) -> None:
        if not group:
            return
        busy = [i for i in range(len(group)) if results[i].last_step()]
        index = busy[0] if busy else 0
        self._progress.update(
            self._task, description=f"{group[index].name}, {group[index].api}", now=_now(results[index])
        )
        self._progress.refresh()

    def round(self, group: Sequence[Job], results: Sequence[Results], reply: Round) -> None:
        self._progress.console.print(round_line(group, results, reply))

    def row(self, row: Row) -> None:
        self._progress.advance(self._task)
        self._progress.refresh()

    def end(self) -> None:
        self._progress.stop()


def round_line(group: Sequence[Job], results: Sequence[Results], reply: Round) -> str:
    """`soak, core: round 3 of 360: 1.2 M pairs/s, …, 0 mismatches, 35 MiB resident, 91 mappings, 12 files`."""
    verified = sum(one.total("verified_bytes") for one in results[: len(group)])
    wrong = sum(one.total("mismatches") for one in results[: len(group)])
    usage = reply.usage
    return (
        f"{group[0].name}, {group[0].api}: round {reply.number} of {reply.rounds}: {_now(results[0])}, "
        f"{units.size(verified)} verified, {wrong} mismatches, {units.size(usage['rss_bytes'])} resident, "
        f"{usage['mappings']} mappings, {usage['files']} files"
    )


def _now(results: Results) -> str:
    """`1.2 M pairs/s, map p50 30 ns, p99 40 ns`, as far as it is known."""
    parts = []
    pairs, ns = results.total("rate_pairs"), results.longest("rate_ns")
    if pairs and ns:
        parts.append(f"{units.count(pairs / ns * 1e9)} pairs/s")
    histogram = results.histogram("map_ns")
    for name, quantile in (("p50", 0.5), ("p99", 0.99)):
        value = stats.percentile(histogram, quantile)
        if value is not None:
            parts.append(f"{'map ' if name == 'p50' else ''}{name} {units.duration(value)}")
    return ", ".join(parts)

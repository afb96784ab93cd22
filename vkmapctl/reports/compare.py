"""Comparisons as tables. Knows no files."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from vkmapctl import units
from vkmapctl.figures.compare import CompareReport, Comparison, Delta, Difference, Pair
from vkmapctl.model.measured import Row
from vkmapctl.reports.common import notes_view
from vkmapctl.reports.elements import INDENT, Block, Column, Element, Fitted, Table, Text
from vkmapctl.reports.plain import least_width
from vkmapctl.units import NONE

_STYLES = {"slower": "bold red", "failed": "bold red", "missing": "bold red", "faster": "green", "unclear": "yellow"}


def compare_view(report: CompareReport) -> Iterable[Element]:
    """A table for each run compared with BASE, and the verdict."""
    for comparison in report.comparisons:
        yield from _comparison_view(comparison)
    limits = report.limits
    judges = ", ".join(limits.metrics) or "time per pair and each call's p50"
    yield Text(
        f"\na change is more than {limits.relative:.0%} ({limits.tail:.0%} for p99 and p99.9), for single calls "
        f"also more than {units.duration(limits.absolute_ns)}, and its interval of 95 % does not hold 0; "
        f"what judges: {judges}"
    )
    yield verdict_text(report)


def verdict_text(report: CompareReport) -> Text:
    """The line that ends the view."""
    worse = sum(len(one.worse()) for one in report.comparisons)
    rows = "1 row is" if worse == 1 else f"{worse} rows are"
    verdict = f"{rows} slower, failed or missing" if worse else "nothing is slower"
    warns = " (gate: warn)" if worse and report.gate == "warn" else ""
    return Text.of((verdict, "bold red" if worse else "green"), f"{warns} (exit code {report.exit_code})")


def _comparison_view(comparison: Comparison) -> Iterable[Element]:
    yield Text(f"BASE {comparison.base}", style="bold")
    yield Text(f"NEW  {comparison.new}", style="bold")
    for difference in comparison.differences:
        yield Text(f"  {difference_line(difference)}", style="yellow")
    yield _pairs(comparison.pairs)
    for pair in comparison.pairs:
        if pair.reason:
            yield Text.of("  ", _verdict(pair.verdict), f": {pair.row.job}: {pair.reason}")
    for name in comparison.added:
        yield Text(f"  new in NEW: {name}")
    yield from _limits_of(comparison.pairs)
    yield from notes_view(comparison.warnings)


def _pairs(pairs: Sequence[Pair]) -> Fitted:
    """A table of them; where their names leave no room for figures, rows are numbered and named above it."""

    def made_for(width: int) -> Iterable[Text | Block]:
        room = width - INDENT
        made = _pairs_table(pairs, [pair.row.job for pair in pairs], Column("row"))
        if least_width(made) > room:
            yield Text()
            for number, pair in enumerate(pairs, 1):
                yield Text(f"  {number}: {pair.row.job}")
            numbers = [str(number) for number in range(1, len(pairs) + 1)]
            head = Column("row", right=True, folds=False)
            made = _pairs_table(pairs, numbers, head)
            if least_width(made) > room:
                made = _pairs_table(pairs, numbers, head, folds=True)
        yield Block(made, above=1)

    return Fitted(made_for, sum(len(pair.deltas) for pair in pairs))


def _pairs_table(pairs: Sequence[Pair], names: Sequence[str], head: Column, *, folds: bool = False) -> Table:
    """folds: figures may break at their blanks."""
    figures = [Column(title, right=True, folds=folds) for title in ("BASE", "NEW", "change", "interval of 95 %")]
    made = Table([head, Column("metric", folds=False), *figures, Column("verdict", folds=False)])
    for pair, name in zip(pairs, names, strict=True):
        _add_pair(made, pair, name)
    return made


def _limits_of(pairs: Iterable[Pair]) -> Iterable[Element]:
    """What these runs cannot tell, for each number of repetitions."""
    found: dict[tuple[int, int], dict[str, list[float]]] = {}
    for pair in pairs:
        for delta in pair.deltas:
            if delta.judges and delta.detectable is not None:
                found.setdefault(pair.repeats, {}).setdefault(delta.metric, []).append(delta.detectable)
    for repeats, metrics in found.items():
        told = ", ".join(f"{_from_to(values)} of {metric}" for metric, values in metrics.items())
        if max(repeats) == 1:
            yield Text(f"  one run each: cannot tell less than {told}; --repeat or --versus can", style="yellow")
        else:
            yield Text(f"  {repeats[0]} and {repeats[1]} runs: cannot tell less than {told}")


def _from_to(values: Sequence[float]) -> str:
    """`12%`, or `12% to 20%` where rows differ."""
    least, most = f"{min(values):.0%}", f"{max(values):.0%}"
    return least if least == most else f"{least} to {most}"


def difference_line(difference: Difference) -> str:
    """`driver differs: driver version 580.1, 580.2`."""
    return f"{difference.group} differs: {difference.name}: {difference.base} and {difference.new}"


def _verdict(verdict: str) -> Text:
    return Text(verdict, style=_STYLES.get(verdict, ""))


def _add_pair(made: Table, pair: Pair, name: str) -> None:
    for i, delta in enumerate(pair.deltas):
        verdict = _verdict(delta.verdict) if delta.judges else Text(f"({delta.verdict})", style="dim")
        made.add(name if i == 0 else "", delta.metric, *_figures(delta), verdict)
    if not pair.deltas:
        made.add(name, NONE, NONE, NONE, NONE, NONE, _verdict(pair.verdict))


def _figures(delta: Delta) -> tuple[str, str, str, str]:
    shown: Callable[[float], str] = units.bandwidth if delta.metric in ("write", "read") else units.duration
    if delta.metric == "ratio_to_idle":
        shown = "{:.2f}".format
    interval = NONE if delta.low is None or delta.high is None else f"{delta.low:+.1%} to {delta.high:+.1%}"
    return shown(delta.base), shown(delta.new), f"{delta.change:+.1%}", interval


def devices_view(side_by_side: Mapping[tuple[object, ...], Mapping[str, Row]]) -> Iterable[Element]:
    """Several devices: a row for each job, and for each device its medians and what a pair takes."""
    names = list(dict.fromkeys(name for rows in side_by_side.values() for name in rows))
    yield Text("\nDevices side by side: p50 of map, p50 of unmap, time of a pair", style="bold")
    for number, name in enumerate(names, 1):
        yield Text(f"  {number}: {name}")
    made = Table([Column("row"), *(Column(f"device {number}", right=True) for number in range(1, len(names) + 1))])
    for rows in side_by_side.values():
        first = next(iter(rows.values()))
        made.add(first.job, *(_cell(rows.get(name)) for name in names))
    yield Block(made, above=1)


def _cell(row: Row | None) -> str:
    if row is None:
        return NONE
    if row.status != "ok":
        return row.status
    calls = (row.map.p50_ns if row.map else None, row.unmap.p50_ns if row.unmap else None, row.ns_per_pair)
    return ", ".join(NONE if value is None else units.duration(value) for value in calls)

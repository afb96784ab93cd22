"""A stress run as tables. Knows no driver, no C and no files."""

from collections.abc import Iterable, Sequence

from vkmapctl import units
from vkmapctl.figures.answers import answer
from vkmapctl.figures.findings import findings
from vkmapctl.model.documents import Run
from vkmapctl.model.measured import Latency, Row
from vkmapctl.reports import columns
from vkmapctl.reports.columns import FLOOR_MARK, FLOOR_WORDS, PERCENTILES
from vkmapctl.reports.common import device_head, legend, machine_text, notes_view, side_lines, status_text
from vkmapctl.reports.elements import INDENT, Block, Column, Element, Fitted, Table, Text
from vkmapctl.reports.plain import least_width
from vkmapctl.reports.replays import replays_view
from vkmapctl.reports.sharing import sharing_view
from vkmapctl.units import NONE


def _heading(text: str) -> Text:
    return Text("\n" + text, style="bold")


def run_view(run: Run) -> list[Element]:
    """A whole stress run, as printed at its end and by `report show`."""
    view: list[Element] = [*_run_head(run)]
    answered = answer(run)
    if answered:
        view += [Text(f"\n{run.workload.question}"), Text(f"  {answered}", style="bold")]
    if run.results:
        view.append(result_tables(run))
        view += legend(flag for row in run.results for flag in row.memory_flags)
        if any(latency.at_floor for row in run.results for latency in row.latencies().values()):
            view.append(Text(f"  {FLOOR_MARK} not clear of the floor: {FLOOR_WORDS}"))
        view += sharing_view(run)
        view += replays_view(run.results)
        view += [Text(("\n" if i == 0 else "") + line) for i, line in enumerate(findings(run.results))]
    view += reasons(run.results)
    view += notes_view(run.warnings)
    view.append(Text.of("\n", status_text(run.outcome), f" (exit code {run.exit_code})"))
    return view


def _run_head(run: Run) -> Iterable[Element]:
    for device in run.devices:
        yield from device_head(device, run.loader)
    if run.layers:
        yield Text(f"  active layers: {', '.join(run.layers)}")
    if run.versus:
        yield from (Text(f"  {line}") for line in side_lines(run.versus))
    if run.floor:
        yield Text(
            f"  timer {run.floor.timer}, step {units.duration(run.floor.timer_step_ns)}; {machine_text(run.host)}"
        )


def result_tables(run: Run) -> Fitted:
    """Both tables of a run.

    Where they do not fit, or rows are alike in all that was asked, the rows are numbered and described above them.
    """

    def made_for(width: int) -> Iterable[Text | Block]:
        rows = run.results
        apart, shared = columns.aspects(rows)
        yield Text(f"\n{len(rows)} {'row' if len(rows) == 1 else 'rows'}: {shared}")
        told = {id(row): [aspect.show(row) for aspect in apart] for row in rows}
        heads = [Column(one.title, right=one.numeric, folds=one.folds) for one in apart]
        tables = [throughput_table(run, heads, told), latency_table(run, heads, told)]
        room = width - INDENT
        narrow = any(least_width(one) > room for one in tables)
        if narrow or len({tuple(cells) for cells in told.values()}) < len(rows):
            for number, row in enumerate(rows, 1):
                yield Text(f"  {number}: {row.job}")
            told = {id(row): [str(number)] for number, row in enumerate(rows, 1)}
            heads = [Column("row", right=True, folds=False)]
            tables = [throughput_table(run, heads, told, narrow=narrow), latency_table(run, heads, told)]
            if narrow:
                yield Text("  Numbers of pairs and page faults need a wider terminal.")
        for title, one in zip(_TABLE_TITLES, tables, strict=True):
            yield _heading(title)
            yield Block(one)

    return Fitted(made_for, len(run.results))


_TABLE_TITLES = ("Throughput (rate pass: no clock inside the loop)", "Latency (latency pass: every call timed)")
Told = dict[int, list[str]]  # by id of a row: the cells that tell it from the others


def throughput_table(run: Run, heads: Sequence[Column], told: Told, *, narrow: bool = False) -> Table:
    """Pairs per second of each row, under the cost of a pair that does nothing. narrow: without spare figures."""
    shown = [one for one in columns.figures(run.results) if not (narrow and one.spare)]
    table = Table([*heads, *(Column(one.title, right=one.numeric, folds=one.folds) for one in shown)])
    if run.floor and run.floor.call_ns:
        null = {"pairs/s": units.count(1e9 / run.floor.call_ns), "per pair": units.duration(run.floor.call_ns)}
        table.add(*[""] * (len(heads) - 1), "null", *(null.get(one.title, "") for one in shown), style="dim")
    for row in run.results:
        table.add(*told[id(row)], *(one.text(row) for one in shown))
    return table


def latency_table(run: Run, heads: Sequence[Column], told: Told) -> Table:
    """Percentiles of each call, under those of the timer and of a call that does nothing."""
    titles = (Column(one.title, right=True, folds=False) for one in PERCENTILES)
    table = Table([*heads, Column("call"), *titles])
    filler = [""] * len(heads)
    if run.floor:
        table.add(*filler, "timer", *columns.percentiles(run.floor.timer_latency), style="dim")
        table.add(*filler, "null", *columns.percentiles(run.floor.call_latency), style="dim")
    for row in run.results:
        calls = [*columns.distributions(row)]
        for number, (_, title, latency) in enumerate(calls):
            table.add(*(filler if number else told[id(row)]), title, *columns.percentiles(latency))
        if not calls:
            table.add(*told[id(row)], NONE, *[NONE] * len(PERCENTILES))
    return table


def reasons(rows: Sequence[Row]) -> list[Element]:
    """A line for each row that did not end well."""
    return [
        Text.of("\n" if i == 0 else "", status_text(row.status), f": {row.job}: {row.reason}")
        for i, row in enumerate(row for row in rows if row.status != "ok")
    ]


def row_line(row: Row) -> str:
    """A finished row in one line, for progress without a terminal."""
    call, latency = next(iter(row.latencies().items()), ("map", None))
    middle, tail = (_duration(latency, key) for key in ("p50_ns", "p99_ns"))
    if row.replay:
        done = f"{units.count(sum(row.replay.calls.values()))} calls in {units.duration(row.seconds * 1e9)}"
    else:
        done = f"{NONE if row.pairs_per_second is None else units.count(row.pairs_per_second)} pairs/s"
    return f"{row.job}: {row.status}, {done}, {call} p50 {middle}, p99 {tail}"


def _duration(latency: Latency | None, key: str) -> str:
    value = getattr(latency, key, None)
    return NONE if value is None else units.duration(value)

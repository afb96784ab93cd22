"""A stress run to tables. Knows no driver, no C and no files."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from vkmapctl import units
from vkmapctl.figures.findings import findings, memory_label, page_cost
from vkmapctl.model.documents import Run
from vkmapctl.model.measured import Floor, Latency, Row
from vkmapctl.reports import elements
from vkmapctl.reports.common import device_head, notes_view, status_text
from vkmapctl.reports.elements import NONE, Block, Element, Fitted, Table, Text
from vkmapctl.reports.plain import least_width
from vkmapctl.reports.sharing import sharing_view

FLOOR_MARK = "~"
INDENT = 2


class Column(NamedTuple):
    """A column of a row table. One whose value is `default` in every row is left out.

    folds: may break at blanks. spare: given up first where the terminal is narrow.
    """

    title: str
    value: Callable[[Row], str]
    default: str | None = None
    numeric: bool = True
    folds: bool = False
    spare: bool = False


def _heading(text: str) -> Text:
    return Text("\n" + text, style="bold")


def _optional(shown: Callable[[float], str], value: float | None) -> str:
    return NONE if value is None else shown(value)


def run_view(run: Run) -> list[Element]:
    """A whole stress run, as printed at its end and by `report show`."""
    view: list[Element] = [*_run_head(run)]
    if run.results:
        view.append(result_tables(run))
        if any((row.map and row.map.at_floor) or (row.unmap and row.unmap.at_floor) for row in run.results):
            view.append(Text(f"  {FLOOR_MARK} not clear of the floor: less than twice a call that does nothing"))
        view += sharing_view(run)
        view += [Text(("\n" if i == 0 else "") + line) for i, line in enumerate(findings(run.results))]
    view += reasons(run.results)
    view += notes_view(run.warnings)
    view.append(Text.of("\n", status_text(run.outcome), f" (exit code {run.exit_code})"))
    return view


def _run_head(run: Run) -> Iterable[Element]:
    for device in run.devices:
        yield from device_head(device, run.loader)
    if run.floor:
        yield Text(
            f"  timer {run.floor.timer}, step {units.duration(run.floor.timer_step_ns)}; "
            f"{run.host.get('cpu_model')}, kernel {run.host.get('kernel')}"
        )


def _row_columns() -> list[Column]:
    """What tells rows apart."""
    return [
        Column("device", lambda r: str(r.device), "0"),
        Column("job", lambda r: r.part, "", numeric=False),
        Column("size", lambda r: units.size(r.allocation_size)),
        Column("offset", lambda r: str(r.offset), "0"),
        Column("mapped", lambda r: "whole" if r.map_size is None else units.size(r.map_size), "whole"),
        Column("memory type", memory_label, numeric=False, folds=True),
        Column("placed", lambda r: r.placed or NONE, NONE, numeric=False),
        Column("reserve", lambda r: "yes" if r.reserve else "no", "no", numeric=False),
        Column("touch", lambda r: r.touch, "none", numeric=False),
        Column("threads", lambda r: str(r.threads), "1"),
        Column("live", lambda r: str(r.live), "1"),
        Column("unmapped", lambda r: r.unmap_order, "same", numeric=False),
        Column("rate", lambda r: _optional(lambda rate: f"{units.count(rate)}/s", r.rate), NONE),
        Column("gap", lambda r: units.duration(r.gap_seconds * 1e9), "0 ns"),
        Column("at once", lambda r: str(r.together), "1"),
        Column("api", lambda r: r.api, numeric=False),
    ]


def _result_columns() -> list[Column]:
    return [
        Column("pairs", lambda r: units.count(r.pairs), spare=True),
        Column("pairs/s", lambda r: _optional(units.count, r.pairs_per_second)),
        Column("per pair", lambda r: _optional(units.duration, r.ns_per_pair)),
        Column("to v1", _ratio, NONE, folds=True),
        Column("write", _write, NONE),
        Column("per page", lambda r: _optional(units.duration, page_cost(r)), NONE),
        Column("read", lambda r: _optional(units.bandwidth, r.touch_bytes_per_second.read), NONE),
        Column("faults", lambda r: units.count(sum(r.page_faults.values())), "0", spare=True),
        Column("status", lambda r: r.status, "ok", numeric=False),
    ]


def _varying(rows: Sequence[Row]) -> tuple[list[Column], str]:
    """The columns that tell these rows apart, and what all of them share, in words."""
    varying, shared = [], []
    for column in _row_columns():
        values = {column.value(row) for row in rows}
        if len(values) > 1 or column.title == "api":
            varying.append(column)
        elif values != {column.default}:
            shared.append(f"{column.title} {values.pop()}")
    return varying, ", ".join(shared)


def _write(row: Row) -> str:
    """Bandwidth; of a row that writes one byte of each page there is none to speak of."""
    return _optional(units.bandwidth, row.touch_bytes_per_second.write if page_cost(row) is None else None)


def _ratio(row: Row) -> str:
    if row.ratio_to_v1 is None:
        return NONE
    middle, low, high = row.ratio_to_v1
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def result_tables(run: Run) -> Fitted:
    """Both tables of a run; where they do not fit, the rows are numbered and described above them."""

    def made_for(width: int) -> Iterable[Text | Block]:
        rows = run.results
        what, shared = _varying(rows)
        yield Text(f"\n{len(rows)} {'row' if len(rows) == 1 else 'rows'}: {shared}")
        tables = [throughput_table(run, what), latency_table(run, what)]
        room = width - INDENT
        if any(least_width(one) > room for one in tables):
            numbers = {id(row): str(number) for number, row in enumerate(rows, 1)}
            for row in rows:
                described = ", ".join(f"{column.title} {column.value(row)}" for column in what)
                yield Text(f"  {numbers[id(row)]}: {described}")
            what = [Column("row", lambda row: numbers[id(row)])]
            tables = [throughput_table(run, what, narrow=True), latency_table(run, what)]
            yield Text("  Numbers of pairs and page faults need a wider terminal.")
        for title, one in zip(_TABLE_TITLES, tables, strict=True):
            yield _heading(title)
            yield Block(one)

    return Fitted(made_for, len(run.results))


_TABLE_TITLES = ("Throughput (rate pass: no clock inside the loop)", "Latency (latency pass: every call timed)")


def throughput_table(run: Run, what: Sequence[Column], *, narrow: bool = False) -> Table:
    """Pairs per second of each row, under the cost of a pair that does nothing. narrow: without spare columns."""
    results = [c for c in _result_columns() if any(c.value(row) != c.default for row in run.results)]
    results = [column for column in results if not (narrow and column.spare)]
    table = _columns_table([*what, *results])
    if run.floor and run.floor.call_ns:
        filler = [""] * len(what)
        null = {"pairs/s": units.count(1e9 / run.floor.call_ns), "per pair": units.duration(run.floor.call_ns)}
        table.add(*filler[1:], "null", *(null.get(column.title, "") for column in results), style="dim")
    for row in run.results:
        table.add(*(c.value(row) for c in what), *(c.value(row) for c in results))
    return table


def _columns_table(columns: Sequence[Column], *more: str) -> Table:
    own = [elements.Column(column.title, right=column.numeric, folds=column.folds) for column in columns]
    return Table([*own, *(elements.Column(title, right=True, folds=False) for title in more)])


_LATENCY_TITLES = ("samples", "min", "p50", "p90", "p99", "p99.9", "max")


def latency_table(run: Run, what: Sequence[Column]) -> Table:
    """Percentiles of each call, under those of the timer and of a call that does nothing."""
    table = _columns_table([*what, Column("call", str, numeric=False)], *_LATENCY_TITLES)
    filler = [""] * len(what)
    if run.floor:
        table.add(*filler, "timer", *_latency_cells(run.floor.timer_latency), style="dim")
        table.add(*filler, "null", *_latency_cells(run.floor.call_latency), style="dim")
    for row in run.results:
        cells = [column.value(row) for column in what]
        table.add(*cells, "map", *_latency_cells(row.map))
        table.add(*filler, "unmap", *_latency_cells(row.unmap))
        if row.response:
            table.add(*filler, "from due", *_latency_cells(row.response))
    return table


def _latency_cells(latency: Latency | None) -> list[str]:
    if latency is None:
        return [NONE] * len(_LATENCY_TITLES)
    values = (latency.min_ns, latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p999_ns, latency.max_ns)
    cells = [_optional(units.duration, value) for value in values]
    if latency.at_floor:
        cells[1] = FLOOR_MARK + cells[1]
    return [units.count(latency.count), *cells]


def reasons(rows: Sequence[Row]) -> list[Element]:
    """A line for each row that did not end well."""
    return [
        Text.of("\n" if i == 0 else "", status_text(row.status), f": {row.job}, {row.api}: {row.reason}")
        for i, row in enumerate(row for row in rows if row.status != "ok")
    ]


def floor_line(floor: Floor) -> str:
    """The floor in one line."""
    return f"timer {units.duration(floor.timer_ns)}, null pair {units.duration(floor.call_ns)}"


def row_line(row: Row) -> str:
    """A finished row in one line, for progress without a terminal."""
    middle = _optional(units.duration, row.map.p50_ns if row.map else None)
    tail = _optional(units.duration, row.map.p99_ns if row.map else None)
    rate = _optional(units.count, row.pairs_per_second)
    return f"{row.job}, {row.api}: {row.status}, {rate} pairs/s, map p50 {middle}, p99 {tail}"

"""Plain data to tables. Knows no driver, no C and no files."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from vkmapctl import units
from vkmapctl.documents import ProbeReport, Run
from vkmapctl.model import Api, Device, Floor, Latency, Note, Probe, Proof, Row
from vkmapctl.reports import elements
from vkmapctl.reports.elements import NONE, Block, Element, Fitted, Table, Text, grid, table
from vkmapctl.reports.plain import least_width
from vkmapctl.reports.sharing import sharing_view
from vkmapctl.results.findings import findings, memory_label, page_cost

_STYLES = {
    "ok": "green",
    "failed": "bold red",
    "missed": "bold red",
    "crashed": "bold red",
    "hung": "bold red",
    "lost": "bold red",
    "out-of-memory": "bold red",
    "unsupported": "yellow",
    "interrupted": "yellow",
    "not-run": "yellow",
}
FLOOR_MARK = "~"
INDENT = 2
MOST_OF_A_KIND, FIRST_OF_A_KIND = 4, 2  # warnings of one kind that are shown


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


def status_text(status: str) -> Text:
    """The status in its colour."""
    return Text(status, style=_STYLES.get(status, ""))


# --- a stress run ---------------------------------------------------------------------------------


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


def device_head(device: Device, loader: str) -> Iterable[Element]:
    """Which device and driver, in two lines; a third where its placed maps are emulated."""
    yield Text(f"{device.name}  [device {device.index}, {device.type}]", style="bold")
    through = f", loader {loader}" if loader else ""
    yield Text(f"  driver {device.driver_name} {device.driver_info}, Vulkan {device.api_version}{through}")
    if device.placed.emulated:
        yield Text("  emulated: placed maps and reserve come from vkmapctl's test layer", style="yellow")


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


def notes_view(notes: Sequence[Note]) -> list[Element]:
    """Warnings, a line each and a kind after the other; of a kind that many rows draw, the first and their number."""
    kinds: dict[str, list[str]] = {}
    for note in notes:
        kinds.setdefault(note.code, []).append(note.message)
    lines = []
    for code, messages in kinds.items():
        shown = messages if len(messages) <= MOST_OF_A_KIND else messages[:FIRST_OF_A_KIND]
        lines += [f" [{code}] {message}" for message in shown]
        if len(shown) < len(messages):
            lines.append(f" [{code}] {len(messages) - len(shown)} more of this kind, which --save and --json keep")
    return [Text.of("\n" if i == 0 else "", ("warning", "yellow"), line) for i, line in enumerate(lines)]


def floor_line(floor: Floor) -> str:
    """The floor in one line."""
    return f"timer {units.duration(floor.timer_ns)}, null pair {units.duration(floor.call_ns)}"


def row_line(row: Row) -> str:
    """A finished row in one line, for progress without a terminal."""
    middle = _optional(units.duration, row.map.p50_ns if row.map else None)
    tail = _optional(units.duration, row.map.p99_ns if row.map else None)
    rate = _optional(units.count, row.pairs_per_second)
    return f"{row.job}, {row.api}: {row.status}, {rate} pairs/s, map p50 {middle}, p99 {tail}"


# --- a probe --------------------------------------------------------------------------------------


def probe_view(report: ProbeReport) -> list[Element]:
    """Every device, then what a gate found missing."""
    view: list[Element] = [Text(f"Vulkan loader {report.loader}")] if report.loader else []
    for probe in report.devices:
        view += _device_view(probe)
    view += notes_view(report.warnings)
    if report.missing:
        view.append(Text("\nmissing:", style="bold red"))
        view += [Text(f"  {line}") for line in report.missing]
    return view


def _device_view(probe: Probe) -> Iterable[Element]:
    device = probe.device
    if device is None:
        yield Text.of("\n", status_text(probe.status), f": {probe.reason}")
        return
    yield Text(f"\nDevice {device.index}: {device.name}", style="bold")
    yield Block(_identity_table(device))
    yield Block(Text.of("\nmap2: ", (_route_text(device), "bold")))
    if probe.entry_points:
        yield Block(_proof_table(probe))
    if probe.status != "ok":
        yield Block(Text.of(status_text(probe.status), f": {probe.reason}"))
    for part in _placed_table(device):
        yield Block(part)
    if device.memory_types:
        yield Block(_memory_table(device))
    else:
        yield Block(Text("\nno memory types: nothing can be allocated on this device", style="yellow"))
    for note in probe.notes:
        yield Block(Text.of(("warning", "yellow"), f" [{note.code}] {note.message}"))


def _identity_table(device: Device) -> Table:
    table = grid(2)
    for name, value in (
        ("type", device.type),
        ("apiVersion", device.api_version),
        ("driver", f"{device.driver_name} ({device.driver_id}), {device.driver_info}"),
        ("driverVersion", device.driver_version),
        ("conformanceVersion", device.conformance_version),
        ("vendorID, deviceID", f"{device.vendor_id:#06x}, {device.device_id:#06x}"),
        ("deviceUUID", device.device_uuid),
        ("driverUUID", device.driver_uuid),
        ("PCI address", device.pci_address or NONE),
        ("minMemoryMapAlignment", str(device.limits.min_memory_map_alignment)),
        ("nonCoherentAtomSize", str(device.limits.non_coherent_atom_size)),
    ):
        table.add(name, value)
    return table


def _route_text(device: Device) -> str:
    revision = device.extensions.get("VK_KHR_map_memory2")
    extension = f"VK_KHR_map_memory2 revision {revision} (specification: 1)" if revision else "no VK_KHR_map_memory2"
    how = {
        "core": "core, by promotion to Vulkan 1.4",
        "khr": "by extension",
        "none": "none: vkMapMemory only",
    }[device.route]
    return f"{how}; {extension}"


def _proof_table(probe: Probe) -> Table:
    names: dict[Api, str] = {"core": "2", "khr": "2KHR", "v1": ""}
    points = {point.name: point for point in probe.entry_points}
    proved = table("functions", "resolves", "by the rules", "live proof", numeric_from=9)
    proofs = {proof.by: proof for proof in probe.proofs}
    for api, suffix in names.items():
        functions = (f"vkMapMemory{suffix}", f"vkUnmapMemory{suffix}")
        found = [points[name] for name in functions if name in points]
        resolves = {True: "yes", False: "no"}[all(point.found for point in found)] if found else "yes"
        rule = {"pointer": "must", "null": "must not", "unspecified": "not to be called"}
        rules = rule[found[0].rule] if found else "must"
        proved.add(" ".join(functions), resolves, rules, _verdict(proofs.get(api)))
    for by, text in (("placed", "a placed map"), ("reserve", "unmap with reserve")):
        if by in proofs:
            proved.add(text, "", "", _verdict(proofs[by]))
    return proved


def _verdict(proof: Proof | None) -> Text:
    if proof is None:
        return Text(NONE)
    verdict = status_text(proof.status)
    return verdict if proof.status == "ok" else Text.of(verdict, f" ({proof.detail})")


def _placed_table(device: Device) -> Iterable[Text | Table]:
    revision = device.extensions.get("VK_EXT_map_memory_placed")
    if revision is None:
        yield Text("\nplaced maps: no VK_EXT_map_memory_placed")
        return
    placed = device.placed
    origin = ", emulated by vkmapctl's test layer" if placed.emulated else ""
    yield Text(f"\nplaced maps: VK_EXT_map_memory_placed revision {revision} (specification: 1){origin}")
    table = grid(2)
    for name, value in (
        ("memoryMapPlaced", placed.memory_map_placed),
        ("memoryMapRangePlaced", placed.memory_map_range_placed),
        ("memoryUnmapReserve", placed.memory_unmap_reserve),
    ):
        table.add(f"  {name}", Text("yes", style="green") if value else Text("no", style="yellow"))
    table.add("  minPlacedMemoryMapAlignment", str(placed.min_placed_memory_map_alignment or NONE))
    yield table


def _memory_table(device: Device) -> Table:
    listing = table("\nmemory type", "\nflags", "\nheap", "\nheap size", "\nfree", numeric_from=2)
    for one in device.memory_types:
        heap = device.heaps[one.heap]
        free = None if heap.budget is None else max(heap.budget - (heap.usage or 0), 0)
        local = " De" if heap.device_local else ""
        listing.add(
            f"#{one.index}",
            " ".join(one.flags) or NONE,
            f"{one.heap}{local}",
            units.size(heap.size),
            NONE if free is None else units.size(free),
            style="" if one.host_visible else "dim",
        )
    return listing

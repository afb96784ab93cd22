"""What a run's figures say of allocations, imports and pressure, in words. Pure."""

from collections.abc import Collection, Iterable, Sequence

from vkmapctl import units
from vkmapctl.model.case import memory_label
from vkmapctl.model.measured import Row

LIFE = ("allocate", "map", "free")


def cost(row: Row, call: str) -> str:
    """`30 ns`, or `less than 30 ns` where the clock is most of it."""
    latency = row.latency(call)
    if latency is None or latency.p50_ns is None:
        return "an unknown time"
    return f"{'less than ' * latency.at_floor}{units.duration(latency.p50_ns)}"


def ratio(row: Row, call: str, base: Row, of: str) -> float | None:
    """How many times the base's median; None where a clock is most of either."""
    ours, theirs = row.latency(call), base.latency(of)
    if not ours or not theirs or ours.at_floor or theirs.at_floor or not ours.p50_ns or not theirs.p50_ns:
        return None
    return ours.p50_ns / theirs.p50_ns


def costs(row: Row, calls: Iterable[str] = LIFE) -> str:
    """`allocate 2.70 us, free 6.50 us`, of those that were timed."""
    return ", ".join(f"{call} {cost(row, call)}" for call in calls if row.latency(call))


def alike(rows: Sequence[Row], *, but: Collection[str]) -> list[list[Row]]:
    """Groups of sound rows that differ in these fields alone, each in the order of the run."""
    found: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.status == "ok":
            found.setdefault(row.identity(but=but), []).append(row)
    return list(found.values())


def imports(rows: Sequence[Row]) -> list[str]:
    """An import beside an ordinary and a placed map of the same size, where a run has them."""
    lines = []
    plain = [row for row in rows if not row.steps and not row.offset and row.map_size is None]
    for among in alike(plain, but=("part", "imported", "placed", "api")):
        imported = [row for row in among if row.imported == "host"]
        mapped = [row for row in among if row.map]
        for row in imported[:1] if mapped else []:
            told = [f"{'a placed map' if one.placed else 'a map'} {cost(one, 'map')}" for one in mapped]
            found = ratio(row, "import", mapped[0], "map")
            apart = f", {found:.3g} times the map" if found else ""
            lines.append(
                f"{units.size(row.allocation_size)}: an import costs {cost(row, 'import')} and its free "
                f"{cost(row, 'free')}{apart}; {', '.join(dict.fromkeys(told))}"
            )
    return lines


def kinds(rows: Sequence[Row]) -> list[str]:
    """Kinds of allocation beside plain ones of the same size."""
    lines = []
    for among in alike(rows, but=("allocation",)):
        plain = [row for row in among if row.allocation == "plain"]
        others = [row for row in among if row.allocation != "plain"]
        if not plain or not others:
            continue
        told = []
        for row in others:
            found = ratio(row, "allocate", plain[0], "allocate")
            times = f" ({found:.3g} times)" if found else ""
            calls = [call for call in LIFE if row.latency(call)]
            told.append(f"{row.allocation} {costs(row, calls[:1])}{times}, {costs(row, calls[1:])}".rstrip(", "))
        lines.append(f"{_where(plain[0])}: plain {costs(plain[0])}; {'; '.join(told)}")
    return lines


def pressures(rows: Sequence[Row]) -> list[str]:
    """Rows under pressure beside the same without, before and after."""
    lines = []
    for among in alike(rows, but=("pressure", "part")):
        first = next((i for i, row in enumerate(among) if row.pressure), 0)
        if not first:
            continue
        told = []
        for i, row in enumerate(among):
            when = f"at {row.pressure}%" if row.pressure else "before" if i < first else "after"
            told.append(f"{when} {costs(row)}")
        lines.append(f"{_where(among[0])}, heap filled: {'; '.join(told)}")
    return lines


def _where(row: Row) -> str:
    return f"{units.size(row.allocation_size)}, {memory_label(row)}"


def findings(rows: Sequence[Row]) -> list[str]:
    """Every line that the figures justify."""
    return [*imports(rows), *kinds(rows), *pressures(rows)]

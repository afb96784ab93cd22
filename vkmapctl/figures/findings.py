"""What a run's figures say, in words: how cost grows with size, which memory type to use, what a touch costs. Pure."""

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from msgspec.structs import replace

from vkmapctl import units
from vkmapctl.model.measured import Latency, Row

LEAST_SIZES = 3
LEAST_SPAN = 16  # largest over smallest size, for an exponent to mean something
FLAT, STEEP = 0.15, 0.7
PAGE = 4096  # what `first` strides by on the machines of this project


class Scaling(NamedTuple):
    """How one call's median grows over a size sweep.

    exponent: of the line fitted through all sizes on log axes. upper: of the one through the larger half, where
    fixed costs no longer hide the growth; the verdict rests on it. low, high: the medians at both ends, in ns.
    """

    where: str
    call: str
    exponent: float
    upper: float
    smallest: int
    largest: int
    low: float
    high: float

    @property
    def verdict(self) -> str:
        if self.upper <= FLAT:
            return "O(1)"
        return "O(size)" if self.upper >= STEEP else "between O(1) and O(size)"

    def text(self) -> str:
        """One line for people."""
        return (
            f"{self.where}: {self.call} is {self.verdict}: p50 grows as size^{self.exponent:.2f}, as "
            f"size^{self.upper:.2f} over the larger half, {units.duration(self.low)} at {units.size(self.smallest)} to "
            f"{units.duration(self.high)} at {units.size(self.largest)}"
        )


def fit(points: Sequence[tuple[float, float]]) -> float:
    """Exponent k of the least-squares line log y = k log x + c."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    x_mean, y_mean = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - x_mean) ** 2 for x in xs)
    return sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0


def series_key(row: Row) -> tuple[object, ...]:
    """What rows of one size sweep have in common: all that tells rows apart but the size."""
    return (
        *(row.device, row.part, row.memory_type, row.memory_flags, str(row.offset), row.map_size, row.placed),
        *(row.reserve, row.touch, row.threads, row.live, row.unmap_order, row.rate, row.together, row.api),
    )


def sweeps(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows that differ in their size alone, by size; sweeps of too few sizes are left out."""
    good = [row for row in rows if row.status == "ok" and row.map_size is None and not row.steps]
    found = []
    for _, group in groupby(sorted(good, key=lambda row: repr(series_key(row))), key=series_key):
        swept = sorted(group, key=lambda row: row.allocation_size)
        sizes = [row.allocation_size for row in swept]
        if len(set(sizes)) >= LEAST_SIZES and sizes[-1] >= sizes[0] * LEAST_SPAN:
            found.append(swept)
    return sorted(found, key=lambda swept: next(i for i, row in enumerate(good) if row in swept))


def sweep_label(swept: Sequence[Row], among: Sequence[Sequence[Row]]) -> str:
    """What tells a sweep from the others of a run, in words."""
    row = swept[0]
    words = [row.part, memory_label(row), f"placed {row.placed}" if row.placed else "", "reserve" * row.reserve,
             f"touch {row.touch}" if row.touch != "none" else "",
             f"{row.threads} threads" if row.threads > 1 else "", f"{row.live} live" if row.live > 1 else "",
             f"device {row.device}" if len({one[0].device for one in among}) > 1 else "", row.api]  # fmt: skip
    return ", ".join(word for word in words if word)


def memory_label(row: Row) -> str:
    """`#3 Vi Co Ca`, or `malloc`."""
    return "malloc" if row.memory_type < 0 else f"#{row.memory_type} {' '.join(row.memory_flags)}"


def scalings(rows: Sequence[Row]) -> list[Scaling]:
    """A verdict for map and one for unmap of each size sweep."""
    among = sweeps(rows)
    found = []
    for swept in among:
        for call in ("map", "unmap"):
            scaling = _scaling(sweep_label(swept, among), call, swept)
            if scaling:
                found.append(scaling)
    return found


def _scaling(where: str, call: str, swept: Sequence[Row]) -> Scaling | None:
    points = []
    for row in swept:
        latency: Latency | None = getattr(row, call)
        if latency and latency.p50_ns:
            points.append((row.allocation_size, max(latency.p50_ns, 1.0)))
    if len(points) < LEAST_SIZES:
        return None
    upper = points[min(len(points) // 2, len(points) - 2) :]
    (smallest, low), (largest, high) = points[0], points[-1]
    return Scaling(where, call, fit(points), fit(upper), smallest, largest, low, high)


def page_costs(rows: Iterable[Row]) -> list[str]:
    """What touching one page costs, and whether it faults, of the rows that touch one byte of each page."""
    lines = []
    for row in rows:
        cost = page_cost(row)
        if row.status != "ok" or cost is None:
            continue
        faults = row.page_faults.get("minor", 0), row.page_faults.get("major", 0)
        lines.append(
            f"{row.job}, {row.api}: the first touch of a page costs {units.duration(cost)}; "
            f"{units.count(faults[0])} minor and {units.count(faults[1])} major faults in both passes"
        )
    return lines


def page_cost(row: Row) -> float | None:
    """ns to touch one page, of a row whose writes are one byte of each page."""
    rate = row.touch_bytes_per_second.write
    return PAGE / rate * 1e9 if rate and (row.touch == "first" or row.touches_pages) else None


def bandwidths(rows: Sequence[Row]) -> list[str]:
    """The fastest and the slowest memory type to write and to read, where one job went through several."""
    touched = [row for row in rows if row.status == "ok" and row.touch in ("write", "read", "verify")]
    lines = []
    for _, group in groupby(sorted(touched, key=lambda row: repr(_other_type_key(row))), key=_other_type_key):
        among = list(group)
        for kind in ("write", "read"):
            rates = [(rate, row) for row in among if (rate := getattr(row.touch_bytes_per_second, kind))]
            types = sorted(((rate, row) for rate, row in rates if row.memory_type >= 0), key=lambda one: one[0])
            if len({row.memory_type for _, row in types}) > 1:
                malloc = [f"; malloc {units.bandwidth(rate)}" for rate, row in rates if row.memory_type < 0]
                lines.append(f"{_bandwidth_text(kind, types[-1], types[0])}{''.join(malloc[:1])}")
    return lines


def _other_type_key(row: Row) -> tuple[object, ...]:
    return (row.allocation_size, *series_key(replace(row, memory_type=0, memory_flags=())))


def _bandwidth_text(kind: str, fastest: tuple[float, Row], slowest: tuple[float, Row]) -> str:
    times = fastest[0] / slowest[0]
    apart = f"{times:,.0f} times" if times >= 10 else f"{times:.2g} times"
    first, last = (f"{memory_label(row)} at {units.bandwidth(rate)}" for rate, row in (fastest, slowest))
    return f"{kind}, {units.size(fastest[1].allocation_size)}: fastest {first}, slowest {last}, {apart} apart"


def sharing(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Each row that ran on several devices at once beside the same one alone: (alone, together)."""
    alone = {_sharing_key(row): row for row in rows if row.together == 1}
    return [(alone[_sharing_key(row)], row) for row in rows if row.together > 1 and _sharing_key(row) in alone]


def _sharing_key(row: Row) -> tuple[object, ...]:
    return (row.job, *series_key(row)[:-2], row.api, row.allocation_size)


def findings(rows: Sequence[Row]) -> list[str]:
    """Every line that a run's figures justify."""
    return [*(one.text() for one in scalings(rows)), *bandwidths(rows), *page_costs(rows)]

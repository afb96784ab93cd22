"""What a run's figures say, in words: how cost grows with size, which memory type to use, what a touch costs. Pure."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from vkmapctl import units
from vkmapctl.figures import allocating, versus
from vkmapctl.figures.waiting import round_trips, waits
from vkmapctl.model.case import labels, memory_label
from vkmapctl.model.measured import Row

LEAST_SIZES = 3
LEAST_SPAN = 16  # largest over smallest size, for an exponent to mean something
FLAT, STEEP = 0.15, 0.7


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


def sweeps(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows that differ in their size alone, by size; sweeps of too few sizes are left out."""
    series: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.status == "ok" and row.map_size is None and not row.steps:
            series.setdefault(row.identity(but=("allocation_size",)), []).append(row)
    swept = [sorted(group, key=lambda row: row.allocation_size) for group in series.values()]
    return [group for group in swept if _is_sweep([row.allocation_size for row in group])]


def _lives(rows: Iterable[Row]) -> list[list[Row]]:
    """The same of rows whose steps allocate: a script's digest is of the sizes too."""
    series: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.status == "ok" and row.steps and row.memory_type >= 0 and row.latency("allocate"):
            series.setdefault(row.identity(but=("allocation_size", "script")), []).append(row)
    swept = [sorted(group, key=lambda row: row.allocation_size) for group in series.values()]
    return [group for group in swept if _is_sweep([row.allocation_size for row in group])]


def _is_sweep(sizes: Sequence[int]) -> bool:
    return len(set(sizes)) >= LEAST_SIZES and sizes[-1] >= sizes[0] * LEAST_SPAN


def sweep_labels(among: Sequence[Sequence[Row]]) -> list[str]:
    """What tells each sweep from the others of a run."""
    told = ("memory type", "placed", "reserve", "touch", "threads", "live", "api")
    return labels([replace(swept[0], allocation_size=0) for swept in among], always=told)


def scalings(rows: Sequence[Row]) -> list[Scaling]:
    """A verdict for map and one for unmap of each size sweep; for allocate, import and free of what does those."""
    among = [*sweeps(rows), *_lives(rows)]
    found = []
    for label, swept in zip(sweep_labels(among), among, strict=True):
        for call in ("allocate", "import", "free") if swept[0].calls else ("map", "unmap"):
            scaling = _scaling(label, call, swept)
            if scaling:
                found.append(scaling)
    return found


def _scaling(where: str, call: str, swept: Sequence[Row]) -> Scaling | None:
    points = []
    for row in swept:
        latency = row.latency(call)
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
        cost = row.first_touch_ns_per_page
        if row.status != "ok" or cost is None:
            continue
        lines.append(f"{row.job}: the first touch of a page costs {units.duration(cost)}; {_faults(row)}")
    return lines


def _faults(row: Row) -> str:
    first = row.first_touch
    if first is None:  # a file of vkmapctl 0.1
        minor, major = row.page_faults.get("minor", 0), row.page_faults.get("major", 0)
        return f"{units.count(minor)} minor and {units.count(major)} major faults in both passes"
    faults = first.minor_faults + first.major_faults
    text = f"{units.count(first.faults_per_mapping)} faults a mapping"
    if faults:
        text += f", {units.count(first.pages / faults)} pages a fault"
    if first.huge_bytes:
        text += f", {first.huge_bytes / first.looked_bytes:.0%} on huge pages"
    return text


def bandwidths(rows: Sequence[Row]) -> list[str]:
    """The fastest and the slowest memory type to write and to read, where one job went through several."""
    jobs: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.status == "ok" and row.touch in ("write", "read", "verify") and row.width == "auto" and row.gpu is None:
            jobs.setdefault(row.identity(but=("memory_type", "memory_flags")), []).append(row)
    lines = []
    for among in jobs.values():
        for kind in ("write", "read"):
            rates = [(rate, row) for row in among if (rate := getattr(row.touch_bytes_per_second, kind))]
            types = sorted(((rate, row) for rate, row in rates if row.memory_type >= 0), key=lambda one: one[0])
            if len({row.memory_type for _, row in types}) > 1:
                malloc = [f"; malloc {units.bandwidth(rate)}" for rate, row in rates if row.memory_type < 0]
                lines.append(f"{_bandwidth_text(kind, types[-1], types[0])}{''.join(malloc[:1])}")
    return lines


ENOUGH = 0.9  # of the best bandwidth


def widths(rows: Sequence[Row]) -> list[str]:
    """From how many bytes an access on a memory type is written and read about as fast as any width can."""
    jobs: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.status == "ok" and row.touch in ("write", "read") and row.width != "auto":
            jobs.setdefault(row.identity(but=("width",)), []).append(row)
    lines = [_widths_text(kind, among) for among in jobs.values() for kind in ("write", "read")]
    return [line for line in lines if line]


def _widths_text(kind: str, among: Sequence[Row]) -> str:
    """Empty where fewer than two widths were measured."""
    rates = {row.width: rate for row in among if (rate := getattr(row.touch_bytes_per_second, kind))}
    numbers = sorted(int(width) for width in rates if width.isdecimal())
    if len(numbers) < 2:
        return ""
    best = max(rates, key=lambda width: rates[width])
    wide = [n for i, n in enumerate(numbers) if all(rates[str(m)] >= ENOUGH * rates[best] for m in numbers[i:])]
    row, narrowest, widest = among[0], numbers[0], numbers[-1]
    one = "load" if kind == "read" else "store"
    where = f"{memory_label(row)}, {units.size(row.allocation_size)}"
    where += "" if row.access == "sequential" else f", {row.access}"
    top = f"({units.bandwidth(rates[best])}, {f'{best}-byte {one}s' if best.isdecimal() else best})"
    if wide:
        told = f"reach {ENOUGH:.0%} of their best {top} from {wide[0]} byte{'s' * (wide[0] > 1)} a {one} on"
    else:
        told = f"reach {rates[str(widest)] / rates[best]:.0%} of their best {top} with {widest} bytes a {one}"
    if wide and wide[0] == narrowest:
        return f"{where}: {kind}s {told}"
    return f"{where}: {kind}s {told}; {narrowest}-byte {one}s are {_times(rates[best] / rates[str(narrowest)])} slower"


def _times(ratio: float) -> str:
    return f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.2g} times"


def _bandwidth_text(kind: str, fastest: tuple[float, Row], slowest: tuple[float, Row]) -> str:
    times = fastest[0] / slowest[0]
    apart = _times(times)
    first, last = (
        f"{memory_label(row)} at {units.bandwidth(rate)}{_way(kind, row)}" for rate, row in (fastest, slowest)
    )
    return f"{kind}, {units.size(fastest[1].allocation_size)}: fastest {first}, slowest {last}, {apart} apart"


def _way(kind: str, row: Row) -> str:
    return f" by {row.write_way}" if kind == "write" and row.write_way else ""


def sharing(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Each row that ran on several devices at once beside the same one alone: (alone, together)."""
    alone = {row.identity(but=("together",)): row for row in rows if row.together == 1}
    pairs = [(alone.get(row.identity(but=("together",))), row) for row in rows if row.together > 1]
    return [(one, row) for one, row in pairs if one]


def sides(rows: Sequence[Row]) -> list[str]:
    """Whether the other side of a run with --versus is slower, row by row."""
    lines = []
    for row in rows:
        if row.versus and row.versus.ratio:
            middle, low, high = row.versus.ratio
            verdict = versus.verdict(row.versus.ratio)
            lines.append(
                f"{row.job}: the other side takes {middle:.3f} times as long ({low:.3f} to {high:.3f}): {verdict}"
            )
    return lines


def replays(rows: Sequence[Row]) -> list[str]:
    """How long each trace took, and what was otherwise than in its recording."""
    lines = []
    for row in rows:
        one = row.replay
        if one is None or not one.calls:
            continue
        recorded = f", recorded in {units.duration(one.recorded_seconds * 1e9)}" if one.recorded_seconds else ""
        waits = f"; its threads waited {units.duration(one.waits_ns)} for each other" if one.waits_ns else ""
        lines.append(f"{row.job}: replayed in {units.duration(row.seconds * 1e9)}{recorded}{waits}")
        lines += [f"{row.job}: otherwise than recorded, {text}" for text in one.replaced]
        if one.skipped:
            lines.append(
                f"{row.job}: steps left out after calls that failed here and not in the recording: "
                f"{units.count(one.skipped)}"
            )
        if one.differs:
            lines.append(
                f"{row.job}: calls that succeeded here and failed in the recording, undone at once: "
                f"{units.count(one.differs)}"
            )
    return lines


def findings(rows: Sequence[Row]) -> list[str]:
    """Every line that a run's figures justify."""
    return [
        *(one.text() for one in scalings(rows)),
        *allocating.findings(rows),
        *bandwidths(rows),
        *widths(rows),
        *page_costs(rows),
        *waits(rows),
        *round_trips(rows),
        *sides(rows),
        *replays(rows),
    ]

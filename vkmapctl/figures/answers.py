"""What a preset asks, answered in one line from its rows. Pure."""

from collections.abc import Callable, Sequence

from vkmapctl import units
from vkmapctl.figures.advice import best_types
from vkmapctl.figures.allocating import cost, costs, imports, pressures
from vkmapctl.figures.findings import scalings
from vkmapctl.figures.waiting import TRIPS, Beside, beside_idle, trip
from vkmapctl.model.case import memory_label
from vkmapctl.model.device import MALLOC
from vkmapctl.model.documents import Run
from vkmapctl.model.loop import CALLS
from vkmapctl.model.measured import Row

Rows = Sequence[Row]
ALIKE = 1.1  # costs that lie less than a tenth apart are called the same
CANNOT_TELL = "cannot tell: "


def answer(run: Run) -> str:
    """The line, which begins with `cannot tell: ` where the rows do not say; empty where no preset asks."""
    answers = _ANSWERS.get(run.workload.name)
    if not run.workload.question or answers is None or not run.results:
        return ""
    bad = [row for row in run.results if row.status not in ("ok", "unsupported", "not-run")]
    if bad:
        return f"no: {bad[0].job}: {bad[0].reason or bad[0].status}"
    missing = [row for row in run.results if row.status != "ok"]
    good = [row for row in run.results if row.status == "ok"]
    if not good:
        return f"{CANNOT_TELL}{missing[0].reason}"
    told = answers(good)
    return f"{told}; left out: {missing[0].job}: {missing[0].reason}" if missing else told


def times(ratio: float) -> str:
    """`1.25 times`, `120 times`."""
    return f"{ratio:.3g} times" if ratio < 1000 else f"{ratio:,.0f} times"


def named(rows: Rows, part: str) -> list[Row]:
    """The rows of one of the workload's jobs."""
    return [row for row in rows if row.part == part]


def _quick(rows: Rows) -> str:
    made = [call for call in CALLS if all(row.latency(call) for row in rows)]
    if not made:
        return f"{CANNOT_TELL}no call was timed"
    if len(rows) == 1:
        costs = ", ".join(f"{call} {cost(rows[0], call)}" for call in made)
        pair = f", a pair without the clock {units.duration(rows[0].ns_per_pair)}" if rows[0].ns_per_pair else ""
        return f"yes: p50 at {units.size(rows[0].allocation_size)} is: {costs}{pair}"
    costs = ", ".join(f"{call} {_costs(rows, call)}" for call in made)
    return f"yes, in all {len(rows)} rows; p50: {costs}"


def _costs(rows: Rows, call: str) -> str:
    """`30 ns to 2.00 ms`, over the rows."""
    by_cost = sorted(rows, key=lambda row: getattr(row.latency(call), "p50_ns", None) or 0.0)
    low, high = cost(by_cost[0], call), cost(by_cost[-1], call)
    return low if low == high else f"{low} to {high}"


def _sizes(rows: Rows) -> str:
    found = [one for one in scalings(rows) if one.call == "map"]
    if not found:
        return f"{CANNOT_TELL}fewer than three sizes were measured, or they lie too close together"
    verdicts = list(dict.fromkeys(one.verdict for one in found))
    parts = []
    for verdict in verdicts:
        among = [one for one in found if one.verdict == verdict]
        where = "" if len(found) == 1 else f" for {', '.join(one.where for one in among)}"
        one = among[0]
        parts.append(
            f"{verdict}{where}: {units.duration(one.low)} at {units.size(one.smallest)}, "
            f"{units.duration(one.high)} at {units.size(one.largest)}"
        )
    return "; ".join(parts)


def _spread(rows: Rows, what: Callable[[Row], str]) -> tuple[float, Row, Row] | None:
    """How many times as much the dearest pair costs as the cheapest, and the two rows."""
    priced = sorted((row for row in rows if row.ns_per_pair), key=lambda row: row.ns_per_pair or 0.0)
    if len({what(row) for row in priced}) < 2:
        return None
    low, high = priced[0], priced[-1]
    return (high.ns_per_pair or 0.0) / (low.ns_per_pair or 1.0), low, high


def _offsets(rows: Rows) -> str:
    found = _spread(rows, lambda row: str(row.offset))
    if found is None:
        return f"{CANNOT_TELL}it takes two offsets"
    ratio, low, high = found
    range_ = f"{units.duration(low.ns_per_pair or 0.0)} to {units.duration(high.ns_per_pair or 0.0)} a pair"
    if ratio < ALIKE:
        return f"no: {range_} at all {len(rows)} offsets"
    return f"yes: {range_}, cheapest at offset {low.offset}, dearest at {high.offset}, {times(ratio)} apart"


def _apis(rows: Rows) -> str:
    compared = [row for row in rows if row.ratio_to_v1]
    if not compared:
        return f"{CANNOT_TELL}there is one api only, or too few rounds"
    told = []
    for row in compared:
        ratio, low, high = row.ratio_to_v1 or (1.0, 1.0, 1.0)
        verdict = "alike" if low <= 1 <= high else "dearer" if low > 1 else "cheaper"
        told.append((verdict, f"{row.api} {ratio:.2f} ({low:.2f} to {high:.2f}) at {units.size(row.allocation_size)}"))
    beside = ", ".join(text for _, text in told)
    if all(verdict == "alike" for verdict, _ in told):
        return f"no difference shows; beside vkMapMemory a pair costs: {beside}"
    worst = max(abs(row.ratio_to_v1[0] - 1) for row in compared if row.ratio_to_v1)
    return f"they differ by at most {worst:.0%}; beside vkMapMemory a pair costs: {beside}"


def _live(rows: Rows) -> str:
    priced = sorted((row for row in rows if row.ns_per_pair), key=lambda row: row.live)
    if len(priced) < 2:
        return f"{CANNOT_TELL}it takes two numbers of live objects"
    few, many = priced[0], priced[-1]
    ratio = (many.ns_per_pair or 0.0) / (few.ns_per_pair or 1.0)
    text = (
        f"{units.duration(few.ns_per_pair or 0.0)} a pair with {few.live} objects mapped, "
        f"{units.duration(many.ns_per_pair or 0.0)} with {many.live}"
    )
    return f"{'no' if ratio < ALIKE else 'yes'}: {text}, {times(ratio)} as much"


def _threads(rows: Rows) -> str:
    rated = {row.threads: row.pairs_per_second for row in rows if row.pairs_per_second}
    most = max(rated, default=0)
    if 1 not in rated or most < 2:
        return f"{CANNOT_TELL}it takes two CPUs that this process may use"
    gain = rated[most] / rated[1]
    verdict = "no" if gain >= most / ALIKE else "yes" if gain < most / 2 else "a little"
    return f"{verdict}: {most} threads make {times(gain)} the pairs of one"


_TOUCHED = {
    "fresh memory": "of fresh memory",
    "fresh malloc": "of fresh memory",
    "mapped again": "mapped again",
    "placed again": "placed again",
    "imported": "imported",
}


def _first_touch(rows: Rows) -> str:
    told = [
        f"a page {words} ({memory_label(row)}) {units.duration(row.first_touch_ns_per_page)}{_faults(row)}"
        for part, words in _TOUCHED.items()
        for row in named(rows, part)
        if row.first_touch_ns_per_page is not None
    ]
    if not told:
        return f"{CANNOT_TELL}no page was touched"
    again = [row.first_touch for row in named(rows, "mapped again") if row.first_touch]
    faults = [one.faults_per_mapping >= 1 for one in again]
    verdict = "mapping again faults again: " if any(faults) else "mapping again costs no faults: " if faults else ""
    return f"{verdict}{'; '.join(told)}"


def _faults(row: Row) -> str:
    first = row.first_touch
    if first is None:
        return ""
    if first.faults_per_mapping < 1:
        return ", no faults"
    return f", {units.count(first.faults_per_mapping)} faults a mapping of {units.size(row.allocation_size)}"


def _memory_types(rows: Rows) -> str:
    types, malloc = ([row for row in rows if (row.memory_type == MALLOC) is told] for told in (False, True))
    auto = [row for row in types if row.width == "auto" and not row.steps]
    best = best_types(auto, auto)
    if not all(best.values()):
        return f"{CANNOT_TELL}not every type was both written and read"
    told = [f"{use} {found}" for use, found in best.items()]
    if len({row.memory_type for row in types}) == 1:
        told.insert(0, "there is one host-visible type")
    for kind in ("write", "read"):
        rate = max((getattr(row.touch_bytes_per_second, kind) or 0.0 for row in malloc), default=0.0)
        told += [f"malloc's memory: {kind} {units.bandwidth(rate)}"] * bool(rate)
    for call in ("flush", "invalidate"):
        made = [row for row in types if row.latency(call)]
        told += [f"{call} of {units.size(row.allocation_size)} {_costs(made, call)}" for row in made[:1]]
    return "; ".join(told)


def _low4g(rows: Rows) -> str:
    placed = [row for row in rows if row.map and row.placed]
    if not placed:
        return f"{CANNOT_TELL}nothing was placed"
    by_cost = sorted(placed, key=lambda row: row.map.p50_ns or 0.0 if row.map else 0.0)
    low, high = by_cost[0], by_cost[-1]
    text = (
        f"a placed map costs {cost(low, 'map')} ({units.size(low.allocation_size)}) to "
        f"{cost(high, 'map')} ({units.size(high.allocation_size)})"
    )
    return f"yes: every map went where it was placed and every range stayed reserved; {text}"


def _reserve(rows: Rows) -> str:
    told = []
    for row in named(rows, "placed, reserve"):
        for without in named(rows, "placed"):
            if without.allocation_size == row.allocation_size:
                told.append(
                    f"{cost(row, 'unmap')} with the flag, {cost(without, 'unmap')} without, "
                    f"at {units.size(row.allocation_size)}"
                )
    if not told:
        return f"{CANNOT_TELL}no placed map was unmapped both ways"
    return f"yes, addresses stayed taken; an unmap costs {'; '.join(told)}"


def _soak(rows: Rows) -> str:
    verified, seconds = sum(row.verified_bytes for row in rows), sum(row.seconds for row in rows)
    if not verified:
        return f"{CANNOT_TELL}nothing was verified"
    return (
        f"yes: {units.size(verified)} compared in {units.duration(seconds * 1e9)} of the rate pass alone, "
        "no byte wrong, no leak seen"
    )


def _allocation(rows: Rows) -> str:
    plain = [row for row in named(rows, "life") if row.allocation == "plain"]
    if not plain:
        return f"{CANNOT_TELL}no object was allocated"
    told = [f"p50 at {units.size(row.allocation_size)} is: {costs(row)}" for row in _ends(plain)]
    many = named(rows, "beside 1000")
    if many:
        told.append(f"beside 1,000 other objects: {costs(many[0])}")
    part = [row for row in named(rows, "part of a block") if row.map_size is not None]
    if part:
        told.append(f"mapping {units.size(part[0].map_size or 0)} of one block: {cost(part[0], 'map')}")
    return "; ".join(told)


def _ends(rows: Rows) -> list[Row]:
    """The smallest and the largest, or the only one."""
    by_size = sorted(rows, key=lambda row: row.allocation_size)
    return by_size if len(by_size) < 2 else [by_size[0], by_size[-1]]


def _host_import(rows: Rows) -> str:
    sizes = {row.allocation_size for row in _ends([row for row in rows if row.imported == "host"])}
    found = imports([row for row in rows if row.allocation_size in sizes])
    return "; ".join(found) or f"{CANNOT_TELL}no import stands beside a map of the same size"


def _pressure(rows: Rows) -> str:
    largest = max(row.allocation_size for row in rows)
    found = pressures([row for row in rows if row.allocation_size == largest])
    return "; ".join(found) or f"{CANNOT_TELL}no row under pressure stands beside one without"


def _busy_gpu(rows: Rows) -> str:
    pairs = beside_idle(rows)
    if not pairs:
        return f"{CANNOT_TELL}no row was measured both ways"
    waiting = [one for one in pairs if one.waiting]
    if not waiting:
        return f"no, nothing waits; time per pair beside idle: {', '.join(_beside(one) for one in pairs)}"
    told = "; ".join(f"{one.busy.part or one.busy.job}: {' and '.join(one.waiting)}" for one in waiting)
    others = [_beside(one) for one in pairs if one not in waiting]
    return f"yes: {told}" + (f"; time per pair of the others beside idle: {', '.join(others)}" if others else "")


def _beside(one: Beside) -> str:
    ratio = one.busy.ratio_to_idle
    name = one.busy.part or one.busy.job
    return f"{name} {ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f})" if ratio else f"{name} not known"


def _round_trip(rows: Rows) -> str:
    told = [
        f"{', '.join(f'{words} {cost(row, call)}' for call, words in TRIPS.items() if trip(row, call))} "
        f"through {memory_label(row)}"
        for row in rows
        if any(trip(row, call) for call in TRIPS)
    ]
    return f"p50 of a small copy: {'; '.join(told)}" if told else f"{CANNOT_TELL}no round trip was made"


def _copies(call: str) -> Callable[[Rows], str]:
    """Of whole objects: the best type for the smallest and for the largest, with the worst one beside it."""

    def told(rows: Rows) -> str:
        made = [row for row in rows if trip(row, call)]
        sizes = sorted({row.allocation_size for row in made})
        if not sizes:
            return f"{CANNOT_TELL}no round trip was made"
        parts = []
        for size in dict.fromkeys((sizes[0], sizes[-1])):
            among = sorted((row for row in made if row.allocation_size == size), key=lambda row: _median(row, call))
            best, worst = among[0], among[-1]
            rate = units.bandwidth(size / _median(best, call) * 1e9)
            text = f"{units.size(size)} in {cost(best, call)} ({rate}) through {memory_label(best)}"
            if worst is not best:
                text += f", {cost(worst, call)} through {memory_label(worst)}"
            parts.append(text)
        return "; ".join(parts)

    return told


def _median(row: Row, call: str) -> float:
    return max(getattr(row.latency(call), "p50_ns", None) or 0.0, 1.0)


_ANSWERS: dict[str, Callable[[Rows], str]] = {
    "quick": _quick,
    "size-sweep": _sizes,
    "offset-sweep": _offsets,
    "api-compare": _apis,
    "live-set": _live,
    "threads": _threads,
    "first-touch": _first_touch,
    "memory-types": _memory_types,
    "low4g": _low4g,
    "reserve-churn": _reserve,
    "soak": _soak,
    "allocation": _allocation,
    "host-import": _host_import,
    "pressure": _pressure,
    "busy-gpu": _busy_gpu,
    "round-trip": _round_trip,
    "readback": _copies("to-host"),
    "upload": _copies("to-device"),
}

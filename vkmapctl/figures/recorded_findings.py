"""What a recording's figures mean: the patterns that cost time, each with its figure and what mending it would save.

Each is a function of the report alone, so that a saved one is judged like a fresh one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from vkmapctl.figures.device_figures import DeviceFigures, Place, device_figures
from vkmapctl.figures.recorded_objects import short_ns
from vkmapctl.figures.recorded_words import many, number, often, per_cent, share, spent, times
from vkmapctl.model.base import Note
from vkmapctl.model.documents import Run
from vkmapctl.model.recorded import MAPPING_CALLS, ObjectClass, RecordFinding, RecordReport
from vkmapctl.units import bandwidth, size

LEAST = 10  # times, for something to be a pattern
LEAST_FAULTS = 100
MANY_OBJECTS = 1000  # at one time
MUCH_LOW = 1 << 30  # bytes of the 4 GiB that 32-bit programs have
NOTEWORTHY = 0.01  # of the program's time: below, mapping is not where it goes
FIRST = ("never-returned", "failed-calls")  # before what costs time
NOTHING = "nothing-amiss"
_READ_BACK = "in memory that the CPU does not cache, a read goes to the memory itself, each time"


def concluded(report: RecordReport, run: Run | None = None) -> RecordReport:
    """The same with its answer and its findings. run: a stress run of the device, for its figures."""
    figures = device_figures(run, report.devices)
    found = [one for find in _FINDERS for one in find(report, figures)]
    found.sort(key=lambda one: (one.code not in FIRST, -(one.seconds or 0.0)))
    if not found:
        found = [_nothing(report)]
    notes = [
        Note("figures-of-another-device", f"--figures has no figures of {name}: none are used of it")
        for name in figures.strangers
    ]
    kept = [note for note in report.warnings if note.code != "figures-of-another-device"]
    return replace(report, findings=tuple(found), answer=_answer(report, figures), warnings=(*kept, *notes))


def _answer(report: RecordReport, figures: DeviceFigures) -> str:
    calls = [one for one in report.calls if one.count and one.call in MAPPING_CALLS]
    if not calls:
        return "The program allocated and mapped no memory."
    first = max(calls, key=lambda one: one.seconds)
    spends = f"{spent(report.mapping_seconds)}, {share(report.mapping_seconds, report)}"
    most = f"most of it in {first.call} ({spent(first.seconds)} in {many(first.count, 'call')})"
    faults = _faults_answer(report, figures)
    if _is_little(report, figures):
        return f"Mapping is not where the time goes: its calls take {spends}.{faults}"
    return f"Calls that allocate, map and flush take {spends}, {most}.{faults}"


def _is_little(report: RecordReport, figures: DeviceFigures) -> bool:
    cost = _pages_seconds(report, figures, _all_faults)
    if cost is None and report.page_faults and report.page_faults.in_mappings >= LEAST_FAULTS:
        return False
    return report.seconds > 0 and (report.mapping_seconds + (cost or 0.0)) / report.seconds < NOTEWORTHY


def _all_faults(one: ObjectClass) -> int | None:
    return one.page_faults


def _faults_answer(report: RecordReport, figures: DeviceFigures) -> str:
    faults = report.page_faults
    if faults is None:
        return f" Cannot tell what the first touch of mapped pages costs: {report.faults_missing}."
    if not faults.in_mappings:
        return " No page of a mapping was touched for the first time."
    cost = _pages_seconds(report, figures, _all_faults)
    said = "" if cost is None else f", {'' if figures.page_ns else 'at most '}{spent(cost)}"
    pages = many(faults.in_mappings, "page fault")
    return f" First touches of mapped pages: {pages}{_of_recorded(faults.in_mappings, report)}{said}."


def _of_recorded(some: int, report: RecordReport) -> str:
    recorded = report.page_faults.recorded if report.page_faults else 0
    return f", {per_cent(some / recorded)} of all that were recorded" if recorded else ""


def _nothing(report: RecordReport) -> RecordFinding:
    if not report.mapping_seconds:
        return RecordFinding(NOTHING, "No wasteful pattern was found: no time was spent in calls that map", seconds=0.0)
    text = f"No wasteful pattern was found: the calls take {share(report.mapping_seconds, report)}"
    missing = f"; cannot tell of first touches: {report.faults_missing}" if report.faults_missing else ""
    return RecordFinding(NOTHING, text + missing, seconds=report.mapping_seconds)


def _of_life(report: RecordReport, *lives: str) -> list[ObjectClass]:
    return [one for one in report.objects if one.life in lives]


def _never_returned(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    for one in report.calls:
        if one.unreturned:
            yield RecordFinding(
                "never-returned",
                f"{many(one.unreturned, 'call')} of {one.call} had not returned when the program ended: it hung there, "
                "or died",
                figures={"calls": one.unreturned},
            )


def _failed(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    for one in report.calls:
        if one.failed:
            results = ", ".join(f"{result} {times(count)}" for result, count in one.errors.items())
            yield RecordFinding(
                "failed-calls",
                f"{one.call} failed {times(one.failed)} in {many(one.count, 'call')}: {results}",
                figures={"failed": one.failed, "calls": one.count},
            )


def _per_use(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    found = _of_life(report, "per-use")
    objects, seconds = sum(one.objects for one in found), sum(one.seconds for one in found)
    if objects < LEAST:
        return
    mean = sum(one.bytes for one in found) // objects
    yield RecordFinding(
        "allocates-per-use",
        f"Allocates, maps and frees a memory object for each use: {many(objects, 'object')} of {size(mean)} on "
        f"average, {often(objects, report)}, {spent(seconds)} in these calls",
        f"objects that are kept, mapped, and used again would save nearly all of it: {share(seconds, report)}"
        + (", and most page faults" if any(one.page_faults for one in found) else ""),
        seconds,
        seconds * (1 - 1 / objects),
        figures={"objects": objects, "mean_bytes": mean, "maps": sum(one.maps for one in found)},
    )


def _unmapped_per_use(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    """Of memory that is not mapped: its lifetimes tell that it is there for one use."""
    short = short_ns(report.seconds)
    found = [one for one in _of_life(report, "unmapped") if one.freed and (one.lifetime_p50_ns or 0.0) < short]
    objects, seconds = sum(one.freed for one in found), sum(one.seconds for one in found)
    if objects >= LEAST:
        yield RecordFinding(
            "allocates-and-frees",
            f"Allocates and frees {many(objects, 'object')} that it never maps, most of them soon, "
            f"{often(objects, report)}, {spent(seconds)} in these calls",
            f"objects that are used again would save most of it: {share(seconds, report)}",
            seconds,
            seconds * (1 - 1 / objects),
            figures={"objects": objects},
        )


def _maps_again(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    found = [one for one in _of_life(report, "mapped-again", "per-use") if one.maps_again]
    again, seconds = sum(one.maps_again for one in found), sum(one.again_seconds for one in found)
    objects = sum(one.objects for one in found)
    if again >= LEAST:
        yield RecordFinding(
            "maps-again",
            f"Maps {many(objects, 'object')} again that it had mapped before: {times(again)}, "
            f"{often(again, report)}, {spent(seconds)} in maps and unmaps",
            f"a mapping may stay for as long as its object, also while the device works: {share(seconds, report)}, and "
            "more on a driver whose maps take longer the larger they are",
            seconds,
            seconds,
            figures={"maps": again, "objects": objects},
        )


def _fresh_pages(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    fresh = sum(map(_fresh, report.objects))
    maps = sum(one.maps if one.life == "per-use" else one.maps_again for one in report.objects if _fresh(one))
    if fresh < LEAST_FAULTS or maps < LEAST:
        return
    cost = _pages_seconds(report, figures, _fresh)
    at_most = "" if figures.page_ns else "at most "
    yield RecordFinding(
        "fresh-pages",
        f"Touches fresh memory again and again: {many(fresh, 'page fault')} in such mappings, "
        f"{number(fresh / maps)} a map{_of_recorded(fresh, report)}"
        + (f", {at_most}{spent(cost)}" if cost is not None else ""),
        "memory that is kept, with its mapping, is touched for the first time only once: "
        + (
            f"{at_most}{share(cost, report)}" if cost is not None else "what a page costs, `stress --touch first` tells"
        ),
        cost,
        cost,
        figures={"page_faults": fresh, "maps": maps},
    )


def _fresh(one: ObjectClass) -> int:
    """Page faults that a mapping which is kept would not have had."""
    return (one.page_faults if one.life == "per-use" else one.page_faults_again) or 0


def _pages_seconds(
    report: RecordReport, figures: DeviceFigures, count: Callable[[ObjectClass], int | None]
) -> float | None:
    """What page faults took, as many of each class as `count` says; None where nothing tells what a page costs."""
    bound = report.page_faults.ns_per_page if report.page_faults else None
    total, known = 0.0, False
    for one in report.objects:
        page = figures.page_ns.get(_place(one)) or bound
        if page is not None and (faults := count(one)):
            total, known = total + faults * page / 1e9, True
    return total if known else None


def _place(one: ObjectClass) -> Place:
    return Place(one.device or 0, one.memory_flags)


def _flushes_coherent(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    found = [one for one in report.objects if "Co" in one.memory_flags and one.flushes + one.invalidates]
    calls, seconds = sum(one.flushes + one.invalidates for one in found), sum(one.flush_seconds for one in found)
    if calls >= LEAST:
        yield RecordFinding(
            "flushes-coherent",
            f"Flushes or invalidates coherent memory, which needs neither: {many(calls, 'call')}, "
            f"{often(calls, report)}, {spent(seconds)}",
            f"leaving them out where the memory type has VK_MEMORY_PROPERTY_HOST_COHERENT_BIT saves all of it: "
            f"{share(seconds, report)}",
            seconds,
            seconds,
            figures={"calls": calls},
        )


def _reads_uncached(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    """Inferred: no recording sees a load."""
    for one in report.objects:
        if one.device is None or "Vi" not in one.memory_flags or "Ca" in one.memory_flags:
            continue
        if one.read_back < LEAST and one.invalidates < LEAST:
            continue
        kind = " ".join(one.memory_flags)
        why = (
            f"{many(one.invalidates, 'invalidate')} of it"
            if one.invalidates >= LEAST
            else f"{many(one.read_back, 'object')} mapped after the device had worked, and freed before it worked again"
        )
        cached = [each for each in report.devices[one.device].memory_types if {"Vi", "Ca"} <= {*each.flags}]
        saves = f"for reading there is {cached[0].label}" if cached else "this device has no cached type to read from"
        slow = figures.read.get(_place(one))
        fast = max((figures.read.get(Place(one.device, each.flags), 0.0) for each in cached), default=0.0)
        rates = f"; it reads at {bandwidth(slow)} there" if slow else f": {_READ_BACK}"
        saves += f", which reads at {bandwidth(fast)}" if slow and fast else ""
        yield RecordFinding(
            "reads-uncached",
            f"Likely reads from memory that is not cached ({kind}): {why}{rates}",
            saves,
            likely=True,
            figures={"objects": one.read_back, "invalidates": one.invalidates}
            | ({"read_bytes_per_second": slow} if slow else {})
            | ({"cached_read_bytes_per_second": fast} if fast else {}),
        )


def _small_objects(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    if report.most_small_objects < MANY_OBJECTS:
        return
    small = [one for one in report.objects if one.least_bytes < 1 << 20 and one.life not in ("per-use", "imported")]
    objects, seconds = sum(one.objects for one in small), sum(one.seconds for one in small)
    mean = sum(one.bytes for one in small) // max(objects, 1)
    yield RecordFinding(
        "small-objects",
        f"Has {number(report.most_small_objects)} objects below 1 MiB at one time, of {size(mean)} on average: "
        f"{spent(seconds)} to allocate, map and free them",
        "blocks of many MiB that are divided up save most of that, and a device may allow no more than 4,096 objects "
        f"(maxMemoryAllocationCount): {share(seconds, report)}",
        seconds,
        seconds,
        figures={"most_objects": report.most_small_objects, "mean_bytes": mean},
    )


def _low_addresses(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    if report.most_low_bytes >= MUCH_LOW:
        yield RecordFinding(
            "low-addresses",
            f"Mappings fill {size(report.most_low_bytes)} of the address space below 4 GiB at one time",
            "what a 32-bit program has left is less than that of 4 GiB: mapping parts of objects, or unmapping what is "
            "not used, leaves more",
            figures={"most_low_bytes": report.most_low_bytes},
        )


def _imports_per_use(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    found = _of_life(report, "imported")
    objects, seconds = sum(one.objects for one in found), sum(one.seconds for one in found)
    freed = sum(one.freed for one in found)
    if freed >= LEAST:
        yield RecordFinding(
            "imports-per-use",
            f"Imports host memory for each use instead of mapping: {many(objects, 'import')}, "
            f"{often(objects, report)}, {spent(seconds)} to import and free",
            f"importing a buffer once for as long as it lives saves nearly all of it: {share(seconds, report)}",
            seconds,
            seconds * (1 - 1 / objects),
            figures={"imports": objects},
        )


def _freed_mapped(report: RecordReport, figures: DeviceFigures) -> Iterator[RecordFinding]:
    objects = sum(one.freed_mapped for one in report.objects)
    if objects:
        yield RecordFinding(
            "freed-mapped",
            f"Frees {many(objects, 'object')} while mapped, which is legal: the free unmaps",
            figures={"objects": objects},
        )


_FINDERS: Sequence[Callable[[RecordReport, DeviceFigures], Iterable[RecordFinding]]] = (
    _never_returned,
    _failed,
    _per_use,
    _unmapped_per_use,
    _maps_again,
    _fresh_pages,
    _flushes_coherent,
    _reads_uncached,
    _small_objects,
    _low_addresses,
    _imports_per_use,
    _freed_mapped,
)

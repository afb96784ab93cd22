"""Two verify runs, or two probes, side by side: what newly fails, passes, comes and goes; which facts differ. Pure."""

from collections.abc import Iterator, Sequence
from typing import Literal

from vkmapctl.figures.checked import BROKEN, LEFT_OUT, by_check, type_label
from vkmapctl.model.base import Data
from vkmapctl.model.device import Device, Probe
from vkmapctl.model.documents import CheckRow, ProbeReport, VerifyReport
from vkmapctl.units import NONE, size

Kind = Literal["fails", "differs", "quality", "known", "vanishes", "appears", "passes"]
KINDS: dict[Kind, str] = {  # in the order in which a reader wants them
    "fails": "Newly fail",
    "differs": "Fail in another way",
    "quality": "Newly fall short of good quality",
    "known": "Fail as known, and passed before",
    "vanishes": "No longer run",
    "appears": "Newly run, and pass",
    "passes": "Newly pass",
}
_BAD = (*BROKEN, "known")


class Change(Data, frozen=True):
    """A check whose verdict is another in NEW. base, new: its verdicts; types: the memory types; seen: where it broke.

    device: which of the devices, in the order of the files.
    """

    check: str
    title: str
    device: int
    kind: Kind
    base: tuple[str, ...]
    new: tuple[str, ...]
    types: tuple[str, ...]
    seen: tuple[str, ...]
    breaks: str


class Fact(Data, frozen=True):
    """A fact of a device that differs. lost: something that was proved before and is not any more."""

    device: int
    name: str
    base: str
    new: str
    lost: bool = False


class Side(Data, frozen=True):
    """One file: its name, its devices with their drivers, and what it was made with."""

    file: str
    devices: tuple[str, ...]
    version: str
    outcome: str


class Compared(Data, frozen=True):
    """BASE against one other file of the same kind. passing, failing: checks that do so in both."""

    base: Side
    new: Side
    changes: tuple[Change, ...] = ()
    facts: tuple[Fact, ...] = ()
    passing: int = 0
    failing: tuple[str, ...] = ()

    @property
    def worse(self) -> tuple[str, ...]:
        """What a gate is about."""
        lost = [one.name for one in self.facts if one.lost]
        return (*(one.check for one in self.changes if one.kind == "fails"), *lost)


class DocumentsReport(Data, frozen=True, tag_field="kind", tag="compare-documents"):
    """The document of `report compare --json` for verify runs and probes. of: their kind."""

    schema: str
    of: Literal["verify", "probe"]
    gate: Literal["warn", "fail"]
    comparisons: tuple[Compared, ...]
    exit_code: int


def compare_verify(base: tuple[str, VerifyReport], new: tuple[str, VerifyReport]) -> Compared:
    """Devices are matched by their order; names stand for the files."""
    changes: list[Change] = []
    passing, failing = 0, list[str]()
    for number, (one, other) in enumerate(zip(base[1].devices, new[1].devices, strict=True)):
        before = by_check(row for row in base[1].results if row.device == one.index)
        after = by_check(row for row in new[1].results if row.device == other.index)
        for name in dict.fromkeys((*before, *after)):
            rows = before.get(name, []), after.get(name, [])
            change = _change(number, *rows)
            changes += [change] if change else []
            passing += all(_passes(side) for side in rows)
            failing += [name] * all(any(row.status in _BAD for row in side) for side in rows)
    changes.sort(key=lambda one: [*KINDS].index(one.kind))
    sides = _side(base[0], base[1], base[1].devices), _side(new[0], new[1], new[1].devices)
    return Compared(*sides, tuple(changes), passing=passing, failing=tuple(dict.fromkeys(failing)))


def _passes(rows: Sequence[CheckRow]) -> bool:
    return "pass" in _ran(rows) and {*_ran(rows)} == {"pass"}


def _ran(rows: Sequence[CheckRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.status for row in rows if row.status not in LEFT_OUT))


def _change(device: int, before: Sequence[CheckRow], after: Sequence[CheckRow]) -> Change | None:
    """What became of a check, None where its verdicts say the same."""
    kind, rows = _turn(before, after)
    if kind is None:
        return None
    first = (*after, *before)[0]
    return Change(
        check=first.id,
        title=first.title,
        device=device,
        kind=kind,
        base=_told(before),
        new=_told(after),
        types=tuple(label for row in rows if (label := type_label(row))),
        seen=tuple(dict.fromkeys(row.detail for row in rows if row.detail)),
        breaks=first.breaks,
    )


def _turn(before: Sequence[CheckRow], after: Sequence[CheckRow]) -> tuple[Kind | None, Sequence[CheckRow]]:
    """The kind of change, and the rows that show it. What fails anywhere counts before all else."""
    was, now = {*_ran(before)}, {*_ran(after)}
    fails, known = _turned(BROKEN, before, after), _turned(("known",), before, after)
    if not now:
        return ("vanishes", after) if was else (None, ())
    if fails or known:
        return ("fails", fails) if fails else ("known", known)
    if not was:
        return ("quality" if "quality" in now else "appears"), after
    return _between(was, now, before, after)


def _between(
    was: set[str], now: set[str], before: Sequence[CheckRow], after: Sequence[CheckRow]
) -> tuple[Kind | None, Sequence[CheckRow]]:
    """The same of a check that ran in both, and fails nowhere that it did not."""
    mended = _turned(_BAD, after, before)
    if mended or "quality" in was - now:
        return "passes", mended or [row for row in before if row.status == "quality"]
    if "quality" in now - was:
        return "quality", [row for row in after if row.status == "quality"]
    if was & {*BROKEN} != now & {*BROKEN}:
        return "differs", [row for row in after if row.status in _BAD]
    return None, ()


def _turned(into: Sequence[str], first: Sequence[CheckRow], second: Sequence[CheckRow]) -> list[CheckRow]:
    """Rows of `second` that are so and did not fail in `first`: on their memory type, or on any where it lacks that."""
    earlier = {type_label(row): row.status for row in first}
    anywhere = not {*earlier.values()}.isdisjoint(_BAD)

    def failed(label: str) -> bool:
        return earlier[label] in _BAD if label in earlier else anywhere

    return [row for row in second if row.status in into and not failed(type_label(row))]


def _told(rows: Sequence[CheckRow]) -> tuple[str, ...]:
    """Its verdicts, those of memory types that it did not run on only where there are no others."""
    return _ran(rows) or tuple(dict.fromkeys(row.status for row in rows))


def _side(file: str, report: VerifyReport | ProbeReport, devices: Sequence[Device]) -> Side:
    drivers = tuple(f"{one.name}, {one.driver_name} {one.driver_info}" for one in devices)
    return Side(file, drivers, report.tool.version, report.outcome)


def compare_probe(base: tuple[str, ProbeReport], new: tuple[str, ProbeReport]) -> Compared:
    """What differs in the facts and proofs of devices that are matched by their order."""
    sides = [[one for one in report.devices if one.device] for _, report in (base, new)]
    facts: list[Fact] = []
    for number, (one, other) in enumerate(zip(*sides, strict=True)):
        before, after = dict(_facts(one)), dict(_facts(other))
        for name in dict.fromkeys((*before, *after)):
            values = before.get(name, NONE), after.get(name, NONE)
            if values[0] != values[1]:
                facts.append(Fact(number, name, *values, lost=name.startswith(_PROOF) and values[0] == "ok"))
    facts.sort(key=lambda fact: not fact.lost)
    before_side, after_side = (
        _side(name, report, [one.device for one in report.devices if one.device]) for name, report in (base, new)
    )
    return Compared(before_side, after_side, facts=tuple(facts))


_PROOF = "live proof of "


def _facts(probe: Probe) -> Iterator[tuple[str, str]]:
    device = probe.device
    assert device
    yield "name", device.name
    yield "driver", f"{device.driver_name} {device.driver_info}"
    yield "Vulkan", device.api_version
    yield "map2", device.route
    yield "probe", probe.status
    for proof in probe.proofs:
        yield f"{_PROOF}{proof.by}", proof.status
    for name, revision in device.extensions.items():
        yield name, f"revision {revision}"
    placed = device.placed
    yield "memoryMapPlaced", _yes(placed.memory_map_placed)
    yield "memoryMapRangePlaced", _yes(placed.memory_map_range_placed)
    yield "memoryUnmapReserve", _yes(placed.memory_unmap_reserve)
    yield "minPlacedMemoryMapAlignment", str(placed.min_placed_memory_map_alignment or NONE)
    limits = device.limits
    yield "minMemoryMapAlignment", str(limits.min_memory_map_alignment)
    yield "nonCoherentAtomSize", str(limits.non_coherent_atom_size)
    yield "maxMemoryAllocationCount", str(limits.max_memory_allocation_count)
    if limits.max_memory_allocation_size is not None:
        yield "maxMemoryAllocationSize", size(limits.max_memory_allocation_size)
    for heap in device.heaps:
        yield f"heap {heap.index}", f"{size(heap.size)}{', device-local' if heap.device_local else ''}"
    for one in device.memory_types:
        yield f"memory type #{one.index}", f"{' '.join(one.flags) or NONE}, heap {one.heap}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"

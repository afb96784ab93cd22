"""A scripted job's steps as the loop's steps: checked in order against what each object and range is at that moment."""

import copy
import random
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from vkmapctl import units
from vkmapctl.model.device import Device
from vkmapctl.model.loop import LoopStep, Op
from vkmapctl.model.script import (
    Allocate,
    AnyStep,
    First,
    Flush,
    Free,
    Import,
    Invalidate,
    Map,
    Pause,
    Read,
    Release,
    Repeat,
    Reserve,
    ToDevice,
    ToHost,
    Touching,
    Unmap,
    Verify,
    Write,
    walk,
)
from vkmapctl.plans import importing
from vkmapctl.plans.options import LONGEST_PAUSE_SECONDS
from vkmapctl.plans.program import page_ceil
from vkmapctl.rules import PLACED, RESERVE

LONGEST_CYCLE = 200_000
TRIES = 2_000
_TOUCHES = {First: Op.FIRST, Write: Op.WRITE, Read: Op.READ, Verify: Op.VERIFY,
            Flush: Op.FLUSH, Invalidate: Op.INVALIDATE, ToHost: Op.TO_HOST, ToDevice: Op.TO_DEVICE}  # fmt: skip
TRANSFERS = (Op.TO_HOST, Op.TO_DEVICE)
_BY_ATOMS = (Op.FLUSH, Op.INVALIDATE, *TRANSFERS)
LARGEST_TRANSFER = 64 << 20
OWN = "own"  # what an object keeps after an unplaced unmap with reserve


class Impossible(ValueError):
    """A step that cannot be done at its place. path: where it stands, such as `steps[2].steps[0]`."""

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason, self.path = reason, path


class NamedRange(msgspec.Struct):
    """A named address range: bytes, and where it is wanted as --placed says it, or where it is."""

    size: int
    wanted: str = "any"
    address: int = 0
    taken: bool = False
    occupant: int | None = None
    keeper: int | None = None


class Thing(msgspec.Struct):
    """An object's state: mapped is (offset, size) or None, all of it where imported; kept is OWN or a range's name."""

    size: int
    allocated: bool
    owned: bool = False
    mapped: tuple[int, int] | None = None
    range: str | None = None
    kept: str | None = None
    imported: bool = False


def resolved(steps: Sequence[AnyStep], path: str = "steps") -> tuple[AnyStep, ...]:
    """The same steps with every size in bytes. Raises Impossible for a size or duration that is none."""
    found: list[AnyStep] = []
    for i, step in enumerate(steps):
        where = f"{path}[{i}]"
        if isinstance(step, Repeat):
            found.append(replace(step, steps=resolved(step.steps, f"{where}.steps")))
            continue
        changes = {}
        for key in ("offset", "size"):
            value = getattr(step, key, None)
            if isinstance(value, str):
                try:
                    changes[key] = units.parse_size(value)
                except ValueError as error:
                    raise Impossible(str(error), f"{where}.{key}") from None
        if isinstance(step, Pause):
            _pause_ns(step, where)
        found.append(replace(step, **changes))
    return tuple(found)


def _pause_ns(step: Pause, path: str = "") -> int:
    try:
        seconds = units.parse_duration(step.duration)
    except ValueError as error:
        raise Impossible(str(error), f"{path}.duration") from None
    if seconds > LONGEST_PAUSE_SECONDS:
        raise Impossible(f"a pause lasts at most {LONGEST_PAUSE_SECONDS:g} s", f"{path}.duration")
    return round(seconds * 1e9)


def ranges_of(steps: Sequence[AnyStep]) -> dict[str, NamedRange]:
    """The named ranges, by the first reserve step of each. Raises Impossible."""
    found: dict[str, NamedRange] = {}
    for path, step in walk(steps):
        if not isinstance(step, Reserve):
            continue
        known = found.get(step.range)
        if known is None:
            if step.size is None or not int(step.size):
                raise Impossible(f"range '{step.range}' needs a size where it is reserved first", path)
            found[step.range] = NamedRange(page_ceil(int(step.size)), step.address or "any")
        elif (step.size is not None and page_ceil(int(step.size)) != known.size) or (
            step.address is not None and step.address != known.wanted
        ):
            raise Impossible(f"range '{step.range}' was reserved before with another size or address", path)
    return found


def object_count(steps: Sequence[AnyStep]) -> int:
    """Objects that the steps name."""
    named = [getattr(step, "object", None) for _, step in walk(steps)]
    return max([one for one in named if isinstance(one, int)], default=0) + 1


def begins_free(steps: Sequence[AnyStep], count: int) -> set[int]:
    """Objects that start without memory: those that a step allocates or imports."""
    wanted = {step.object for _, step in walk(steps) if isinstance(step, Allocate | Import)}
    return set(range(count)) if "any" in wanted else {one for one in wanted if isinstance(one, int)}


def imported_objects(steps: Sequence[AnyStep], count: int) -> list[int]:
    """Objects that a step imports: each needs a host range of its own."""
    wanted = {step.object for _, step in walk(steps) if isinstance(step, Import)}
    return [*range(count)] if "any" in wanted else sorted(one for one in wanted if isinstance(one, int))


def needs(steps: Sequence[AnyStep]) -> tuple[bool, bool, bool]:
    """Whether the steps place maps, place maps of a part, and unmap with reserve."""
    maps = [step for _, step in walk(steps) if isinstance(step, Map) and step.placed]
    parts = any(step.offset or step.size is not None for step in maps)
    return bool(maps), parts, any(isinstance(step, Unmap) and step.reserve for _, step in walk(steps))


def cycle_of(
    steps: Sequence[AnyStep],
    sizes: Sequence[int],
    addresses: dict[str, int],
    *,
    hosts: Mapping[int, int] | None = None,
    draws: int | None = None,
    seed: int = 0,
    device: Device | None = None,
) -> list[LoopStep]:
    """One whole cycle. addresses: of each named range; hosts: of the host memory that each object is imported from.
    Without a device its limits are not checked.

    With `draws`, the steps are drawn by weight so many times among those that are possible, and the cycle ends by
    undoing what is left. The same arguments give the same steps. Raises Impossible.
    """
    machine = Walk(steps, sizes, addresses, random.Random(seed), device, hosts or {})
    if draws is None:
        machine.sequence(steps, "steps")
        machine.check_end()
    else:
        machine.draw(steps, draws)
        machine.undo()
    return machine.emitted


class Walk:
    """Walks steps, keeps the state that they lead to, and emits the loop's steps."""

    def __init__(
        self,
        steps: Sequence[AnyStep],
        sizes: Sequence[int],
        addresses: dict[str, int],
        generator: random.Random,
        device: Device | None,
        hosts: Mapping[int, int],
    ) -> None:
        free = begins_free(steps, len(sizes))
        self._things = [Thing(size, i not in free) for i, size in enumerate(sizes)]
        self._sizes = tuple(sizes)
        self._ranges = ranges_of(steps)
        for name, one in self._ranges.items():
            one.address = addresses.get(name, 0)
        self._random, self._device, self._hosts = generator, device, hosts
        self.emitted: list[LoopStep] = []

    def sequence(self, steps: Sequence[AnyStep], path: str) -> None:
        """Every step in order."""
        for i, step in enumerate(steps):
            try:
                self._one(step, f"{path}[{i}]")
            except Impossible as error:
                raise error if error.path else Impossible(error.reason, f"{path}[{i}]") from None

    def draw(self, steps: Sequence[AnyStep], draws: int) -> None:
        """So many steps that are possible, by weight."""
        weights = [step.weight for step in steps]
        if not any(weights):
            raise Impossible("no step has a weight above 0", "steps")
        for _ in range(draws):
            for _ in range(TRIES):
                (step,) = self._random.choices(steps, weights)
                if self._tried(step):
                    break
            else:
                raise Impossible("the draws lead to where no step is possible", "steps")

    def undo(self) -> None:
        """Unmaps, frees and releases what is left, so that the next cycle begins as this one did."""
        for i, thing in enumerate(self._things):
            if thing.mapped and not thing.imported:
                self._apply(Unmap(i), i)
            if thing.kept == OWN:
                self._apply(Release(object=i), i)
            if thing.owned:
                self._apply(Free(i), i)
        for name, one in self._ranges.items():
            if one.taken:
                self._apply(Release(range=name), 0)

    def check_end(self) -> None:
        """Raises Impossible where the steps cannot run again from the start."""
        again = "and the steps run again from the start"
        for i, thing in enumerate(self._things):
            if thing.mapped and not thing.imported:
                raise Impossible(f"object {i} is still mapped at the end, {again}", "steps")
            if thing.owned:
                raise Impossible(f"object {i} is still allocated at the end, {again}", "steps")
            if thing.kept == OWN:
                raise Impossible(f"the addresses that object {i} keeps are not released at the end, {again}", "steps")
        for name, one in self._ranges.items():
            if one.taken:
                raise Impossible(f"range '{name}' is not released at the end, {again}", "steps")

    def _tried(self, step: AnyStep) -> bool:
        saved = copy.deepcopy((self._things, self._ranges)) if isinstance(step, Repeat) else None
        emitted = len(self.emitted)
        try:
            self._one(step, "")
        except Impossible as error:
            if error.path:
                raise
            if saved:
                self._things, self._ranges = saved
            del self.emitted[emitted:]
            return False
        return True

    def _one(self, step: AnyStep, path: str) -> None:
        if isinstance(step, Repeat):
            for _ in range(step.times):
                if path:
                    self.sequence(step.steps, f"{path}.steps")
                else:
                    for inner in step.steps:
                        self._one(inner, "")
            return
        wanted = getattr(step, "object", None)
        if wanted != "any":
            self._apply(step, self._number(wanted))
            return
        order = list(range(len(self._things)))
        self._random.shuffle(order)
        for i in order:
            try:
                self._apply(step, i)
                return
            except Impossible as error:
                reason = error.reason
        raise Impossible(f"no object will do: {reason}")

    def _number(self, wanted: int | str | None) -> int:
        if isinstance(wanted, int) and not 0 <= wanted < len(self._things):
            raise Impossible(f"there is no object {wanted}: the job has {len(self._things)}, from 0 on")
        return wanted if isinstance(wanted, int) else 0

    def _emit(self, *arguments: int, **more: int | bool) -> None:
        if len(self.emitted) >= LONGEST_CYCLE:
            raise Impossible(f"a cycle has at most {LONGEST_CYCLE} steps, repeats counted", "steps")
        self.emitted.append(LoopStep(*arguments, **more))  # type: ignore[arg-type]

    def _apply(self, step: AnyStep, i: int) -> None:
        """Checks one step, changes the state, and emits; raises Impossible before it changes anything."""
        match step:
            case Map():
                self._map(step, i)
            case Unmap():
                self._unmap(step, i)
            case Touching():
                self._touch(step, i)
            case Allocate() | Free():
                self._memory(step, i)
            case Import():
                self._import(step, i)
            case Reserve():
                self._reserve(step)
            case Release():
                self._release(step, i)
            case Pause():
                self._emit(Op.PAUSE, size=_pause_ns(step))

    def _map(self, step: Map, i: int) -> None:
        thing, offset = self._things[i], int(step.offset)
        if not thing.allocated:
            raise Impossible(f"object {i} has no memory at this point")
        if thing.imported:
            raise Impossible(f"object {i} is imported: it is touched where it is")
        if thing.mapped:
            raise Impossible(f"object {i} is mapped already (VUID-VkMemoryMapInfo-memory-07958)")
        size = thing.size - offset if step.size is None else int(step.size)
        if size <= 0 or offset + size > thing.size:
            raise Impossible(f"{offset} + {size} bytes are not inside object {i} of {thing.size} bytes")
        address = 0
        if step.placed is not None:
            one = self._free_range(step.placed, offset, size)
            if one.keeper is not None and one.keeper != i:
                self._forget(one)
            one.occupant, address, thing.range = i, one.address, step.placed
        thing.mapped = (offset, size)
        flags = PLACED if step.placed is not None else 0
        self._emit(Op.MAP, i, offset, size, whole=step.size is None, flags=flags, address=address)

    def _free_range(self, name: str, offset: int, size: int) -> NamedRange:
        one = self._ranges.get(name)
        if one is None:
            known = ", ".join(self._ranges) or "none"
            raise Impossible(f"no step reserves a range '{name}'; known: {known}")
        if not one.taken:
            raise Impossible(f"range '{name}' is not reserved at this point: placing there could hit other memory")
        if one.occupant is not None:
            raise Impossible(f"range '{name}' holds object {one.occupant} at this point")
        if page_ceil(size) > one.size:
            raise Impossible(f"{size} bytes do not fit into range '{name}' of {one.size} bytes")
        alignment = self._device.placed.min_placed_memory_map_alignment if self._device else None
        if alignment and (offset % alignment or size % alignment):
            raise Impossible(f"offset and size of a placed map must be multiples of {alignment}")
        return one

    def _forget(self, one: NamedRange) -> None:
        if one.keeper is not None:
            self._emit(Op.FORGET, one.keeper)
            self._things[one.keeper].kept = None
            one.keeper = None

    def _unmap(self, step: Unmap, i: int) -> None:
        thing = self._things[i]
        if not thing.mapped or thing.imported:
            raise Impossible(f"object {i} is not mapped at this point")
        if step.reserve and thing.kept == OWN:
            raise Impossible(f"object {i} keeps addresses of an earlier unmap: release them first")
        self._emit(Op.UNMAP, i, flags=RESERVE if step.reserve else 0)
        one = self._ranges.get(thing.range or "")
        if one:
            one.occupant, one.taken = None, step.reserve
            if step.reserve:
                one.keeper, thing.kept = i, thing.range
            else:
                self._forget(one)
        elif step.reserve:
            thing.kept = OWN
        thing.mapped = thing.range = None

    def _touch(self, step: Touching, i: int) -> None:
        thing = self._things[i]
        if not thing.mapped:
            raise Impossible(f"object {i} is not mapped at this point")
        begin, end = thing.mapped[0], sum(thing.mapped)
        offset = begin if step.offset is None else int(step.offset)
        size = end - offset if step.size is None else int(step.size)
        if offset < begin or size <= 0 or offset + size > end:
            raise Impossible(f"{offset} + {size} bytes are not inside the mapping of {begin} to {end}")
        op = _TOUCHES[type(step)]
        if op in (Op.FLUSH, Op.INVALIDATE) and thing.imported:
            raise Impossible(f"object {i} is imported, not mapped (VUID-VkMappedMemoryRange-memory-00684)")
        if op in TRANSFERS:
            self._check_transfer(thing, i, size)
        if op in _BY_ATOMS and self._device:
            atom = self._device.limits.non_coherent_atom_size
            if offset % atom or (size % atom and offset + size != thing.size):
                raise Impossible(f"flush, invalidate and copies need multiples of nonCoherentAtomSize ({atom})")
        self._emit(op, i, offset, size, whole=step.size is None and op in (Op.FLUSH, Op.INVALIDATE))

    def _check_transfer(self, thing: Thing, i: int, size: int) -> None:
        if thing.owned:
            raise Impossible(
                f"object {i} has memory from a step: a copy by the device needs one that has it from the start"
            )
        if size > LARGEST_TRANSFER:
            raise Impossible(f"one copy is of at most {units.size(LARGEST_TRANSFER)}")

    def _memory(self, step: Allocate | Free, i: int) -> None:
        thing = self._things[i]
        if isinstance(step, Free):
            if not thing.owned:
                raise Impossible(f"object {i} has no memory that a step has allocated")
            if thing.mapped and not thing.imported:
                raise Impossible(f"object {i} is mapped at this point")
            thing.mapped = None if thing.imported else thing.mapped
            thing.allocated = thing.owned = thing.imported = False
            self._emit(Op.FREE, i)
            return
        if thing.allocated:
            raise Impossible(f"object {i} has memory already")
        size = self._sizes[i] if step.size is None else int(step.size)
        if not size:
            raise Impossible("a size of 0 cannot be allocated")
        thing.allocated = thing.owned = True
        thing.size = size
        self._emit(Op.ALLOCATE, i, size=size)

    def _import(self, step: Import, i: int) -> None:
        thing = self._things[i]
        if thing.allocated:
            raise Impossible(f"object {i} has memory already")
        size = self._sizes[i] if step.size is None else int(step.size)
        if not 0 < size <= self._sizes[i]:
            raise Impossible(f"{size} bytes are not a part of object {i}, of {self._sizes[i]} bytes")
        alignment = importing.alignment(self._device) if self._device else 1
        if size % alignment:
            vuid = "VUID-VkMemoryAllocateInfo-allocationSize-01745"
            raise Impossible(f"the size of an import must be a multiple of {alignment} ({vuid})")
        thing.allocated = thing.owned = thing.imported = True
        thing.size, thing.mapped = size, (0, size)
        self._emit(Op.IMPORT, i, size=size, address=self._hosts.get(i, 0))

    def _reserve(self, step: Reserve) -> None:
        one = self._ranges[step.range]
        if one.taken or one.occupant is not None:
            raise Impossible(f"range '{step.range}' is reserved already")
        one.taken = True
        self._emit(Op.HOLD, len(self._things), size=one.size, address=one.address)

    def _release(self, step: Release, i: int) -> None:
        if step.range is None:
            thing = self._things[i]
            if step.object is None:
                raise Impossible("release needs a range or an object")
            if thing.kept != OWN:
                raise Impossible(f"object {i} keeps no addresses of its own at this point")
            thing.kept = None
            self._emit(Op.RELEASE_KEPT, i)
            return
        one = self._ranges.get(step.range)
        if one is None or not one.taken or one.occupant is not None:
            raise Impossible(f"range '{step.range}' is not reserved and empty at this point")
        one.taken = False
        self._forget(one)
        self._emit(Op.RELEASE, len(self._things), size=one.size, address=one.address)

"""How a device replays a trace: with which of its memory types and functions, and what is done otherwise than recorded.

Every replacement is told once, in words. What the device has no room for is refused.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from vkmapctl import units
from vkmapctl.errors import Unsupported
from vkmapctl.model.device import Device, MemoryType, Room
from vkmapctl.model.trace import Allocate, Map, Trace, TraceFit, TraceStep, Unmap
from vkmapctl.plans import importing, memory, trace_check
from vkmapctl.plans.program import page_ceil
from vkmapctl.rules import EXTERNAL_MEMORY_HOST, MAP_CALLS, Api

Sizes = Mapping[int, Collection[int]]  # by object: those that it is allocated with
_OTHER_API: dict[str, tuple[Api, ...]] = {"v1": ("v1",), "khr": ("khr", "core", "v1"), "core": ("core", "khr", "v1")}
MOST_ADDRESSES = 1 << 40  # bytes of all ranges
_NEVER = {"Pr", "La"}  # memory that needs a feature or a usage of its own
_KINDS = {"dedicated": "dedicated", "export": "exportable", "device-address": "with a device address"}


def fit(trace: Trace, device: Device, *, api: Api | None = None, memory_type: int | None = None) -> TraceFit:
    """api, memory_type: for all of it, in place of the recorded ones. Raises Unsupported where there is no memory."""
    usable = [one for one in device.memory_types if not one.barred and _NEVER.isdisjoint(one.flags)]
    told: dict[str, None] = {}
    memory = (memory_type,) * len(trace.memory) if memory_type is not None else ()
    memory = memory or tuple(_stands_for(one.flags, usable, device, told) for one in trace.memory)
    apis = {one: next(other for other in known if other in device.apis()) for one, known in _OTHER_API.items()}
    sizes = sizes_of(trace)
    most = trace_check.check(trace, "trace")
    found = TraceFit(
        memory=memory,
        imports=_imports(trace, device, memory, usable, told),
        apis=dict.fromkeys(apis, api) if api else apis,
        kinds=device.allocations,
        placed=device.placed.memory_map_placed,
        range_placed=device.placed.memory_map_range_placed,
        reserve=device.placed.memory_unmap_reserve,
        alignment=page_ceil(device.placed.min_placed_memory_map_alignment or 1),
        import_alignment=importing.alignment(device),
        most_bytes=most.size,
        most_objects=most.objects,
    )
    for step in trace.walk():
        told |= dict.fromkeys(_replaced(step, found, sizes))
    return replace(found, replaced=tuple(told))


def sizes_of(trace: Trace) -> dict[int, set[int]]:
    """By object: the sizes that it is allocated with, where that succeeded."""
    found: dict[int, set[int]] = defaultdict(set)
    for step in trace.walk():
        if isinstance(step, Allocate) and not step.result:
            found[step.object].add(step.size)
    return found


def why_not_placed(step: Map, fit: TraceFit, sizes: Sizes) -> str:
    """Why a placed map is a plain one on the device; empty where it is placed.

    VUID-VkMemoryMapInfo-flags-09572 to -09574 and -09651.
    """
    if not fit.placed:
        return "the feature memoryMapPlaced is missing"
    if fit.apis[step.api] == "v1":
        return "vkMapMemory cannot place"
    of_object = sizes.get(step.object, set())
    is_whole = step.offset == 0 and (step.size is None or of_object == {step.size})
    if not is_whole and not fit.range_placed:
        return "of a part of an object: the feature memoryMapRangePlaced is missing"
    ends = [step.at, step.offset, *(of_object if step.size is None else [step.size])]
    if any(end % fit.alignment for end in ends):
        return f"at no multiple of minPlacedMemoryMapAlignment ({fit.alignment})"
    return ""


def can_reserve(step: Unmap, fit: TraceFit) -> bool:
    """Whether an unmap with reserve can be one on the device."""
    return fit.reserve and fit.apis[step.api] != "v1"


def places_of(trace: Trace, fit: TraceFit) -> bool:
    """Whether some map of the trace is placed on the device."""
    sizes = sizes_of(trace)
    maps = (step for step in trace.walk() if isinstance(step, Map) and step.placed is not None)
    return any(not why_not_placed(step, fit, sizes) for step in maps)


def _stands_for(flags: Sequence[str], usable: Sequence[MemoryType], device: Device, told: dict[str, None]) -> int:
    """The type with just these flags, or with few more; else one that can be mapped where the recorded one can."""
    wanted = set(flags)
    exact = next((one for one in usable if set(one.flags) == wanted), None)
    if exact:
        return exact.index
    able = [one for one in usable if one.host_visible or "Vi" not in wanted]
    if not able:
        raise Unsupported(f"{device.name}: {device.no_memory or 'no memory type to allocate from'}")
    best = min(able, key=lambda one: (len(wanted - set(one.flags)), len(set(one.flags) - wanted)))
    told[f"memory type {' '.join(flags) or 'without flags'} is {best.label}"] = None
    return best.index


def _imports(
    trace: Trace, device: Device, memory: Sequence[int], usable: Sequence[MemoryType], told: dict[str, None]
) -> tuple[int, ...]:
    """Where objects are imported: for each of the trace's types the device's that takes a pointer to host memory."""
    if not any(isinstance(step, Allocate) and step.kind == "host" for step in trace.walk()):
        return ()
    accepted = device.host_import.memory_types if device.host_import else ()
    if device.host_import is None or accepted == ():
        why = f"no {EXTERNAL_MEMORY_HOST}" if device.host_import is None else "no memory type takes a host pointer"
        told[f"imports of host memory are plain allocations: {why}"] = None
        return ()
    if accepted is None:  # nobody has asked the driver
        return tuple(memory)
    found = []
    for recorded, index in zip(trace.memory, memory, strict=True):
        wanted = set(recorded.flags)
        taking = [one for one in usable if one.index in accepted] or [device.memory_types[i] for i in accepted]
        able = [one for one in taking if one.host_visible or "Vi" not in wanted] or taking
        best = min(
            able, key=lambda one: (one.index != index, len(wanted - set(one.flags)), len(set(one.flags) - wanted))
        )
        if best.index != index:
            told[f"imports of memory type {' '.join(recorded.flags)} are of {best.label}"] = None
        found.append(best.index)
    return tuple(found)


def _replaced(step: TraceStep, fit: TraceFit, sizes: Sizes) -> list[str]:
    """What is done otherwise in a step, in words; of memory types it is known already."""
    if isinstance(step, Allocate):
        if step.kind in _KINDS and step.kind not in fit.kinds:
            return [f"allocations that were {_KINDS[step.kind]} are plain: the device has no such"]
        if step.kind == "host" and fit.imports and step.size % fit.import_alignment:
            return [f"imports are of whole multiples of minImportedHostPointerAlignment ({fit.import_alignment})"]
    if isinstance(step, Map | Unmap):
        found = []
        if fit.apis[step.api] != step.api:
            calls, instead = MAP_CALLS[step.api], MAP_CALLS[fit.apis[step.api]]
            found.append(f"{' and '.join(calls)} are {' and '.join(instead)}")
        if isinstance(step, Map) and step.placed is not None and (why := why_not_placed(step, fit, sizes)):
            found.append(f"placed maps are plain ones: {why}")
        if isinstance(step, Unmap) and step.reserve and not can_reserve(step, fit):
            why = "vkUnmapMemory cannot reserve" if fit.reserve else "the feature memoryUnmapReserve is missing"
            found.append(f"unmaps with reserve are plain ones: {why}")
        return found
    return []


def most_in(trace: Trace, fit: TraceFit, memory_types: Collection[int], *, imports: bool) -> int:
    """Bytes that objects of these memory types take at one time, at most. imports: of host memory, and not others.

    No more than each object's largest, and no more than all of the trace takes; the host memory that is imported is
    there all the time.
    """
    most: dict[int, int] = defaultdict(int)
    for step in trace.walk():
        if not isinstance(step, Allocate) or step.result:
            continue
        is_import = step.kind == "host" and bool(fit.imports)
        index = (fit.imports if is_import else fit.memory)[step.memory]
        if index in memory_types and is_import == imports:
            most[step.object] = max(most[step.object], step.size)
    return sum(most.values()) if imports else min(sum(most.values()), fit.most_bytes)


def check_room(trace: Trace, fit: TraceFit, device: Device, free: Sequence[int], room: Room, own: int) -> None:
    """Raises Unsupported where there is no room. free: bytes of each heap. own: that laying out its steps takes."""
    imported = in_host_memory = most_in(trace, fit, range(len(device.memory_types)), imports=True)
    for heap in device.heaps:
        types = [one for one in device.memory_types if one.heap == heap.index]
        need = most_in(trace, fit, [one.index for one in types], imports=False)
        if need > min(free[heap.index], heap.size):
            raise Unsupported(
                f"the trace holds up to {units.size(need)} in heap {heap.index} of {device.name}: "
                f"{units.size(free[heap.index])} free of {units.size(heap.size)}"
            )
        if any(device.in_host_memory(one) for one in types):
            in_host_memory += need
    memory.check(
        f"the trace holds up to {units.size(in_host_memory)} of the host's memory, which",
        room,
        memory=own + in_host_memory,
        addresses=own + in_host_memory,
        private=own + imported,
        smaller="",
    )
    if sum(one.size for one in trace.ranges) > MOST_ADDRESSES:
        raise Unsupported(f"the trace places maps in more than {units.size(MOST_ADDRESSES)} of addresses")
    if fit.most_objects > device.limits.max_memory_allocation_count:
        raise Unsupported(
            f"the trace has {fit.most_objects} objects at one time, more than maxMemoryAllocationCount, "
            f"{device.limits.max_memory_allocation_count}, of {device.name}"
        )

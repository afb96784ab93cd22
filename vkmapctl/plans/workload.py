"""What was asked for, resolved against a device into a plan, or refused before anything is allocated."""

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from vkmapctl import units
from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.model.base import Note
from vkmapctl.model.device import MALLOC, MALLOC_TYPE, Device, MemoryHeap, MemoryType, Room
from vkmapctl.model.script import Read, Verify, Write, walk
from vkmapctl.model.trace import Allocate, Map, Trace
from vkmapctl.model.workload import Job, Plan, Workload
from vkmapctl.plans import importing, kinds, memory, pressure, replay, trace_fit
from vkmapctl.plans.gpu import check_load, check_transfers, load_notes
from vkmapctl.plans.program import atom_range, is_coherent, page_ceil, program_bytes
from vkmapctl.plans.script import Impossible, cycle_of, needs, object_count
from vkmapctl.rules import Api

_FLAG_WORDS = {
    "de": "De", "device-local": "De",
    "vi": "Vi", "host-visible": "Vi",
    "co": "Co", "host-coherent": "Co", "coherent": "Co",
    "ca": "Ca", "host-cached": "Ca", "cached": "Ca",
}  # fmt: skip
LONGEST_INDEX = 9  # digits
MAPPINGS_LEFT_ALONE = 1024  # for the driver itself


def resolve(workload: Workload, device: Device, room: Room) -> Plan:
    """The plan of one part for one device. room: what the machine can still give.

    Raises UsageProblem for a request that makes no sense anywhere, Unsupported for one that this device or
    machine cannot meet; the message names the feature or the figures.
    """
    if workload.trace:
        return _replay_plan(workload, workload.trace, device, room)
    kinds.refuse(workload, device)
    if workload.imports:
        importing.refuse(workload, device)
    _check_access(workload)
    _refuse_missing_features(workload, device)
    apis = _apis(workload, device)
    types, left_out = _memory_types(workload, device)
    groups, notes = [], left_out
    for memory_type in types:
        sizes = _sizes(workload, device, memory_type, room.free)
        for size, offset in itertools.product(sizes, workload.offsets):
            job = replace(_job(workload, device, memory_type, size, offset), fitted=sizes[size])
            _check_range(job, device)
            _check_memory(job, device, room)
            job = replace(job, pressure_bytes=pressure.planned(job, device, room))
            _check_script(job, device)
            check_load(job)
            check_transfers(job)
            notes += [
                *_touch_notes(job, device),
                *_size_notes(job, device),
                *importing.notes(job, device),
                *load_notes(job, device),
            ]
            maps_nothing = memory_type is MALLOC_TYPE or job.imported == "host"
            used = apis[:1] if maps_nothing else apis
            groups.append(tuple(one for api in used for one in _idle_and_busy(replace(job, api=api))))
    if workload.placed and not workload.reserve:
        notes.append(
            Note(
                "placed-without-reserve",
                "ns per pair includes one mmap that takes the range back after each unmap; "
                "map and unmap latencies do not",
            )
        )
    return Plan(tuple(groups), workload.fail_if, tuple(dict.fromkeys(notes)))


def _replay_plan(workload: Workload, trace: Trace, device: Device, room: Room) -> Plan:
    """One row, with the trace's own memory types and functions where the device has them."""
    for value, what in ((workload.api, "--api"), (workload.memory_type, "--memory-type")):
        if value in ("all", "malloc"):
            raise UsageProblem(f"{what} {value} means nothing for a trace", f"leave {what} out, or name one")
    api = None if workload.api == "auto" else _apis(workload, device)[0]
    chosen = (
        None if workload.memory_type == "auto" else _types_asked(workload.memory_type, device, mapped=True)[0].index
    )
    fit = trace_fit.fit(trace, device, api=api, memory_type=chosen)
    heaps = [_heap_free(heap) for heap in device.heaps]
    trace_fit.check_room(trace, fit, device, heaps, room, replay.program_bytes(trace))
    first = next((i for i, one in enumerate(trace.memory) if "Vi" in one.flags), 0)
    memory_type = device.memory_types[fit.memory[first] if fit.memory else 0]
    job = Job(
        **workload.asked(),
        device=device.index,
        api=next((fit.apis[step.api] for step in trace.walk() if isinstance(step, Map)), device.apis()[0]),
        memory_type=memory_type.index,
        memory_flags=memory_type.flags,
        allocation_size=max((step.size for step in trace.walk() if isinstance(step, Allocate)), default=0),
        offset=0,
        traced=trace,
        fit=fit,
    )
    return Plan(((job,),), workload.fail_if)


def _idle_and_busy(job: Job) -> tuple[Job, ...]:
    """The job while the device is idle, and with its load."""
    if job.gpu_load == "none":
        return (job,)
    return replace(job, gpu_load="none", gpu_on="others"), job


def labelled(plans: Sequence[Plan], told: Iterator[str]) -> list[Plan]:
    """The plans of one run with their jobs' labels, in order."""
    return [
        replace(plan, groups=tuple(tuple(replace(job, job=next(told)) for job in group) for group in plan.groups))
        for plan in plans
    ]


def _sizes(workload: Workload, device: Device, memory_type: MemoryType, memory_free: int) -> dict[int, bool]:
    """The allocation sizes, with `LOW..fit*FACTOR` up to half of what this device and machine have free.

    True for one that nobody asked for by its number: it was to fit, and is left out where it then does not.
    """
    found: dict[int, bool] = {}
    for one in workload.sizes:
        if isinstance(one, int):
            found[one] = False
            continue
        low, factor = units.parse_fit(one)
        free = _free(device, memory_type) * (100 - workload.pressure) // 100
        limit = min(free, memory_free) // 2
        limit //= workload.live * workload.threads
        limit = min(limit, device.limits.max_memory_allocation_size or limit)
        if workload.placed:
            limit = min(limit, units.PLACES.get(workload.placed, 1 << 47) // (2 * workload.live * workload.threads))
        size = low
        while size <= limit:
            found[size] = found.get(size, size != low)
            size *= factor
    if not found:
        raise Unsupported(f"no size of {workload.sizes[0]} fits into what {device.name} and this machine have free")
    return found


def _free(device: Device, memory_type: MemoryType) -> int:
    """Bytes that the type's heap can still give; malloc's are the machine's."""
    if memory_type is MALLOC_TYPE:
        return 1 << 62
    return _heap_free(device.heaps[memory_type.heap])


def _heap_free(heap: MemoryHeap) -> int:
    return heap.size if heap.budget is None else max(heap.budget - (heap.usage or 0), 0)


def _refuse_missing_features(workload: Workload, device: Device) -> None:
    where = f"on {device.name}"
    hint = "vkmapctl probe shows what each device has"
    if workload.steps:
        _refuse_missing_for_steps(workload, device, where, hint)
    if workload.placed and not device.placed.memory_map_placed:
        raise Unsupported(
            f"--placed needs the feature memoryMapPlaced, which is missing {where}",
            "maps at addresses that the driver chooses work here: leave --placed out",
            "--emulate placed has a test layer place them, on a driver with VK_EXT_external_memory_host",
            hint,
        )
    if workload.reserve and not device.placed.memory_unmap_reserve:
        raise Unsupported(f"--reserve needs the feature memoryUnmapReserve, which is missing {where}", hint)
    if workload.placed and not device.placed.memory_map_range_placed:
        if any(offset != 0 for offset in workload.offsets):
            raise Unsupported(
                f"--placed with an --offset needs the feature memoryMapRangePlaced, which is missing {where}",
                "leave --offset out, or map without --placed",
            )
        if workload.map_size is not None and any(workload.map_size != size for size in workload.sizes):
            raise Unsupported(
                f"--placed with a --map-size needs the feature memoryMapRangePlaced, which is missing {where}",
                "leave --map-size out: the whole allocation is then mapped",
            )


def _refuse_missing_for_steps(workload: Workload, device: Device, where: str, hint: str) -> None:
    place, part, reserve = needs(workload.steps)
    if workload.memory_type == "malloc" and (place or reserve):
        raise UsageProblem(
            "malloc's memory can be neither placed nor unmapped with reserve", "leave those steps or malloc out"
        )
    for wanted, there, what, feature in (
        (place, device.placed.memory_map_placed, "a map step with `placed`", "memoryMapPlaced"),
        (part, device.placed.memory_map_range_placed, "a placed map of a part", "memoryMapRangePlaced"),
        (reserve, device.placed.memory_unmap_reserve, "an unmap step with `reserve`", "memoryUnmapReserve"),
    ):
        if wanted and not there:
            raise Unsupported(f"{what} needs the feature {feature}, which is missing {where}", hint)


def _check_access(workload: Workload) -> None:
    """Raises UsageProblem for a width or an order of accesses that nothing would have."""
    if workload.width == "auto":
        if workload.access != "sequential":
            raise UsageProblem(f"--access {workload.access} needs a --width", "give one, such as --width 8")
        return
    what, hint = f"--width {workload.width}", "leave --width out, or use --touch write or --touch read"
    if workload.width == "memcpy" and workload.access != "sequential":
        raise UsageProblem(f"{what} copies in order: it has no --access {workload.access}", "use --width 16")
    if not workload.steps:
        if workload.touch not in ("write", "read"):
            raise UsageProblem(f"{what} means nothing with --touch {workload.touch}", hint)
        return
    steps = [step for _, step in walk(workload.steps)]
    if any(isinstance(step, Verify) for step in steps):
        raise UsageProblem(f"{what} writes nothing that a verify step could check", "leave one of the two out")
    if not any(isinstance(step, Write | Read) for step in steps):
        raise UsageProblem(f"{what} means nothing without a write or read step", "leave --width out")


def _apis(workload: Workload, device: Device) -> tuple[Api, ...]:
    """The ways to map, v1 first so that ratios have their base."""
    available = device.apis()
    place, _, reserve = needs(workload.steps)
    map2_only = workload.placed is not None or workload.reserve or place or reserve
    if workload.api == "v1" and map2_only:
        raise UsageProblem(
            "--api v1 can neither place nor reserve: vkMapMemory and vkUnmapMemory take no such flag",
            "use --api core or khr, or leave --api out",
        )
    usable = tuple(api for api in available if not (map2_only and api == "v1"))
    if workload.api == "all":
        return usable[::-1]
    if workload.api == "auto":
        return usable[:1]
    chosen = tuple(api for api in usable if api == workload.api)
    if not chosen:
        lacking = "Vulkan 1.4" if workload.api == "core" else "VK_KHR_map_memory2"
        raise Unsupported(
            f"--api {workload.api} needs {lacking}, which is missing on {device.name}",
            f"this device has: {', '.join(usable)}",
        )
    return chosen


def _memory_types(workload: Workload, device: Device) -> tuple[list[MemoryType], list[Note]]:
    """What to measure on, and notes on what is left out."""
    chosen = _types_asked(workload.memory_type, device, mapped=workload.imported == "none")
    return importing.takers(workload, device, chosen) if workload.imports else (chosen, [])


def _types_asked(wanted: str, device: Device, *, mapped: bool) -> list[MemoryType]:
    usable = [one for one in device.memory_types if one.usable]
    if not usable:
        raise Unsupported(f"{device.name}: {device.no_memory}")
    known = "this device has: " + "; ".join(one.label for one in device.memory_types)
    if wanted == "malloc":
        return [MALLOC_TYPE]
    if wanted == "all":
        return usable
    if wanted == "auto":
        return usable[:1]
    if wanted.isdecimal():
        if len(wanted) > LONGEST_INDEX or int(wanted) >= len(device.memory_types):
            raise UsageProblem(f"{device.name} has no memory type {wanted}", known)
        chosen = device.memory_types[int(wanted)]
        if not chosen.usable and (mapped or chosen.barred):
            reason = f"cannot be used: {chosen.barred}" if chosen.barred else "is not host-visible"
            raise Unsupported(f"memory type {chosen.label} of {device.name} {reason}", known)
        return [chosen]
    return _types_with_flags(wanted, usable, device, known)


def _types_with_flags(wanted: str, usable: list[MemoryType], device: Device, known: str) -> list[MemoryType]:
    flags = set()
    for word in re.split(r"[,+| ]+", wanted.strip()):
        if word.lower() not in _FLAG_WORDS:
            raise UsageProblem(
                f"unknown memory type '{wanted}'",
                "give an index, all, malloc, or flags such as De,Vi,Co or host-visible+cached",
                known,
            )
        flags.add(_FLAG_WORDS[word.lower()])
    matching = [one for one in usable if flags <= set(one.flags)]
    if not matching:
        raise Unsupported(f"{device.name} has no host-visible memory type with {' '.join(sorted(flags))}", known)
    return matching[:1]


def _job(workload: Workload, device: Device, memory_type: MemoryType, size: int, offset: int | str) -> Job:
    sizes: tuple[int, ...] = ()
    if workload.steps:
        count = workload.objects if isinstance(workload.objects, int) else 0
        sizes = (size,) * (count or object_count(workload.steps))
        if isinstance(workload.objects, tuple):
            sizes, size = workload.objects, max(workload.objects)
    return Job(
        **workload.asked(),
        device=device.index,
        api="v1",
        memory_type=memory_type.index,
        memory_flags=memory_type.flags,
        allocation_size=size,
        offset=offset,
        script=_digest(workload, sizes) if workload.steps else "",
        scripted=workload.steps,
        draws=workload.draws,
        object_sizes=sizes,
    )


def _check_script(job: Job, device: Device) -> None:
    """Raises UsageProblem for steps that this device's limits make impossible."""
    if not job.scripted:
        return
    kinds.check_steps(job)
    try:
        cycle_of(job.scripted, job.object_sizes, {}, draws=job.draws, seed=job.seed, device=device)
    except Impossible as error:
        raise UsageProblem(f"job '{job.part}': {error}") from None


def _digest(workload: Workload, sizes: tuple[int, ...]) -> str:
    """Of all that makes two scripts different, in eight digits."""
    told = msgspec.json.encode((workload.steps, workload.draws, sizes))
    return hashlib.blake2s(told, digest_size=4).hexdigest()


def _check_range(job: Job, device: Device) -> None:
    """VUID-VkMemoryMapInfo-offset-07959, -size-07960, -size-07961, and 09571 to 09651 for placed maps."""
    allocation = job.allocation_size
    mapped = f"--map-size {job.map_size}" if job.map_size is not None else "the whole rest"
    if allocation == 0 or job.map_size == 0:
        raise UsageProblem("a size of 0 cannot be mapped", "VUID-VkMemoryMapInfo-size-07960: size > 0")
    if isinstance(job.offset, int) and job.offset >= allocation:
        raise UsageProblem(
            f"--offset {job.offset} is not inside an allocation of {allocation} bytes",
            "VUID-VkMemoryMapInfo-offset-07959: offset < allocation size",
        )
    first = job.offset if isinstance(job.offset, int) else 0
    if job.map_size is not None and job.map_size > allocation - first:
        raise UsageProblem(
            f"{mapped} at offset {first} reaches beyond an allocation of {allocation} bytes",
            "VUID-VkMemoryMapInfo-size-07961: size <= allocation size - offset",
        )
    if job.placed:
        _check_placed(job, device)
    if job.imported == "host":
        importing.check_size(job, device)
    if job.touch != "none" and not is_coherent(job, device):
        atom = device.limits.non_coherent_atom_size
        end = allocation if job.map_size is None else first + job.map_size
        begin, end = atom_range(first, end, allocation, atom)
        if begin >= end:
            raise UsageProblem(
                f"the range holds no whole non-coherent atom ({atom} bytes), so it cannot be touched",
                "map more, or choose a coherent memory type",
            )


def _check_placed(job: Job, device: Device) -> None:
    if job.memory_type == MALLOC:
        raise UsageProblem("malloc's memory cannot be placed", "leave --placed or --memory-type malloc out")
    alignment = device.placed.min_placed_memory_map_alignment or 1
    address = units.parse_place(job.placed or "any")
    for what, value, vuid in (
        ("--placed", address, "VkMemoryMapPlacedInfoEXT-pPlacedAddress-09577"),
        ("--offset", job.offset, "VkMemoryMapInfo-flags-09573"),
        ("--map-size", job.map_size, "VkMemoryMapInfo-flags-09574"),
        ("--size", None if job.map_size else job.allocation_size, "VkMemoryMapInfo-flags-09651"),
    ):
        if isinstance(value, int) and value % alignment:
            raise UsageProblem(
                f"{what} {value:#x} of a placed map must be a multiple of minPlacedMemoryMapAlignment ({alignment})",
                f"VUID-{vuid}",
            )
    if address is not None and job.live * job.threads > 1:
        raise UsageProblem(
            "one address can hold one object", "use --placed any, low4g or low2g with --live and --threads"
        )


def _check_memory(job: Job, device: Device, room: Room) -> None:
    count, need = job.object_count * job.threads, job.memory_bytes
    what = units.size(job.allocation_size) + (f" x {count} = {units.size(need)}" if count > 1 else "")
    memory_type = device.memory_type(job.memory_type)
    in_host_memory = job.imports or device.in_host_memory(memory_type)
    if memory_type is not MALLOC_TYPE and not job.imports:  # the heap of what is imported may be of 0 bytes
        heap, free = device.heaps[memory_type.heap], _free(device, memory_type)
        if need > heap.size or need > free:
            raise Unsupported(
                f"{what} does not fit into heap {heap.index} of {device.name}: "
                f"{units.size(free)} free of {units.size(heap.size)}",
                "choose a smaller --size, or another --memory-type",
            )
    own, in_pages = program_bytes(job), page_ceil(need // count) * count  # a small object takes a whole page
    memory.check(
        f"{what if in_host_memory else 'the run'}, with {units.size(own)} for its steps,",
        room,
        memory=own + (in_pages if in_host_memory else 0),
        addresses=own + in_pages,
        private=own + (in_pages if memory_type is MALLOC_TYPE or job.imports else 0),
        smaller="choose a smaller --size, --live or --threads",
    )
    if count > device.limits.max_memory_allocation_count:
        raise Unsupported(
            f"{count} objects are more than maxMemoryAllocationCount, "
            f"{device.limits.max_memory_allocation_count}, of {device.name}",
            "lower --live or --threads",
        )
    # Where an object costs a mapping for sure, and placed one more for its guard. A driver that runs out may die of it.
    mappings = 2 * count if job.placed else 3 * count if job.imports else count if device.software else 0
    if mappings > room.mappings - MAPPINGS_LEFT_ALONE:
        raise Unsupported(
            f"{count} objects need {mappings} mappings: this process may have {max(room.mappings, 0)} more, "
            f"of which {MAPPINGS_LEFT_ALONE} are left alone",
            "lower --live or --threads, or raise vm.max_map_count",
        )
    if job.placed and page_ceil(job.allocation_size) * count > units.PLACES.get(job.placed, 1 << 63):
        raise Unsupported(f"{what} is more than the addresses of --placed {job.placed}")


def _size_notes(job: Job, device: Device) -> list[Note]:
    limit = device.limits.max_memory_allocation_size
    if job.memory_type == MALLOC or limit is None or job.allocation_size <= limit:
        return []
    return [
        Note(
            "over-allocation-size",
            f"{units.size(job.allocation_size)} is {units.size(job.allocation_size - limit)} more than "
            f"maxMemoryAllocationSize: {device.name} need not grant it",
        )
    ]


def _touch_notes(job: Job, device: Device) -> list[Note]:
    memory_type = device.memory_type(job.memory_type)
    atom = device.limits.non_coherent_atom_size
    ends = [job.offset, job.map_size or 0] if isinstance(job.offset, int) else [1]
    if job.touch == "none" or is_coherent(job, device) or not any(int(end) % atom for end in ends):
        return []
    return [
        Note(
            "atom-narrowed",
            f"memory type {memory_type.label} is not coherent: only whole atoms of {atom} bytes inside the mapping "
            "can be flushed, so bytes beyond them are mapped but not touched",
        )
    ]

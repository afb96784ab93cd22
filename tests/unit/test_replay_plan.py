"""A trace on a device: which of its types and functions stand for the recorded ones, and the steps that C runs."""

import pytest
from builders import GIB, KHR_ONLY, MIB, NO_MAP2, a_device, a_gpu, a_room

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.model.device import HostImport, MemoryHeap, MemoryType, Placed
from vkmapctl.model.loop import Op, ReplayFlag, ReplayStep
from vkmapctl.model.trace import (
    Allocate,
    Flush,
    Free,
    Gap,
    Invalidate,
    Map,
    MemoryRange,
    Repeat,
    Signal,
    Touch,
    Trace,
    TraceMemory,
    TraceRange,
    Unmap,
    Wait,
)
from vkmapctl.model.workload import Workload
from vkmapctl.plans import judging, trace_fit
from vkmapctl.plans.gates import parse_threshold
from vkmapctl.plans.replay import WHOLE, Chained, chained, imported, laid_out
from vkmapctl.plans.workload import resolve

ROOM = a_room()
CACHED = ("De", "Vi", "Co", "Ca")


def a_trace(*threads, memory=(CACHED,), ranges=(), objects=4, **more):
    return Trace(tuple(map(TraceMemory, memory)), threads, ranges, objects, **more)


def fitted(*steps, device=None, **more):
    api = {name: more.pop(name) for name in ("api", "memory_type") if name in more}
    return trace_fit.fit(a_trace(steps, **more), device or a_device(), **api)


def planned(trace, device=None, room=ROOM, **asked):
    (job,) = resolve(Workload(trace=trace, **asked), device or a_device(), room).jobs
    return job


# --- memory types -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "index"),
    [
        (("Vi", "Co"), 2),
        (("De", "Vi", "Co"), 4),
        (("De",), 1),
        ((), 0),
        (("Vi",), 2),  # one flag more, of two that have it
        (("De", "Vi"), 4),
        (("De", "Vi", "Co", "Ca"), 3),  # none has all: as many as can be, and none more
        (("De", "Ca"), 1),
    ],
)
def test_a_type_by_its_flags(flags, index):
    fit = fitted(memory=[flags], device=a_gpu())
    assert fit.memory == (index,)
    same = set(a_gpu().memory_types[index].flags) == set(flags)
    assert fit.replaced == (() if same else (f"memory type {' '.join(flags)} is {a_gpu().memory_types[index].label}",))


def test_what_is_mapped_there_can_be_mapped_here():
    """Of two types that are neither, the one that the host sees."""
    types = (MemoryType(0, 0, ("De", "Ca")), MemoryType(1, 0, ("Vi",)))
    assert fitted(memory=[("De", "Vi", "Ca")], device=a_device(memory_types=types)).memory == (1,)


def test_a_type_that_must_not_be_used_is_not():
    types = (MemoryType(0, 0, CACHED, "barred"), MemoryType(1, 0, ("De", "Pr")), MemoryType(2, 0, ("Vi",)))
    assert fitted(memory=[CACHED, ("De",)], device=a_device(memory_types=types)).memory == (2, 2)


def test_a_device_without_memory_is_refused():
    with pytest.raises(Unsupported, match="no host-visible memory type"):
        fitted(device=a_device(memory_types=(MemoryType(0, 0, ("De",)),)))


# --- functions and features ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "apis"),
    [
        (a_device(), {"v1": "v1", "khr": "khr", "core": "core"}),
        (a_device(route="khr", extensions=KHR_ONLY), {"v1": "v1", "khr": "khr", "core": "khr"}),
        (a_device(route="core", extensions={}), {"v1": "v1", "khr": "core", "core": "core"}),
        (a_device(route="none", extensions=NO_MAP2), {"v1": "v1", "khr": "v1", "core": "v1"}),
    ],
)
def test_functions_that_there_are(device, apis):
    steps = [Allocate(0, 4096), Map(0, api="khr"), Unmap(0, "core")]
    fit = fitted(*steps, device=device)
    assert fit.apis == apis
    assert len(fit.replaced) == sum(api != apis[api] for api in ("khr", "core"))


def test_each_replacement_is_told_once():
    life = (Allocate(0, 4096, kind="export"), Map(0, api="core", placed=0), Unmap(0, "core", reserve=True), Free(0))
    fit = fitted(Repeat(3, life), *life, device=a_device(route="none", extensions=NO_MAP2), ranges=(TraceRange(4096),))
    assert fit.replaced == (
        "allocations that were exportable are plain: the device has no such",
        "vkMapMemory2 and vkUnmapMemory2 are vkMapMemory and vkUnmapMemory",
        "placed maps are plain ones: the feature memoryMapPlaced is missing",
        "unmaps with reserve are plain ones: the feature memoryUnmapReserve is missing",
    )


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (Map(0, api="khr", placed=0), ""),
        (Map(0, 0, 128 << 10, "khr", placed=0), ""),
        (Map(0, 0, 64 << 10, "khr", placed=0), "of a part of an object: the feature memoryMapRangePlaced is missing"),
        (Map(0, 64 << 10, None, "khr", placed=0), "of a part of an object"),
        (Map(0, api="khr", placed=0, at=4096), "at no multiple of minPlacedMemoryMapAlignment (65536)"),
    ],
)
def test_when_a_map_is_placed(step, why):
    device = a_gpu(placed=Placed(True, False, True, 64 << 10))
    trace = a_trace((Allocate(0, 128 << 10), step), memory=[("Vi", "Co")], ranges=(TraceRange(1 << 20),))
    fit = trace_fit.fit(trace, device)
    assert trace_fit.why_not_placed(step, fit, trace_fit.sizes_of(trace)).startswith(why)
    assert bool(why) == (fit.replaced != ()) == (not trace_fit.places_of(trace, fit))


def test_one_api_for_all_of_it():
    steps = [Allocate(0, 4096), Map(0, api="core", placed=0), Unmap(0, "core", reserve=True)]
    trace = a_trace(steps, memory=[("Vi", "Co")], ranges=(TraceRange(4096),))
    job = planned(trace, a_gpu(), api="v1", memory_type="3")
    assert (job.api, job.memory_type, job.fit.memory) == ("v1", 3, (3,))
    assert "placed maps are plain ones: vkMapMemory cannot place" in job.fit.replaced
    assert "unmaps with reserve are plain ones: vkUnmapMemory cannot reserve" in job.fit.replaced
    with pytest.raises(Unsupported, match="--api khr needs"):
        planned(trace, a_device(extensions={}), api="khr")


@pytest.mark.parametrize("asked", [{"api": "all"}, {"memory_type": "all"}, {"memory_type": "malloc"}])
def test_a_trace_is_one_row(asked):
    with pytest.raises(UsageProblem, match="means nothing for a trace"):
        planned(a_trace((Allocate(0, 4096),)), **asked)


# --- imports ------------------------------------------------------------------------------------


def test_imports_where_there_are_none_are_allocations():
    fit = fitted(Allocate(0, 4096, kind="host"))
    assert (fit.imports, len(fit.replaced)) == ((), 1)
    assert "VK_EXT_external_memory_host" in fit.replaced[0]


def test_imports_are_of_a_type_that_takes_them_and_of_whole_multiples():
    device = a_gpu(host_import=HostImport(4096, (2, 3)))
    steps = [Allocate(0, 5000, kind="host"), Allocate(1, 100, 1, kind="host"), Allocate(2, 8192)]
    trace = a_trace(steps, memory=[("Vi", "Co", "Ca"), ("De", "Vi", "Co")])
    fit = trace_fit.fit(trace, device)
    assert (fit.memory, fit.imports) == ((3, 4), (3, 2))
    assert fit.replaced[0] == "imports of memory type De Vi Co are of #2 Vi Co"
    assert imported(trace, fit) == {0: 8192, 1: 4096}
    (steps,) = laid_out(trace, fit, "full", {}, {0: 0x10000, 1: 0x20000}).threads
    assert [(one.op, one.memory_type, one.size, one.address) for one in steps] == [
        (Op.IMPORT, 3, 8192, 0x10000),
        (Op.IMPORT, 2, 4096, 0x20000),
        (Op.ALLOCATE, 3, 8192, 0),
    ]


# --- room ---------------------------------------------------------------------------------------


def test_it_takes_what_is_allocated_at_one_time():
    life = (Allocate(0, 3 * GIB), Free(0), Allocate(1, 3 * GIB), Free(1))
    assert planned(a_trace(life)).memory_bytes == 3 * GIB
    both = (Allocate(0, 3 * GIB), Allocate(1, 3 * GIB))
    with pytest.raises(Unsupported, match="the trace holds up to 6 GiB in heap 0"):
        planned(a_trace(both))
    failed = (Allocate(0, 3 * GIB), Allocate(1, 3 * GIB, result="VK_ERROR_OUT_OF_DEVICE_MEMORY"))
    assert planned(a_trace(failed)).memory_bytes == 3 * GIB


def test_the_machines_memory_is_what_a_software_device_takes():
    with pytest.raises(Unsupported, match="2 GiB of the host's memory, which does not fit: this machine's memory is"):
        planned(a_trace((Allocate(0, 2 * GIB),)), room=a_room(2 * GIB))


def test_each_heap_has_its_own_room():
    device = a_gpu(heaps=(MemoryHeap(0, GIB, True), MemoryHeap(1, 96 * GIB, False)))
    steps = (Allocate(0, 4 * GIB, 0), Allocate(1, GIB // 2, 1))
    assert planned(a_trace(steps, memory=[("Vi", "Co"), ("De",)]), device).memory_bytes == 4 * GIB + GIB // 2
    with pytest.raises(Unsupported, match="in heap 0"):
        planned(a_trace(steps, memory=[("De",), ("Vi", "Co")]), device)


def test_more_objects_than_the_device_can_have():
    objects = tuple(Allocate(i, 4096) for i in range(4097))
    with pytest.raises(Unsupported, match="4097 objects at one time, more than maxMemoryAllocationCount, 4096"):
        planned(a_trace(objects, objects=5000))


def test_more_addresses_than_there_are():
    with pytest.raises(Unsupported, match="more than 1 TiB of addresses"):
        planned(a_trace((), ranges=(TraceRange(1 << 41),)))


# --- the row ------------------------------------------------------------------------------------


def test_the_row_of_a_trace():
    steps = (Allocate(0, MIB), Map(0, api="khr"))
    trace = a_trace(steps, (Allocate(1, 4096),), seconds=3.0)
    job = planned(trace, name="mine", pace="recorded", iterations=2)
    assert (job.api, job.threads, job.allocation_size, job.trace) == ("khr", 2, MIB, trace.digest)
    assert job.planned_seconds == 6.0
    assert planned(trace).planned_seconds is None


@pytest.mark.parametrize("metric", ["map.p99", "free.p50", "import.p50", "allocate.max"])
def test_what_conditions_can_judge_it(metric):
    part = Workload(trace=a_trace((Allocate(0, 4096, kind="host"), Map(0), Free(0))))
    assert judging.can_judge(parse_threshold(f"{metric}>1us").metric, part)
    for other in ("unmap.p50", "flush.p50", "ns_per_pair", "write", "response.p50"):
        assert not judging.can_judge(other, part)


def test_a_saved_run_keeps_no_trace_that_is_larger_than_the_rest_of_it():
    short = Workload(trace=a_trace((Repeat(100, (Free(),) * 9_999),)))
    long = Workload(trace=a_trace((Repeat(100, (Free(),) * 10_000),), seconds=2.0))
    assert short.kept() is short
    assert long.kept().trace == Trace((TraceMemory(CACHED),), (), (), 4, 2.0)
    parts = Workload(jobs=(short, long, Workload()))
    assert parts.kept().jobs == (short, long.kept(), Workload())


# --- the steps ----------------------------------------------------------------------------------


def steps_of(*steps, pace="full", fit=None, **more):
    trace = a_trace(steps, **more)
    return laid_out(trace, fit or trace_fit.fit(trace, a_device()), pace, {}, {}).threads[0]


def test_calls_as_they_are_passed():
    failed = ReplayFlag.DID_FAIL
    steps = steps_of(
        Allocate(1, 8192), Map(1, 4096, 4096, "core"), Touch(1, 4096, 100), Unmap(1, "core"), Map(1),
        Unmap(1, "khr", result="VK_ERROR_MEMORY_MAP_FAILED"), Free(1), Free(),
        Allocate(2, 99, result="VK_ERROR_OUT_OF_DEVICE_MEMORY"),
    )  # fmt: skip
    assert steps == [
        ReplayStep(Op.ALLOCATE, 0, 1, size=8192),
        ReplayStep(Op.MAP, 1, 1, api=2, offset=4096, size=4096),
        ReplayStep(Op.FIRST, 2, 1, offset=4096, size=100),
        ReplayStep(Op.UNMAP, 3, 1, api=2),
        ReplayStep(Op.MAP, 4, 1, size=WHOLE),
        ReplayStep(Op.UNMAP, 5, 1, api=1, flags=failed),
        ReplayStep(Op.FREE, 6, 1),
        ReplayStep(Op.FREE, 7, flags=ReplayFlag.NOTHING),
        ReplayStep(Op.ALLOCATE, 8, 2, flags=failed, size=99),
    ]


def test_ranges_that_are_flushed_again_are_kept_once():
    one, two = (MemoryRange(0, 0, 64),), (MemoryRange(0, 64), MemoryRange(0))
    trace = a_trace((Allocate(0, 4096), Map(0), Flush(one), Invalidate(two), Flush(one)))
    program = laid_out(trace, trace_fit.fit(trace, a_device()), "full", {}, {})
    assert program.ranges == [(0, 0, 64), (0, 64, WHOLE), (0, 0, WHOLE)]
    assert [(step.op, step.other, step.ranges) for step in program.threads[0][2:]] == [
        (Op.FLUSH, 0, 1), (Op.INVALIDATE, 1, 2), (Op.FLUSH, 0, 1),
    ]  # fmt: skip


def test_repeats_are_closed_and_numbered_as_they_are_written():
    life = (Allocate(0, 64), Repeat(2, (Map(0), Unmap(0))), Free(0))
    steps = steps_of(Free(), Repeat(3, life), Repeat(5, (Gap(7),)), Free())
    assert [(step.op, step.number) for step in steps] == [
        (Op.FREE, 0), (Op.REPEAT, 1), (Op.ALLOCATE, 2), (Op.REPEAT, 3), (Op.MAP, 4), (Op.UNMAP, 5), (Op.END, 3),
        (Op.FREE, 6), (Op.END, 1), (Op.FREE, 9),
    ]  # fmt: skip
    assert [(step.size, step.other) for step in steps if step.op is Op.REPEAT] == [(3, 8), (2, 6)]
    assert [step.other for step in steps if step.op is Op.END] == [3, 1]


def test_times_between_calls_are_left_out_at_full_speed():
    assert steps_of(Gap(70, 30)) == []
    assert steps_of(Gap(70, 30), pace="recorded") == [ReplayStep(Op.PAUSE, 0, offset=30, size=70)]


def test_each_ordered_pair_of_threads_has_a_channel():
    trace = a_trace((Signal(1), Wait(1), Signal(2)), (Wait(0), Signal(0)), (Wait(0),))
    program = laid_out(trace, trace_fit.fit(trace, a_device()), "full", {}, {})
    assert program.channels == 3
    assert [[step.other for step in steps] for steps in program.threads] == [[0, 1, 2], [0, 1], [2]]


def test_what_allocations_chain():
    device = a_device(allocations=("plain", "dedicated", "export"))
    steps = tuple(
        Allocate(i, size, kind=kind)
        for i, (size, kind) in enumerate([(64, "dedicated"), (64, "dedicated"), (128, "dedicated"), (64, "export")])
    )
    trace = a_trace((*steps, Allocate(4, 64, kind="device-address")), objects=5)
    fit = trace_fit.fit(trace, device)
    wanted = {Chained("dedicated", 0, 64), Chained("dedicated", 0, 128), Chained("export", 0, 0)}
    assert chained(trace, fit) == wanted
    found = laid_out(trace, fit, "full", {Chained("dedicated", 0, 64): 77}, {}).threads[0]
    assert [step.address for step in found] == [77, 77, 0, 0, 0]


def test_placed_maps_name_their_range_and_where_in_it():
    device = a_gpu(placed=Placed(True, True, True, 4096))
    steps = (Allocate(0, 8192), Map(0, api="khr", placed=1, at=4096), Unmap(0, "khr", reserve=True))
    trace = a_trace(steps, memory=[("Vi", "Co")], ranges=(TraceRange(4096), TraceRange(16384)))
    found = laid_out(trace, trace_fit.fit(trace, device), "full", {}, {}).threads[0]
    assert (found[1].other, found[1].address, found[2].flags) == (2, 4096, ReplayFlag.RESERVE)

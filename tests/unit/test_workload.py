"""What was asked for, resolved against devices, or refused with the reason."""

import pytest
from builders import FULLY_PLACED, GIB, KHR_ONLY, KIB, MIB, NON_COHERENT, a_device, a_gpu, a_room
from msgspec.structs import replace

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.model.case import labels
from vkmapctl.model.device import Limits, MemoryHeap, MemoryType, Placed
from vkmapctl.model.script import Map, Read, Repeat, Unmap, Verify, Write
from vkmapctl.model.workload import Workload
from vkmapctl.plans.program import cycles_of
from vkmapctl.plans.workload import resolve
from vkmapctl.units import parse_place

V14 = a_device()
V14_NO_KHR = a_device(extensions={})
KHR = a_device(api_version="1.3.274", route="khr", extensions=KHR_ONLY)
V1 = a_device(api_version="1.3.239", route="none", extensions={})
PLACED = a_device(placed=FULLY_PLACED)
WHOLE_PLACED = a_device(placed=Placed(True, False, True, 4096))
COARSE_PLACED = a_device(placed=Placed(True, True, True, 65536))


def planned(device=V14, *, memory=64 * GIB, mappings=65530, **wanted):
    return resolve(Workload(**wanted), device, a_room(memory, mappings))


def jobs(plan):
    return [job for group in plan.groups for job in group]


def refusal(error, device=V14, **wanted):
    with pytest.raises(error) as caught:
        planned(device, **wanted)
    return caught.value.message


# --- api ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "api", "expected"),
    [
        (V14, "auto", ["core"]),
        (V14, "all", ["v1", "khr", "core"]),
        (V14, "khr", ["khr"]),
        (V14, "v1", ["v1"]),
        (V14_NO_KHR, "all", ["v1", "core"]),
        (KHR, "auto", ["khr"]),
        (KHR, "all", ["v1", "khr"]),
        (V1, "auto", ["v1"]),
        (V1, "all", ["v1"]),
    ],
)
def test_apis(device, api, expected):
    (group,) = planned(device, api=api).groups
    assert [job.api for job in group] == expected


@pytest.mark.parametrize(
    ("device", "api", "needs"),
    [(KHR, "core", "Vulkan 1.4"), (V1, "core", "Vulkan 1.4"), (V1, "khr", "VK_KHR_map_memory2"),
     (V14_NO_KHR, "khr", "VK_KHR_map_memory2")],
)  # fmt: skip
def test_an_api_that_the_device_lacks_is_named(device, api, needs):
    assert needs in refusal(Unsupported, device, api=api)


@pytest.mark.parametrize("wanted", [{"reserve": True}, {"placed": "any"}])
def test_v1_can_neither_place_nor_reserve(wanted):
    assert "--api v1" in refusal(UsageProblem, PLACED, api="v1", **wanted)
    (group,) = planned(PLACED, api="all", **wanted).groups
    assert [job.api for job in group] == ["khr", "core"]


# --- ranges ---------------------------------------------------------------------------------------


def test_sizes_and_offsets_make_a_row_each_with_a_name_of_its_own():
    plan = planned(sizes=(MIB, 2 * MIB), offsets=(0, 4096, "random"))
    ranges = [(job.allocation_size, job.offset) for job in jobs(plan)]
    assert ranges == [(size, offset) for size in (MIB, 2 * MIB) for offset in (0, 4096, "random")]
    assert len(set(labels(jobs(plan)))) == len(ranges)


def test_sizes_that_look_alike_keep_different_names():
    """A comparison of two runs finds rows by name."""
    plan = planned(sizes=(10 * MIB + 4096, 10 * MIB + 8192))
    assert labels(jobs(plan)) == ["10244 KiB", "10248 KiB"]


@pytest.mark.parametrize(
    ("offset", "map_size"),
    [(0, None), (1, None), (3, 5), (4095, 2), (MIB - 1, 1), (MIB - 1, None), (0, MIB), ("random", MIB)],
)
def test_any_range_inside_the_allocation_is_fine(offset, map_size):
    (job,) = jobs(planned(sizes=(MIB,), offsets=(offset,), map_size=map_size))
    assert (job.offset, job.map_size) == (offset, map_size)


@pytest.mark.parametrize(
    ("offset", "map_size", "rule"),
    [
        (MIB, None, "--offset"),
        (MIB + 1, None, "--offset"),
        (0, MIB + 1, "beyond"),
        (1, MIB, "beyond"),
        (MIB - 1, 2, "beyond"),
        ("random", MIB + 1, "beyond"),
        (0, 0, "size of 0"),
    ],
)
def test_ranges_that_leave_the_allocation(offset, map_size, rule):
    assert rule in refusal(UsageProblem, sizes=(MIB,), offsets=(offset,), map_size=map_size)


def test_one_size_of_a_sweep_that_does_not_fit_refuses_the_run():
    assert "beyond" in refusal(UsageProblem, sizes=(2 * MIB, MIB), map_size=2 * MIB)


# --- memory types ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("auto", [2]),
        ("all", [2, 3, 4]),
        ("3", [3]),
        ("Ca", [3]),
        ("De,Vi,Co", [4]),
        ("de vi", [4]),
        ("host-visible+cached", [3]),
        ("Vi|Co", [2]),
        ("device-local", [4]),
    ],
)
def test_memory_types(wanted, expected):
    assert [job.memory_type for job in jobs(planned(a_gpu(), memory_type=wanted))] == expected


@pytest.mark.parametrize(
    ("error", "wanted", "says"),
    [
        (Unsupported, "0", "not host-visible"),
        (Unsupported, "1", "not host-visible"),
        (Unsupported, "De,Ca", "no host-visible memory type with Ca De"),
        (UsageProblem, "5", "no memory type 5"),
        (UsageProblem, "-1", "unknown memory type"),
        (UsageProblem, "bogus", "unknown memory type"),
        (UsageProblem, "", "unknown memory type"),
        (UsageProblem, "Vi,,bogus", "unknown memory type"),
    ],
)
def test_memory_types_refused(error, wanted, says):
    assert says in refusal(error, a_gpu(), memory_type=wanted)


@pytest.mark.parametrize(
    "types", [(), (MemoryType(0, 0, ("De",)),), (MemoryType(0, 0, ("Vi", "Pr")),)], ids=["none", "local", "protected"]
)
def test_a_device_without_mappable_memory(types):
    assert "no host-visible memory type" in refusal(Unsupported, a_device(memory_types=types))


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "memory", "wanted", "says"),
    [
        (V14, 64 * GIB, {"sizes": (5 * GIB,)}, "heap 0"),
        (V14, 64 * GIB, {"sizes": (GIB,), "live": 5}, "1 GiB x 5 = 5 GiB"),
        (V14, 64 * GIB, {"sizes": (GIB,), "live": 3, "threads": 2}, "heap 0"),
        (V14, 2 * GIB, {"sizes": (2 * GIB,)}, "machine's memory"),
        (V14, 0, {"sizes": (MIB,)}, "machine's memory"),
        (a_gpu(), 2 * GIB, {"sizes": (2 * GIB,), "memory_type": "2"}, "machine's memory"),
        (a_gpu(), 200 * GIB, {"sizes": (79 * GIB,), "memory_type": "4"}, "78 GiB free of 80 GiB"),
        (V14, 64 * GIB, {"sizes": (4096,), "live": 5000}, "maxMemoryAllocationCount"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_allocated(device, memory, wanted, says):
    message = refusal(Unsupported, device, memory=memory, **wanted)
    assert says in message


@pytest.mark.parametrize(("device", "room"), [(V14, 2000), (a_gpu(), 3000)], ids=["cpu", "placed, with guards"])
def test_more_objects_than_mappings(device, room):
    placed = None if device is V14 else "any"
    assert "mappings" in refusal(Unsupported, device, mappings=room, sizes=(4096,), live=1000, placed=placed)
    assert jobs(planned(device, mappings=room, sizes=(4096,), live=900, placed=placed))


def test_only_what_nobody_named_may_turn_out_not_to_fit():
    """The smallest must be there, or nothing was measured."""
    found = jobs(planned(sizes=("64K..fit*4", MIB), memory=GIB))
    assert [job.allocation_size for job in found if not job.fitted] == [64 * KIB, MIB]
    assert [job.allocation_size for job in found if job.fitted][:2] == [256 * KIB, 4 * MIB]


def test_a_sweep_stops_at_the_largest_allocation_that_the_driver_must_grant():
    small = a_device(limits=replace(V14.limits, max_memory_allocation_size=MIB))
    assert [job.allocation_size for job in jobs(planned(small, sizes=("64K..fit*4",)))] == [64 * KIB, 256 * KIB, MIB]
    assert "need not grant" in planned(small, sizes=(2 * MIB,)).notes[0].message


def test_device_memory_does_not_have_to_fit_into_the_machine():
    assert jobs(planned(a_gpu(), memory=GIB, sizes=(60 * GIB,), memory_type="4"))


def test_a_heap_used_beyond_its_budget_has_nothing_free():
    full = a_device(heaps=(MemoryHeap(0, 4 * GIB, True, budget=GIB, usage=2 * GIB),))
    assert "0 B free" in refusal(Unsupported, full, sizes=(4096,))


# --- placed and reserve ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "wanted", "feature"),
    [
        (V14, {"placed": "any"}, "memoryMapPlaced"),
        (V14, {"reserve": True}, "memoryUnmapReserve"),
        (a_device(placed=Placed(True, True, False, 4096)), {"placed": "any", "reserve": True}, "memoryUnmapReserve"),
        (WHOLE_PLACED, {"placed": "any", "offsets": (4096,)}, "memoryMapRangePlaced"),
        (WHOLE_PLACED, {"placed": "any", "offsets": ("random",)}, "memoryMapRangePlaced"),
        (WHOLE_PLACED, {"placed": "any", "map_size": 4096}, "memoryMapRangePlaced"),
        (WHOLE_PLACED, {"placed": "any", "sizes": (MIB, 2 * MIB), "map_size": MIB}, "memoryMapRangePlaced"),
    ],
)
def test_a_missing_feature_is_named(device, wanted, feature):
    message = refusal(Unsupported, device, **wanted)
    assert feature in message
    assert device.name in message


@pytest.mark.parametrize(
    ("device", "wanted"),
    [
        (WHOLE_PLACED, {"placed": "any", "sizes": (MIB,), "map_size": MIB}),
        (WHOLE_PLACED, {"reserve": True, "offsets": (3,)}),
        (PLACED, {"placed": "low4g", "offsets": (4096,), "map_size": 8192}),
        (PLACED, {"placed": "0x10000000", "offsets": ("random",), "map_size": 4096}),
        (COARSE_PLACED, {"placed": "low2g", "offsets": (65536,), "map_size": 65536}),
    ],
)
def test_placed_and_reserve_that_the_device_can_do(device, wanted):
    assert jobs(planned(device, **wanted))


@pytest.mark.parametrize(
    ("device", "wanted", "flag"),
    [
        (PLACED, {"placed": "0x10000001"}, "--placed"),
        (COARSE_PLACED, {"placed": "0x10001000"}, "--placed"),
        (PLACED, {"placed": "any", "offsets": (1,), "map_size": 4096}, "--offset"),
        (COARSE_PLACED, {"placed": "any", "offsets": (4096,), "map_size": 65536}, "--offset"),
        (PLACED, {"placed": "any", "map_size": 4097}, "--map-size"),
        (PLACED, {"placed": "any", "sizes": (MIB + 1,)}, "--size"),
    ],
)
def test_placed_ranges_that_break_an_alignment_rule(device, wanted, flag):
    assert flag in refusal(UsageProblem, device, **wanted)


@pytest.mark.parametrize("many", [{"live": 2}, {"threads": 2}])
def test_one_address_holds_one_object(many):
    assert "one address" in refusal(UsageProblem, PLACED, placed="0x10000000", **many)


def test_low_addresses_can_run_out():
    message = refusal(Unsupported, PLACED, placed="low2g", sizes=(GIB,), live=3)
    assert "low2g" in message


@pytest.mark.parametrize(("text", "address"), [("any", None), ("low4g", None), ("0x10000000", 1 << 28), ("0XAB", 171)])
def test_place(text, address):
    assert parse_place(text) == address


@pytest.mark.parametrize("text", ["", "low8g", "4096", "0x", "-0x10", "0x1_0", " 0x10", "0x10g"])
def test_place_refused(text):
    with pytest.raises(ValueError, match="neither any"):
        parse_place(text)


@pytest.mark.parametrize("text", ["0x0", "0x8000000000000000", "0xffffffffffff0000"])
def test_no_place_that_a_program_can_map(text):
    with pytest.raises(ValueError, match="is not an address"):
        parse_place(text)


# --- memory that is not coherent ------------------------------------------------------------------


def test_a_range_without_a_whole_atom_cannot_be_touched():
    device = a_device(memory_types=(NON_COHERENT,), limits=Limits(64, 256, 4096))
    assert "non-coherent atom" in refusal(UsageProblem, device, offsets=(1,), map_size=300, touch="write")
    assert jobs(planned(device, offsets=(1,), map_size=300, touch="none"))


def test_bytes_that_cannot_be_flushed_are_announced():
    device = a_device(memory_types=(NON_COHERENT,))
    codes = [note.code for note in planned(device, offsets=(1,), map_size=4096, touch="write").notes]
    assert codes == ["atom-narrowed"]
    assert planned(device, offsets=(64,), map_size=4096, touch="write").notes == ()


@pytest.mark.parametrize("map_size", [None, 100])
def test_random_ranges_on_memory_that_is_not_coherent_have_equal_cycles_or_are_refused(map_size):
    """Not every random range holds a whole atom, and the loop wants cycles of one length."""
    device = a_device(memory_types=(NON_COHERENT,))
    try:
        (job,) = jobs(planned(device, sizes=(4096,), offsets=("random",), map_size=map_size, touch="verify"))
    except UsageProblem:
        return
    assert len({len(cycle) for cycle in cycles_of(job, device, [], 0)}) == 1


# --- effort ---------------------------------------------------------------------------------------


def test_how_long_is_asked_of_each_job():
    plan = planned(seconds=0.5, iterations=7, warmup_seconds=0.0)
    (job,) = jobs(plan)
    assert (job.duration_seconds, job.iterations, job.warmup_seconds) == (0.5, 7, 0.0)


def test_placed_without_reserve_says_what_is_timed():
    assert [note.code for note in planned(PLACED, placed="any").notes] == ["placed-without-reserve"]
    assert planned(PLACED, placed="any", reserve=True).notes == ()


MAPPED_AND = (Map(0), Unmap(0))


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"width": "4"}, "--width 4 means nothing with --touch none"),
        ({"width": "4", "touch": "verify"}, "with --touch verify"),
        ({"width": "stream", "touch": "first"}, "with --touch first"),
        ({"access": "strided", "touch": "read"}, "--access strided needs a --width"),
        ({"width": "memcpy", "access": "random", "touch": "read"}, "no --access random"),
        ({"width": "8", "steps": MAPPED_AND}, "without a write or read step"),
        ({"width": "8", "steps": (Map(0), Write(0), Repeat((Verify(0),)), Unmap(0))}, "verify step"),
    ],
)
def test_a_width_that_nothing_would_have_is_refused(wanted, said):
    assert said in refusal(UsageProblem, V14, **wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        {"width": "4", "touch": "read", "access": "random"},
        {"width": "memcpy", "touch": "write"},
        {"width": "16", "steps": (Map(0), Repeat((Read(0),)), Unmap(0))},
    ],
)
def test_a_width_is_asked_of_each_row(wanted):
    for job in jobs(planned(V14, **wanted)):
        assert (job.width, job.access) == (wanted["width"], wanted.get("access", "sequential"))

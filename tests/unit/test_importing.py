"""Objects imported from host memory: what is refused, which memory types are taken, and the steps that it becomes."""

import pytest
from builders import GIB, KIB, NON_COHERENT, a_device, a_gpu, a_job, a_room
from msgspec.structs import replace

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.model.device import HostImport, MemoryHeap
from vkmapctl.model.loop import LoopStep, Op
from vkmapctl.model.script import Allocate, First, Flush, Free, Import, Map, Unmap
from vkmapctl.model.workload import Workload
from vkmapctl.plans.program import cycles_of
from vkmapctl.plans.script import Impossible, cycle_of
from vkmapctl.plans.workload import resolve

DEVICE = a_device(host_import=HostImport(4096, (0,)))
GPU = a_gpu(host_import=HostImport(4096, (0, 3)))
STEPS = (Import(), First(), Free())


def planned(device=GPU, **wanted):
    wanted = {"imported": "host", "sizes": (64 * KIB,)} | wanted
    return resolve(Workload(**wanted), device, a_room())


def types(plan):
    return [group[0].memory_type for group in plan.groups]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"memory_type": "malloc"}, "--memory-type malloc"),
        ({"placed": "any"}, "--placed"),
        ({"reserve": True}, "--reserve"),
        ({"offsets": (4096,)}, "--offset"),
        ({"map_size": 4096}, "--map-size"),
        ({"imported": "none", "steps": STEPS, "memory_type": "malloc"}, "an import step excludes"),
        ({"sizes": (64 * KIB + 1,)}, "minImportedHostPointerAlignment (4096)"),
    ],
)
def test_what_makes_no_sense_beside_an_import_is_refused(wanted, told):
    with pytest.raises(UsageProblem) as caught:
        planned(**wanted)
    assert told in caught.value.message


@pytest.mark.parametrize("wanted", [{}, {"imported": "none", "steps": STEPS}])
def test_a_device_without_the_extension(wanted):
    with pytest.raises(Unsupported, match="VK_EXT_external_memory_host, which is missing on Example GPU"):
        planned(a_gpu(), **wanted)


def test_a_memory_type_that_takes_no_host_pointer_is_named_with_those_that_do():
    with pytest.raises(Unsupported) as caught:
        planned(memory_type="4")
    assert "#4 De Vi Co" in caught.value.message
    assert caught.value.hints == ("these take one: #0 ; #3 Vi Co Ca",)


def test_auto_takes_a_type_that_does_and_can_be_mapped():
    assert types(planned()) == [3]
    assert types(planned(a_gpu(host_import=HostImport(4096, (0, 1))))) == [0]
    with pytest.raises(Unsupported):
        planned(a_gpu(host_import=HostImport(4096, ())))
    with pytest.raises(Unsupported):  # its steps may map what they allocate
        planned(a_gpu(host_import=HostImport(4096, (0,))), imported="none", steps=STEPS)


def test_all_takes_those_that_do_and_says_which_do_not():
    plan = planned(memory_type="all")
    assert types(plan) == [0, 3]
    (note,) = [one for one in plan.notes if one.code == "import-types"]
    assert all(told in note.message for told in ("#1 De", "#2 Vi Co", "#4 De Vi Co"))


def test_a_type_whose_heap_is_empty_may_be_imported_into():
    """VK_EXT_external_memory_host, issue 1: such a heap's size may be zero."""
    empty = replace(GPU, heaps=(GPU.heaps[0], MemoryHeap(1, 0, False)))
    assert types(planned(empty, memory_type="3")) == [3]


def test_where_no_driver_was_asked_each_range_is_asked_for_later():
    assert types(planned(a_gpu(host_import=HostImport(4096)))) == [2]


def test_imported_memory_is_the_machines():
    with pytest.raises(Unsupported, match="this machine's memory"):
        resolve(Workload(imported="host", sizes=(2 * GIB,)), GPU, a_room(GIB))


def test_one_api_is_measured_since_nothing_is_mapped():
    plan = planned(DEVICE, api="all")
    assert [len(group) for group in plan.groups] == [1]
    assert "import-pairs" in {note.code for note in plan.notes}


def test_a_cycle_imports_touches_and_frees_without_flushes():
    device = a_device(memory_types=(NON_COHERENT,), host_import=HostImport(4096, (0,)))
    job = a_job(imported="host", live=2, touch="verify", unmap_order="reverse", allocation_size=4096)
    (cycle,) = cycles_of(job, device, [0x10000, 0x20000], 0)
    assert cycle == [
        LoopStep(Op.IMPORT, 0, size=4096, address=0x10000), LoopStep(Op.VERIFY, 0, 0, 4096),
        LoopStep(Op.WRITE, 0, 0, 4096),
        LoopStep(Op.IMPORT, 1, size=4096, address=0x20000), LoopStep(Op.VERIFY, 1, 0, 4096),
        LoopStep(Op.WRITE, 1, 0, 4096),
        LoopStep(Op.FREE, 1), LoopStep(Op.FREE, 0),
    ]  # fmt: skip
    plan = planned(device, touch="read", memory_type="0")
    assert "import-not-flushed" in {note.code for note in plan.notes}


def test_a_script_imports_a_part_of_an_object_and_the_whole():
    found = cycle_of((Import(0, 4096), First(), Free(), Import(), Free()), (8192,), {}, hosts={0: 0x10000})
    assert found == [
        LoopStep(Op.IMPORT, 0, size=4096, address=0x10000), LoopStep(Op.FIRST, 0, 0, 4096), LoopStep(Op.FREE, 0),
        LoopStep(Op.IMPORT, 0, size=8192, address=0x10000), LoopStep(Op.FREE, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((Import(), Map()), "is imported"),
        ((Import(), Unmap()), "not mapped"),
        ((Import(), Flush(), Free()), "VUID-VkMappedMemoryRange-memory-00684"),
        ((Import(), Import(), Free()), "memory already"),
        ((Import(), Allocate(), Free()), "memory already"),
        ((Import(0, 16384), Free()), "not a part"),
        ((Import(0, 100), Free()), "VUID-VkMemoryAllocateInfo-allocationSize-01745"),
        ((Import(), First()), "still allocated at the end"),
        ((Import(), Free(), First()), "not mapped"),
    ],
)
def test_steps_that_an_import_makes_impossible(steps, told):
    with pytest.raises(Impossible) as caught:
        cycle_of(steps, (8192,), {}, device=DEVICE)
    assert told in caught.value.reason


def test_drawn_steps_free_what_they_have_imported():
    found = cycle_of((Import("any"), First("any"), Map(1), Unmap(1)), (4096, 4096), {}, draws=50, seed=3)
    kinds = [step.op for step in found]
    assert kinds.count(Op.IMPORT) == kinds.count(Op.FREE) > 0

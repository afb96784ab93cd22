"""Kinds of allocation: what is refused, with the reason."""

import pytest
from builders import a_device, a_room
from msgspec.structs import replace

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.model.device import HostImport
from vkmapctl.model.script import Allocate, Free, Map, Release, Repeat, Reserve, Unmap
from vkmapctl.model.workload import Workload
from vkmapctl.plans.workload import resolve

ALL = a_device(allocations=("plain", "dedicated", "export", "device-address"), host_import=HostImport(4096))


def planned(device=ALL, **wanted):
    return resolve(Workload(**{"sizes": (4096,)} | wanted), device, a_room())


@pytest.mark.parametrize(
    ("kind", "needs"),
    [("dedicated", "Vulkan 1.1"), ("export", "VK_KHR_external_memory_fd"), ("device-address", "bufferDeviceAddress")],
)
def test_a_kind_that_the_device_lacks_is_refused_with_what_it_needs(kind, needs):
    assert planned(allocation=kind).jobs[0].allocation == kind
    with pytest.raises(Unsupported, match=f"--allocation {kind} needs .*{needs}") as caught:
        planned(a_device(), allocation=kind)
    assert caught.value.hints == ("this device has: plain",)


@pytest.mark.parametrize(
    "wanted",
    [{"memory_type": "malloc"}, {"imported": "host"}, {"steps": (Allocate(), Free()), "memory_type": "malloc"}],
)
def test_what_is_no_vulkan_allocation_has_no_kind(wanted):
    with pytest.raises(UsageProblem, match="--allocation export excludes"):
        planned(allocation="export", **wanted)


def test_a_dedicated_allocation_has_its_buffers_size():
    steps = (Repeat((Allocate(0, 4096), Free())),)
    assert planned(allocation="dedicated", steps=steps).jobs
    with pytest.raises(UsageProblem, match=r"steps\[0\].steps\[0\]: a dedicated allocation"):
        planned(allocation="dedicated", steps=(Repeat((Allocate(0, 100), Free())),))
    with pytest.raises(UsageProblem, match="a dedicated allocation"):
        planned(allocation="dedicated", objects=(4096, 8192), steps=(Allocate("any", 4096), Free("any")), draws=3)
    assert planned(allocation="export", steps=(Allocate(0, 100), Free())).jobs


def test_mallocs_memory_is_allocated_and_freed_by_steps_but_neither_placed_nor_kept():
    plan = planned(memory_type="malloc", steps=(Allocate(), Map(), Unmap(), Free()))
    assert plan.jobs[0].memory_type == -1
    placed = replace(ALL, placed=replace(ALL.placed, memory_map_placed=True, memory_unmap_reserve=True))
    for steps in (
        (Reserve("a", 4096), Map(placed="a"), Unmap(), Release("a")),
        (Map(), Unmap(reserve=True), Release(object=0)),
    ):
        with pytest.raises(UsageProblem, match="malloc's memory can be neither placed"):
            planned(placed, memory_type="malloc", steps=steps)

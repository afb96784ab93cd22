"""Pages of 16 and 64 KiB, as arm64 has them, pretended where pages are smaller: whole ones are touched, kept, handed
out and planned with.
"""

from typing import get_args

import pytest
from builders import MIB, a_device, a_gpu, a_room
from driving import one_thread, run
from native.test_replay import a_map, allocate, laid_out, null

from vkmapctl import native
from vkmapctl.errors import Unsupported
from vkmapctl.machine import addresses, ranges
from vkmapctl.model.device import HostImport, Placed
from vkmapctl.model.loop import Fault, LoopStep, Op
from vkmapctl.model.trace import Allocate, Map, Trace, TraceMemory, TraceRange
from vkmapctl.model.workload import Workload
from vkmapctl.native import Pass, Program, Replay
from vkmapctl.plans import trace_fit
from vkmapctl.plans.workload import resolve
from vkmapctl.plans.workload_file import load, presets
from vkmapctl.rules import RESERVE, Allocation

LARGEST = 64 << 10


@pytest.fixture(params=[16 << 10, LARGEST], ids=["16K", "64K"])
def page(request, monkeypatch):
    """Everything that C and plans are told of a page comes from these."""
    for name in ("native.PAGE", "machine.ranges.PAGE", "plans.program.PAGESIZE"):
        monkeypatch.setattr(f"vkmapctl.{name}", request.param)
    return request.param


@pytest.fixture
def memory(page):
    """Four pages that can be written to."""
    taken = ranges.take(4 * page, protection=addresses.READ_WRITE)
    yield taken
    taken.release()


def ran(memory, *cycle, kind=Pass.LATENCY):
    """The program over one object, the memory, and what it counted."""
    program, results = Program(native.null_driver(2), [(memory.begin, memory.length)], [cycle]), one_thread()
    assert run(program, results, kind, iterations=1) is Fault.OK
    return program, results


@pytest.mark.parametrize(
    ("first", "size", "touched"),
    [
        (lambda page: 0, lambda page: 4 * page, 4),
        (lambda page: page - 1, lambda page: 2, 2),
        (lambda page: 4096, lambda page: 4096, 1),
    ],
    ids=["all", "across", "within one"],
)
def test_each_page_is_touched_once(memory, page, first, size, touched):
    step = LoopStep(Op.FIRST, offset=first(page), size=size(page))
    _, results = ran(memory, LoopStep(Op.MAP, size=4 * page), step, LoopStep(Op.UNMAP))
    assert results.counted().first.pages == touched
    written = addresses.read(memory.begin, 4 * page)
    assert len(written) - written.count(0) == touched


def test_an_unmap_with_reserve_keeps_whole_pages(memory, page):
    """The mapping begins in one page and ends in the next."""
    mapping = LoopStep(Op.MAP, offset=page - 4096, size=8192)
    program, _ = ran(memory, mapping, LoopStep(Op.RELEASE_KEPT), LoopStep(Op.UNMAP, flags=RESERVE))
    program.release_kept()
    assert addresses.map_if_free(2 * page, memory.begin)
    assert addresses.covered(memory.begin + 2 * page, memory.end)


def test_a_driver_that_tells_less_than_a_page_is_asked_for_whole_ones(page):
    for alignment in (1, 4096, page, LARGEST):
        taken = ranges.take(4096, alignment=alignment)
        assert (
            taken.begin % max(page, alignment) == taken.length % page == taken.below % page == taken.above % page == 0
        )
        taken.release()


@pytest.mark.parametrize("place", ["any", "low4g", "low2g", hex(ranges.QUIET_ADDRESS * 3 // 2)])
def test_ranges_and_their_guards_are_of_whole_pages(place, page):
    taken = ranges.reserve_for(place, 4096)
    assert taken.length == page
    assert taken.begin % page == taken.below % page == taken.above % page == 0
    taken.release()


@pytest.mark.parametrize(("at", "sound"), [(0, True), (LARGEST, True), (4096, False)])
def test_a_replay_places_at_whole_pages(at, sound, page):
    steps = laid_out(allocate(size=LARGEST), a_map(other=1, address=at))

    def replay():
        return Replay(null(), [steps], objects=1, places=[(1 << 44, 4 * LARGEST)])

    if sound:
        assert replay()
        return
    with pytest.raises(ValueError, match="not a sound replay at step 1"):
        replay()


def test_what_was_placed_at_smaller_pages_is_replayed_as_a_plain_map(page):
    """Though the driver tells that it could: the kernel cannot."""
    steps = (Allocate(0, size=8192), Map(0, api="core", placed=0, at=4096))
    trace = Trace((TraceMemory(("De", "Vi", "Co", "Ca")),), (steps,), (TraceRange(16384),), 1)
    fit = trace_fit.fit(trace, a_device(placed=Placed(True, True, True, 4096)))
    assert [one for one in fit.replaced if "placed maps are plain ones" in one]


def test_small_objects_take_whole_pages_of_the_machine(page):
    """A thousand of 4 KiB are 4 MiB of the heap, and in pages of 64 KiB 62 MiB of the machine."""
    many, enough = Workload(sizes=(4096,), live=1000), 256 * MIB + 1000 * page
    assert resolve(many, a_device(), a_room(enough + 16 * MIB)).jobs[0].memory_bytes == 1000 * 4096
    with pytest.raises(Unsupported, match=r"does not fit: this machine's memory"):
        resolve(many, a_device(), a_room(enough))


@pytest.mark.parametrize("name", [*presets()])
def test_every_preset_can_be_run_where_pages_have_64_kib(name, monkeypatch):
    monkeypatch.setattr("vkmapctl.plans.program.PAGESIZE", LARGEST)
    device = a_gpu(
        placed=Placed(True, True, True, LARGEST),
        host_import=HostImport(LARGEST, (0, 1)),
        allocations=get_args(Allocation),
    )
    for part in load(name).parts():
        assert resolve(part, device, a_room()).jobs

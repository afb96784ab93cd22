"""What is found in a recording: each pattern where it is, and nothing where it is not; whatever a recording says."""

import random
import tracemalloc

import pytest
from builders import a_device, a_row, a_run
from msgspec.structs import replace
from recordings import (
    BAR,
    CACHED,
    DEVICE,
    GIB,
    KIB,
    MIB,
    MS,
    NON_COHERENT,
    ONLY_DEVICE,
    WHOLE,
    Made,
    a_program_of_everything,
    a_program_that_keeps,
    an_answer,
)

from vkmapctl.figures.over_time import MOST_STEPS, OverTime, together
from vkmapctl.figures.recorded_process import MOST_OBJECTS, ProcessPass
from vkmapctl.figures.spread import Spread
from vkmapctl.figures.stats import percentile
from vkmapctl.model.documents import to_json
from vkmapctl.model.measured import TouchRate
from vkmapctl.model.recording import Called, Event, Mark, PageFault, Program
from vkmapctl.saved.decoding import decode

SECOND = 1_000_000_000


def codes(report):
    return [one.code for one in report.findings]


def finding(report, code):
    return next(one for one in report.findings if one.code == code)


def call(report, name):
    return next(one for one in report.calls if one.call == name)


def with_objects(how, times=20, **first):
    """A program in which nothing is amiss, that does something with fresh objects, `times` times."""
    one = a_program_that_keeps()
    for i in range(times):
        how(one, one.allocate(**first), i)
    return one


# --- what a call cost -----------------------------------------------------------------------------


def test_calls_are_counted_by_the_name_that_the_program_called():
    one = Made()
    block = one.allocate(took=5000)
    for _ in range(3):
        one.map(block, took=100).unmap(block, took=50)
        one.map(block, call=Called.MAP2_KHR, took=300).unmap(block, Called.UNMAP2_KHR, took=30)
    report = an_answer(one)
    v1, khr = call(report, "vkMapMemory"), call(report, "vkMapMemory2KHR")
    assert (v1.count, v1.seconds, v1.latency.p50_ns, v1.latency.at_floor) == (3, 300e-9, 100, False)
    assert (khr.count, khr.seconds, khr.latency.max_ns) == (3, 900e-9, 300)
    assert call(report, "vkUnmapMemory2KHR").latency.at_floor, "30 ns is less than twice the floor"
    assert report.calls[0].call == "vkAllocateMemory", "what takes longest comes first"
    assert report.mapping_seconds == pytest.approx(5000e-9 + 300e-9 + 150e-9 + 900e-9 + 90e-9)


def test_submissions_and_presents_are_counted_but_are_not_mappings_time():
    one = Made()
    one.allocate(took=10)
    one.submit(took=MS).present(took=5 * MS).call(Called.SUBMIT2, took=7).call(Called.CREATE_DEVICE, took=9)
    report = an_answer(one)
    assert call(report, "vkQueuePresentKHR").seconds == 5e-3
    assert report.mapping_seconds == 10e-9
    assert report.calls[0].call == "vkAllocateMemory"


def test_several_ranges_of_a_flush_are_one_call():
    one = Made()
    block = one.allocate(memory_type=NON_COHERENT)
    one.call(Called.FLUSH, block, took=100)
    one.call(Called.FLUSH, block, marks=Mark.FURTHER, took=0).call(Called.FLUSH, block, marks=Mark.FURTHER, took=0)
    assert call(an_answer(one), "vkFlushMappedMemoryRanges").count == 1


def test_gaps_are_no_calls():
    one = Made()
    one.allocate()
    one.call(Called.GAP, size=5)
    report = an_answer(one)
    assert [each.call for each in report.calls] == ["vkAllocateMemory"]


def test_processes_are_added_up_and_their_devices_told_once():
    report = an_answer(a_program_that_keeps(), a_program_that_keeps())
    assert len(report.processes) == 2
    assert report.devices == (DEVICE,)
    assert call(report, "vkMapMemory").count == 2
    assert report.most_mapped_bytes == 128 * MIB
    assert report.timeline[-1].objects == 2
    assert [(one.device, one.objects) for one in report.memory_types] == [(0, 2)]


# --- objects and time -----------------------------------------------------------------------------


def test_a_handle_that_is_used_again_is_another_object():
    one = Made()
    for _ in range(3):
        one.map(one.allocate(4096, handle=7)).free(7)
    one.now += MS
    (found,) = an_answer(one).objects
    assert (found.objects, found.freed, found.freed_mapped, found.maps, found.maps_again) == (3, 3, 3, 3, 0)
    assert found.least_bytes == 4096
    assert found.life == "per-use"
    assert found.lifetime_p50_ns == pytest.approx(20_000, rel=1 / 64)


def test_the_same_handle_on_another_device_is_another_object():
    one = Made()
    one.allocate(4096, handle=7, device=0)
    one.allocate(8192, handle=7, device=1)
    one.map(7, device=1, size=8192)
    report = an_answer(one, devices=(DEVICE, DEVICE))
    assert {each.least_bytes: each.maps for each in report.objects} == {4096: 0, 8192: 1}


def test_lives():
    one = a_program_that_keeps()
    again = one.allocate(1)
    one.map(again).unmap(again).map(again)
    one.allocate(2)
    one.free(one.allocate(4, marks=Mark.IMPORTED_HOST))
    short = one.allocate(8)
    one.map(short).free(short)
    long = one.allocate(16)
    one.map(long)
    one.now += SECOND
    one.free(long)
    lives = {each.least_bytes: each.life for each in an_answer(one).objects}
    assert lives == {64 * MIB: "kept", 1: "mapped-again", 2: "unmapped", 4: "imported", 8: "per-use", 16: "kept"}


def test_objects_that_several_threads_use_are_told():
    one = Made()
    first, second = one.allocate(), one.allocate()
    one.thread = 2
    one.map(first)
    one.thread = 1
    one.map(second, 0x7E0000000000)
    one.touch(0x7E0000000000, 1, thread=9)
    (found,) = an_answer(one).objects
    assert found.shared == 2
    assert found.objects == 2


def test_what_is_mapped_and_when():
    one = Made()
    block = one.allocate(64 * MIB)
    one.now += SECOND
    one.map(block, 0xFFFFF000, offset=MIB)
    one.now += SECOND
    one.free(block)
    report = an_answer(one)
    assert (report.most_allocated_bytes, report.most_mapped_bytes, report.most_low_bytes) == (64 * MIB, 63 * MIB, 4096)
    before = [each for each in report.timeline if each.seconds < 0.9]
    after = [each for each in report.timeline if 1.1 < each.seconds < 1.9]
    assert {(each.objects, each.allocated_bytes, each.mapped_bytes) for each in before} == {(1, 64 * MIB, 0)}
    assert {(each.mapped_bytes, each.low_bytes) for each in after} == {(63 * MIB, 4096)}


def test_page_faults_are_joined_with_the_mapping_that_they_are_in():
    one = Made()
    first, second = one.allocate(64 * KIB), one.allocate(64 * KIB, BAR)
    one.touch(0x10000, 5)
    one.map(first, 0x10000).map(second, 0x20000)
    one.touch(0x10000, 16).touch(0x20000, 3).touch(0x30000, 7)
    one.unmap(first)
    one.touch(0x10000, 2)
    report = an_answer(one)
    assert {each.memory_type: each.page_faults for each in report.objects} == {CACHED: 16, BAR: 3}
    faults = report.page_faults
    assert (faults.in_mappings, faults.recorded, faults.mappings, faults.per_mapping) == (19, 33, 2, 9.5)


def test_pages_touched_one_after_the_other_bound_what_one_costs():
    one = Made()
    one.map(one.allocate(MIB), 0x7F0000000000)
    one.touch(0x7F0000000000, 200, apart=700)
    assert an_answer(one).page_faults.ns_per_page == pytest.approx(700, rel=1 / 64)
    few = Made()
    few.map(few.allocate(MIB), 0x7F0000000000)
    few.touch(0x7F0000000000, 3)
    assert an_answer(few).page_faults.ns_per_page is None


def test_frames_are_between_presents():
    one = Made(apart=1000)
    block = one.allocate()
    one.map(block, took=7)
    for _ in range(11):
        one.submit().submit().unmap(block, took=30).map(block, took=40).present()
    frames = an_answer(one).frames
    assert (frames.marked_by, frames.count, frames.calls_mean, frames.calls_p50, frames.maps_mean) == (
        "present", 10, 2, 2, 1,
    )  # fmt: skip
    assert frames.mapping.p50_ns == 70
    assert frames.frame.p50_ns == pytest.approx(5000, rel=1 / 64)


def test_without_presents_frames_are_between_submissions():
    one = Made()
    block = one.allocate()
    one.submit().map(block).submit().unmap(block).submit()
    frames = an_answer(one).frames
    assert (frames.marked_by, frames.count, frames.calls_max) == ("submit", 2, 1)
    assert an_answer(Made().submit()).frames is None


# --- findings: what is amiss ----------------------------------------------------------------------


def test_a_program_that_keeps_is_told_that_mapping_is_not_where_its_time_goes():
    report = an_answer(a_program_that_keeps())
    assert codes(report) == ["nothing-amiss"]
    assert report.answer.startswith("Mapping is not where the time goes: its calls take 2.00 us, less than 0.01 % of")


def test_a_program_without_vulkan_memory():
    report = an_answer(Made())
    assert report.answer == "The program allocated and mapped no memory."
    assert codes(report) == ["nothing-amiss"]
    assert an_answer().calls == ()


def test_allocates_per_use():
    def use(one, memory, i):
        one.map(memory).unmap(memory).free(memory)

    found = finding(an_answer(with_objects(use)), "allocates-per-use")
    assert found.figures["objects"] == 20
    assert found.seconds == pytest.approx(80e-6)
    assert found.save_seconds == pytest.approx(76e-6)
    assert "20 objects of 64 KiB on average" in found.text
    assert "0.2 a frame" in found.text

    def keep(one, memory, i):
        one.map(memory, 0x7F0000000000 + (i << 20))

    assert codes(an_answer(with_objects(keep))) == ["nothing-amiss"]
    assert codes(an_answer(with_objects(use, times=9))) == ["nothing-amiss"]


def test_objects_that_live_for_seconds_are_not_per_use():
    def use(one, memory, i):
        one.map(memory)
        one.now += 2 * SECOND
        one.free(memory)

    assert codes(an_answer(with_objects(use))) == ["freed-mapped"]


def test_objects_that_live_as_long_as_a_short_program_are_not_per_use():
    one = Made()
    memory = [one.allocate() for _ in range(20)]
    for i, each in enumerate(memory):
        one.map(each, 0x7F0000000000 + (i << 20))
    for each in memory:
        one.unmap(each)
    memory += [one.allocate(memory_type=ONLY_DEVICE) for _ in range(20)]
    one.now += 100 * MS
    for each in memory:
        one.free(each)
    assert codes(an_answer(one)) == ["nothing-amiss"]


def test_allocates_and_frees_what_it_never_maps():
    def use(one, memory, i):
        one.free(memory)

    assert codes(an_answer(with_objects(use, memory_type=ONLY_DEVICE))) == ["allocates-and-frees"]

    def late(one, memory, i):
        one.now += 2 * SECOND
        one.free(memory)

    assert codes(an_answer(with_objects(late, memory_type=ONLY_DEVICE))) == ["nothing-amiss"]


def test_maps_again():
    one = a_program_that_keeps()
    block = one.allocate()
    for _ in range(30):
        one.map(block, took=400).unmap(block, took=100)
    found = finding(an_answer(one), "maps-again")
    assert found.figures == {"maps": 29, "objects": 1}
    assert found.seconds == pytest.approx(29 * 500e-9)


def fresh(pages):
    def use(one, memory, i):
        pointer = 0x7F0000000000 + (i << 24)
        one.map(memory, pointer).touch(pointer, pages).unmap(memory).free(memory)

    return use


def test_fresh_pages():
    report = an_answer(with_objects(fresh(16)))
    found = finding(report, "fresh-pages")
    assert found.figures == {"page_faults": 320, "maps": 20}
    assert "16 a map" in found.text
    assert "at most" in found.text
    assert found.seconds == pytest.approx(320 * 500e-9, rel=1 / 64)
    assert "320 page faults, 100 %" in report.answer
    assert "fresh-pages" not in codes(an_answer(with_objects(fresh(4))))


def test_the_first_touch_of_a_block_that_is_kept_is_no_waste():
    one = Made()
    one.map(one.allocate(64 * MIB), 0x7F0000000000)
    one.touch(0x7F0000000000, 2000)
    assert "fresh-pages" not in codes(an_answer(one))


def test_pages_that_a_second_map_touches_anew_are_waste():
    one = a_program_that_keeps()
    block = one.allocate(MIB)
    for _ in range(11):
        one.map(block, 0x7F0000000000).touch(0x7F0000000000, 20).unmap(block)
    assert finding(an_answer(one), "fresh-pages").figures == {"page_faults": 200, "maps": 10}


def test_an_object_that_is_mapped_many_times_in_its_second_is_not_per_use():
    one = a_program_that_keeps()
    block = one.allocate(MIB)
    one.map(block, 0x7F0000000000).touch(0x7F0000000000, 256).unmap(block)
    for _ in range(300):
        one.map(block, 0x7F0000000000).unmap(block)
    assert codes(an_answer(one.free(block))) == ["maps-again"]


def test_without_page_faults_it_says_that_it_cannot_tell():
    why = "kernel.perf_event_paranoid is 3"
    report = an_answer(a_program_that_keeps(), faults_missing=why)
    assert report.page_faults is None
    assert f"Cannot tell what the first touch of mapped pages costs: {why}" in report.answer
    assert f"cannot tell of first touches: {why}" in report.findings[0].text
    assert all(each.page_faults is None for each in report.objects)


@pytest.mark.parametrize("kind", [Called.FLUSH, Called.INVALIDATE])
def test_flushes_coherent_memory(kind):
    def flushed(memory_type):
        one = a_program_that_keeps()
        block = one.allocate(memory_type=memory_type)
        for _ in range(15):
            one.call(kind, block, 0, WHOLE, took=100)
        return an_answer(one)

    found = finding(flushed(CACHED), "flushes-coherent")
    assert (found.figures["calls"], found.seconds) == (15, pytest.approx(1500e-9))
    assert "flushes-coherent" not in codes(flushed(NON_COHERENT))


def test_a_flush_of_which_one_range_needs_it_is_no_waste():
    one = a_program_that_keeps()
    coherent, other = one.allocate(), one.allocate(memory_type=NON_COHERENT)
    for _ in range(15):
        one.call(Called.FLUSH, coherent, took=100).call(Called.FLUSH, other, marks=Mark.FURTHER, took=0)
    report = an_answer(one)
    assert codes(report) == ["nothing-amiss"]
    assert {each.memory_type: each.flushes for each in report.objects} == {CACHED: 0, NON_COHERENT: 15}


def read_back(one, memory, i):
    one.submit().map(memory).unmap(memory).free(memory)


def test_reads_uncached_memory():
    found = finding(an_answer(with_objects(read_back, memory_type=BAR)), "reads-uncached")
    assert found.likely
    assert found.text.startswith("Likely reads from memory that is not cached (De Vi Co): 20 objects")
    assert found.saves == "for reading there is #0 Vi Co Ca"
    assert "reads-uncached" not in codes(an_answer(with_objects(read_back)))

    def write(one, memory, i):
        one.map(memory).unmap(memory).submit().free(memory)

    assert "reads-uncached" not in codes(an_answer(with_objects(write, memory_type=BAR)))


def test_invalidates_of_uncached_memory_are_a_sign_of_reading():
    one = a_program_that_keeps()
    block = one.allocate(memory_type=BAR)
    for _ in range(12):
        one.call(Called.INVALIDATE, block)
    assert "12 invalidates of it" in finding(an_answer(one), "reads-uncached").text


def figures_run(**device):
    """A run as of the preset memory-types, of the recorded device."""
    one = a_device(index=3, name=DEVICE.name, vendor_id=DEVICE.vendor_id, device_id=DEVICE.device_id, **device)
    types = ((1, ("De", "Vi", "Co"), 20e6), (0, ("Vi", "Co", "Ca"), 10e9))
    rows = [
        a_row(device=3, memory_type=i, memory_flags=flags, touch_bytes_per_second=TouchRate(read=rate))
        for i, flags, rate in types
    ]
    page = a_row(device=3, memory_type=0, memory_flags=("Vi", "Co", "Ca"), first_touch_ns_per_page=90.0)
    return a_run(*rows, page, devices=(replace(one, memory_types=DEVICE.memory_types, heaps=DEVICE.heaps),))


def test_the_devices_own_figures_are_used():
    report = an_answer(with_objects(read_back, memory_type=BAR), figures=figures_run())
    found = finding(report, "reads-uncached")
    assert "it reads at 20.0 MB/s there" in found.text
    assert found.saves == "for reading there is #0 Vi Co Ca, which reads at 10.0 GB/s"
    pages = finding(an_answer(with_objects(fresh(16)), figures=figures_run()), "fresh-pages")
    assert pages.seconds == pytest.approx(320 * 90e-9)
    assert "at most" not in pages.text


def test_the_figures_of_another_device_are_not():
    run = figures_run()
    run = replace(run, devices=(replace(run.devices[0], name="Another GPU"),))
    report = an_answer(with_objects(read_back, memory_type=BAR), figures=run)
    assert "MB/s" not in finding(report, "reads-uncached").text
    assert [note.code for note in report.warnings] == ["figures-of-another-device"]


def test_small_objects():
    def make(count):
        one = a_program_that_keeps()
        for _ in range(count):
            one.allocate(8 * KIB)
        return an_answer(one)

    found = finding(make(1000), "small-objects")
    assert found.figures == {"most_objects": 1000, "mean_bytes": 8 * KIB}
    assert codes(make(999)) == ["nothing-amiss"]


def test_low_addresses():
    def mapped(size, pointer):
        one = a_program_that_keeps()
        one.map(one.allocate(size), pointer)
        return codes(an_answer(one))

    assert mapped(GIB, 0x10000000) == ["low-addresses"]
    assert mapped(GIB, 0x7F0000000000) == ["nothing-amiss"]
    assert mapped(GIB, 0xF0000000) == ["nothing-amiss"], "most of it lies above"


def test_freed_while_mapped_is_told_as_legal():
    one = a_program_that_keeps()
    memory = one.allocate()
    one.map(memory)
    one.now += 2 * SECOND
    assert "which is legal" in finding(an_answer(one.free(memory)), "freed-mapped").text


def test_failed_calls_are_told_first_by_their_results():
    one = with_objects(fresh(16))
    for result in (-2, -2, -77):
        one.allocate(handle=0, result=result)
    report = an_answer(one)
    assert codes(report)[0] == "failed-calls"
    said = "vkAllocateMemory failed 3 times in 24 calls: VK_ERROR_OUT_OF_DEVICE_MEMORY 2 times, VkResult -77 once"
    assert report.findings[0].text == said
    assert call(report, "vkAllocateMemory").errors == {"VK_ERROR_OUT_OF_DEVICE_MEMORY": 2, "VkResult -77": 1}


def test_a_call_that_never_returned():
    one = a_program_that_keeps()
    one.map(one.allocate(), took=-1)
    report = an_answer(one, program=Program("example", None, "SIGKILL", seconds=10.0))
    assert codes(report)[0] == "never-returned"
    assert (call(report, "vkMapMemory").unreturned, call(report, "vkMapMemory").latency.count) == (1, 1)


def test_imports_per_use():
    def use(one, memory, i):
        one.free(memory)

    found = finding(an_answer(with_objects(use, marks=Mark.IMPORTED_HOST)), "imports-per-use")
    assert found.figures == {"imports": 20}

    def keep(one, memory, i):
        pass

    assert codes(an_answer(with_objects(keep, marks=Mark.IMPORTED_HOST))) == ["nothing-amiss"]


def test_findings_come_in_the_order_of_what_they_cost():
    costs = [one.seconds or 0.0 for one in an_answer(a_program_of_everything()).findings[2:]]
    assert len(costs) == 10
    assert costs == sorted(costs, reverse=True)


def test_lost_events_are_a_warning():
    report = an_answer(a_program_that_keeps(), dropped=7, lost_faults=3)
    assert report.dropped == 7
    assert [note.code for note in report.warnings] == ["dropped-events", "lost-page-faults"]


def test_a_report_is_judged_again_from_its_document():
    report = an_answer(a_program_of_everything())
    assert decode(to_json(report)) == report


# --- whatever a recording says --------------------------------------------------------------------


def test_calls_on_objects_that_nobody_allocated():
    one = Made().free(5).map(6).unmap(7).call(Called.FLUSH, 8).call(Called.FLUSH, 8, marks=Mark.FURTHER).free(0)
    report = an_answer(one)
    assert report.objects == ()
    assert [note.code for note in report.warnings] == ["unknown-objects"]


def test_double_maps_double_frees_and_unmaps_of_what_is_not_mapped():
    one = Made()
    memory = one.allocate()
    one.unmap(memory).map(memory, 0x1000).map(memory, 0x2000).unmap(memory).unmap(memory).free(memory).free(memory)
    report = an_answer(one)
    assert report.timeline[-1].mapped_bytes == report.timeline[-1].low_bytes == 0
    assert report.objects[0].maps == 2


def test_a_handle_that_is_allocated_twice():
    one = Made()
    one.map(one.allocate(4096, handle=7))
    one.map(one.allocate(8192, handle=7))
    report = an_answer(one)
    assert report.timeline[-1].objects == 1
    assert sum(each.objects for each in report.objects) == 2


def test_objects_of_a_destroyed_device_are_gone():
    one = Made()
    one.map(one.allocate())
    one.call(Called.DESTROY_DEVICE)
    one.now += SECOND
    report = an_answer(one.submit())
    assert report.timeline[-1].objects == report.timeline[-1].mapped_bytes == 0


def test_maps_that_overlap():
    one = Made()
    first, second = one.allocate(MIB, CACHED), one.allocate(MIB, BAR)
    one.map(first, 0x100000).map(second, 0x140000).touch(0x140000, 1).unmap(first).touch(0x140000, 1).free(second)
    one.touch(0x140000, 1)
    assert {each.memory_type: each.page_faults for each in an_answer(one).objects} == {CACHED: 0, BAR: 2}


@pytest.mark.parametrize("most", [1 << 63, (1 << 64) - 1])
def test_absurd_numbers(most):
    one = Made()
    memory = one.allocate(most, memory_type=most, took=most, begin=most)
    one.map(memory, most, most, most, took=most).touch(most - (1 << 20), 1).unmap(memory, took=most)
    one.allocate(most, device=65535, begin=0)
    one.call(Called.FLUSH, memory, most, most, most).free(memory, begin=5).submit(begin=most).present()
    report = an_answer(one, page_size=0)
    assert decode(to_json(report)) == report, "and every view shows what can be read"
    assert len(report.timeline) <= MOST_STEPS


def test_any_events_at_all():
    """Random records, with small numbers so that handles meet."""
    draw = random.Random(20)
    for _ in range(60):
        one = Made()
        for _ in range(300):
            one.call(
                draw.randrange(17), draw.randrange(4), draw.randrange(5), draw.choice([0, 4096, WHOLE]),
                draw.choice([0, 4096, 8192, WHOLE]), result=draw.choice([0, 0, 1, -2]), marks=draw.randrange(256),
                took=draw.choice([-1, 0, 5, 1 << 62]), device=draw.randrange(3),
                begin=draw.choice([None, 0, draw.randrange(1 << 40), WHOLE]),
            )  # fmt: skip
            if draw.randrange(3) == 0:
                one.touch(draw.choice([0, 4096, WHOLE - 4096]), 1)
        report = an_answer(one)
        assert decode(to_json(report)) == report
        assert len(report.timeline) <= MOST_STEPS


def test_objects_beyond_what_is_followed(monkeypatch):
    monkeypatch.setattr("vkmapctl.figures.recorded_process.MOST_OBJECTS", 3)
    one = Made()
    for _ in range(5):
        one.allocate()
    report = an_answer(one)
    assert report.most_objects == 3
    assert [note.code for note in report.warnings] == ["unfollowed-objects"]
    assert call(report, "vkAllocateMemory").count == 5
    assert MOST_OBJECTS > 100_000


# --- the parts ------------------------------------------------------------------------------------


def test_a_spread_is_the_histogram_of_the_loop():
    values = [0, 1, 127, 128, 129, 130, 255, 256, 1000, 1 << 39, (1 << 40) - 1, 1 << 40, 1 << 60] * 100
    one, other = Spread(), Spread()
    for value in values[:700]:
        one.add(value)
    for value in values[700:]:
        other.add(value)
    one.merge(other)
    found = one.histogram()
    assert (found.count, found.sum_ns, found.min_ns, found.max_ns) == (1300, sum(values), 0, 1 << 60)
    assert found.overflow == 200
    assert dict(found.bins)[128] == 200
    assert dict(found.bins)[130] == 100
    assert percentile(found, 0.5) == 255
    assert one.count == 1300
    assert one.total == sum(values)


def test_levels_over_time_keep_their_peaks():
    one = OverTime()
    one.put(0, (1, 10, 0, 0))
    one.put(10, (5, 50, 0, 0))
    one.put(20, (1, 10, 0, 0))
    one.put(10 * SECOND, (2, 20, 0, 0))
    one.put(5, (3, 30, 0, 0))
    (moments,) = [together([one])]
    assert len(moments) <= MOST_STEPS
    assert moments[0].objects == 5
    assert {each.objects for each in moments[1:-1]} == {1}
    assert moments[-1].objects == 3, "time that runs backwards stands still"
    assert one.most == (5, 50, 0, 0)


def test_a_pass_holds_no_more_for_more_events():
    """However long a recording is: events are seen once, and none is kept."""

    def uses(count):
        for i in range(count):
            at = i * 10_000
            yield Event(Called.ALLOCATE, at, 100 + i % 7, 1, 0, 0, 7, CACHED, 4096)
            yield Event(Called.MAP, at + 1000, 50 + i % 11, 1, 0, 0, 7, 0, WHOLE, 0x7F0000000000)
            yield Event(Called.SUBMIT, at + 2000, 50, 1)
            yield Event(Called.FREE, at + 3000, 100, 1, 0, 0, 7)

    def most_bytes(count):
        tracemalloc.start()
        one = ProcessPass((DEVICE,), 4096)
        one.run(uses(count), (PageFault(i * 10_000 + 1500, 0x7F0000000000, 1) for i in range(count)))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert one.faults_in_mappings == count
        return most

    few, many = most_bytes(2_000), most_bytes(20_000)
    assert many < few + 50_000

"""From a recording to a trace: whatever a program did, its threads do again, in an order that its objects allow."""

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traces import BAR, BASE, CACHED, CACHED_TOO, MS, PAGE, US, Made, Recorded, run, unfolded

from vkmapctl.errors import UsageProblem
from vkmapctl.figures import tracing
from vkmapctl.figures.tracing import trace_of
from vkmapctl.model.recording import Called, Mark
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
    TraceMemory,
    TraceRange,
    Unmap,
    Wait,
)
from vkmapctl.plans.trace_check import check


def traced(made, **which):
    return trace_of(Recorded(made), **which)


def steps_of(made):
    """Of a program of one thread, without the time between its calls."""
    (steps,) = traced(made).trace.threads
    return steps


def without_gaps(steps):
    return [step for step in unfolded(steps) if not isinstance(step, Gap)]


def test_calls_become_steps_in_order():
    made = Made()
    one = made.allocate(size=1000)
    two = made.allocate(size=5000, memory_type=BAR, marks=Mark.DEDICATED)
    made.map(two, offset=1000, size=2000, call=Called.MAP2_KHR)
    made.flush((two, 1000, 500), (two, 2000, tracing.WHOLE)).flush((two, 1000, 1), call=Called.INVALIDATE)
    made.unmap(two, call=Called.UNMAP2).free(two).free(0).free(one)
    assert steps_of(made) == (
        Allocate(0, 1000, 0),
        Allocate(1, 5000, 1, "dedicated"),
        Map(1, 1000, 2000, "khr"),
        Flush((MemoryRange(1, 1000, 500), MemoryRange(1, 2000))),
        Invalidate((MemoryRange(1, 1000, 1),)),
        Unmap(1, "core"),
        Free(1),
        Free(),
        Free(0),
    )


def test_nothing_of_the_program_is_in_it():
    made = Made()
    one = made.allocate()
    made.map(one, pointer=0xDEADBEEF000).touch(0xDEADBEEF000).unmap(one)
    text = msgspec.json.encode(traced(made).trace).decode()
    for secret in ("secret", "Secret", "home", str(0xDEADBEEF000), str(one), "580"):
        assert secret not in text


def test_a_number_is_used_again_and_a_handle_may_be_too():
    made = Made()
    for _ in range(3):
        made.allocate(handle=7)
        made.free(7)
    one, two, _ = made.allocate(), made.allocate(), made.allocate()
    made.free(two).free(one)
    made.allocate()
    result = traced(made).trace
    assert result.objects == 3
    assert result.threads[0][0] == Repeat(3, (Allocate(0, 64 << 10), Free(0)))
    assert result.threads[0][-1] == Allocate(0, 64 << 10)


def test_types_of_equal_flags_are_one():
    made = Made()
    for memory_type in (BAR, CACHED, CACHED_TOO, BAR):
        made.allocate(memory_type=memory_type)
    result = traced(made).trace
    assert result.memory == (TraceMemory(("De", "Vi", "Co")), TraceMemory(("Vi", "Co", "Ca")))
    assert [step.memory for step in unfolded(result.threads[0])] == [0, 1, 1, 0]


def test_a_call_that_failed_keeps_its_result_and_changes_nothing():
    made = Made()
    made.allocate(size=1 << 60, result=-2)
    one = made.allocate()
    made.map(one, result=-5).map(one).map(one)
    found = traced(made)
    assert found.trace.threads[0] == (
        Allocate(0, 1 << 60, result="VK_ERROR_OUT_OF_DEVICE_MEMORY"),
        Allocate(0, 64 << 10),
        Map(0, result="VK_ERROR_MEMORY_MAP_FAILED"),
        Map(0),
    )
    assert found.left_out == ("1 call not possible at that place of the recording",)


def test_what_is_left_open_stays_open_and_what_did_not_return_is_left_out():
    made = Made()
    one = made.allocate()
    made.map(one).unmap(one, took=None)
    found = traced(made)
    assert found.trace.threads[0] == (Allocate(0, 64 << 10), Map(0))
    assert found.left_out == ("1 call which had not returned when the program ended",)


def test_freed_while_mapped():
    made = Made()
    one = made.allocate()
    made.map(one).free(one)
    made.allocate(handle=one)
    made.map(one)
    check(traced(made).trace, "here")
    assert len(without_gaps(steps_of(made))) == 5


def test_lost_events_and_unknown_objects_are_said():
    made = Made(dropped=7)
    one = made.allocate()
    made.map(0x99).unmap(0x99).unmap(one).free(one)
    found = traced(made)
    assert found.left_out == (
        "2 calls on objects whose allocation was not recorded",
        "1 call not possible at that place of the recording",
        "7 events that the recording lost",
    )


def test_the_process_and_the_device_with_most_calls_unless_another_is_named():
    small, large = Made(pid=1), Made(pid=2)
    small.allocate(size=111)
    for size in (1, 2, 3):
        large.allocate(size=size, device=1)
    large.allocate(size=222, device=0)
    large.devices *= 2
    recording = Recorded(small, large)
    found = trace_of(recording)
    assert (found.process, found.device, found.calls) == (1, 1, 3)
    assert found.left_out == ("1 call on other devices",)
    assert trace_of(recording, 0).trace.threads[0] == (Allocate(0, 111),)
    assert trace_of(recording, 1, 0).trace.threads[0][-1] == Allocate(0, 222)
    with pytest.raises(UsageProblem, match="called nothing on device 5"):
        trace_of(recording, 1, 5)


def test_nothing_to_trace_is_said():
    with pytest.raises(UsageProblem, match="no process made an instance"):
        trace_of(Recorded())
    with pytest.raises(UsageProblem, match="process 100 called nothing"):
        traced(Made())
    made = Made()
    made.unmap(5)
    with pytest.raises(UsageProblem, match="no call of process 100 could become a step"):
        traced(made)


def test_gaps_tell_how_long_and_how_busy():
    made = Made()
    one = made.allocate()
    made.sleep(5 * MS, busy=MS).map(one)
    gap = steps_of(made)[1]
    assert gap == Gap(5 * MS + US, MS + US)


def test_the_time_of_a_call_that_is_not_replayed_is_busy():
    made = Made()
    one = made.allocate()
    made.sleep(MS).call(Called.SUBMIT, took=2 * MS).sleep(MS).map(one)
    assert steps_of(made)[1] == Gap(4 * MS + 2 * US, 2 * MS + 2 * US)


def test_a_thread_that_begins_later_begins_later():
    made = Made()
    made.allocate(thread=1)
    made.now += 50 * MS
    made.allocate(thread=2)
    assert traced(made).trace.threads[1][0] == Gap(50 * MS + 2 * US, 0)


def test_touched_pages_are_where_they_were_touched():
    made = Made()
    one = made.allocate(size=10 * PAGE)
    made.map(one, offset=2 * PAGE, size=6 * PAGE)
    made.touch(BASE + 8, 2).touch(BASE + 2 * PAGE + 4095).touch(BASE + 5 * PAGE)
    made.touch(BASE + 100 * PAGE).touch(BASE + 4 * PAGE)
    made.unmap(one).touch(BASE)
    assert [step for step in steps_of(made) if isinstance(step, Touch)] == [
        Touch(0, 2 * PAGE, 3 * PAGE),
        Touch(0, 6 * PAGE, 2 * PAGE),
    ]


def test_a_driver_that_touches_within_a_call_is_not_the_program():
    made = Made()
    one = made.allocate()
    made.map(one)
    made.call(Called.SUBMIT, took=MS)
    made.now -= MS // 2
    made.touch(BASE)
    made.now += MS
    made.unmap(one)
    assert not [step for step in steps_of(made) if isinstance(step, Touch)]


def test_a_thread_that_only_touches_is_a_thread_and_both_touch_at_once():
    made = Made()
    one = made.allocate(size=8 * PAGE)
    made.map(one)
    for page in range(4):
        made.touch(BASE + page * PAGE, thread=2).touch(BASE + (4 + page) * PAGE, thread=1)
    made.unmap(one)
    first, second = (without_gaps(steps) for steps in traced(made).trace.threads)
    assert first == [Allocate(0, 8 * PAGE), Map(0), Signal(1), Touch(0, 4 * PAGE, 4 * PAGE), Wait(1), Unmap(0)]
    assert second == [Wait(0), Touch(0, 0, 4 * PAGE), Signal(0)]


def test_an_object_that_is_handed_over_is_waited_for_once():
    made = Made()
    one, two = made.allocate(thread=1), made.allocate(thread=1)
    made.map(one, thread=1)
    made.unmap(one, thread=2).free(one, thread=2).map(two, thread=2)
    first, second = (without_gaps(steps) for steps in traced(made).trace.threads)
    assert [type(step) for step in first] == [Allocate, Allocate, Map, Signal]
    assert [type(step) for step in second] == [Wait, Unmap, Free, Map]


def test_what_a_third_thread_told_is_known():
    made = Made()
    one, two = made.allocate(thread=1), made.allocate(thread=1)
    made.map(two, thread=2)
    made.unmap(two, thread=3).map(one, thread=3)
    first, second, third = (without_gaps(steps) for steps in traced(made).trace.threads)
    assert first[-1] == Signal(1)
    assert [type(step) for step in second] == [Wait, Map, Signal]
    assert third == [Wait(1), Unmap(0 if first[0].object else 1), Map(0)]


def test_threads_that_work_alone_do_not_wait_for_each_other():
    made = Made()
    for _ in range(20):
        for thread in (1, 2):
            one = made.allocate(thread=thread)
            made.map(one, thread=thread).unmap(one, thread=thread).free(one, thread=thread)
    steps = [step for steps in traced(made).trace.threads for step in unfolded(steps)]
    assert not [step for step in steps if isinstance(step, Signal | Wait)]


def test_numbers_that_another_thread_freed_are_used_again():
    made = Made()
    for _ in range(200):
        one = made.allocate(thread=1)
        made.free(one, thread=2)
    assert traced(made).trace.objects <= tracing.SPARE + 2


def placed(made, handle, at, thread=1, **more):
    return made.map(handle, thread, at, call=Called.MAP2, marks=Mark.PLACED, **more)


def test_placed_maps_are_in_numbered_ranges_without_their_addresses():
    made = Made()
    one, two = made.allocate(size=4 * PAGE), made.allocate(size=2 * PAGE)
    placed(made, one, 0x10000000)
    made.unmap(one, call=Called.UNMAP2, marks=Mark.RESERVE)
    placed(made, two, 0x10001000, size=PAGE)
    made.unmap(two, call=Called.UNMAP2)
    placed(made, two, 0x7000000000)
    found = traced(made).trace
    assert found.ranges == (TraceRange(4 * PAGE, low=True), TraceRange(2 * PAGE))
    maps = [step for step in found.threads[0] if isinstance(step, Map)]
    assert maps == [
        Map(0, api="core", placed=0),
        Map(1, 0, PAGE, "core", placed=0, at=PAGE),
        Map(1, api="core", placed=1),
    ]
    assert Unmap(0, "core", reserve=True) in found.threads[0]


def test_a_range_that_another_thread_left_is_waited_for():
    made = Made()
    one, two = made.allocate(thread=1), made.allocate(thread=2)
    placed(made, one, 0x10000000, thread=1)
    made.unmap(one, thread=1, call=Called.UNMAP2, marks=Mark.RESERVE)
    placed(made, two, 0x10000000, thread=2)
    second = without_gaps(traced(made).trace.threads[1])
    assert [type(step) for step in second] == [Allocate, Wait, Map]
    assert traced(made).trace.threads[0][-1] == Signal(1)


def test_a_range_is_left_by_a_free_too():
    made = Made()
    one, two = made.allocate(thread=1), made.allocate(thread=2)
    placed(made, one, 0x10000000, thread=1).free(one, thread=1)
    placed(made, two, 0x10000000, thread=2)
    for seed in range(20):
        assert None not in list(run(traced(made).trace, seed))


def test_equal_rounds_become_one_repeat_whatever_they_slept():
    made = Made()
    one = made.allocate()
    draw = random.Random(1)
    for _ in range(467):
        made.sleep(draw.randrange(900, 1300) * US).map(one).touch(BASE, 3).unmap(one)
    first, repeat = steps_of(made)
    assert first == Allocate(0, 64 << 10)
    assert repeat.times == 467
    assert [type(step) for step in repeat.steps] == [Gap, Map, Touch, Unmap]
    assert 900 * US < repeat.steps[0].ns < 1300 * US


def test_a_pause_among_short_gaps_stays():
    made = Made()
    one = made.allocate()
    for i in range(40):
        made.sleep(900 * MS if i == 20 else MS + i).map(one).unmap(one)
    gaps = [step.ns for step in unfolded(steps_of(made)) if isinstance(step, Gap)]
    assert len(gaps) == 40
    assert gaps[20] > 800 * MS > max(gaps[:20] + gaps[21:])


def test_what_was_recorded_is_told_by_call():
    made = Made()
    for took in (100, 200, 300):
        one = made.allocate(took=took)
        made.map(one, took=7).free(one)
    made.allocate(marks=Mark.IMPORTED_HOST, took=900)
    made.allocate(result=-1, took=12345)
    recorded = traced(made).trace.recorded
    assert {name: one.count for name, one in recorded.items()} == {"map": 3, "allocate": 3, "free": 3, "import": 1}
    assert (recorded["allocate"].min_ns, recorded["allocate"].max_ns) == (100, 300)
    assert recorded["import"].p50_ns in (None, pytest.approx(900, rel=1 / 64))


def test_imports_that_cannot_be_said_are_told():
    made = Made()
    made.allocate(marks=Mark.IMPORTED)
    found = traced(made)
    assert found.replaced == ("1 call that imported something else than host memory: plain allocations",)
    assert found.trace.threads[0][0].kind == "plain"


def test_what_a_hostile_recording_says_is_no_trap():
    made = Made(page_size=0)
    made.allocate(size=1 << 63, handle=1)
    made.allocate(memory_type=1 << 40, handle=2)
    made.allocate(size=10, handle=3)
    made.map(3, offset=1 << 63).map(3, size=1 << 62).map(3, marks=Mark.PLACED).map(3).unmap(3, marks=Mark.RESERVE)
    made.flush((3, 5, 1 << 63)).flush((3, 9, 0)).flush((3, 1, 2))
    made.recorded.append(made.recorded[2]._replace(begin_ns=0))
    made.recorded.append(made.recorded[2]._replace(begin_ns=1 << 63, duration_ns=1 << 63))
    made.recorded.append(made.recorded[2]._replace(device=65535))
    found = traced(made)
    check(found.trace, "here")
    assert found.trace.page_size == PAGE
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found.trace), type=type(found.trace)) == found.trace


def test_a_stray_further_range_is_a_call_of_its_own():
    made = Made()
    one = made.allocate()
    made.map(one).call(Called.FLUSH, 1, one, 0, 5, marks=Mark.FURTHER)
    made.flush((one, 0, 1)).call(Called.MAP, 2).call(Called.FLUSH, 1, one, 2, 5, marks=Mark.FURTHER)
    flushes = [step for step in steps_of(made) if isinstance(step, Flush)]
    assert flushes == [Flush((MemoryRange(0, 0, 5),)), Flush((MemoryRange(0, 0, 1), MemoryRange(0, 2, 5)))]


def test_too_many_threads_are_refused():
    made = Made()
    for thread in [*range(1001), *range(1001)]:
        made.allocate(thread=thread)
    with pytest.raises(UsageProblem, match="more than 1000 threads at a time"):
        traced(made)


def test_threads_that_come_and_go_are_few():
    made = Made()
    shared = made.allocate(thread=0)
    for thread in range(1, 3000):
        one = made.allocate(thread=thread)
        made.map(shared, thread=thread).touch(BASE, thread=thread).unmap(shared, thread=thread)
        made.free(one, thread=thread).touch(BASE, thread=thread - 1)
    made.free(shared, thread=0)
    found = traced(made)
    assert len(found.trace.threads) == tracing.MANY_THREADS
    assert found.calls == 2 + 4 * 2999
    check(found.trace, "here")
    assert None not in list(run(found.trace))


class Play:
    """A program at random, of threads that share objects, each call legal when it is made."""

    def __init__(self, seed, threads=3, calls=60):
        self.draw, self.made, self.done = random.Random(seed), Made(), []
        self.alive, self.mapped, self.ranges = {}, {}, {}
        for _ in range(calls):
            self.step(self.draw.randrange(threads))

    def step(self, thread):
        draw, made = self.draw, self.made
        unmapped = [one for one in self.alive if one not in self.mapped]
        what = draw.choice(["allocate", "free", "map", "unmap", "flush", "touch", "place", "sleep"])
        if what == "allocate":
            size = draw.randrange(1, 5) * PAGE
            self.alive[made.allocate(thread, size)] = size
            self.done.append((thread, "allocate", size))
        elif what == "free" and self.alive:
            one = draw.choice(list(self.alive))
            made.free(one, thread)
            del self.alive[one]
            self.mapped.pop(one, None)
            self.done.append((thread, "free"))
        elif what == "map" and unmapped:
            one = draw.choice(unmapped)
            self.mapped[one] = BASE + one * (PAGE * 8)
            made.map(one, thread, self.mapped[one])
            self.done.append((thread, "map"))
        elif what == "place" and unmapped:
            at = draw.randrange(1, 4) * 0x10000000 + draw.randrange(3) * PAGE
            one = draw.choice(unmapped)
            if all(at + 8 * PAGE <= other or other + 8 * PAGE <= at for other in self.mapped.values()):
                self.mapped[one] = at
                placed(made, one, at, thread)
                self.done.append((thread, "map"))
        elif what == "unmap" and self.mapped:
            one = draw.choice(list(self.mapped))
            made.unmap(one, thread, Called.UNMAP2, marks=draw.choice([0, Mark.RESERVE]))
            del self.mapped[one]
            self.done.append((thread, "unmap"))
        elif what == "flush" and self.mapped:
            some = draw.sample(list(self.mapped), draw.randrange(1, len(self.mapped) + 1))
            made.flush(*((one, 0, draw.randrange(1, PAGE)) for one in some), thread=thread)
            self.done.append((thread, "flush"))
        elif what == "touch" and self.mapped:
            one = draw.choice(list(self.mapped))
            made.touch(self.mapped[one] + draw.randrange(self.alive[one] // PAGE) * PAGE, thread=thread)
        elif what == "sleep":
            made.sleep(draw.choice([5, 50, 500]) * US, thread)

    def by_thread(self):
        found = {}
        for thread, *what in self.done:
            found.setdefault(thread, []).append(what)
        return found


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 1 << 32), st.integers(1, 5), st.integers(0, 1 << 32))
def test_every_order_that_the_signals_allow_is_possible(seed, threads, order):
    play = Play(seed, threads)
    if not play.done:
        return
    trace = traced(play.made).trace
    check(trace, "here")
    ran = list(run(trace, order))
    assert None not in ran
    found = {}
    for thread, step in ran:
        what = step.__struct_config__.tag
        if what not in ("signal", "wait", "gap", "touch"):
            found.setdefault(thread, []).append([what, *([step.size] if what == "allocate" else [])])
    assert sorted(found.values()) == sorted(play.by_thread().values())
    touched = sum(step.size // PAGE for _, step in ran if isinstance(step, Touch))
    assert touched == len(play.made.faults)

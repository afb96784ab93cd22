"""The replay: objects handed over, repeats, calls that fail or did fail, stops, and what it must not touch."""

import threading

import pytest
from native.driving import CLOCK, Memory, Scripted, injected

from vkmapctl import native
from vkmapctl.machine import addresses
from vkmapctl.machine.cpus import in_threads
from vkmapctl.machine.ranges import reserve_for
from vkmapctl.model.loop import Fault, Op, ReplayFlag, ReplayStep
from vkmapctl.native import PAGE, Replay, ReplayFunctions, Results

WHOLE = (1 << 64) - 1
V1, CORE = 0, 2


def null(functions=None):
    """The null driver, or what gives its own map and unmap by the new functions."""
    old, new = native.null_driver(1), functions or native.null_driver(2)
    maps = {"v1": (old.map, old.unmap), "core": (new.map, new.unmap)}
    return ReplayFunctions(7, old.allocate, old.free, new.flush, new.invalidate, maps)


def step(op, object=0, /, **what):
    return ReplayStep(op, what.pop("number", 0), object, **what)


def allocate(object=0, size=4 * PAGE, **what):
    return step(Op.ALLOCATE, object, size=size, **what)


def a_map(object=0, offset=0, size=WHOLE, api=CORE, **what):
    return step(Op.MAP, object, offset=offset, size=size, api=api, **what)


def unmap(object=0, api=CORE, **what):
    return step(Op.UNMAP, object, api=api, **what)


def touch(object=0, offset=0, size=PAGE):
    return step(Op.FIRST, object, offset=offset, size=size)


def repeat(times, *steps):
    return [(Op.REPEAT, times), *steps, (Op.END, times)]


def laid_out(*steps):
    """The steps of one thread, numbered, its repeats closed."""
    flat, open_repeats = [], []
    for one in steps:
        i = len(flat)
        if isinstance(one, ReplayStep):
            flat.append(one._replace(number=i))
        elif one[0] is Op.REPEAT:
            open_repeats.append(i)
            flat.append(ReplayStep(Op.REPEAT, i, size=one[1]))
        else:
            begin = open_repeats.pop()
            flat[begin] = flat[begin]._replace(other=i)
            flat.append(ReplayStep(Op.END, i, other=begin))
    return flat


def replayed(*threads, functions=None, end=True, **what):
    """What the threads counted."""
    what = {"objects": 4} | what
    replay = Replay(functions or null(), [laid_out(*one) for one in threads], **what)
    results = Results(len(threads))
    results.control.threads = len(threads)
    in_threads(len(threads), lambda i: replay.run(CLOCK, results, i))
    if end:
        replay.end()
    return results


def test_a_life():
    results = replayed(
        [
            allocate(), a_map(), touch(0, 0, 3 * PAGE),
            step(Op.FLUSH, ranges=2), step(Op.INVALIDATE, other=1, ranges=1), unmap(), step(Op.FREE),
        ],
        ranges=[(0, 0, PAGE), (0, PAGE, WHOLE)],
    )  # fmt: skip
    counted = results.counted()
    made = {"map": 1, "unmap": 1, "allocate": 1, "free": 1, "flush": 1, "invalidate": 1}
    assert counted.replay.calls == made
    assert {call: one.count for call, one in counted.calls.items() if one.count} == made
    assert (counted.first.pages, counted.first.mappings) == (3, 1)
    assert (counted.replay.skipped, counted.replay.differs, counted.replay.failures) == (0, 0, {})
    assert results.fault()[0] is Fault.OK
    assert results.place() is None


def test_repeats_nest():
    inner = repeat(4, a_map(), unmap())
    results = replayed([allocate(), *repeat(3, *inner, a_map(api=V1), unmap(api=V1)), step(Op.FREE)])
    assert results.counted().replay.calls == {"allocate": 1, "map": 15, "unmap": 15, "free": 1}


def test_threads_hand_objects_over_in_the_recorded_order():
    """One allocates and maps, the other touches and frees while mapped: nothing is skipped in a thousand turns."""
    maker = repeat(1000, allocate(), a_map(), step(Op.SIGNAL, other=0), step(Op.WAIT, other=1))
    taker = repeat(1000, step(Op.WAIT, other=0), touch(0, PAGE, PAGE), step(Op.FREE), step(Op.SIGNAL, other=1))
    counted = replayed(maker, taker, channels=2).counted()
    assert counted.replay.calls == {"allocate": 1000, "map": 1000, "free": 1000}
    assert (counted.replay.skipped, counted.first.pages) == (0, 1000)


def test_threads_without_order_touch_nothing_that_is_not_mapped():
    """No trace may take this process down: both use one object as they like."""
    one = repeat(3000, allocate(), a_map(), touch(), unmap(), step(Op.FREE))
    counted = replayed(one, one).counted()
    assert sum(counted.replay.calls.values()) + counted.first.mappings + counted.replay.skipped == 30000


def test_calls_after_one_that_failed_are_skipped_and_counted():
    with injected("MAP_FAILS", 2) as faulty:
        results = replayed(
            [*repeat(2, allocate(), a_map(api=CORE), touch(), step(Op.FLUSH, ranges=1), unmap(), step(Op.FREE))],
            functions=null(faulty),
            ranges=[(0, 0, WHOLE)],
        )
    counted = results.counted().replay
    assert counted.failures == {-5: 1}
    assert counted.skipped == 3  # touch, flush and unmap; the free is made
    assert counted.calls == {"allocate": 2, "map": 2, "flush": 1, "unmap": 1, "free": 2}
    fault, result, place, _ = results.fault()
    assert (fault, result) == (Fault.CALL_FAILED, -5)
    assert (place.op, place.step, place.object, place.thread, place.api) == (Op.MAP, 2, 0, 0, "core")


def test_an_object_that_could_not_be_allocated_is_absent():
    results = replayed([allocate(1, 1 << 62), a_map(1), touch(1), unmap(1), step(Op.FREE, 1), allocate(1), a_map(1)])
    counted = results.counted().replay
    assert (counted.failures, counted.skipped) == ({-1: 1}, 4)
    assert counted.calls == {"allocate": 2, "map": 1}


def test_an_unmap_that_fails_leaves_it_mapped():
    with injected("UNMAP_FAILS", 1) as faulty:
        counted = replayed([allocate(), a_map(), unmap(), touch(), unmap()], functions=null(faulty)).counted()
    assert (counted.replay.failures, counted.replay.skipped, counted.first.pages) == ({-5: 1}, 0, 1)


def test_what_failed_in_the_recording_is_undone_where_it_succeeds():
    calls = Scripted()
    failed = ReplayFlag.DID_FAIL
    results = replayed(
        [allocate(), a_map(flags=failed), touch(), a_map(), unmap(), allocate(1, flags=failed), a_map(1)],
        functions=null(calls.functions(2)),
    )
    counted = results.counted().replay
    assert (counted.differs, counted.failures) == (2, {})
    assert counted.skipped == 2  # the touch, and the map of what is not there
    assert calls.names() == ["map", "unmap", "map", "unmap"]
    assert results.fault()[0] is Fault.OK


def test_what_failed_in_the_recording_may_fail_here():
    counted = replayed([allocate(0, 1 << 62, flags=ReplayFlag.DID_FAIL)]).counted()
    assert counted.replay == native.ReplayCounts(calls={"allocate": 1})
    assert counted.calls["allocate"].count == 0


def test_a_free_of_nothing_is_made():
    counted = replayed([step(Op.FREE, flags=ReplayFlag.NOTHING)], objects=0).counted()
    assert counted.replay.calls == {"free": 1}


def test_open_ends_are_unmapped_and_freed_but_not_counted():
    calls = Scripted()
    results = replayed([allocate(), a_map()], functions=null(calls.functions(2)))
    assert calls.names() == ["map", "unmap"]
    assert results.counted().replay.calls == {"allocate": 1, "map": 1}


def test_it_can_be_run_again_after_its_end():
    replay = Replay(null(), [laid_out(allocate(), a_map())], objects=1)
    results = Results(1)
    results.control.threads = 1
    for _ in range(3):
        results.control.arrived = 0
        replay.run(CLOCK, results, 0)
        replay.end()
    assert results.counted().replay.calls == {"allocate": 3, "map": 3}


def test_a_stop_ends_a_wait_that_nobody_ends():
    replay = Replay(null(), [laid_out(step(Op.WAIT, other=0), allocate())], objects=1, channels=1)
    results = Results(1)
    results.control.threads = 1
    thread = threading.Thread(target=lambda: replay.run(CLOCK, results, 0))
    thread.start()
    while results.place() is None:
        pass
    assert results.place().op is Op.WAIT
    results.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert results.counted().replay.calls == {}
    assert results.counted().replay.waits_ns > 0


def test_a_place_in_a_call_is_told_before_one_that_waits():
    inside, go_on = threading.Event(), threading.Event()

    def hang(call):
        inside.set()
        assert go_on.wait(20)

    functions = null(Scripted(hang).functions(2))
    replay = Replay(
        functions,
        [laid_out(step(Op.WAIT, other=0)), laid_out(allocate(3), a_map(3), step(Op.SIGNAL, other=0))],
        objects=4,
        channels=1,
    )
    results = Results(2)
    results.control.threads = 2
    threads = [threading.Thread(target=replay.run, args=(CLOCK, results, i)) for i in range(2)]
    for one in threads:
        one.start()
    assert inside.wait(20)
    place = results.place()
    go_on.set()
    for one in threads:
        one.join(20)
    assert (place.op, place.step, place.object, place.thread, place.api) == (Op.MAP, 1, 3, 1, "core")


def test_pauses_take_at_least_their_time_and_count_as_progress():
    results = Results(1)
    results.control.threads = 1
    Replay(null(), [laid_out(*repeat(20, step(Op.PAUSE, size=1_000_000, offset=200_000)))], objects=0).run(
        CLOCK, results, 0
    )
    assert results.counted().longest_rate_ns >= 20_000_000
    assert results.total("iterations") >= 40


@pytest.mark.parametrize(
    "steps",
    [
        [step(Op.MAP, 4, size=1, api=CORE)],
        [step(Op.MAP, 0, size=1, api=3)],
        [step(Op.MAP, 0, size=1, api=1)],  # a function that this driver lacks
        [step(Op.MAP, 0, size=1, api=CORE, other=2)],
        [step(Op.MAP, 0, size=1, api=CORE, other=1, address=1)],
        [step(Op.UNMAP, 0, api=V1, flags=ReplayFlag.RESERVE)],
        [step(Op.FREE, 4)],
        [step(Op.ALLOCATE, 0)],
        [step(Op.IMPORT, 0, size=PAGE)],
        [step(Op.FIRST, 0)],
        [step(Op.FLUSH, ranges=2)],
        [step(Op.FLUSH, other=1, ranges=1)],
        [step(Op.INVALIDATE)],
        [step(Op.SIGNAL, other=1)],
        [step(Op.WAIT, other=1)],
        [step(Op.REPEAT, size=2, other=0)],
        [step(Op.REPEAT, size=2, other=9)],
        [step(Op.REPEAT, size=0, other=1), step(Op.END)],
        [step(Op.REPEAT, size=2, other=1)],
        [step(Op.END)],
        [step(Op.REPEAT, size=1, other=2), step(Op.REPEAT, size=1, other=3), step(Op.END), step(Op.END, other=1)],
        [step(Op.WRITE, 0, size=1)],
    ],
)
def test_a_step_that_names_what_is_not_there_is_refused(steps):
    with pytest.raises(ValueError, match="not a sound replay"):
        Replay(null(), [steps], objects=4, ranges=[(0, 0, PAGE)], channels=1, places=[(PAGE, PAGE)])


def test_a_range_of_no_object_is_refused():
    with pytest.raises(ValueError, match="not a sound replay"):
        Replay(null(), [[step(Op.FLUSH, ranges=1)]], objects=1, ranges=[(1, 0, PAGE)])


@pytest.mark.parametrize(
    "mapping", [a_map(offset=4 * PAGE), a_map(offset=PAGE, size=4 * PAGE), a_map(offset=1, size=WHOLE - 1)]
)
def test_a_map_beyond_its_allocation_is_not_made(mapping):
    counted = replayed([allocate(), mapping]).counted().replay
    assert (counted.calls, counted.skipped) == ({"allocate": 1}, 1)


@pytest.mark.parametrize("where", [(0, 1), (PAGE, 2 * PAGE + 1), (3 * PAGE, 1), (WHOLE, 1), (PAGE, WHOLE)])
def test_nothing_beyond_the_mapping_is_touched(where):
    counted = replayed([allocate(), a_map(offset=PAGE, size=2 * PAGE), touch(0, *where)]).counted()
    assert (counted.first.pages, counted.replay.skipped) == (0, 1)


def test_an_import_is_of_the_hosts_memory_and_counts_as_one():
    memory = Memory(PAGE)
    counted = replayed([step(Op.IMPORT, size=PAGE, address=memory.address), step(Op.FREE)]).counted()
    assert counted.replay.calls == {"import": 1, "free": 1}


# --- placed -------------------------------------------------------------------------------------


def placing(at_call=lambda call: None):
    """A driver that places: its map replaces the pages, its unmap lets go of them, or keeps them with reserve."""
    where = {}

    def act(call):
        if call.name == "map" and call.placed:
            addresses.map_pages(PAGE, addresses.READ_WRITE, address=call.placed)
            where[call.memory] = call.placed
        elif call.name == "unmap" and call.memory in where:
            if call.flags:
                addresses.map_pages(PAGE, addresses.NONE, address=where[call.memory])
            else:
                addresses.unmap_pages(where[call.memory], PAGE)
        return at_call(call)

    return Scripted(act)


def placed_replay(calls, *steps):
    """What one thread counted, and whether its place was still taken afterwards."""
    place = reserve_for("any", PAGE)
    driver = placing(lambda call: calls(call, place))
    results = replayed([allocate(size=PAGE), *steps], functions=null(driver.functions(2)), places=[(place.begin, PAGE)])
    assert {call.placed for call in driver.calls if call.name == "map"} == {place.begin}
    covered = addresses.covered(place.begin, place.end)
    place.release()
    return results, covered


def test_a_place_is_held_between_its_maps_and_after_them():
    placed = [a_map(other=1), touch(), unmap(), a_map(other=1), unmap(flags=ReplayFlag.RESERVE), a_map(other=1)]
    results, covered = placed_replay(lambda call, place: None, *placed, unmap())
    assert results.fault()[0] is Fault.OK
    assert covered
    assert results.counted().replay.calls == {"allocate": 1, "map": 3, "unmap": 3}


def test_two_objects_are_never_placed_on_each_other():
    second = [allocate(1, PAGE), a_map(1, other=1), unmap(), a_map(1, other=1), touch(1)]
    results, _ = placed_replay(lambda call, place: None, a_map(other=1), *second)
    assert results.counted().replay.skipped == 1
    assert results.fault()[0] is Fault.OK


def test_objects_are_placed_beside_each_other_but_never_on_each_other():
    place = reserve_for("any", 3 * PAGE)
    driver = placing()
    objects = [step(Op.ALLOCATE, i, size=PAGE) for i in range(4)]
    maps = [a_map(i, other=1, address=at * PAGE) for i, at in enumerate((2, 0, 2, 3))]  # the last two cannot be
    results = replayed(
        [*objects, *maps, unmap(0), a_map(2, other=1, address=2 * PAGE)],
        functions=null(driver.functions(2)),
        places=[(place.begin, 3 * PAGE)],
    )
    place.release()
    assert [call.placed - place.begin for call in driver.calls if call.name == "map"] == [2 * PAGE, 0, 2 * PAGE]
    assert results.counted().replay.skipped == 2
    assert results.fault()[0] is Fault.OK


def test_a_place_that_somebody_took_is_left_alone():
    """A driver that puts something else there as it unmaps: the next map would replace it."""

    def steal(call, place):
        if call.name == "unmap":
            addresses.map_pages(PAGE, addresses.READ_WRITE, address=place.begin)

    results, _ = placed_replay(steal, a_map(other=1), unmap(), a_map(other=1), touch())
    fault, _, place, _ = results.fault()
    assert (fault, place.op, place.step) == (Fault.HOLD_FAILED, Op.UNMAP, 2)
    assert results.counted().replay.skipped == 2


def test_a_reserve_that_reserves_nothing_is_noticed():
    def let_go(call, place):
        if call.name == "unmap":
            addresses.unmap_pages(place.begin, PAGE)

    flags = ReplayFlag.RESERVE
    results, covered = placed_replay(let_go, a_map(other=1), unmap(flags=flags), a_map(other=1), unmap(flags=flags))
    assert results.fault()[0] is Fault.RESERVATION_LOST
    assert results.counted().replay.skipped == 0
    assert covered  # held again


def test_a_map_that_failed_leaves_its_place_usable():
    failures = iter([-5, 0])

    def fail(call, place):
        if call.name == "map":
            result = next(failures)
            if result:
                addresses.unmap_pages(place.begin, PAGE)
            return result

    results, _ = placed_replay(fail, a_map(other=1), unmap(), a_map(other=1), touch(), unmap())
    counted = results.counted()
    assert (counted.replay.failures, counted.replay.skipped, counted.first.pages) == ({-5: 1}, 1, 1)


def test_a_map_that_lands_elsewhere_is_told():
    memory = Memory(PAGE)
    place = reserve_for("any", PAGE)

    class Elsewhere(Scripted):
        def _map2(self, device, pointer, data):
            result = super()._map2(device, pointer, data)
            data[0] = native.ffi.cast("void *", memory.address)
            return result

    driver = Elsewhere()
    results = replayed(
        [allocate(size=PAGE), a_map(other=1), touch(), unmap()],
        functions=null(driver.functions(2)),
        places=[(place.begin, PAGE)],
    )
    place.release()
    assert results.fault()[0] is Fault.MOVED
    assert (results.counted().replay.skipped, memory.bytes[0]) == (0, 1)


def test_a_success_without_a_pointer_is_no_mapping():
    with injected("NO_POINTER", 1) as faulty:
        results = replayed([allocate(), a_map(), touch(), unmap(), a_map(), touch()], functions=null(faulty))
    assert results.fault()[0] is Fault.NULL_POINTER
    assert (results.counted().replay.skipped, results.counted().first.pages) == (2, 1)


def test_what_an_unplaced_unmap_reserved_is_given_back():
    """Pages that its driver keeps, as the reserve flag asks for, are nobody's when the replay has ended."""
    kept = []

    class Keeps(Scripted):
        def _map2(self, device, pointer, data):
            result = super()._map2(device, pointer, data)
            kept.append(addresses.map_pages(PAGE, addresses.READ_WRITE))
            data[0] = native.ffi.cast("void *", kept[-1])
            return result

    def protect(call):
        if call.name == "unmap":
            addresses.map_pages(PAGE, addresses.NONE, address=kept[-1])

    reserve = ReplayFlag.RESERVE
    replayed(
        [allocate(size=PAGE), *repeat(2, a_map(), touch(), unmap(flags=reserve))],
        functions=null(Keeps(protect).functions(2)),
    )
    areas = [(one.begin, one.end) for one in addresses.areas() if one.permissions.startswith("---")]
    assert len(set(kept)) == 2
    assert not any(begin <= address < end for address in kept for begin, end in areas)

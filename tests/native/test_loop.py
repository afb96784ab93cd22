"""The measuring loop over drivers that do nothing, that note their calls, and that are broken."""

import itertools
import tempfile
import threading

import pytest
from driving import (
    CLOCK,
    PLAIN_PAIR,
    WRITE_VERIFY,
    Call,
    MapInfo,
    Memory,
    Scripted,
    a_program,
    at,
    hole,
    injected,
    one_thread,
    run,
)
from vkmapctl._loop import lib

from vkmapctl import native
from vkmapctl.machine import addresses
from vkmapctl.machine.addresses import covered, map_if_free, unmap_pages
from vkmapctl.model.loop import Fault, LoopStep, Op
from vkmapctl.native import FOREVER, PAGE, Pass, Program, Results
from vkmapctl.rules import PLACED, RESERVE

WHOLE_SIZE = FOREVER
TWO_LIVE = (
    LoopStep(Op.MAP, 0, size=PAGE), LoopStep(Op.MAP, 1, size=PAGE), LoopStep(Op.UNMAP, 0), LoopStep(Op.UNMAP, 1),
)  # fmt: skip
MAP, UNMAP = LoopStep(Op.MAP, size=PAGE), LoopStep(Op.UNMAP)
DEVICE_LOST = -4


@pytest.fixture
def memory():
    return Memory(4 * PAGE)


# --- what the driver is called with ---------------------------------------------------------------


def test_arguments_of_the_first_functions(memory):
    driver = Scripted()
    whole = (LoopStep(Op.MAP, offset=64, size=memory.size - 64, whole=True), LoopStep(Op.UNMAP))
    part = (LoopStep(Op.MAP, offset=65, size=3), LoopStep(Op.UNMAP))
    program = a_program(memory, whole, part, functions=driver.functions(1))
    assert run(program, one_thread(), Pass.LATENCY, iterations=2) is Fault.OK
    assert driver.calls == [
        Call("map", memory.address, 64, WHOLE_SIZE, 0),
        Call("unmap", memory.address),
        Call("map", memory.address, 65, 3, 0),
        Call("unmap", memory.address),
    ]


@pytest.mark.parametrize("kind", Pass)
def test_arguments_of_map2(memory, kind):
    driver = Scripted()
    cycle = (LoopStep(Op.MAP, offset=64, size=memory.size - 64, whole=True), LoopStep(Op.UNMAP))
    run(a_program(memory, cycle, functions=driver.functions(2)), one_thread(), kind, iterations=1)
    assert driver.calls == [
        Call("map", memory.address, 64, WHOLE_SIZE, 0, None),
        Call("unmap", memory.address, flags=0),
    ]


@pytest.mark.parametrize("kind", Pass)
def test_arguments_of_placed_and_reserve(memory, kind):
    driver, place = Scripted(), Memory(PAGE)
    cycle = (
        LoopStep(Op.MAP, offset=PAGE, size=PAGE, flags=PLACED, address=place.address),
        LoopStep(Op.UNMAP, flags=RESERVE),
    )
    fault = run(a_program(memory, cycle, functions=driver.functions(2)), one_thread(), kind, iterations=1)
    assert fault is Fault.OK
    assert driver.calls == [
        Call("map", memory.address, PAGE, PAGE, 1, place.address),
        Call("unmap", memory.address, flags=1),
    ]


def test_arguments_of_flush_and_invalidate(memory):
    driver = Scripted()
    cycle = (
        LoopStep(Op.MAP, size=PAGE),
        LoopStep(Op.FLUSH, offset=64, size=128),
        LoopStep(Op.INVALIDATE, offset=0, size=64),
        LoopStep(Op.UNMAP),
    )
    run(a_program(memory, cycle, functions=driver.functions(2)), one_thread(), iterations=1)
    assert driver.calls[1:3] == [Call("flush", memory.address, 64, 128), Call("invalidate", memory.address, 0, 64)]


# --- counts and limits ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("cycle", [PLAIN_PAIR, WRITE_VERIFY], ids=["pair", "verify"])
@pytest.mark.parametrize("iterations", [0, 1, 100])
def test_a_rate_pass_runs_exactly_its_iterations_and_times_no_call(memory, version, cycle, iterations):
    results = one_thread()
    program = a_program(memory, cycle, functions=native.null_driver(version))
    assert run(program, results, iterations=iterations) is Fault.OK
    pairs = sum(step.op is Op.MAP for step in cycle)
    assert results.total("rate_pairs") == results.total("slice_pairs") == iterations * pairs
    assert results.total("iterations") == iterations
    assert results.histogram("map").count == results.histogram("unmap").count == 0
    assert results.total("write_ns") == results.total("read_ns") == 0


@pytest.mark.parametrize("version", [1, 2])
def test_a_latency_pass_times_every_call_and_counts_no_rate(memory, version):
    results = one_thread()
    program = a_program(memory, WRITE_VERIFY, functions=native.null_driver(version))
    assert run(program, results, Pass.LATENCY, iterations=50) is Fault.OK
    assert results.histogram("map").count == results.histogram("unmap").count == 100
    assert results.total("rate_pairs") == results.total("rate_ns") == 0
    assert results.total("write_bytes") == results.total("read_bytes") == results.total("verified_bytes") == 50 * PAGE
    assert results.total("mismatches") == 0


def test_a_check_pass_records_no_time(memory):
    results = one_thread()
    assert run(a_program(memory, WRITE_VERIFY), results, Pass.CHECK, iterations=3) is Fault.OK
    assert results.total("iterations") == 3
    assert results.histogram("map").count == results.total("rate_pairs") == results.total("write_ns") == 0


def test_passes_add_up_and_the_slice_is_the_last_one_alone(memory):
    results, program = one_thread(), a_program(memory, PLAIN_PAIR)
    run(program, results, iterations=70)
    first_ns = results.total("rate_ns")
    run(program, results, iterations=30)
    assert (results.total("rate_pairs"), results.total("slice_pairs")) == (100, 30)
    assert results.total("rate_ns") == first_ns + results.total("slice_ns")


@pytest.mark.parametrize("kind", Pass)
def test_a_time_limit_ends_a_pass(memory, kind):
    results = one_thread()
    begin = CLOCK.ns()
    assert run(a_program(memory, WRITE_VERIFY), results, kind, ns=3_000_000) is Fault.OK
    assert CLOCK.ns() - begin >= 3_000_000
    assert results.total("iterations") > 0


@pytest.mark.parametrize("kind", Pass)
def test_a_stop_that_is_set_ends_a_pass_before_its_first_call(memory, kind):
    driver, results = Scripted(), one_thread()
    results.stop()
    assert run(a_program(memory, PLAIN_PAIR, functions=driver.functions(2)), results, kind) is Fault.OK
    assert driver.calls == []


@pytest.mark.parametrize("kind", Pass)
@pytest.mark.parametrize("cycle", [PLAIN_PAIR, WRITE_VERIFY], ids=["pair", "verify"])
def test_a_stop_in_the_middle_ends_an_endless_pass_at_the_end_of_a_cycle(memory, kind, cycle):
    results = one_thread()
    driver = Scripted(lambda call: results.stop() if len(driver.calls) == 9 else None)
    assert run(a_program(memory, cycle, functions=driver.functions(2)), results, kind) is Fault.OK
    assert driver.names().count("map") == driver.names().count("unmap")
    cycle_maps = sum(step.op is Op.MAP for step in cycle)
    assert results.total("iterations") * cycle_maps == driver.names().count("map")


# --- random cycles --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Pass)
def test_cycles_take_turns_and_go_on_in_the_next_pass(memory, kind):
    driver, results = Scripted(), one_thread()
    cycles = [(LoopStep(Op.MAP, offset=64 * i, size=5), LoopStep(Op.UNMAP)) for i in range(3)]
    program = a_program(memory, *cycles, functions=driver.functions(2))
    for iterations in (4, 3):
        run(program, results, kind, iterations=iterations)
    offsets = [call.offset // 64 for call in driver.calls if call.name == "map"]
    assert offsets == [0, 1, 2, 0, 1, 2, 0]


def test_each_of_several_verify_cycles_finds_its_own_bytes(memory):
    cycles = [
        tuple(step if step.op is Op.UNMAP else step._replace(offset=at, size=100) for step in WRITE_VERIFY)
        for at in (0, 64, 3 * PAGE, 192)
    ]
    results = one_thread()
    assert run(a_program(memory, *cycles), results, Pass.LATENCY, iterations=40) is Fault.OK
    assert results.total("verified_bytes") == 40 * 100


# --- touching -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offset", "size", "pages"),
    [(0, 4 * PAGE, {0, 1, 2, 3}), (PAGE, 1, {1}), (PAGE, PAGE + 1, {1, 2}), (PAGE - 1, 2, {0, 1})],
)
def test_first_touch_writes_each_page_of_the_range_and_nothing_else(memory, offset, size, pages):
    cycle = (LoopStep(Op.MAP, size=4 * PAGE), LoopStep(Op.FIRST, offset=offset, size=size), LoopStep(Op.UNMAP))
    run(a_program(memory, cycle), one_thread(), iterations=1)
    changed = {at for at in range(memory.size) if memory.bytes[at]}
    assert changed <= set(range(offset, offset + size))
    assert {at // PAGE for at in changed} == pages


def test_a_write_stays_in_its_range(memory):
    cycle = (LoopStep(Op.MAP, offset=3, size=2 * PAGE), LoopStep(Op.WRITE, offset=67, size=PAGE), LoopStep(Op.UNMAP))
    run(a_program(memory, cycle, map_alignment=1), one_thread(), iterations=1)
    everything = memory.bytes[:]
    assert everything[:67] + everything[67 + PAGE :] == bytes(memory.size - PAGE)
    assert everything[67 : 67 + PAGE].count(0) < PAGE // 50


@pytest.mark.parametrize(
    ("write", "verify", "verified"),
    [(None, (0, PAGE), 0), ((0, PAGE), (0, PAGE), PAGE), ((64, 64), (0, PAGE), 64), ((0, 100), (50, 100), 50),
     ((0, 64), (64, 64), 0), ((3, 5), (4, 1), 1)],
)  # fmt: skip
def test_only_what_was_written_is_verified(memory, write, verify, verified):
    """Neither a false alarm for what was never written, nor a byte counted that was not compared."""
    touched = [] if write is None else [LoopStep(Op.WRITE, offset=write[0], size=write[1])]
    cycle = [MAP, *touched, LoopStep(Op.VERIFY, offset=verify[0], size=verify[1]), UNMAP]
    results = one_thread()
    assert run(a_program(memory, cycle), results, Pass.LATENCY, iterations=2) is Fault.OK
    assert results.total("verified_bytes") == results.total("read_bytes") == 2 * verified


def test_a_stale_write_is_found(memory):
    """The second map shows what the memory held before the write."""
    before = []

    def swap(call):
        if call.name == "map":
            before.append(memory.bytes[:PAGE])
            if len(before) % 2 == 0:
                memory.bytes[:PAGE] = before[-2]

    driver, results = Scripted(swap), one_thread()
    program = a_program(memory, WRITE_VERIFY, functions=driver.functions(2))
    assert run(program, results, Pass.LATENCY, iterations=10) is Fault.MISMATCH
    assert results.total("mismatches") > PAGE * 9 // 10


# --- faults ---------------------------------------------------------------------------------------

PLACED_PAIR = "placed pair"
FAULTS = [
    ("MAP_FAILS", PLAIN_PAIR, Fault.CALL_FAILED),
    ("MAP_FAILS", WRITE_VERIFY, Fault.CALL_FAILED),
    ("UNMAP_FAILS", PLAIN_PAIR, Fault.CALL_FAILED),
    ("UNMAP_FAILS", WRITE_VERIFY, Fault.CALL_FAILED),
    ("NO_POINTER", PLAIN_PAIR, Fault.NULL_POINTER),
    ("NO_POINTER", WRITE_VERIFY, Fault.NULL_POINTER),
    ("MISALIGNS", PLAIN_PAIR, Fault.MISALIGNED),
    ("MISALIGNS", WRITE_VERIFY, Fault.MISALIGNED),
    ("MOVES", PLACED_PAIR, Fault.MOVED),
]


@pytest.mark.parametrize("kind", Pass)
@pytest.mark.parametrize(
    ("fault", "cycle", "expected"), FAULTS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_fault_is_named_and_what_was_counted_is_kept(memory, kind, fault, cycle, expected):
    if cycle == PLACED_PAIR:
        cycle = (LoopStep(Op.MAP, size=PAGE, flags=PLACED, address=memory.address), LoopStep(Op.UNMAP))
    results, maps = one_thread(), sum(step.op is Op.MAP for step in cycle)
    with injected(fault, 9) as functions:
        program = a_program(memory, cycle, functions=functions)
        assert run(program, results, kind) is expected
    found, result, place, _ = results.fault()
    assert (found, result) == (expected, -5 if expected is Fault.CALL_FAILED else 0)
    assert cycle[place.step].op is place.op is (Op.UNMAP if fault == "UNMAP_FAILS" else Op.MAP)
    assert results.total("iterations") == 8 // maps
    if kind is Pass.RATE:
        assert results.total("rate_pairs") == 8
    if kind is Pass.LATENCY:
        assert results.histogram("map").count >= 8
    assert results.place() is None


@pytest.mark.parametrize("kind", Pass)
def test_a_flipped_bit_is_found_with_its_place_and_both_bytes(memory, kind):
    results, cycle = one_thread(), tuple(
        step if step.op is Op.UNMAP else step._replace(offset=128, size=1000) for step in WRITE_VERIFY
    )  # fmt: skip
    with injected("BIT_FLIPS", 6) as functions:
        assert run(a_program(memory, cycle, functions=functions), results, kind) is Fault.MISMATCH
    found, _, place, wrong = results.fault()
    assert found is Fault.MISMATCH
    assert (place.step, wrong.offset) == (4, 128)
    assert wrong.expected ^ wrong.found == 0x10
    assert results.total("mismatches") == 1
    assert results.total("verified_bytes") == 3000


@pytest.mark.parametrize(("name", "step"), [("map", 0), ("flush", 2), ("unmap", 3)])
@pytest.mark.parametrize("kind", Pass)
def test_a_failed_call_keeps_its_result_and_step(memory, kind, name, step):
    driver, results = Scripted(lambda call: DEVICE_LOST if call.name == name else None), one_thread()
    cycle = (LoopStep(Op.MAP, size=64), LoopStep(Op.WRITE, size=64), LoopStep(Op.FLUSH, size=64), LoopStep(Op.UNMAP))
    program = a_program(memory, cycle, functions=driver.functions(2))
    assert run(program, results, kind) is Fault.CALL_FAILED
    found, result, place, _ = results.fault()
    assert (found, result, place.step, place.object) == (Fault.CALL_FAILED, DEVICE_LOST, step, 0)


def test_objects_that_share_addresses_are_found():
    memories = [Memory(PAGE), Memory(PAGE)]
    results = one_thread()
    with injected("SHARES", 2) as functions:
        program = Program(functions, [one.object for one in memories], [TWO_LIVE])
        assert run(program, results, Pass.CHECK, iterations=1) is Fault.OVERLAP
    program.unwind()


def test_objects_side_by_side_share_nothing():
    memory = Memory(2 * PAGE)
    objects = [(memory.address, PAGE), (memory.address + PAGE, PAGE)]
    program = Program(native.null_driver(2), objects, [TWO_LIVE])
    assert run(program, one_thread(), Pass.CHECK, iterations=2) is Fault.OK


def test_objects_that_overlap_by_a_byte_are_found():
    memory = Memory(2 * PAGE)
    objects = [(memory.address, PAGE), (memory.address + PAGE - 1, PAGE)]
    program = Program(native.null_driver(2), objects, [TWO_LIVE], map_alignment=1)
    assert run(program, one_thread(), Pass.CHECK, iterations=1) is Fault.OVERLAP


# --- unwinding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_unwinding_unmaps_what_is_mapped_and_only_once(version):
    """The second map fails: the first object is still mapped."""
    memories = [Memory(PAGE), Memory(PAGE)]
    driver = Scripted(lambda call: DEVICE_LOST if call.memory == memories[1].address else None)
    program = Program(driver.functions(version), [one.object for one in memories], [TWO_LIVE])
    assert run(program, one_thread(), Pass.LATENCY) is Fault.CALL_FAILED
    driver.calls.clear()
    program.unwind()
    program.unwind()
    assert [(call.name, call.memory) for call in driver.calls] == [("unmap", memories[0].address)]


@pytest.mark.parametrize("kind", Pass)
def test_a_failed_unmap_leaves_the_object_to_unwinding(memory, kind):
    driver = Scripted(lambda call: DEVICE_LOST if driver.names().count("unmap") == 1 and call.name == "unmap" else None)
    program = a_program(memory, PLAIN_PAIR, functions=driver.functions(2))
    assert run(program, one_thread(), kind) is Fault.CALL_FAILED
    program.unwind()
    assert driver.names() == ["map", "unmap", "unmap"]


@pytest.mark.parametrize("kind", Pass)
@pytest.mark.parametrize("version", [1, 2])
def test_a_misaligned_mapping_is_unmapped(memory, kind, version):
    driver = Scripted()
    cycle = (LoopStep(Op.MAP, offset=0, size=PAGE), LoopStep(Op.UNMAP))
    shifted = (memory.address + 1, PAGE)
    program = Program(driver.functions(version), [shifted], [cycle])
    assert run(program, one_thread(), kind) is Fault.MISALIGNED
    program.unwind()
    assert driver.names() == ["map", "unmap"]


def test_a_program_runs_again_after_unwinding(memory):
    results = one_thread()
    with injected("MISALIGNS", 4) as functions:
        program = a_program(memory, WRITE_VERIFY, functions=functions)
        assert run(program, results, Pass.LATENCY) is Fault.MISALIGNED
        program.unwind()
        results.clear()
        assert run(program, results, Pass.LATENCY, iterations=5) is Fault.OK
    assert results.total("verified_bytes") == 5 * PAGE


# --- reservations ---------------------------------------------------------------------------------


def reserving(address, *, size=PAGE, offset=0, placed=False, release_first=True):
    """Maps the memory at the address, which the null driver gives as the pointer, and unmaps with reserve."""
    place = {"flags": PLACED, "address": address} if placed else {}
    mapping, unmapping = LoopStep(Op.MAP, offset=offset, size=size, **place), LoopStep(Op.UNMAP, flags=RESERVE)
    cycle = [mapping, unmapping]
    if not placed:
        cycle.insert(1 if release_first else 2, LoopStep(Op.RELEASE_KEPT))
    return Program(native.null_driver(2), [(address, offset + size)], [cycle])


@pytest.mark.parametrize("kind", [Pass.LATENCY, Pass.CHECK])
def test_a_reservation_that_is_kept_or_lost(kind):
    with hole(1) as address:
        program, results = reserving(address, placed=True), one_thread()
        map_if_free(PAGE, address)
        assert run(program, results, kind, iterations=3) is Fault.OK
        unmap_pages(address, PAGE)
        assert run(program, results, kind, iterations=3) is Fault.RESERVATION_LOST


@pytest.mark.parametrize("kind", Pass)
def test_a_map_into_a_range_that_is_still_reserved_is_found(kind):
    with hole(1) as address:
        map_if_free(PAGE, address)
        results = one_thread()
        assert run(reserving(address), results, kind, iterations=5) is Fault.RESERVATION_REUSED
        assert results.total("iterations") == 1


@pytest.mark.parametrize("kind", Pass)
def test_a_release_gives_the_reserved_pages_back(kind):
    """The mapping begins in one page and ends in the next."""
    with hole(2) as address:
        map_if_free(2 * PAGE, address)
        assert run(reserving(address, offset=64, release_first=False), one_thread(), kind, iterations=1) is Fault.OK
        assert map_if_free(2 * PAGE, address)


def test_what_the_last_unmap_kept_is_released_at_the_end():
    with hole(1) as address:
        map_if_free(PAGE, address)
        program = reserving(address)
        run(program, one_thread(), iterations=1)
        program.release_kept()
        assert map_if_free(PAGE, address)


def test_a_release_without_a_reservation_does_nothing(memory):
    cycle = [LoopStep(Op.MAP, size=PAGE), LoopStep(Op.RELEASE_KEPT), LoopStep(Op.UNMAP), LoopStep(Op.RELEASE_KEPT)]
    assert run(a_program(memory, cycle), one_thread(), iterations=3) is Fault.OK
    assert covered(memory.address, memory.address + memory.size)


def test_a_release_that_the_kernel_refuses():
    assert run(reserving(addresses.END - PAGE, release_first=False), one_thread(), iterations=1) is Fault.RELEASE_FAILED


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", [Pass.CHECK, Pass.LATENCY])
def test_an_offset_from_nothing_is_no_pointer(version, kind):
    class NotLooking(Scripted):
        def _map1(self, device, memory, *rest):
            return super()._map1(device, 0, *rest)

        def _map2(self, device, pointer, data):
            at(MapInfo, pointer).memory = 0
            return super()._map2(device, pointer, data)

    driver = NotLooking()
    program = Program(
        driver.functions(version), [(PAGE, 2 * PAGE)], [[LoopStep(Op.MAP, offset=PAGE, size=PAGE), UNMAP]]
    )
    assert run(program, one_thread(), kind, iterations=1) is Fault.NULL_POINTER


@pytest.mark.parametrize("kind", Pass)
def test_a_hold_takes_the_range_or_says_that_it_cannot(kind):
    with hole(1) as address:
        cycle = [
            LoopStep(Op.MAP, size=PAGE, flags=PLACED, address=address),
            LoopStep(Op.UNMAP),
            LoopStep(Op.HOLD, size=PAGE, address=address),
        ]
        results = one_thread()
        program = Program(native.null_driver(2), [(address, PAGE)], [cycle])
        assert run(program, results, kind, iterations=1) is Fault.OK
        assert covered(address, address + PAGE)
        assert run(program, results, kind, iterations=1) is Fault.HOLD_FAILED


def test_a_hold_that_meets_the_drivers_own_mapping_says_so():
    with hole(1) as address, tempfile.TemporaryFile() as file:
        file.truncate(PAGE)
        addresses.map_pages(PAGE, addresses.READ_WRITE, address=address, file=file.fileno())
        cycle = [
            LoopStep(Op.MAP, size=PAGE, flags=PLACED, address=address),
            LoopStep(Op.UNMAP),
            LoopStep(Op.HOLD, size=PAGE, address=address),
        ]
        program = Program(native.null_driver(2), [(address, PAGE)], [cycle])
        assert run(program, one_thread(), Pass.CHECK, iterations=1) is Fault.STILL_MAPPED


# --- programs that are refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    "cycles",
    [
        [],
        [[]],
        [[MAP]],
        [[UNMAP]],
        [[MAP, MAP, UNMAP]],
        [[MAP, UNMAP, UNMAP]],
        [[MAP._replace(object=1), UNMAP._replace(object=1)]],
        [[MAP, UNMAP._replace(object=1 << 31)]],
        [[MAP._replace(size=0), UNMAP]],
        [[MAP._replace(size=4 * PAGE + 1), UNMAP]],
        [[MAP._replace(offset=4 * PAGE), UNMAP]],
        [[MAP._replace(offset=1, size=4 * PAGE), UNMAP]],
        [[MAP._replace(offset=FOREVER), UNMAP]],
        [[MAP._replace(size=FOREVER), UNMAP]],
        [[MAP._replace(offset=PAGE, size=FOREVER - PAGE + 1), UNMAP]],
        [[MAP._replace(flags=PLACED), UNMAP]],
        [[LoopStep(Op.WRITE, size=64), MAP, UNMAP]],
        [[MAP, UNMAP, LoopStep(Op.READ, size=64)]],
        [[MAP, LoopStep(Op.WRITE, size=PAGE + 1), UNMAP]],
        [[MAP, LoopStep(Op.READ, size=0), UNMAP]],
        [[MAP, LoopStep(Op.FIRST, offset=PAGE, size=1), UNMAP]],
        [[MAP, LoopStep(Op.READ, offset=64, size=FOREVER - 63), UNMAP]],
        [[MAP, LoopStep(Op.FLUSH, size=2 * PAGE), UNMAP]],
        [[MAP, LoopStep(Op.INVALIDATE, offset=PAGE - 1, size=2), UNMAP]],
        [[MAP._replace(offset=PAGE), LoopStep(Op.READ, offset=0, size=64), UNMAP]],
        [[MAP, LoopStep(Op.VERIFY, size=PAGE + 1), UNMAP]],
        [[MAP, UNMAP, LoopStep(Op.VERIFY, size=64)]],
        [[MAP, LoopStep(Op.HOLD, size=PAGE, address=PAGE), UNMAP]],
        [[MAP, UNMAP, LoopStep(Op.HOLD, size=PAGE)]],
        [[MAP, UNMAP, LoopStep(Op.HOLD, address=PAGE)]],
        [[MAP, LoopStep(99), UNMAP]],
        [[MAP, UNMAP], [MAP, UNMAP, MAP]],
        [[MAP, UNMAP], [UNMAP, MAP]],
        [[MAP, UNMAP], [MAP._replace(offset=4 * PAGE), UNMAP]],
    ],
)
def test_unsound_programs_are_refused(memory, cycles):
    with pytest.raises(ValueError, match="not a sound program"):
        a_program(memory, *cycles)


def test_the_refusal_names_the_step(memory):
    with pytest.raises(ValueError, match="step 2 of 4"):
        a_program(memory, [MAP, UNMAP, MAP._replace(size=0), UNMAP])


# --- threads and progress -------------------------------------------------------------------------


def started(program, results, thread, **limits):
    one = threading.Thread(target=run, args=(program, results), kwargs={"thread": thread, **limits}, daemon=True)
    one.start()
    return one


def wait_until(condition):
    deadline = CLOCK.ns() + 10_000_000_000
    while not condition():
        assert CLOCK.ns() < deadline, "waited in vain"


def test_threads_wait_for_each_other_and_count_for_themselves(memory):
    results, driver = Results(2), Scripted()
    results.control.threads = 2
    early = started(a_program(memory, PLAIN_PAIR, functions=driver.functions(2)), results, 0, iterations=30)
    wait_until(lambda: results.control.arrived == 1)
    assert driver.calls == []
    assert run(a_program(memory, WRITE_VERIFY), results, thread=1, iterations=20) is Fault.OK
    early.join(10)
    assert [stats.rate_pairs for stats in results.stats] == [30, 40]
    assert (results.total("rate_pairs"), results.longest("rate_pairs")) == (70, 40)


def test_a_thread_that_waits_for_another_can_be_stopped(memory):
    results = Results(2)
    results.control.threads = 2
    alone = started(a_program(memory, PLAIN_PAIR), results, 0)
    wait_until(lambda: results.control.arrived == 1)
    results.stop()
    alone.join(10)
    assert not alone.is_alive()
    assert results.total("iterations") == 0


def test_the_interpreter_goes_on_while_the_loop_runs(memory):
    results = one_thread()
    endless = started(a_program(memory, PLAIN_PAIR), results, 0)
    wait_until(lambda: results.total("rate_pairs") > 0)
    first = results.heartbeat()
    wait_until(lambda: results.heartbeat() != first)
    results.stop()
    endless.join(10)
    assert not endless.is_alive()


@pytest.mark.parametrize("kind", Pass)
def test_the_last_step_is_known_inside_each_call(memory, kind):
    results, seen = one_thread(), []
    driver = Scripted(lambda call: seen.append((call.name, results.place(), results.heartbeat())))
    cycle = (*PLAIN_PAIR, LoopStep(Op.MAP, size=64), LoopStep(Op.FLUSH, size=64), LoopStep(Op.UNMAP))
    run(a_program(memory, cycle, functions=driver.functions(2)), results, kind, iterations=2)
    steps = [(0, "map"), (1, "unmap"), (2, "map"), (3, "flush"), (4, "unmap")]
    assert len(seen) == 10
    for (name, last, _), (number, expected) in zip(seen, steps * 2, strict=True):
        assert name == expected
        assert (last.op.name.lower(), last.step, last.object) == (expected, number, 0)
    beats = [beat for _, _, beat in seen]
    assert all(a != b for a, b in itertools.pairwise(beats))
    assert results.place() is None


@pytest.mark.parametrize("kind", Pass)
def test_a_plain_pair_tells_map_from_unmap(memory, kind):
    results, seen = one_thread(), []
    driver = Scripted(lambda call: seen.append((call.name, results.place().op.name.lower())))
    run(a_program(memory, PLAIN_PAIR, functions=driver.functions(2)), results, kind, iterations=2)
    assert seen == [("map", "map"), ("unmap", "unmap")] * 2


def test_the_loop_s_words_are_those_of_the_header():
    for kind, prefix in ((Op, "VKM"), (Fault, "VKM")):
        assert {one.name: getattr(lib, f"{prefix}_{one.name}") for one in kind} == {one.name: int(one) for one in kind}
    assert lib.VKM_OPS == len(Op)


def test_a_step_tells_its_object(memory):
    results, other, seen = one_thread(), Memory(PAGE), []
    driver = Scripted(lambda call: seen.append(results.place().object))
    cycle = (LoopStep(Op.MAP, 1, size=64), LoopStep(Op.MAP, 0, size=64), LoopStep(Op.UNMAP, 1), LoopStep(Op.UNMAP, 0))
    program = Program(driver.functions(2), [memory.object, other.object], [cycle])
    run(program, results, Pass.RATE, iterations=1)
    assert seen == [1, 0, 1, 0]


def test_first_touches_are_counted_as_pages_and_not_as_bandwidth(memory):
    results = one_thread()
    cycle = (LoopStep(Op.MAP, size=4 * PAGE), LoopStep(Op.FIRST, offset=1, size=3 * PAGE), LoopStep(Op.UNMAP))
    run(a_program(Memory(4 * PAGE), cycle), results, Pass.LATENCY, iterations=5)
    counted = results.counted()
    assert (counted.first.pages, counted.written.count) == (5 * 4, 0)
    assert counted.first.ns > 0

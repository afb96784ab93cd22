"""The steps in which the device copies, on a queue that copies at once, that fails, and that copies nothing."""

import pytest
from driving import CLOCK, Memory, Scripted, injected, one_thread, run
from vkmapctl._loop import ffi

from vkmapctl import native
from vkmapctl.model.loop import Fault, LoopStep, Op
from vkmapctl.native import PAGE, SHIFT, Pass, Program, Transfer

SIZE, AT = 256, 512
MAP, UNMAP = LoopStep(Op.MAP, size=PAGE), LoopStep(Op.UNMAP)
TO_HOST, TO_DEVICE = (LoopStep(op, offset=AT, size=SIZE, address=n) for n, op in enumerate((Op.TO_HOST, Op.TO_DEVICE)))
VERIFY = LoopStep(Op.VERIFY, offset=AT, size=SIZE)
BOTH = (MAP, TO_HOST, TO_DEVICE, VERIFY, UNMAP)
KEY = 0x123456789ABCDEF
DEVICE_LOST = -4


class World:
    """One object, and the device's own bytes: a pattern, what it copied, and what it copied back."""

    def __init__(self):
        self.object, self.pattern, self.target, self.back = Memory(PAGE), Memory(PAGE), Memory(PAGE), Memory(PAGE)
        native.write_pattern(self.pattern.address, SIZE + SHIFT, KEY)
        self._copies = ffi.new("struct vkm_null_copy[4]")
        there, back = self.object.address + AT, self.back.address
        self._at(0, there, self.pattern.address)
        self._at(1, there, self.pattern.address + SHIFT)
        self._at(2, self.target.address, there)
        self._at(3, back, self.target.address)
        address = [int(ffi.cast("uintptr_t", ffi.addressof(self._copies, i))) for i in range(4)]
        self.transfers = [Transfer((address[0], address[1]), key=KEY), Transfer((address[2], address[3]), back=back)]

    def _at(self, i, to, source):
        self._copies[i] = (to, source, SIZE)

    def program(self, cycle, *, functions=None, faulty=False, transfers=None):
        queue = native.null_queue(self.transfers if transfers is None else transfers, faulty=faulty)
        functions = functions or native.null_driver(2, faulty=faulty)
        return Program(functions, [self.object.object], [cycle], queue=queue)


@pytest.fixture
def world():
    return World()


def shown(memory, offset=0):
    return memory.bytes[offset : offset + SIZE]


@pytest.mark.parametrize("kind", Pass)
def test_bytes_go_both_ways(world, kind):
    results = one_thread()
    assert run(world.program(BOTH), results, kind, iterations=7) is Fault.OK
    assert shown(world.target) == shown(world.object, AT) != bytes(SIZE)
    timed = 7 if kind is Pass.LATENCY else 0
    assert results.histogram("to-host").count == results.histogram("to-device").count == timed
    each_cycle = 2 if kind is Pass.RATE else 3  # what the device has is copied back where calls are timed
    assert results.total("verified_bytes") == 7 * each_cycle * SIZE
    assert (shown(world.back) == shown(world.target)) == (kind is not Pass.RATE)


def test_each_trip_brings_other_bytes(world):
    results, program = one_thread(), world.program((MAP, TO_HOST, UNMAP))
    seen = []
    for _ in range(4):
        run(program, results, Pass.RATE, iterations=1)
        seen.append(shown(world.object, AT))
    assert seen[0] == seen[2] != seen[1] == seen[3]
    assert all(a != b for a, b in zip(seen[0][::8], seen[1][::8], strict=True)), "no word is the one before"


def test_the_host_writes_other_bytes_each_time(world):
    results, program = one_thread(), world.program((MAP, TO_DEVICE, UNMAP))
    seen = set()
    for _ in range(5):
        run(program, results, Pass.RATE, iterations=1)
        seen.add(shown(world.target))
    assert len(seen) == 5


def test_memory_that_is_not_coherent_is_flushed_and_invalidated_around_the_copy(world):
    driver = Scripted()
    cycle = (MAP, TO_HOST._replace(flags=1), TO_DEVICE._replace(flags=1), UNMAP)
    run(world.program(cycle, functions=driver.functions(2)), one_thread(), iterations=1)
    assert [(call.name, call.offset, call.size) for call in driver.calls[1:3]] == [
        ("invalidate", AT, SIZE),
        ("flush", AT, SIZE),
    ]
    driver.calls.clear()
    run(world.program((MAP, TO_HOST, TO_DEVICE, UNMAP), functions=driver.functions(2)), one_thread(), iterations=1)
    assert driver.names() == ["map", "unmap"]


def test_a_copy_over_a_write_is_no_mismatch(world):
    write = LoopStep(Op.WRITE, size=PAGE)
    cycle = (MAP, write, TO_HOST, LoopStep(Op.VERIFY, size=PAGE), UNMAP)
    results = one_thread()
    assert run(world.program(cycle), results, Pass.CHECK, iterations=3) is Fault.OK


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["SUBMIT_FAILS", "WAIT_FAILS"])
@pytest.mark.parametrize(("call", "op"), [(1, Op.TO_HOST), (2, Op.TO_DEVICE), (3, Op.TO_DEVICE)])
@pytest.mark.parametrize("kind", [Pass.LATENCY, Pass.CHECK])
def test_a_lost_device_is_a_failed_call(world, fault, call, op, kind):
    results = one_thread()
    with injected(fault, call):
        program = world.program(BOTH, faulty=True)
        assert run(program, results, kind, iterations=5) is Fault.CALL_FAILED
    fault_seen, result, place, _ = results.fault()
    assert (fault_seen, result, place.op) == (Fault.CALL_FAILED, DEVICE_LOST, op)
    program.unwind()


@pytest.mark.parametrize(
    ("call", "op", "kind"),
    [
        (3, Op.TO_HOST, Pass.RATE),  # of the second cycle; each has two submissions in a rate pass, else three
        (4, Op.TO_HOST, Pass.LATENCY),
        (2, Op.TO_DEVICE, Pass.LATENCY),
        (3, Op.TO_DEVICE, Pass.CHECK),
    ],
)
def test_a_copy_that_did_not_happen_is_a_mismatch(world, call, op, kind):
    results = one_thread()
    with injected("COPIES_NOTHING", call):
        program = world.program((MAP, TO_HOST, TO_DEVICE, UNMAP), faulty=True)
        assert run(program, results, kind, iterations=5) is Fault.MISMATCH
    _, _, place, wrong = results.fault()
    assert place.op is op
    assert AT <= wrong.offset < AT + 8
    assert wrong.expected != wrong.found
    assert results.total("mismatches") > SIZE // 2
    program.unwind()


def test_a_flush_that_fails_is_a_failed_call(world):
    driver = Scripted(lambda call: -1 if call.name in ("flush", "invalidate") else None)
    for step in (TO_HOST, TO_DEVICE):
        results = one_thread()
        cycle = (MAP, step._replace(flags=1), UNMAP)
        program = world.program(cycle, functions=driver.functions(2))
        assert run(program, results, Pass.LATENCY, iterations=1) is Fault.CALL_FAILED
        assert results.fault()[1] == -1


@pytest.mark.parametrize(
    "cycle",
    [
        (TO_HOST,),
        (MAP, TO_HOST._replace(offset=PAGE - 1), UNMAP),
        (MAP, TO_HOST._replace(size=0), UNMAP),
        (MAP, TO_HOST._replace(address=2), UNMAP),
        (MAP, TO_DEVICE._replace(address=0), UNMAP),  # a transfer that copies nothing back
    ],
)
def test_unsound_copies_are_refused(world, cycle):
    with pytest.raises(ValueError, match="not a sound program"):
        world.program(cycle)


def test_copies_without_a_queue_or_over_memory_of_a_step_are_refused(world):
    with pytest.raises(ValueError, match="not a sound program"):
        Program(native.null_driver(2), [world.object.object], [(MAP, TO_HOST, UNMAP)])
    allocated = (LoopStep(Op.ALLOCATE, size=PAGE), MAP, TO_HOST, UNMAP, LoopStep(Op.FREE))
    with pytest.raises(ValueError, match="not a sound program at step 2"):
        Program(native.null_driver(2), [(0, 0)], [allocated], queue=native.null_queue(world.transfers))


def test_the_time_is_that_of_the_whole_trip(world):
    """A driver that takes a millisecond in its invalidate makes a trip of a millisecond."""

    def slow(call):
        end = CLOCK.ns() + 1_000_000
        while call.name == "invalidate" and CLOCK.ns() < end:
            pass

    results, driver = one_thread(), Scripted(slow)
    program = world.program((MAP, TO_HOST._replace(flags=1), UNMAP), functions=driver.functions(2))
    run(program, results, Pass.LATENCY, iterations=3)
    assert results.histogram("to-host").min_ns >= 1_000_000

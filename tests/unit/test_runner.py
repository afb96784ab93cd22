"""The runner's own logic, on a driver made of answers: deaths in the middle of a turn, interrupts, leaks, sharing."""

import pytest
from builders import a_histogram, a_job
from msgspec.structs import replace

from vkmapctl.driver.messages import Calibrated, Described, Finished, Measured, Round
from vkmapctl.driver.protocol import DIED_AT_END, KILLED, Died, Interrupted
from vkmapctl.errors import CallFailed, DriverDied, KilledForMemory, Unsupported, VkmapError
from vkmapctl.model.loop import Op, Place
from vkmapctl.model.measured import Cause, Counted, FirstTouch, Histogram, Touched
from vkmapctl.model.script import Pause, Repeat
from vkmapctl.runner import Runner, Watcher, share

UNTIMED = Histogram(0, 0, 0, 0, 0, ())
DESCRIBED = Described("1.4.309", (), (), ())
V1, CORE = a_job(api="v1", job="v1"), a_job(api="core", job="core")


class FakeSlot:
    """Counts what a test says; place: where the loop is."""

    def __init__(self, pairs=0, place=None):
        self.pairs, self.at, self.stopped = pairs, place, False

    def clear(self):
        self.cleared = True

    def stop(self):
        self.stopped, self.at = True, None

    def heartbeat(self):
        return 0

    def place(self):
        return self.at

    def counted(self):
        pairs, nothing = self.pairs, Touched()
        return Counted(
            pairs, 35 * pairs, 35 * pairs, {"map": UNTIMED}, UNTIMED, nothing, nothing, FirstTouch(), 0, 0, 0, 0, 0
        )


class FakeDriver:
    """Answers a Measure with the given replies, or raises one that is an exception."""

    def __init__(self, *replies, at_end=None):
        self.replies, self.at_end, self.closed = [*replies], at_end, None

    def describe(self):
        return DESCRIBED

    def ask(self, request, *, timeout=None):
        while self.replies:
            reply = self.replies.pop(0)
            if isinstance(reply, BaseException):
                raise reply
            yield reply
            if isinstance(reply, Measured):
                return

    def answer(self, request, kind):
        return {Calibrated: Calibrated("tsc", a_histogram((20, 1000))), Finished: Finished(("VUID-1: late",))}[kind]

    def end(self):
        if self.at_end:
            raise self.at_end

    def close(self, grace=2.0):
        self.closed = grace


def runner_of(*drivers, slots=None, watcher=None):
    waiting = list(drivers)
    slots = slots or [FakeSlot(1000) for _ in range(3)]
    runner = Runner(lambda heartbeat, on_tick: (waiting.pop(0), DESCRIBED), slots, watcher=watcher)
    runner.start()
    return runner


def test_rounds_become_rows_with_a_ratio_to_v1():
    rounds = [Round((40.0, 20.0)) for _ in range(10)]
    found = runner_of(FakeDriver(*rounds, Measured((None, None)))).measure((V1, CORE))
    v1, core = found.rows
    assert (v1.status, v1.rounds_ns_per_pair, v1.ratio_to_v1) == ("ok", (40.0,) * 10, None)
    assert core.ratio_to_v1 == (0.5, 0.5, 0.5)
    assert (v1.job, v1.pairs, v1.ns_per_pair) == ("v1", 1000, 35.0)
    assert not found.interrupted


def test_a_job_that_failed_keeps_its_cause_when_a_later_one_dies():
    """v1 fails, then core crashes: each row has its own cause, and no word is read back."""
    failed = Cause("call-failed", call="vkMapMemory", result="VK_ERROR_MEMORY_MAP_FAILED", step=0, object=0)
    driver = FakeDriver(Round((None, 20.0)), Measured((failed, None)))
    v1, core = runner_of(driver).measure((V1, CORE)).rows
    assert (v1.status, v1.errors, v1.cause) == ("failed", {"VK_ERROR_MEMORY_MAP_FAILED": 1}, failed)
    assert v1.reason == "VK_ERROR_MEMORY_MAP_FAILED in vkMapMemory (step 0, object 0)"
    assert (core.status, core.errors) == ("ok", {})


def test_a_death_inside_the_loop_is_the_row_s_that_was_in_it():
    slots = [FakeSlot(500), FakeSlot(100, Place(Op.UNMAP, 1, 0, 99)), FakeSlot()]
    dead, fresh = FakeDriver(Round((40.0, 20.0)), Died("crashed", "killed by SIGSEGV", "bad\nstack smashed")), None
    fresh = FakeDriver(Measured((None,)))
    runner = runner_of(dead, fresh, slots=slots)
    v1, core = runner.measure((V1, CORE)).rows
    assert (v1.status, v1.pairs, v1.errors) == ("not-run", 500, {})
    assert (core.status, core.pairs) == ("crashed", 100)
    assert core.reason == (
        "killed by SIGSEGV in vkUnmapMemory2 (step 1, object 0, iteration 99); it said: bad / stack smashed"
    )
    assert dead.closed == 0
    slots[1].at = None
    assert runner.measure((V1,)).rows[0].status == "ok", "the next group has a process of its own"


def test_a_death_outside_the_loop_names_the_call():
    died = Died("hung", "no progress for 30 s", "", "vkAllocateMemory")
    rows = runner_of(FakeDriver(died)).measure((V1, CORE)).rows
    assert {row.status for row in rows} == {"hung"}
    assert {row.reason for row in rows} == {"no progress for 30 s in vkAllocateMemory"}


def test_a_kill_for_memory_is_no_fault_of_the_driver_however_much_was_measured():
    why = "the kernel killed it for memory (memory.max of cgroup /lab is 2 GiB)"
    slots = [FakeSlot(500, Place(Op.WRITE, 1, 0, 99)), FakeSlot(), FakeSlot()]
    found = runner_of(FakeDriver(Round((40.0,)), Died("out-of-memory", why, "")), slots=slots).measure((V1,))
    (row,) = found.rows
    assert (row.status, row.cause.kind, row.pairs) == ("out-of-memory", "out-of-memory", 500)
    assert row.reason.startswith(why)
    assert "step 1, object 0, iteration 99" in row.reason
    (note,) = [note for note in found.notes if note.code == KILLED]
    assert why in note.message


def test_a_restart_that_is_killed_for_memory():
    error = KilledForMemory("the driver's process ended while its devices were listed: …", "a hint")
    error.how, error.call = "the kernel killed it for memory (this machine's memory is 2 GiB)", "vkCreateInstance"

    def start(heartbeat, on_tick):
        raise error

    (row,) = Runner(start, [FakeSlot()]).measure((V1,)).rows
    assert (row.status, row.reason) == ("out-of-memory", f"{error.how} in vkCreateInstance")


def test_an_interrupt_keeps_what_was_counted_and_stops_the_loop():
    slots = [FakeSlot(123, Place(Op.MAP, 0, 0, 5)), FakeSlot(), FakeSlot()]
    driver = FakeDriver(Round((40.0,)), Interrupted())
    found = runner_of(driver, slots=slots).measure((V1,))
    assert found.interrupted
    assert (found.rows[0].status, found.rows[0].pairs, found.rows[0].rounds_ns_per_pair) == (
        "interrupted",
        123,
        (40.0,),
    )
    assert all(slot.stopped for slot in slots)
    assert driver.closed is not None


@pytest.mark.parametrize(
    ("error", "status", "errors"),
    [
        (CallFailed("vkAllocateMemory failed", call="vkAllocateMemory", result="VK_ERROR_OUT_OF_DEVICE_MEMORY"),
         "out-of-memory", {"VK_ERROR_OUT_OF_DEVICE_MEMORY": 1}),
        (CallFailed("x", call="vkMapMemory2", result="VK_ERROR_DEVICE_LOST"), "lost", {"VK_ERROR_DEVICE_LOST": 1}),
        (Unsupported("no free address range"), "unsupported", {}),
    ],
)  # fmt: skip
def test_a_refusal_is_a_row(error, status, errors):
    driver = FakeDriver(error)
    (row,) = runner_of(driver, slots=[FakeSlot() for _ in range(3)]).measure((V1,)).rows
    assert (row.status, row.errors) == (status, errors)
    assert driver.closed == 0


NO_MEMORY = CallFailed("failed", call="vkAllocateMemory", result="VK_ERROR_OUT_OF_DEVICE_MEMORY")


@pytest.mark.parametrize(
    ("fitted", "pairs", "status"),
    [(False, 0, "out-of-memory"), (True, 0, "not-run"), (False, 1000, "failed"), (True, 1000, "failed")],
)
def test_memory_that_runs_out(fitted, pairs, status):
    """Nobody asked for a size that was only to fit; what was there once, and is not any more, was lost."""
    runner = runner_of(FakeDriver(NO_MEMORY), slots=[FakeSlot(pairs) for _ in range(3)])
    (row,) = runner.measure((replace(V1, fitted=fitted),)).rows
    assert row.status == status
    assert "VK_ERROR_OUT_OF_DEVICE_MEMORY in vkAllocateMemory" in row.reason


def test_a_restart_that_dies_has_crashed():
    """The process before has died, and the next one does not get as far as the devices."""
    died = DriverDied("the driver hung while its devices were listed: no progress for 30 s in vkCreateInstance")
    died.kind, died.how, died.call = "hung", "no progress for 30 s", "vkCreateInstance"

    def start(heartbeat, on_tick):
        raise died

    runner = Runner(start, [FakeSlot()])
    (row,) = runner.measure((V1,)).rows
    assert (row.status, row.reason) == ("hung", "no progress for 30 s in vkCreateInstance")


def test_a_mistake_of_ours_is_no_failure_of_the_driver():
    mistake = VkmapError("internal error: KeyError: 'x' (measuring.py:1)")
    driver = FakeDriver(mistake)
    with pytest.raises(VkmapError) as caught:
        runner_of(driver).measure((V1,))
    assert caught.value is mistake
    assert driver.closed == 0


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 5.0),
        ({"rate": 0.02}, 55.0),
        ({"gap_seconds": 7.0}, 12.0),
        ({"scripted": (Repeat(steps=(Pause(duration="9s"),), times=3), Pause(duration="2s"))}, 14.0),
    ],
)
def test_what_is_waited_for_by_plan_is_no_silence(changes, seconds):
    asked = []

    class Asked(FakeDriver):
        def ask(self, request, *, timeout=None):
            asked.append(timeout)
            return super().ask(request, timeout=timeout)

    driver = Asked(Measured((None,)), Measured((None,)))
    runner = Runner(lambda *_: (driver, DESCRIBED), [FakeSlot(10)], timeout=5.0)
    runner.measure((a_job(**changes),))
    assert asked == [pytest.approx(seconds)]


def test_a_leak_fails_only_what_was_well_so_far():
    failed = Cause("moved", call="vkMapMemory2")
    leaking = Round((40.0, None), 7, 10, {"rss_bytes": 1, "mappings": 1, "files": 1}, "mappings grew")
    v1, core = runner_of(FakeDriver(leaking, Measured((None, failed)))).measure((V1, CORE)).rows
    assert (v1.status, v1.reason) == ("failed", "leak: mappings grew")
    assert core.cause == failed


def test_rounds_with_usage_are_told():
    told = []

    class Noted(Watcher):
        def round(self, group, slots, reply):
            told.append((group[0].job, reply.number))

    usage = {"rss_bytes": 1, "mappings": 1, "files": 1}
    driver = FakeDriver(Round((1.0,)), Round((1.0,), 2, 3, usage), Measured((None,)))
    runner_of(driver, watcher=Noted()).measure((V1,))
    assert told == [("v1", 2)]


def test_a_message_of_the_validation_layer_fails_the_row():
    found = runner_of(FakeDriver(Measured((None,), (), ("VUID-x: wrong",)))).measure((V1,))
    assert (found.rows[0].status, found.rows[0].reason) == ("failed", "VUID-x: wrong")
    assert "validation" in {note.code for note in found.notes}


def test_the_end_tells_what_shows_only_there():
    status, (note,) = runner_of(FakeDriver()).end()
    assert (status, note.message) == ("ok", "VUID-1: late")
    died = Died("crashed", "killed by SIGABRT", "", "vkDestroyDevice")
    status, (note,) = runner_of(FakeDriver(at_end=died)).end()
    assert status == "crashed"
    assert (note.code, note.message) == (
        DIED_AT_END,
        "the driver crashed when it was to end: killed by SIGABRT in vkDestroyDevice",
    )


def test_calibrating_gives_the_floor():
    runner = runner_of(FakeDriver())
    floor = runner.calibrate()
    assert (floor.timer, floor.timer_ns, floor.call_ns) == ("tsc", 20.0, 35.0)


def test_sharers_measure_each_group_together_as_far_as_all_live():
    first = FakeDriver(Measured((None,)), Measured((None,)))
    second = FakeDriver(Measured((None,)), Died("crashed", "killed by SIGSEGV", ""))
    runners = [Runner(lambda *_, d=driver: (d, DESCRIBED), [FakeSlot(10)]) for driver in (first, second)]
    groups = share(runners, [[(V1,), (CORE,), (CORE,)], [(V1,), (CORE,)]])
    assert [row.status for group in groups for row in group.rows] == ["ok", "ok", "ok", "crashed"]

"""The clocks: right, not fast."""

import os
import time

import pytest
from driving import PLAIN_PAIR, Memory, a_program, one_thread
from vkmapctl._loop import lib

from vkmapctl.figures import stats
from vkmapctl.native import PAGE, Clock, Pass

WINDOW_NS = 50_000_000


@pytest.fixture(scope="module", params=[False, True], ids=["fallback", "counter"])
def clock(request):
    return Clock(request.param)


def at_the_same_time(clock):
    """The clock and time.monotonic_ns: the tightest of some readings, since a busy machine may come between."""
    readings = []
    for _ in range(50):
        before = time.monotonic_ns()
        ns = clock.ns()
        readings.append((time.monotonic_ns() - before, before, ns))
    return min(readings)[1:]


def test_it_never_goes_back(clock):
    reads = [clock.ns() for _ in range(20_000)]
    assert reads == sorted(reads)


def test_it_agrees_with_the_system_within_a_percent(clock):
    system, ours = at_the_same_time(clock)
    while time.monotonic_ns() < system + WINDOW_NS:
        pass
    system_end, ours_end = at_the_same_time(clock)
    assert (ours_end - ours) / (system_end - system) == pytest.approx(1, rel=0.01)


def test_its_floor_is_a_distribution_of_all_reads(clock):
    floor = clock.floor(5000)
    assert floor.count == 5000
    assert sum(n for _, n in floor.bins) + floor.overflow == 5000
    assert 0 <= floor.min_ns <= floor.max_ns
    assert floor.overflow == 0


def test_the_fallback_needs_no_counter():
    assert Clock(False).name == "clock_gettime"
    assert Clock(True).name in Clock.NAMES


def test_the_counter_is_that_of_the_machine():
    known = {"x86_64": "tsc", "aarch64": "generic timer"}
    assert Clock(True).name in ("clock_gettime", known.get(os.uname().machine))


@pytest.mark.parametrize(
    ("hz", "stated", "agree"),
    [
        (62_500_000, 62_500_000, True),
        (24_000_000, 24_009_000, True),
        (24_000_000, 24_100_000, False),
        (1_000_000_000, 62_500_000, False),
        (25_000_000, 0, False),
    ],
    ids=["right", "NTP", "a little off", "another counter's", "not stated"],
)
def test_a_counter_must_run_as_fast_as_the_machine_states(hz, stated, agree):
    """CNTFRQ_EL0 of arm64 is what firmware has written into it."""
    assert bool(lib.vkm_rates_agree(1e9 / hz, stated)) is agree


@pytest.mark.parametrize("step", [52, 1000, 1_000_000])
def test_a_coarse_clock_is_seen_to_be_one(step):
    """As arm64's generic timer of 19 MHz is, and an emulated one."""
    clock = Clock(False)
    clock.raw.kind = step
    assert clock.step() == step
    assert clock.ns() % step == 0


def test_a_fine_clock_is_new_at_each_reading():
    assert Clock(True).step() <= (20 if os.uname().machine == "x86_64" else 1000)  # arm64's has 1 MHz and more


@pytest.mark.parametrize("step", [52, 1000])
def test_a_median_that_a_coarse_clock_cannot_tell_is_marked(step):
    clock, results = Clock(False), one_thread()
    clock.raw.kind = step
    a_program(Memory(PAGE), PLAIN_PAIR).run(clock, results, 0, Pass.LATENCY, iterations=2000)
    calls = results.histogram("map")
    floor = stats.floor_of(calls, stats.timer_step(clock.floor(), clock.step()))
    assert stats.percentile(calls, 0.5) in (0, step)
    assert stats.latency(calls, floor).at_floor
    assert floor > step / 2

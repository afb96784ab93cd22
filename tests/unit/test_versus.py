"""Two sides in turns: ratios and intervals, the order of the rounds, and what becomes of a side that ends early."""

import random

import pytest
from builders import a_histogram, a_job, a_row
from msgspec.structs import replace

from vkmapctl.driver.messages import Described, Go, Measure, Measured, Round
from vkmapctl.driver.protocol import Died, Interrupted
from vkmapctl.errors import Unsupported
from vkmapctl.figures import pooling, stats
from vkmapctl.figures.versus import Side, pooled, verdict, versus
from vkmapctl.model.base import Note
from vkmapctl.model.measured import Counted, FirstTouch, Histogram, Touched, Versus
from vkmapctl.model.workload import Plan
from vkmapctl.runner import Runner
from vkmapctl.versus import beside, changed, measure, shown

UNTIMED = Histogram(0, 0, 0, 0, 0, ())
JOB = a_job()


def counted(*bins) -> Counted:
    nothing = Touched()
    calls = {"map": a_histogram(*bins) if bins else UNTIMED}
    return Counted(1000, 35_000, 35_000, calls, UNTIMED, nothing, nothing, FirstTouch(), 0, 0, 0, 0, 0)


# --- ratios -----------------------------------------------------------------------------------------


def test_rounds_stand_beside_each_other():
    here, there = Side([10.0, None, 20.0, 10.0], []), Side([11.0, 5.0, 22.0], [])
    assert versus(here, there).rounds == {"ns_per_pair": pytest.approx((1.1, 1.1))}
    assert versus(here, there).ratio is None, "two rounds have no interval"


def test_the_p50_is_that_of_what_was_counted_meanwhile():
    here = [counted((100, 10)), counted((100, 10), (200, 30)), counted((100, 50), (200, 30))]
    there = [counted((110, 10)), counted((110, 10), (240, 30)), counted((110, 50), (240, 30))]
    found = versus(Side([], here), Side([], there)).rounds["map.p50"]
    assert found == pytest.approx((1.1, 1.2, 1.1), rel=0.01)


def test_the_ratio_of_a_row_that_waits_is_that_of_its_first_call():
    one = Versus({"map.p50": (1.1, 1.0, 1.2), "unmap.p50": (1.5, 1.4, 1.6)})
    assert one.ratio == (1.1, 1.0, 1.2)
    assert Versus().ratio is None


@pytest.mark.parametrize("disturbed", [0.0, 0.2, 0.6])
def test_the_interval_of_rounds_holds_the_truth_in_95_of_100(disturbed):
    """Drift that both sides share, and rounds of either that lasted up to five times as long."""
    generator, hits = random.Random(4), 0

    def side(level, drift):
        return [
            level
            * one
            * generator.lognormvariate(0, 0.05)
            * (generator.uniform(1, 5) if generator.random() < disturbed else 1)
            for one in drift
        ]

    for _ in range(200):
        drift = [generator.lognormvariate(0, 0.3) for _ in range(400)]
        _, low, high = versus(Side(side(10.0, drift), []), Side(side(11.0, drift), [])).ratio
        hits += low <= 1.1 <= high
    assert hits / 200 > 0.9


def test_processes_are_the_level_of_the_interval_where_there_are_several():
    """Each pair of processes is off by its own share, which its rounds do not show."""
    generator, hits = random.Random(5), 0
    for _ in range(300):
        parts = []
        for _ in range(4):
            level = 1.1 * generator.lognormvariate(0, 0.05)
            rounds = [level * generator.lognormvariate(0, 0.001) for _ in range(20)]
            parts.append(versus(Side([1.0] * 20, []), Side(rounds, [])))
        whole = pooled(parts)
        assert (len(whole.processes), len(whole.rounds["ns_per_pair"])) == (4, 80)
        _, low, high = whole.ratio
        hits += low <= 1.1 <= high
    assert hits / 300 > 0.91


def test_rows_of_several_processes_keep_each_pair():
    one, other = (a_row(versus=versus(Side([1.0] * 9, []), Side([ratio] * 9, []))) for ratio in (1.1, 1.2))
    row = pooling.pooled([one, other])
    assert [pair["ns_per_pair"] for pair in row.versus.processes] == [1.1, 1.2]
    assert pooling.pooled([row, one]).versus.ratio[1] < 1.1


@pytest.mark.parametrize(
    ("ratio", "word"),
    [
        ((1.10, 1.07, 1.12), "slower"),
        ((0.90, 0.88, 0.93), "faster"),
        ((1.01, 0.99, 1.03), "the same"),
        ((1.015, 1.012, 1.018), "the same"),
        ((1.01, 0.80, 1.30), "cannot tell"),
        ((1.08, 1.01, 1.15), "cannot tell"),
    ],
)
def test_verdicts(ratio, word):
    assert verdict(ratio) == word


def test_intervals_of_many_values_are_those_of_few():
    generator = random.Random(6)
    values = [generator.lognormvariate(0, 0.1) for _ in range(100)]
    exact = stats.ratio_interval(values, [1.0] * 100)
    more = stats.ratio_interval(values * 20, [1.0] * 2000)
    assert exact[1] < more[1] < more[0] == exact[0] < more[2] < exact[2]


# --- turns ------------------------------------------------------------------------------------------


class Slot:
    def __init__(self):
        self.at = None

    def clear(self):
        """Nothing to clear."""

    def stop(self):
        """Nothing runs."""

    def heartbeat(self):
        return 0

    def place(self):
        return self.at

    def counted(self):
        return counted((100, 1000))


class Driver:
    """Writes down what it is asked, and answers with so many rounds; an exception among them is raised."""

    def __init__(self, name, log, *rounds):
        self.name, self.log, self.rounds, self.closed = name, log, [*rounds], False
        self.count = len(rounds)

    def describe(self):
        return Described("1.4.309", (), (), ())

    def ask(self, request, *, timeout=None):
        assert isinstance(request, Measure | Go)
        assert not isinstance(request, Measure) or request.in_turns
        while self.rounds:
            one = self.rounds.pop(0)
            self.log.append(self.name)
            if isinstance(one, BaseException):
                raise one
            yield Round((one,), self.count - len(self.rounds), self.count)
        yield Measured((None,), (Note("odd", "a note"),))

    def close(self, grace=2.0):
        self.closed = True


def runner(driver):
    one = Runner(lambda heartbeat, on_tick: (driver, driver.describe()), [Slot() for _ in range(3)])
    one.start()
    return one


def measured(here, there):
    return measure((runner(here), (JOB,)), (runner(there), (JOB,)))


def test_rounds_go_to_and_fro():
    log = []
    found = measured(Driver("A", log, *[10.0] * 4), Driver("B", log, *[11.0] * 4))
    assert "".join(log) == "ABBAABBA"
    (row,) = found.rows
    assert (row.status, row.rounds_ns_per_pair) == ("ok", (10.0,) * 4)
    assert row.versus.rounds["ns_per_pair"] == pytest.approx((1.1,) * 4)
    assert [note.message for note in found.notes if note.code == "odd"] == ["a note", "the other side: a note"]


def test_histograms_are_looked_at_now_and_then():
    found = measured(Driver("A", [], *[10.0] * 30), Driver("B", [], *[10.0] * 30))
    assert len(found.rows[0].versus.rounds["map.p50"]) == 1, "nothing was counted after the first look"


def test_a_side_that_has_fewer_rounds_lets_the_other_go_on():
    log = []
    found = measured(Driver("A", log, *[10.0] * 4), Driver("B", log, 11.0))
    assert log.count("A") == 4
    assert found.rows[0].versus.rounds["ns_per_pair"] == pytest.approx((1.1,))


@pytest.mark.parametrize(
    ("side", "reason"),
    [(0, "killed by SIGSEGV in vkFreeMemory"), (1, "the other side: killed by SIGSEGV in vkFreeMemory")],
)
def test_a_crash_on_either_side_is_the_row_s(side, reason):
    died = Died("crashed", "killed by SIGSEGV", "", "vkFreeMemory")
    drivers = [Driver("A", [], *[10.0] * 8), Driver("B", [], *[11.0] * 8)]
    drivers[side].rounds[5] = died
    (row,) = measured(*drivers).rows
    assert (row.status, row.reason) == ("crashed", reason)
    assert len(row.versus.rounds["ns_per_pair"]) == 5
    assert drivers[side].closed
    assert not drivers[1 - side].closed


@pytest.mark.parametrize("side", [0, 1])
def test_an_interrupt_on_either_side_keeps_what_there_is(side):
    drivers = [Driver("A", [], *[10.0] * 8), Driver("B", [], *[11.0] * 8)]
    drivers[side].rounds[3] = Interrupted()
    found = measured(*drivers)
    assert found.interrupted
    assert found.rows[0].status == "interrupted"
    assert len(found.rows[0].versus.rounds["ns_per_pair"]) == 3
    assert all(driver.closed for driver in drivers)


def test_an_interrupt_before_the_other_side_has_begun():
    drivers = [Driver("A", [], Interrupted()), Driver("B", [], 11.0)]
    found = measured(*drivers)
    assert (found.interrupted, found.rows[0].status, drivers[1].closed) == (True, "interrupted", True)


# --- the other side's plan and environment ----------------------------------------------------------


def test_the_other_side_s_jobs_are_its_own_devices():
    its = replace(JOB, device=2, memory_type=5, memory_flags=("Vi",), api="v1", job="else")
    jobs, notes = beside(Plan(((JOB,),)), Plan(((its,),)))
    assert jobs == {JOB.job: replace(its, job=JOB.job)}
    assert [note.message for note in notes] == [
        "64 KiB: the api is core here and v1 on the other side",
        "64 KiB: the memory is De Vi Co Ca here and Vi on the other side",
    ]


def test_another_question_is_refused():
    with pytest.raises(Unsupported, match="the other side would measure 8 KiB and not 64 KiB"):
        beside(Plan(((JOB,),)), Plan(((replace(JOB, allocation_size=8192),),)))
    with pytest.raises(Unsupported, match="other rows: 1 and not 2"):
        beside(Plan(((JOB, JOB),)), Plan(((JOB,),)))


def test_an_environment_is_back_as_it_was(monkeypatch):
    import os

    monkeypatch.setenv("VKMAPCTL_A", "1")
    with changed({"VKMAPCTL_A": None, "VKMAPCTL_B": "2"}):
        assert ("VKMAPCTL_A" in os.environ, os.environ["VKMAPCTL_B"]) == (False, "2")
        os.environ["VKMAPCTL_C"] = "chosen by the loader's parent"
    assert (os.environ["VKMAPCTL_A"], "VKMAPCTL_B" in os.environ, "VKMAPCTL_C" in os.environ) == ("1", False, False)
    assert shown({"A": None, "B": "2"}) == ("A=", "B=2")

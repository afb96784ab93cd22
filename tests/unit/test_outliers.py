"""Which GPU of many is odd: fleets that are made up from a seed, in which it is known."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vkmapctl.figures import levels
from vkmapctl.figures.fleet_scores import Family, Measured
from vkmapctl.figures.outliers import families, histories, judge
from vkmapctl.model.fleet import Observation
from vkmapctl.model.outliers import Kind

KIND = Kind("GPU", "CPU", "workload", "driver 1", "kernel")
ROWS = 12


class Fleet:
    """Hosts of GPUs that differ for good: GPUs by 0.3 %, hosts by 0.5 %, and rows by 1 % from run to run.

    So quiet that 3 % are never chance; how often chance is taken for a fault, benchmarks/fleet_outliers.py shows.
    """

    def __init__(self, hosts=20, a_host=8, seed=1):
        self.draw = random.Random(seed)
        self.gpus = {
            (f"host{h:03}", f"gpu{g}"): level + self.draw.gauss(0, 0.003)
            for h in range(hosts)
            for level in [self.draw.gauss(0, 0.005)]
            for g in range(a_host)
        }

    def run(self, slow=(), row=None, only=None, kind=KIND, all_by=0.0):
        """slow: GPU, or host, to how much slower; row: the one row that this is so in."""
        slow = {key: math.log1p(by) for key, by in dict(slow).items()}
        found = []
        for (host, gpu), level in self.gpus.items():
            by = slow.get((host, gpu), 0.0) + slow.get(host, 0.0)
            logs = [level + all_by + self.draw.gauss(0, 0.01) + (by if row in (None, i) else 0) for i in range(ROWS)]
            if only is None or host in only:
                found.append(Measured(host, gpu, kind, logs))
        return found


def judged(*runs, history=5):
    """runs: newest first."""
    names = [f"run{len(runs) - i}" for i in range(len(runs))]
    return judge([Family([f"row{i}" for i in range(ROWS)], [*zip(names, runs, strict=True)])], history)


def told(found, *but):
    return {(one.verdict, one.against, one.host, one.gpu) for one in found.found if one.against not in but}


SLOW = {("host003", "gpu5"): 0.15}


def test_a_slow_gpu_is_to_be_run_again_and_suspect_once_a_second_run_agrees():
    fleet = Fleet()
    first, second = fleet.run(SLOW), fleet.run(SLOW)
    assert told(judged(first)) == {("run-again", "peers", "host003", "gpu5")}
    assert judged(first).exit_code == 0
    twice = judged(second, first)
    assert told(twice) == {("suspect", "peers", "host003", "gpu5")}
    (one,) = twice.found
    assert one.shift == pytest.approx(0.15, abs=0.05)
    assert one.slower
    assert one.runs == ("run2", "run1")
    assert twice.exit_code == 5


def test_what_the_second_run_does_not_find_is_cleared():
    fleet = Fleet()
    first, second = fleet.run(SLOW), fleet.run()
    assert told(judged(second, first)) == {("cleared", "peers", "host003", "gpu5")}
    assert judged(second, first).exit_code == 0


def test_a_second_run_of_one_host_is_held_against_the_peers_of_the_first():
    """Eight GPUs would be peers enough for a verdict of their own, which must not be taken."""
    fleet = Fleet()
    first, again = fleet.run(SLOW), fleet.run(SLOW, only={"host003"})
    found = judged(again, first)
    assert told(found) == {("suspect", "peers", "host003", "gpu5")}
    assert found.groups[0].run == "run1"
    assert found.groups[0].gpus == 160
    well_again = fleet.run(only={"host003"})
    assert told(judged(well_again, first)) == {("cleared", "peers", "host003", "gpu5")}


def test_a_slow_host_is_no_fault_of_its_gpus():
    fleet = Fleet()
    slow = {"host007": 0.3}
    assert told(judged(fleet.run(slow), fleet.run(slow))) == {("suspect", "hosts", "host007", "")}


def test_a_slow_gpu_is_found_on_a_slow_host():
    fleet = Fleet()
    slow = {"host003": 0.3} | SLOW
    assert told(judged(fleet.run(slow), fleet.run(slow))) == {
        ("suspect", "hosts", "host003", ""),
        ("suspect", "peers", "host003", "gpu5"),
    }


def test_a_faster_gpu_is_told_and_fails_nothing():
    fleet = Fleet()
    fast = {("host003", "gpu5"): -0.15}
    found = judged(fleet.run(fast), fleet.run(fast))
    assert told(found) == {("suspect", "peers", "host003", "gpu5")}
    assert not found.found[0].slower
    assert found.exit_code == 0
    assert found.groups[0].by_gpu.faster == 1


def test_of_two_gpus_on_a_host_the_one_that_is_unlike_the_peers_is_blamed():
    fleet = Fleet(hosts=40, a_host=2)
    slow = {("host003", "gpu1"): 0.3}
    assert told(judged(fleet.run(slow), fleet.run(slow))) == {("suspect", "peers", "host003", "gpu1")}


def test_three_on_a_host_with_a_slow_one_leave_the_others_alone():
    fleet = Fleet(hosts=40, a_host=3)
    slow = {("host003", "gpu1"): 0.5}
    assert told(judged(fleet.run(slow), fleet.run(slow))) == {("suspect", "peers", "host003", "gpu1")}


def test_with_one_gpu_a_host_the_two_cannot_be_told_apart_and_that_is_said():
    fleet = Fleet(hosts=40, a_host=1)
    slow = {("host003", "gpu0"): 0.3}
    found = judged(fleet.run(slow), fleet.run(slow))
    (one,) = found.found
    assert (one.verdict, one.against, one.host, one.gpu, one.alone) == ("suspect", "hosts", "host003", "", True)
    assert found.groups[0].by_gpu is None
    assert found.groups[0].by_host.count == 40


def test_a_slow_row_is_weaker_evidence_and_needs_the_same_row_twice():
    fleet = Fleet()
    first, second, other = (fleet.run(SLOW, row=row) for row in (3, 3, 4))
    assert judged(other, first).found == ()
    found = judged(second, first)
    (one,) = found.found
    assert (one.against, one.row, one.gpu) == ("siblings", "row3", "gpu5")
    assert found.exit_code == 0, "weaker evidence fails nothing"


def test_below_eight_peers_there_is_no_verdict():
    fleet = Fleet(hosts=1, a_host=7)
    found = judged(fleet.run({("host000", "gpu1"): 3.0}), fleet.run({("host000", "gpu1"): 3.0}))
    assert found.found == ()
    assert "below 8 there is no verdict" in found.groups[0].reason
    lonely = [*Fleet(hosts=5, a_host=1).run(), *(one._replace(host="host9") for one in Fleet(hosts=1, a_host=4).run())]
    assert "there is no verdict" in judged(lonely).groups[0].reason


def test_peers_share_driver_and_kernel():
    """An update under way: the half that has it is slower, and nobody is to blame."""
    fleet = Fleet()
    new = Kind("GPU", "CPU", "workload", "driver 2", "kernel")
    half = {host for host, _ in list(fleet.gpus)[:80]}

    def run():
        updated = fleet.run(only=half, kind=new, all_by=0.3)
        return updated + [one for one in fleet.run() if one.host not in half]

    found = judged(run(), run())
    assert found.found == ()
    assert [(group.kind.driver, group.gpus) for group in found.groups] == [("driver 1", 80), ("driver 2", 80)]


def test_a_gpu_that_is_slower_than_it_was_is_found_though_it_is_like_its_peers():
    fleet = Fleet(hosts=40)
    fleet.gpus["host003", "gpu5"] -= 0.02
    slow = {("host003", "gpu5"): 0.04}
    earlier = [fleet.run() for _ in range(5)]
    found = judged(fleet.run(slow), fleet.run(slow), *earlier)
    assert told(found) == {("suspect", "itself", "host003", "gpu5")}
    assert told(judged(fleet.run(slow), *earlier)) == {("run-again", "itself", "host003", "gpu5")}
    assert judged(fleet.run(slow), fleet.run(slow), *earlier[:2]).drifts == (), "too few to say what it was"


def test_a_shift_that_all_share_is_told_and_is_nobodys_fault():
    fleet = Fleet()
    new = Kind("GPU", "CPU", "workload", "driver 2", "kernel")
    newest = [fleet.run(SLOW, kind=new, all_by=0.2) for _ in range(2)]
    found = judged(*newest, *[fleet.run() for _ in range(5)])
    (drift,) = found.drifts
    assert drift.shared == pytest.approx(math.expm1(0.2), abs=0.02)
    assert (drift.was.driver, drift.kind.driver, drift.runs) == ("driver 1", "driver 2", 5)
    assert told(found, "itself") == {("suspect", "peers", "host003", "gpu5")}
    assert told(found, "peers") == {("suspect", "itself", "host003", "gpu5")}


def test_a_host_that_is_slower_than_it_was():
    fleet = Fleet()
    slow = {"host007": 0.12}
    found = judged(fleet.run(slow), fleet.run(slow), *[fleet.run() for _ in range(5)])
    assert ("suspect", "host-itself", "host007", "") in told(found)
    assert not any(one.gpu for one in found.found)


def test_a_fleet_without_a_fault_has_no_suspect():
    for seed in range(5):
        fleet = Fleet(hosts=60, seed=seed)
        found = judged(*(fleet.run() for _ in range(7)))
        assert [one for one in found.found if one.verdict == "suspect"] == []


def test_what_it_says_it_could_have_seen_it_sees():
    """On 20 GPUs that are slower by a little more, all but one or two."""
    fleet = Fleet(hosts=150)
    smallest = judged(fleet.run()).groups[0].by_gpu.smallest
    slow = {(f"host{i:03}", "gpu2"): smallest + 0.003 for i in range(20)}
    found = judged(fleet.run(slow), fleet.run(slow))
    suspects = {(one.host, one.gpu) for one in found.found if one.verdict == "suspect"}
    assert suspects <= slow.keys()
    assert len(suspects) >= 18
    assert judged(fleet.run(slow), fleet.run(slow)).groups[0].by_gpu.smallest < 0.05


def test_figures_that_agree_to_the_last_digit_are_not_all_odd():
    """As of a clock with steps: half of the GPUs have no spread at all."""
    members = [Measured(f"host{i // 8}", f"gpu{i}", KIND, [5.0 + 0.0001 * (i % 3)] * ROWS) for i in range(80)]
    assert judged(members, members).found == ()


def test_gaps_count_for_nothing_and_who_lacks_half_is_not_judged():
    fleet = Fleet()
    full = fleet.run(SLOW)
    gaps = [
        one._replace(logs=[math.nan if i % 5 == n % 5 else log for i, log in enumerate(one.logs)])
        for n, one in enumerate(full)
    ]
    gaps[0] = gaps[0]._replace(logs=[9.0, *[math.nan] * (ROWS - 1)])
    found = judged(gaps, gaps)
    assert told(found, "siblings") == {("suspect", "peers", "host003", "gpu5")}
    assert found.groups[0].thin == 1


def test_the_order_of_what_comes_in_changes_nothing():
    fleet = Fleet()
    first, second = fleet.run(SLOW), fleet.run(SLOW)
    found = judged(second, first)
    for run in (first, second):
        random.Random(3).shuffle(run)
    assert judged(second, first) == found


def test_a_history_is_what_a_gpu_was_beside_its_peers_of_today():
    fleet = Fleet()
    runs = [("c", fleet.run(SLOW)), ("b", fleet.run()), ("a", fleet.run())]
    found = histories([Family(["row"] * ROWS, runs)], most=2)
    assert len(found) == 160
    ((before, was), (now, is_)) = found["host003", "gpu5"]
    assert (before, now) == ("b", "c")
    assert abs(was) < 0.03
    assert is_ == pytest.approx(0.15, abs=0.03)


def observed(run, host, gpu, metric, value, **changes):
    facts = {"slot": 0, "model": "GPU", "driver": "d", "kernel": "k", "cpu": "C", "workload": "w", "row": "r"}
    return Observation(run=run, host=host, gpu=gpu, metric=metric, value=value, **facts | changes)


def test_observations_become_families_with_rates_upside_down():
    given = [
        observed("b", "h1", "g", "map.p50", 100.0),
        observed("b", "h1", "g", "read", 1e9),
        observed("a", "h1", "g", "map.p50", 90.0),
        observed("b", "h1", "g", "ns_per_pair", 0.0),
        observed("c", "h1", "g", "map.p50", 90.0),
        observed("b", "h2", "g", "map.p50", 90.0, model="another"),
    ]
    ours, another = families(given, ["b", "a"])
    assert ours.rows == ["r map.p50", "r read"]
    assert [run for run, _ in ours.runs] == ["b", "a"]
    ((_, (newest,)), (_, (older,))) = ours.runs
    assert list(newest.logs) == [math.log(100), -math.log(1e9)]
    assert older.logs[0] == math.log(90)
    assert math.isnan(older.logs[1])
    assert newest.kind == Kind("GPU", "C", "w", "d", "k")
    assert another.rows == ["r map.p50"]


numbers = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=12)


@given(numbers)
def test_the_median_of_the_others_is_that(values):
    expected = [levels.median(values[:i] + values[i + 1 :]) for i in range(len(values))]
    assert levels.others_medians(values) == expected


@given(st.integers(8, 200_000))
def test_the_bar_is_no_lower_than_the_quantile(count):
    assert 3.46 <= levels.bar(count) <= 5.1
    assert levels.bar(count) >= levels._NORMAL.inv_cdf(1 - 0.05 / count) - 1e-9


def test_the_bar_of_few_is_the_one_that_their_own_spread_demands():
    """The share of groups of normal values in which any is beyond it, on either side: 1 in 10."""
    draw = random.Random(5)
    for count in (8, 20, 100):
        beyond = 0
        for _ in range(2000):
            values = [draw.gauss(0, 1) for _ in range(count)]
            level = levels.Level.of(values, 0.0)
            beyond += any(level.side(value, value) for value in values)
        assert 0.06 <= beyond / 2000 <= 0.14, count

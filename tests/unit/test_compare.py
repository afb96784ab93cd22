"""Comparing runs: matching, intervals, verdicts, and what may not be compared."""

import random

import pytest
from builders import a_device, a_floor, a_gpu, a_latency, a_row, a_run
from msgspec.structs import replace

from vkmapctl.commands.comparing import compared, pooled
from vkmapctl.errors import UsageProblem
from vkmapctl.figures.compare import (
    Limits,
    compare,
    devices_side_by_side,
    differences,
    pooled_run,
    quantile_interval,
)
from vkmapctl.model.base import Note
from vkmapctl.model.measured import Bins, TouchRate

LIMITS = Limits()


def latency(middle, *, count=10_000, tail=None, spread=0.02):
    """Samples around a middle in ns, with 2 % of them at the tail."""
    tail = tail or middle * 2
    bins = [(int(middle * (1 - spread)), count * 30 // 100), (int(middle), count * 40 // 100)]
    bins += [(int(middle * (1 + spread)) + 1, count * 28 // 100), (int(tail), count * 2 // 100)]
    return a_latency(
        count=count, p50_ns=float(middle), p99_ns=float(tail), p999_ns=float(tail), max_ns=int(tail),
        histogram=Bins(tuple(bins), 0),
    )  # fmt: skip


def row(middle=1000, *, rounds=(100.0,) * 10, **changes):
    base = {"map": latency(middle), "unmap": latency(1000), "rounds_ns_per_pair": rounds, "ns_per_pair": rounds[0]}
    return a_row(**base | changes)


def verdict(before, after, limits=LIMITS):
    (pair,) = compare(("a", a_run(before)), ("b", a_run(after)), limits).pairs
    return pair.verdict


def delta(before, after, metric):
    (pair,) = compare(("a", a_run(before)), ("b", a_run(after)), LIMITS).pairs
    return next(one for one in pair.deltas if one.metric == metric)


def test_the_same_run_is_the_same() -> None:
    (pair,) = compare(("a", a_run(row())), ("b", a_run(row())), LIMITS).pairs
    assert pair.verdict == "same"
    assert {one.change for one in pair.deltas} == {0.0}


@pytest.mark.parametrize(("after", "expected"), [(1050, "same"), (1300, "slower"), (700, "faster")])
def test_medians(after, expected) -> None:
    assert verdict(row(), row(after, map=latency(after, tail=2000))) == expected


def test_a_change_has_an_interval_around_it() -> None:
    found = delta(row(), row(1300), "map.p50")
    assert found.change == pytest.approx(0.3)
    assert 0 < found.low < 0.3 < found.high


def test_a_disturbed_round_does_not_move_the_cost_of_a_pair() -> None:
    before, after = row(rounds=(*(100.0,) * 9, 5000.0), ns_per_pair=590.0), row(rounds=(100.0,) * 10)
    found = delta(before, after, "ns_per_pair")
    assert (found.base, found.new, found.verdict) == (100.0, 100.0, "same")


def test_no_interval_falls_below_minus_100_percent() -> None:
    wild = (60.0, 70.0, 90.0, 100.0, 110.0, 125.0, 150.0, 180.0, 200.0, 900.0)
    assert delta(row(9000, rounds=wild), row(300, rounds=wild), "map.p50").low > -1


def test_a_change_of_a_few_clock_steps_is_none() -> None:
    before, after = row(30, map=latency(30, tail=100)), row(45, map=latency(45, tail=100))
    assert verdict(before, after) == "same"
    assert verdict(before, after, Limits(absolute_ns=5)) == "slower"


def test_the_tail_has_its_own_tolerance() -> None:
    before, after = row(map=latency(1000, tail=2000)), row(map=latency(1000, tail=2400))
    judged = ("map.p99",)
    assert verdict(before, after, Limits(metrics=judged)) == "same"
    assert verdict(before, after, Limits(tail=0.1, metrics=judged)) == "unclear"


WILD = (60.0, 70.0, 90.0, 100.0, 110.0, 125.0, 150.0, 180.0, 200.0, 220.0)
UNEVEN = (100.0, 107.0, 94.0, 103.0, 97.0, 109.0, 92.0, 105.0, 99.0, 101.0)


def test_a_run_is_no_steadier_than_its_rounds() -> None:
    assert verdict(row(), row(rounds=(130.0,) * 10)) == "slower"
    assert verdict(row(), row(rounds=tuple(1.3 * one for one in UNEVEN))) == "unclear"
    assert delta(row(rounds=UNEVEN), row(1300, rounds=UNEVEN), "map.p50").verdict == "unclear"
    assert delta(row(rounds=UNEVEN), row(9000, rounds=UNEVEN), "map.p50").verdict == "slower"


def test_rows_whose_rounds_drift_or_scatter_have_no_verdict() -> None:
    (pair,) = compare(("a", a_run(row())), ("b", a_run(row(9000, rounds=WILD))), LIMITS).pairs
    assert (pair.verdict, pair.reason) == ("unclear", "NEW: drift")
    assert {one.verdict for one in pair.deltas} <= {"same", "unclear"}


def test_a_busy_machine_tells_less_and_is_shown() -> None:
    busy = a_run(row(1300), warnings=(Note("busy-machine", "the load was 3.0 on 2 CPUs"), Note("few-samples", "few")))
    quiet = compare(("a", a_run(row())), ("b", replace(busy, warnings=())), LIMITS)
    loud = compare(("a", a_run(row())), ("b", busy), LIMITS)
    assert [one.pairs[0].verdict for one in (quiet, loud)] == ["slower", "unclear"]
    assert loud.warnings == (Note("busy-machine", "NEW: the load was 3.0 on 2 CPUs"),)


def test_on_a_busy_machine_the_runs_have_to_be_repeated_and_not_only_the_processes() -> None:
    """Five processes of one moment are alike, and those of the next are too."""
    busy = (Note("busy-machine", "busy"),)
    before, after = repeated(98.0, 99.0, 100.0, 101.0), repeated(128.0, 129.0, 130.0, 131.0)
    runs = [("a", a_run(before, warnings=busy)), ("b", a_run(after, warnings=busy))]
    assert compare(*runs, LIMITS).pairs[0].verdict == "unclear"
    assert compare(*runs, LIMITS, runs_each=4).pairs[0].verdict == "slower"


def test_what_a_file_found_counts_once() -> None:
    one = a_run(repeated(90.0, 110.0, 100.0))
    (found,) = pooled_run([one, one]).results
    assert [round(each.ns_per_pair, 2) for each in found.repeats] == [99.67, 99.67]
    assert pooled_run([one]) is one


def test_the_step_of_the_clock_is_in_the_interval() -> None:
    """p50 of 20 and of 30 ns by a clock of 10 ns: anything from 15 to 35."""
    coarse = a_floor(timer_step_ns=10.0)
    (pair,) = compare(
        ("a", a_run(row(20, map=latency(20, tail=60, spread=0)), floor=coarse)),
        ("b", a_run(row(20, map=latency(20, tail=60, spread=0)), floor=coarse)), LIMITS,
    ).pairs  # fmt: skip
    found = next(one for one in pair.deltas if one.metric == "map.p50")
    assert found.high > 0.35


def repeated(*values, middle=1000):
    """A row that a process measured for each value of ns per pair."""
    return pooled_run([a_run(row(middle, rounds=(value,) * 10)) for value in values]).results[0]


def test_repetitions_tell_what_one_run_each_cannot() -> None:
    before, after = (98.0, 101.0, 100.0, 99.0, 102.0), (113.0, 116.0, 115.0, 114.0, 117.0)
    assert verdict(row(rounds=(100.0,) * 10), row(rounds=(115.0,) * 10)) == "unclear"
    (pair,) = compare(("a", a_run(repeated(*before))), ("b", a_run(repeated(*after))), LIMITS).pairs
    assert (pair.verdict, pair.repeats) == ("slower", (5, 5))
    found = next(one for one in pair.deltas if one.metric == "ns_per_pair")
    assert found.low < 0.15 < found.high
    assert found.detectable < 0.04


def test_processes_that_differ_make_a_change_unclear() -> None:
    before, after = (80.0, 130.0, 100.0), (150.0, 95.0, 130.0)
    assert verdict(repeated(*before), repeated(*after)) == "unclear"


def test_one_run_beside_repetitions_is_judged_by_their_scatter() -> None:
    assert verdict(repeated(99.0, 100.0, 101.0), row(rounds=(120.0,) * 10)) == "slower"


@pytest.mark.parametrize("repeats", [(2, 2), (3, 3), (5, 5), (3, 1), (10, 4)])
@pytest.mark.parametrize("scatter", [0.01, 0.1, 0.3])
def test_intervals_hold_the_truth_in_95_of_100_whatever_processes_scatter(repeats, scatter) -> None:
    """Processes of a known scatter between them, and rounds of one within each."""
    generator, hits = random.Random(sum(repeats)), 0

    def processes(count, truth):
        found = []
        for _ in range(count):
            level = truth * generator.lognormvariate(0, scatter)
            found.append(level * generator.lognormvariate(0, 0.01))
        return repeated(*found)

    for _ in range(250):
        found = delta(processes(repeats[0], 100.0), processes(repeats[1], 120.0), "ns_per_pair")
        hits += found.low <= 0.2 <= found.high
    assert hits / 250 > 0.91  # 95 % less three standard deviations


@pytest.mark.parametrize(("scatter", "busy"), [(0.02, False), (0.06, False), (0.06, True), (0.3, True)])
def test_one_run_each_holds_the_truth_up_to_the_scatter_that_is_assumed(scatter, busy) -> None:
    generator, hits = random.Random(3), 0
    notes = (Note("busy-machine", "busy"),) * busy
    for _ in range(400):
        before, after = (row(rounds=(level * generator.lognormvariate(0, scatter),) * 10) for level in (100.0, 120.0))
        (pair,) = compare(("a", a_run(before, warnings=notes)), ("b", a_run(after)), LIMITS).pairs
        found = next(one for one in pair.deltas if one.metric == "ns_per_pair")
        hits += found.low <= 0.2 <= found.high
    assert hits / 400 > 0.93


def test_the_tail_judges_only_where_it_is_asked_to() -> None:
    before, after = row(map=latency(1000, tail=2000)), row(map=latency(1000, tail=4000))
    assert verdict(before, after) == "same"
    assert verdict(before, after, Limits(metrics=("map.p99",))) == "slower"
    assert verdict(row(), row(1400), Limits(metrics=("unmap.p50",))) == "same"


def test_bandwidth_is_better_when_higher() -> None:
    def touched(rate):
        return row(touch="write", touch_bytes_per_second=TouchRate(write=rate))

    assert delta(touched(1e9), touched(5e8), "write").verdict == "slower"
    assert delta(touched(1e9), touched(2e9), "write").verdict == "faster"


def test_rows_are_matched_by_parameters_not_by_order() -> None:
    small, large = row(allocation_size=4096, job="s"), row(2000, allocation_size=8192, job="l")
    found = compare(("a", a_run(small, large)), ("b", a_run(large, small)), LIMITS)
    assert [(pair.row.job, pair.verdict) for pair in found.pairs] == [("s", "same"), ("l", "same")]


def test_missing_added_and_failed_rows() -> None:
    gone, bad, new = row(live=2), row(), row(live=3, job="new")
    failed = replace(bad, status="failed", reason="byte 3 is wrong", map=None, unmap=None)
    found = compare(("a", a_run(bad, gone)), ("b", a_run(failed, new)), LIMITS)
    assert [pair.verdict for pair in found.pairs] == ["failed", "missing"]
    assert found.pairs[0].reason == "failed: byte 3 is wrong"
    assert found.added == ("new",)
    assert len(found.worse()) == 2


def test_what_was_unsupported_and_still_is_is_no_regression() -> None:
    one = row(status="unsupported", reason="no")
    assert verdict(one, one) == "same"
    assert verdict(one, row()) == "unclear"


@pytest.mark.parametrize("quantile", [0.5, 0.99])
def test_quantile_intervals_hold_the_truth_in_95_of_100(quantile) -> None:
    generator, hits = random.Random(1), 0
    for _ in range(400):
        samples = sorted(int(generator.expovariate(1 / 100_000)) >> 8 << 8 for _ in range(2000))
        counts = {}
        for sample in samples:
            counts[sample] = counts.get(sample, 0) + 1
        found = quantile_interval(
            a_latency(count=2000, max_ns=samples[-1], histogram=Bins(tuple(sorted(counts.items())), 0)), quantile
        )
        truth = {0.5: 69_314.7, 0.99: 460_517.0}[quantile]
        hits += found[0] - 1024 <= truth <= found[1] + 1024
    assert hits / 400 > 0.92


def test_too_few_samples_have_no_interval() -> None:
    assert quantile_interval(latency(100, count=50), 0.99) is None
    assert quantile_interval(None, 0.5) is None
    few = delta(row(rounds=(100.0,) * 3, ns_per_pair=100.0), row(rounds=(200.0,) * 3, ns_per_pair=200.0), "ns_per_pair")
    assert (few.low, few.verdict) == (None, "unclear")


@pytest.mark.parametrize(
    ("changes", "group", "name"),
    [
        ({"device": a_gpu(index=0)}, "device", "name"),
        ({"device": a_device(driver_name="lavapipe", driver_info="Mesa 26")}, "driver", "driver info"),
        ({"loader": "1.5"}, "driver", "loader"),
        ({"host": {"cpu_model": "Other", "kernel": "6.1.0-example"}}, "machine", "cpu_model"),
        ({"layers": ("VK_LAYER_other",)}, "layers", "layers"),
        ({"injected": "map-sleeps"}, "layers", "injected fault"),
    ],
)
def test_runs_that_were_not_measured_alike_are_refused_with_what_differs(changes, group, name) -> None:
    runs = [("a", a_run(row())), ("b", a_run(row(), **changes))]
    assert (group, name) in [(one.group, one.name) for one in differences(runs[0][1], runs[1][1])]
    with pytest.raises(UsageProblem, match="not measured alike") as caught:
        compared(runs, LIMITS, "fail", ())
    assert any(f"--allow {group}" in hint for hint in caught.value.hints)
    assert any(hint.startswith(f"{group} differs: {name}: ") for hint in caught.value.hints)
    assert compared(runs, LIMITS, "fail", ("all",)).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"duration_seconds": 9.0}, "64 MiB: duration_seconds: 2.0 and 9.0"),
        ({"seed": 2}, "64 MiB: seed: 1 and 2"),
        ({"script": "bbbb"}, "64 MiB: script: aaaa and bbbb"),
    ],
)
def test_a_row_that_was_measured_otherwise_is_refused_by_its_name(changes, told) -> None:
    asked = {"duration_seconds": 2.0, "seed": 1, "script": "aaaa"}
    runs = [("a", a_run(row(**asked))), ("b", a_run(row(**asked | changes)))]
    with pytest.raises(UsageProblem) as caught:
        compared(runs, LIMITS, "fail", ())
    assert f"settings differs: {told}" in caught.value.hints
    (pair,) = compared(runs, LIMITS, "fail", ("settings",)).comparisons[0].pairs
    assert pair.verdict == "same"


def test_what_an_older_file_does_not_tell_is_no_difference() -> None:
    assert (
        compared(
            [("a", a_run(row())), ("b", a_run(row(duration_seconds=None, seed=None)))], LIMITS, "fail", ()
        ).exit_code
        == 0
    )


def test_a_software_driver_s_update_is_no_other_device() -> None:
    other = a_device(device_uuid="00", driver_info="Mesa 26")
    assert {one.group for one in differences(a_run(), a_run(device=other))} == {"driver"}


@pytest.mark.parametrize(("gate", "code"), [("fail", 5), ("warn", 0)])
def test_the_gate(gate, code) -> None:
    runs = [("a", a_run(row())), ("b", a_run(row())), ("c", a_run(row(2000)))]
    assert compared(runs, LIMITS, gate, ()).exit_code == code
    assert compared(runs[:2], LIMITS, gate, ()).exit_code == 0


def test_several_devices_stand_side_by_side_and_match_across_memory_types() -> None:
    gpu = a_gpu(index=0, name="GPU")
    other = a_run(row(500, memory_type=3), device=gpu)
    table = devices_side_by_side([("a", a_run(row())), ("b", other)])
    ((first, second),) = [tuple(rows.values()) for rows in table.values()]
    assert (first.map.p50_ns, second.map.p50_ns) == (1000.0, 500.0)
    assert devices_side_by_side([("a", a_run(row())), ("b", a_run(row()))]) == {}
    (pair,) = compare(("a", a_run(row())), ("b", other), LIMITS).pairs
    assert pair.found


def test_another_build_of_the_same_driver_is_compared_and_told() -> None:
    build = a_device(driver_info="Mesa 26", driver_version="26.0.0", name="llvmpipe (LLVM 20)", device_uuid="00")
    found = compared([("a", a_run(row())), ("b", a_run(row(), device=build))], LIMITS, "fail", ())
    assert [one.name for one in found.comparisons[0].differences] == ["driver info", "driver version"]


def test_runs_of_one_side_are_pooled_only_if_they_are_of_one_build() -> None:
    build = a_device(driver_info="Mesa 26")
    with pytest.raises(UsageProblem, match="not measured alike"):
        pooled([("a1", a_run(row())), ("a2", a_run(row(), device=build))], ())
    name, run = pooled([("a1", a_run(row(), row(live=2))), ("a2", a_run(row(live=2), row(), row(live=3)))], ())
    assert name == "a1, a2"
    assert [(one.live, len(one.repeats)) for one in run.results] == [(1, 2), (2, 2)]


def test_rounds_of_two_days_are_compared_at_once():
    """A soak has a round a second."""
    base = tuple(100.0 + i % 7 for i in range(86_400))
    found = delta(row(rounds=base), row(rounds=tuple(value * 1.5 for value in base)), "ns_per_pair")
    assert found.low < 0.5 < found.high


def test_a_figure_that_is_next_to_nothing_beside_the_other():
    before, after = (a_run(a_row(rounds_ns_per_pair=(value,) * 10, ns_per_pair=value)) for value in (1e30, 1e-30))
    (pair,) = compare(("base", before), ("new", after), Limits()).pairs
    assert pair.verdict == "faster"

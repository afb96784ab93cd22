"""Comparing runs: matching, intervals, verdicts, and what may not be compared."""

import random

import pytest
from builders import a_device, a_gpu, a_latency, a_row, a_run
from msgspec.structs import replace

from vkmapctl.commands.comparing import compared
from vkmapctl.errors import UsageProblem
from vkmapctl.figures.compare import (
    Limits,
    compare,
    devices_side_by_side,
    differences,
    quantile_interval,
    rounds_interval,
)
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
    assert found.low <= 0.3 <= found.high
    assert found.low > 0.2


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
    assert verdict(before, after) == "same"
    assert verdict(before, after, Limits(tail=0.1)) == "slower"


def test_rounds_that_scatter_make_it_unclear() -> None:
    calm, wild = (100.0,) * 10, (60.0, 70.0, 90.0, 100.0, 110.0, 125.0, 150.0, 180.0, 200.0, 220.0)
    before, after = row(rounds=calm), row(rounds=wild, ns_per_pair=120.0)
    assert verdict(before, after) == "unclear"
    assert verdict(row(rounds=calm), row(rounds=(130.0,) * 10)) == "slower"


def test_rounds_that_scatter_make_medians_unclear_too() -> None:
    wild = (60.0, 70.0, 90.0, 100.0, 110.0, 125.0, 150.0, 180.0, 200.0, 220.0)
    assert delta(row(rounds=wild), row(1300, rounds=wild), "map.p50").verdict == "unclear"
    assert delta(row(rounds=wild), row(9000, rounds=wild), "map.p50").verdict == "slower"


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
    assert rounds_interval((1.0,) * 3, (1.0,) * 10) is None


def test_round_intervals_hold_the_truth_in_95_of_100() -> None:
    generator, hits = random.Random(2), 0
    for _ in range(500):
        base = [100 * generator.lognormvariate(0, 0.1) for _ in range(10)]
        new = [120 * generator.lognormvariate(0, 0.1) for _ in range(10)]
        low, high = rounds_interval(base, new)
        hits += low <= 0.2 <= high
    assert hits / 500 > 0.93


@pytest.mark.parametrize(
    ("changes", "group", "name"),
    [
        ({"device": a_gpu(index=0)}, "device", "name"),
        ({"device": a_device(driver_info="Mesa 26")}, "driver", "driver info"),
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


def test_rounds_of_two_days_are_compared_at_once():
    """A soak has a round a second; each round with each would be 7 billion pairs."""
    base = [100.0 + i % 7 for i in range(86_400)]
    low, high = rounds_interval(base, [value * 1.5 for value in base])
    assert 0.45 < low <= 0.5 <= high < 0.55


def test_a_figure_that_is_next_to_nothing_beside_the_other():
    before, after = (a_run(a_row(rounds_ns_per_pair=(value,) * 10, ns_per_pair=value)) for value in (1e30, 1e-30))
    (pair,) = compare(("base", before), ("new", after), Limits()).pairs
    assert pair.verdict == "faster"

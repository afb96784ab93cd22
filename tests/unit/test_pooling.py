"""Rows of several processes as one: nothing is lost, and what each found stays."""

import pytest
from builders import a_busy_row, a_latency, a_row
from hypothesis import given
from hypothesis import strategies as st

from vkmapctl.figures import stats
from vkmapctl.figures.pooling import pooled, repeats_of, with_ratios
from vkmapctl.model.measured import Bins, FirstTouch, GpuWork, Histogram, Repetition, TouchRate
from vkmapctl.model.measured import Latency as Distribution

counts = st.dictionaries(st.integers(0, 127), st.integers(1, 1000), min_size=1, max_size=8)


def distribution(bins: dict[int, int]) -> Distribution:
    ordered = tuple(sorted(bins.items()))
    total = sum(ns * count for ns, count in ordered)
    return stats.latency(Histogram(sum(bins.values()), total, ordered[0][0], ordered[-1][0], 0, ordered), 0.0)


@given(st.lists(counts, min_size=1, max_size=5))
def test_percentiles_are_those_of_all_samples(parts):
    every = {}
    for one in parts:
        for ns, count in one.items():
            every[ns] = every.get(ns, 0) + count
    row = pooled([a_row(map=distribution(one), unmap=None) for one in parts])
    expected = distribution(every)
    assert row.map.histogram == expected.histogram
    assert (row.map.count, row.map.min_ns, row.map.max_ns) == (expected.count, expected.min_ns, expected.max_ns)
    assert (row.map.p50_ns, row.map.p99_ns) == (expected.p50_ns, expected.p99_ns)
    assert row.map.mean_ns == pytest.approx(expected.mean_ns, rel=1e-3)
    assert row.unmap is None


def test_each_process_s_figures_are_kept():
    first = a_row(rounds_ns_per_pair=(80.0,) * 10, ns_per_pair=95.0, map=a_latency(p50_ns=30.0))
    second = a_row(rounds_ns_per_pair=(90.0,) * 10, ns_per_pair=90.0, map=a_latency(p50_ns=40.0))
    row = pooled([first, second])
    assert [(one.ns_per_pair, one.p50_ns["map"]) for one in row.repeats] == [(80.0, 30.0), (90.0, 40.0)]
    assert row.rounds_ns_per_pair == (80.0,) * 10 + (90.0,) * 10
    assert len(pooled([row, first]).repeats) == 3
    assert repeats_of(first) == (
        Repetition(80.0, {"map": 30.0, "unmap": 17.5}, {"map": 61.0, "unmap": 30.5}, {"map": 1234.0, "unmap": 617.0}),
    )
    assert pooled([first]) is first


def test_what_is_counted_is_added():
    one = a_busy_row(
        errors={"VK_ERROR_UNKNOWN": 1}, calls={"flush": a_latency()}, first_touch=FirstTouch(1, 2, 3, 4, 5, 6, 7)
    )
    row = pooled([one, one])
    assert (row.pairs, row.seconds, row.pairs_per_second) == (2 * one.pairs, 2.0, one.pairs)
    assert (row.verified_bytes, row.errors, row.page_faults["minor"]) == (
        2 * one.verified_bytes, {"VK_ERROR_UNKNOWN": 2}, 132_000,
    )  # fmt: skip
    assert row.calls["flush"].count == 2 * one.map.count
    assert row.first_touch == FirstTouch(2, 4, 6, 8, 10, 12, 14)
    assert row.touch_bytes_per_second == TouchRate(write=9.87e9, read=2.1e7)
    assert row.ns_per_pair == pytest.approx(one.ns_per_pair)


def test_the_worst_that_befell_it_is_the_row_s_status():
    fine, bad = a_row(), a_row(status="crashed", reason="killed", pairs=3)
    row = pooled([fine, bad, fine])
    assert (row.status, row.reason, len(row.repeats)) == ("crashed", "killed", 2)
    assert pooled([a_row(status="not-run", reason="why"), a_row(status="not-run")]).status == "not-run"


def test_a_row_that_measured_nothing():
    nothing = a_row(pairs=0, seconds=0.0, ns_per_pair=None, pairs_per_second=None, map=None, unmap=None)
    row = pooled([nothing, nothing])
    assert (row.ns_per_pair, row.pairs_per_second, row.map, row.touch_bytes_per_second) == (
        None, None, None, TouchRate(),
    )  # fmt: skip


def test_ratios_are_of_all_rounds():
    v1, core = a_row(api="v1", rounds_ns_per_pair=(10.0,) * 20), a_row(rounds_ns_per_pair=(11.0,) * 20)
    assert with_ratios([v1, core])[1].ratio_to_v1 == pytest.approx((1.1, 1.1, 1.1))
    assert with_ratios([core]) == (core,)
    busy = a_row(gpu_load="copy", rounds_ns_per_pair=(22.0,) * 20)
    found = with_ratios([v1, core, busy])
    assert [one.ratio_to_idle for one in found[:2]] == [None, None]
    assert found[2].ratio_to_idle == pytest.approx((2.0, 2.0, 2.0))


def test_what_kept_the_device_busy_is_added():
    row = pooled([a_row(gpu=GpuWork(1, 100.0, 10)), a_row(gpu=GpuWork(3, 200.0, 30, 1))])
    assert row.gpu == GpuWork(4, 175.0, 40, 1)


def test_a_histogram_without_samples():
    empty = a_row(map=a_latency(count=0, p50_ns=None, min_ns=None, max_ns=None, mean_ns=None, histogram=Bins((), 0)))
    assert pooled([empty, empty]).map.p50_ns is None

"""Percentiles, ratios and drift against references computed from the samples themselves."""

import math
from collections import Counter

import pytest
from builders import a_histogram
from hypothesis import given
from hypothesis import strategies as st

from vkmapctl.figures import stats
from vkmapctl.model.measured import Histogram

OVERFLOW_FROM = 1 << 40
nanoseconds = st.one_of(st.integers(0, 300), st.integers(0, OVERFLOW_FROM - 1))


def edge_of(ns):
    """Lower edge of a sample's bin: exact below 128 ns, 64 bins an octave above."""
    return ns if ns < 128 else ns >> (ns.bit_length() - 7) << (ns.bit_length() - 7)


def recorded(samples):
    """What the loop would have counted of the samples."""
    inside = Counter(edge_of(ns) for ns in samples if ns < OVERFLOW_FROM)
    return Histogram(
        count=len(samples),
        sum_ns=sum(samples),
        min_ns=min(samples),
        max_ns=max(samples),
        overflow=len(samples) - inside.total(),
        bins=tuple(sorted(inside.items())),
    )


@given(st.lists(nanoseconds, min_size=10, max_size=200), st.sampled_from([0.1, 0.5, 0.75, 0.9]))
def test_percentiles_are_within_a_128th_of_the_sample(samples, quantile):
    exact = sorted(samples)[math.ceil(quantile * len(samples) - 1e-9) - 1]
    found = stats.percentile(recorded(samples), quantile)
    assert abs(found - exact) <= exact / 128


@given(st.lists(nanoseconds, min_size=1, max_size=50))
def test_percentiles_rise_and_stay_between_the_extremes(samples):
    histogram = recorded(samples)
    found = [stats.percentile(histogram, q) for q in (0.1, 0.5, 0.9)]
    known = [value for value in found if value is not None]
    assert known == sorted(known)
    assert all(min(samples) <= value <= max(samples) for value in known)


@pytest.mark.parametrize(
    ("count", "quantile", "known"),
    [(0, 0.5, False), (1, 0.5, False), (2, 0.5, True), (9, 0.9, False), (10, 0.9, True), (99, 0.99, False),
     (100, 0.99, True), (999, 0.999, False), (1000, 0.999, True)],
)  # fmt: skip
def test_a_percentile_needs_a_sample_beyond_it(count, quantile, known):
    assert (stats.percentile(a_histogram((35, count)), quantile) is not None) == known


def test_a_percentile_among_overflowed_samples_is_the_largest():
    slow = 3 * OVERFLOW_FROM
    histogram = a_histogram((40, 90), overflow=10, max_ns=slow)
    assert stats.percentile(histogram, 0.5) == 40
    assert stats.percentile(histogram, 0.95) == slow


def test_an_empty_distribution_has_no_figures():
    latency = stats.latency(a_histogram(), 20.0)
    assert (latency.count, latency.min_ns, latency.mean_ns, latency.p50_ns, latency.max_ns) == (
        0,
        None,
        None,
        None,
        None,
    )
    assert not latency.at_floor


@pytest.mark.parametrize(("floor_ns", "at_floor"), [(0.0, False), (10.0, False), (17.5, False), (18.0, True)])
def test_a_median_below_twice_the_floor_says_so(floor_ns, at_floor):
    assert stats.latency(a_histogram((35, 100)), floor_ns).at_floor is at_floor


def test_the_tail_of_few_samples_is_unknown():
    latency = stats.latency(a_histogram((35, 150)), 20.0)
    assert (latency.p50_ns, latency.p99_ns, latency.p999_ns) == (35, 35, None)


@pytest.mark.parametrize(
    ("bins", "step"),
    [
        ((), 1.0),
        (((20, 100),), 1.0),
        (((20, 50), (21, 50)), 1.0),
        (((41, 500), (83, 500)), 42.0),
        (((20, 500), (30, 480), (25, 3)), 10.0),
        (((0, 500), (100, 400), (101, 50), (200, 400)), 99.0),
    ],
)
def test_timer_step(bins, step):
    """A rare value, and a neighbour that only rounding made, are no steps."""
    assert stats.timer_step(a_histogram(*sorted(bins))) == step


def test_a_step_that_was_seen_is_the_step():
    assert stats.timer_step(a_histogram((0, 990), (1000, 10)), 1000) == 1000.0


@pytest.mark.parametrize("nothing", [0, 20, 52])
def test_a_median_that_is_no_more_than_a_step_is_not_clear_of_the_floor(nothing):
    floor = stats.floor_of(a_histogram((nothing, 100)), 52)
    assert stats.latency(a_histogram((52, 100)), floor).at_floor
    assert not stats.latency(a_histogram((106, 100)), floor).at_floor


def test_a_median_of_nothing_is_never_clear_of_the_floor():
    assert stats.latency(a_histogram((0, 100)), 0.0).at_floor


def test_ratio_interval_of_ten_rounds_is_the_second_and_the_ninth():
    """The textbook interval: 97.9 % for n = 10."""
    ratios = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9]
    base = [10.0, 3.0, 7.0, 1.0, 9.0, 2.0, 8.0, 4.0, 6.0, 5.0]
    values = [ratio * one for ratio, one in zip(ratios, base, strict=True)]
    assert stats.ratio_interval(values, base) == pytest.approx((1.45, 1.1, 1.8))


@given(st.integers(6, 60))
def test_ratio_interval_covers_at_least_95_percent_and_no_wider_than_needed(n):
    _, low, high = stats.ratio_interval([float(i) for i in range(n)], [1.0] * n)
    k = int(low)
    assert high == n - 1 - k

    def outside(rank):
        return 2 * sum(math.comb(n, i) for i in range(rank + 1)) / 2**n

    assert outside(k) <= 0.05 < outside(k + 1)


@pytest.mark.parametrize(
    ("values", "base"),
    [([], []), ([1.0] * 5, [1.0] * 5), ([1.0] * 9, [1.0] * 5), ([1.0] * 9, [0.0] * 9)],
)
def test_ratio_interval_of_too_few_rounds_is_unknown(values, base):
    assert stats.ratio_interval(values, base) is None


def test_common_drift_cancels_in_the_ratio():
    base = [100.0 * 1.3**i for i in range(10)]
    assert stats.ratio_interval([2 * one for one in base], base) == pytest.approx((2, 2, 2))


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [([], 0.0), ([1.0] * 5, 0.0), ([10.0] * 10, 0.0), ([10, 10, 11, 11, 12, 12], 0.2), ([12, 12, 11, 11, 9, 9], 0.25),
     ([0.0] * 6, 0.0), ([10, 10, 10, 11, 900, 11, 10, 10, 10], 0.0)],
)  # fmt: skip
def test_drift(rounds, expected):
    assert stats.drift(rounds) == pytest.approx(expected)

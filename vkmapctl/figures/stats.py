"""Histograms to percentiles, rounds to ratios. Pure functions of counts."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, median, stdev

from vkmapctl.model import bins
from vkmapctl.model.measured import Bins, Histogram, Latency

FLOOR_FACTOR = 2.0
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
LEAST_ROUNDS = 4  # for their median, or their scatter, to mean something
# Student's t for a two-sided interval of 95 %, by degrees of freedom from 1 on; the last is for all that are more.
_STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
MOST_EXACT = 100  # values whose median has an exact interval
_QUARTILES = 1.349  # between those of a normal distribution, in standard deviations


def percentile(histogram: Histogram, quantile: float) -> float | None:
    """Value in ns at a quantile in (0, 1), None where fewer samples exist than one beyond it.

    A quantile among the overflowed samples is the largest sample.
    """
    if histogram.count == 0 or histogram.count * (1 - quantile) < 1 - 1e-9:
        return None
    rank, seen = math.ceil(quantile * histogram.count - 1e-9), 0
    for edge, samples in histogram.bins:
        seen += samples
        if seen >= rank:
            return min(max(bins.middle(edge), float(histogram.min_ns)), float(histogram.max_ns))
    return float(histogram.max_ns)


def timer_step(reads: Histogram, seen_ns: float = 0) -> float:
    """Smallest distance in ns between two values that a clock really gives: 1 where it has no steps.

    seen_ns: by how much it was seen to advance after readings that were alike, 0 where there were none: then what two
    readings lie apart tells its step. Values that make up less than 1 % and neighbours 1 ns apart (rounding) do not
    count.
    """
    if seen_ns:
        return float(seen_ns)
    common = [edge for edge, samples in reads.bins if samples * 100 >= reads.count]
    gaps = [b - a for a, b in pairwise(common) if b - a > 1]
    return float(min(gaps, default=1))


def floor_of(nothing: Histogram, step_ns: float) -> float:
    """What a median must be FLOOR_FACTOR times of, in ns: p50 of a call that does nothing, and more than one step."""
    return max(percentile(nothing, 0.5) or 0.0, step_ns * (1 + 1 / bins.AN_OCTAVE) / FLOOR_FACTOR)


def latency(histogram: Histogram, floor_ns: float) -> Latency:
    """The distribution as saved. floor_ns: see floor_of. A median of 0 ns is never clear of it."""
    values = {name: percentile(histogram, quantile) for name, quantile in PERCENTILES.items()}
    some = histogram.count > 0
    middle = values["p50"]
    return Latency(
        count=histogram.count,
        min_ns=histogram.min_ns if some else None,
        mean_ns=histogram.sum_ns / histogram.count if some else None,
        p50_ns=middle,
        p90_ns=values["p90"],
        p99_ns=values["p99"],
        p999_ns=values["p999"],
        max_ns=histogram.max_ns if some else None,
        at_floor=middle is not None and (middle == 0 or middle < FLOOR_FACTOR * floor_ns),
        histogram=Bins(histogram.bins, histogram.overflow),
    )


def ratio_interval(values: Sequence[float], base: Sequence[float]) -> tuple[float, float, float] | None:
    """Median of the rounds' ratios and its confidence interval of at least 95 %, None for fewer than 6 rounds.

    The interval is the distribution-free one from order statistics of the paired ratios (David and Nagaraja,
    Order Statistics, 7.1): rounds of one run are neighbours in time, so drift cancels in each ratio.
    """
    ratios = sorted(a / b for a, b in zip(values, base, strict=False) if b > 0)
    n = len(ratios)
    if n < 6:
        return None
    k = _rank(n)
    return median(ratios), ratios[k], ratios[n - 1 - k]


def _rank(n: int) -> int:
    """How many of n sorted values lie beyond either end of the interval of their median: exact, or for many normal."""
    if n > MOST_EXACT:
        return math.floor((n - 1.96 * math.sqrt(n)) / 2) - 1
    k = 0
    while 1 - 2 * _binomial_below(k + 2, n) >= 0.95:
        k += 1
    return k


def _binomial_below(k: int, n: int) -> float:
    """P(X < k) for n fair coins."""
    return sum(math.comb(n, i) for i in range(k)) / 2.0**n


def student(degrees: int) -> float:
    """Student's t for a two-sided interval of 95 %."""
    return _STUDENT[min(degrees, len(_STUDENT)) - 1]


def middle(values: Sequence[float]) -> float:
    """Geometric mean of positive values: figures of runs are compared by their ratios."""
    return values[0] if len(values) == 1 else math.exp(fmean(map(math.log, values)))


def pooled_variance(base: Sequence[float], new: Sequence[float]) -> float:
    """Variance of the logarithms within both, as if both scattered alike, with len(base) + len(new) - 2 degrees."""
    squares = 0.0
    for values in (base, new):
        logs = [math.log(value) for value in values]
        center = fmean(logs)
        squares += sum((one - center) ** 2 for one in logs)
    return squares / (len(base) + len(new) - 2)


def process_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean of what processes found, with Student's interval of 95 % of their logarithms."""
    logs = [math.log(value) for value in values]
    center, half = fmean(logs), student(len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return math.exp(center), math.exp(center - half), math.exp(center + half)


def rounds_variance(rounds: Sequence[float]) -> float:
    """Variance of the rounds' logarithms, by their quartiles, which a few disturbed rounds do not move."""
    logs = sorted(math.log(value) for value in rounds if value > 0)
    n = len(logs)
    if n < LEAST_ROUNDS:
        return 0.0
    return ((logs[n - 1 - n // 4] - logs[n // 4]) / _QUARTILES) ** 2


def drift(rounds: Sequence[float]) -> float:
    """Relative difference between the medians of the first and the last third of the rounds."""
    third = len(rounds) // 3
    if third < 2:
        return 0.0
    first, last = median(rounds[:third]), median(rounds[-third:])
    return abs(last - first) / first if first else 0.0

"""Robust middle and spread of many values, and how far from it one of so many may lie."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from vkmapctl.model.outliers import Yardstick

LEAST_PEERS = 8
LEAST_SPREAD = 1e-3  # figures that agree better than this do so by their clock's steps
FALSE_ALARMS = 0.05  # to be expected among the slower of one comparison, were its noise normal
_MAD = 1.4826  # what makes a median absolute deviation the standard deviation of a normal distribution
_NORMAL = NormalDist()
_NINE_OF_TEN_TWICE = _NORMAL.inv_cdf(math.sqrt(0.9))
# The z that one or more of n normal values passes, on either side, in 1 of 10 trials: for few it is higher than the
# quantile, since centre and scale are found from themselves. Simulated with 20,000 to 200,000 trials each.
_SMALL = ((8, 4.04), (10, 3.75), (12, 3.67), (16, 3.53), (24, 3.46), (64, 3.46), (128, 3.52), (256, 3.63), (512, 3.77))


def bar(count: int) -> float:
    """The z above which one of so many is odd: in 1 of 20 sweeps without a fault a slower one is beyond it."""
    quantile = _NORMAL.inv_cdf(1 - FALSE_ALARMS / count)
    if count >= _SMALL[-1][0]:
        return max(quantile, _SMALL[-1][1])
    at = max(i for i, (n, _) in enumerate(_SMALL) if n <= max(count, LEAST_PEERS))
    (low, at_low), (high, at_high) = _SMALL[at : at + 2]
    return at_low + max(math.log(count / low) / math.log(high / low), 0.0) * (at_high - at_low)


def median(values: Sequence[float]) -> float:
    """Of one value or more."""
    return median_of_sorted(sorted(values))


def median_of_sorted(values: Sequence[float]) -> float:
    """The same, of values that are sorted."""
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def others_medians(values: Sequence[float]) -> list[float]:
    """For each of two values or more, the median of all others."""
    ranked = sorted(values)
    half = len(ranked) // 2
    if len(ranked) % 2 == 0:
        low, high = ranked[half - 1], ranked[half]
        return [high if value <= low else low for value in values]
    low, middle, high = ranked[half - 1 : half + 2]
    return [(middle + high if value < middle else low + (middle if value > middle else high)) / 2 for value in values]


def widening(others: int) -> float:
    """By how much a value less the median of so many others scatters more than the value, all normal and alike."""
    return math.sqrt(1 + math.pi / (2 * (others + math.pi / 2 - 1)))


class Level(NamedTuple):
    """Where the middle of `size` values is, how far they spread, and from where on one is odd.

    least: the smallest shift that counts. typical: what a value is to be multiplied with to be a shift.
    """

    size: int
    center: float
    scale: float
    bar: float
    least: float
    typical: float = 1.0

    @classmethod
    def of(cls, values: Sequence[float], least: float, typical: float = 1.0) -> "Level | None":
        """None for too few."""
        if len(values) < LEAST_PEERS:
            return None
        center = median(values)
        scale = max(_MAD * median([abs(value - center) for value in values]), LEAST_SPREAD)
        return cls(len(values), center, scale, bar(len(values)), least, typical)

    def z(self, value: float) -> float:
        return (value - self.center) / self.scale

    def side(self, value: float, shift: float) -> int:
        """1 for what is slower than it should be, -1 for what is faster, 0 for neither."""
        z = self.z(value)
        if abs(z) <= self.bar or abs(shift) < self.least or z * shift < 0:
            return 0
        return 1 if z > 0 else -1

    def yardstick(self, faster: int) -> Yardstick:
        """What it could see; faster: how many were odd on that side."""
        spread = self.scale * self.typical
        smallest = max(self.bar * spread, self.least) + _NINE_OF_TEN_TWICE * spread
        return Yardstick(
            count=self.size, spread=math.expm1(spread), bar=self.bar, smallest=math.expm1(smallest),
            chance=FALSE_ALARMS, faster=faster,
        )  # fmt: skip

"""A distribution that grows value by value, in the bins of every histogram here."""

from collections import Counter

from vkmapctl.model.bins import EXACT, HIGHEST
from vkmapctl.model.measured import Histogram

_OF_EXACT = EXACT.bit_length() - 1
_AT_ONCE = 512  # values that are counted together, which takes a fraction of the time
_MOST_EXACT = 4096  # different values before they go into bins, for the same reason


class Spread:
    """Values from 0 on; see model/bins."""

    __slots__ = ("_bins", "_count", "_exact", "_least", "_most", "_overflow", "_total", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._exact: Counter[int] = Counter()
        self._bins: dict[int, int] = {}
        self._count = self._total = self._most = self._overflow = 0
        self._least: int | None = None

    def add(self, value: int) -> None:
        """Counts a value."""
        waiting = self._waiting
        waiting.append(value)
        if len(waiting) >= _AT_ONCE:
            self._count_waiting()

    def _count_waiting(self) -> None:
        values = self._waiting
        self._take(len(values), sum(values), min(values), max(values))
        self._exact.update(values)
        values.clear()
        if len(self._exact) > _MOST_EXACT:
            self._into_bins()

    def _into_bins(self) -> None:
        bins = self._bins
        for value, times in self._exact.items():
            if value >= HIGHEST:
                self._overflow += times
            else:
                shift = max(value.bit_length() - _OF_EXACT, 0)
                edge = value >> shift << shift
                bins[edge] = bins.get(edge, 0) + times
        self._exact.clear()

    def _settle(self) -> None:
        if self._waiting:
            self._count_waiting()
        self._into_bins()

    def _take(self, count: int, total: int, least: int, most: int) -> None:
        self._count += count
        self._total += total
        self._most = max(self._most, most)
        self._least = least if self._least is None else min(self._least, least)

    @property
    def count(self) -> int:
        """How many values there were."""
        return self._count + len(self._waiting)

    @property
    def total(self) -> int:
        """Their sum."""
        return self._total + sum(self._waiting)

    def merge(self, other: "Spread") -> None:
        """Counts all that another has counted."""
        other._settle()
        if other._least is not None:
            self._take(other._count, other._total, other._least, other._most)
            self._overflow += other._overflow
            for edge, times in other._bins.items():
                self._bins[edge] = self._bins.get(edge, 0) + times

    def histogram(self) -> Histogram:
        """What was counted."""
        self._settle()
        bins = tuple(sorted(self._bins.items()))
        return Histogram(self._count, self._total, self._least or 0, self._most, self._overflow, bins)

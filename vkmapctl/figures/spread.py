"""A distribution that grows value by value, in the bins of every histogram here."""

from vkmapctl.model.bins import EXACT, HIGHEST
from vkmapctl.model.measured import Histogram

_OF_EXACT = EXACT.bit_length() - 1


class Spread:
    """Values from 0 on; see model/bins."""

    __slots__ = ("_bins", "count", "least", "most", "overflow", "total")

    def __init__(self) -> None:
        self._bins: dict[int, int] = {}
        self.count = self.total = self.most = self.overflow = 0
        self.least: int | None = None

    def add(self, value: int) -> None:
        """Counts a value."""
        self.count += 1
        self.total += value
        if value > self.most:
            self.most = value
        if self.least is None or value < self.least:
            self.least = value
        if value >= EXACT:
            if value >= HIGHEST:
                self.overflow += 1
                return
            shift = value.bit_length() - _OF_EXACT
            value = value >> shift << shift
        bins = self._bins
        bins[value] = bins.get(value, 0) + 1

    def merge(self, other: "Spread") -> None:
        """Counts all that another has counted."""
        self.count += other.count
        self.total += other.total
        self.most = max(self.most, other.most)
        self.overflow += other.overflow
        if other.least is not None:
            self.least = other.least if self.least is None else min(self.least, other.least)
        for edge, count in other._bins.items():
            self._bins[edge] = self._bins.get(edge, 0) + count

    def histogram(self) -> Histogram:
        """What was counted."""
        return Histogram(
            self.count, self.total, self.least or 0, self.most, self.overflow, tuple(sorted(self._bins.items()))
        )

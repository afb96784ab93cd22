"""Frames of a recording: what was done between two marks."""

from typing import NamedTuple

from vkmapctl.figures.spread import Spread


class Totals(NamedTuple):
    """What a process had done by some moment."""

    calls: int = 0
    ns: int = 0
    maps: int = 0
    allocations: int = 0
    flushes: int = 0
    faults: int = 0


class FrameTally:
    """Frames that end with one kind of mark; the first mark begins the first of them."""

    def __init__(self) -> None:
        self.lengths, self.mapping, self.calls = Spread(), Spread(), Spread()
        self._first: Totals | None = None
        self._last = Totals()
        self._last_ns = 0
        self._others = Totals()

    def mark(self, ns: int, totals: Totals) -> None:
        """A frame ends, and the next begins."""
        if self._first is None:
            self._first = totals
        else:
            last = self._last
            self.lengths.add(ns - self._last_ns)
            self.mapping.add(totals.ns - last.ns)
            self.calls.add(totals.calls - last.calls)
        self._last, self._last_ns = totals, ns

    @property
    def done(self) -> Totals:
        """What was done in all frames."""
        first = self._first or self._last
        return Totals(*(a - b + c for a, b, c in zip(self._last, first, self._others, strict=True)))

    def merge(self, other: "FrameTally") -> None:
        """Adds another process's frames."""
        self.lengths.merge(other.lengths)
        self.mapping.merge(other.mapping)
        self.calls.merge(other.calls)
        self._others = Totals(*(a + b for a, b in zip(self._others, other.done, strict=True)))

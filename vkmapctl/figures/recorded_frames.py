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
        self.done = Totals()
        self._begun = Totals()
        self._begun_ns: int | None = None

    def mark(self, ns: int, totals: Totals) -> None:
        """A frame ends, and the next begins."""
        if self._begun_ns is not None:
            since = Totals(*(now - before for now, before in zip(totals, self._begun, strict=True)))
            self.lengths.add(max(ns - self._begun_ns, 0))
            self.mapping.add(since.ns)
            self.calls.add(since.calls)
            self.done = _added(self.done, since)
        self._begun, self._begun_ns = totals, ns

    def merge(self, other: "FrameTally") -> None:
        """Adds another process's frames."""
        self.lengths.merge(other.lengths)
        self.mapping.merge(other.mapping)
        self.calls.merge(other.calls)
        self.done = _added(self.done, other.done)


def _added(one: Totals, other: Totals) -> Totals:
    return Totals(*(a + b for a, b in zip(one, other, strict=True)))

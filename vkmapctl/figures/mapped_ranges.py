"""Which mapping an address is in."""

from bisect import bisect_left, bisect_right
from typing import Generic, TypeVar

MOST = 100_000  # mappings at one time: more than a system gives a process, see vm.max_map_count
_T = TypeVar("_T")


class MappedRanges(Generic[_T]):
    """What is mapped where. Of ranges that overlap, which no program has, the one that begins later counts."""

    def __init__(self) -> None:
        self._begins: list[int] = []
        self._ranges: dict[int, tuple[int, _T]] = {}  # by where they begin

    def add(self, begin: int, size: int, what: _T) -> None:
        """Takes a range for mapped, unless there are too many."""
        if begin not in self._ranges:
            if len(self._begins) >= MOST:
                return
            if not self._begins or begin > self._begins[-1]:
                self._begins.append(begin)
            else:
                self._begins.insert(bisect_left(self._begins, begin), begin)
        self._ranges[begin] = begin + size, what

    def remove(self, begin: int, what: _T) -> None:
        """Nothing where it is not that which begins there."""
        found = self._ranges.get(begin)
        if found and found[1] is what:
            del self._ranges[begin]
            del self._begins[bisect_left(self._begins, begin)]

    def at(self, address: int) -> _T | None:
        """What is mapped there."""
        place = bisect_right(self._begins, address)
        if not place:
            return None
        end, what = self._ranges[self._begins[place - 1]]
        return what if address < end else None

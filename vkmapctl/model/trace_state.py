"""What a trace's objects are at one moment, and which step is possible there: for its maker and its readers."""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from vkmapctl.model.trace import (
    Allocate,
    Flush,
    Free,
    Invalidate,
    Map,
    MemoryRange,
    Touch,
    TraceRange,
    TraceStep,
    Unmap,
)

LARGEST = 1 << 47  # bytes of an object: a process has no more addresses
MOST_ASKED = (1 << 63) - 1  # of one that was refused


class Impossible(ValueError):
    """A step that cannot be done where it stands."""


class Live(NamedTuple):
    """An object that has memory. mapped: where its mapping begins and ends, in bytes of it.

    placed: in which range, and where that begins and ends in it.
    """

    size: int
    memory: int
    mapped: tuple[int, int] | None = None
    placed: tuple[int, int, int] | None = None


class TraceState:
    """memory: how many types the trace has. objects: how many numbers. most_bytes, most_objects: that
    are allocated at one time, so far.
    """

    def __init__(self, memory: int, ranges: Sequence[TraceRange], objects: int) -> None:
        self._memory, self._ranges, self._count = memory, ranges, objects
        self._objects: dict[int, Live] = {}
        self._placed: dict[int, set[int]] = {}  # which objects are in each range
        self._bytes = self.most_bytes = self.most_objects = 0
        self._steps: dict[type, Callable[[Any], None]] = {
            Allocate: self._allocate,
            Free: self._free,
            Map: self._map,
            Unmap: self._unmap,
            Flush: self._ranges_of,
            Invalidate: self._ranges_of,
            Touch: self._touch,
        }

    def apply(self, step: TraceStep) -> None:
        """Changes what the step changes; raises Impossible before it does. A step that failed changes nothing."""
        do = self._steps.get(type(step))
        if do:
            do(step)

    def of(self, objects: Collection[int]) -> tuple[Live | None, ...]:
        """What some objects are."""
        return tuple(self._objects.get(one) for one in objects)

    def live(self, number: int) -> Live:
        """An object that has memory. Raises Impossible for another."""
        found = self._objects.get(number)
        if found is None:
            raise Impossible(f"object {number} has no memory at this point")
        return found

    def _allocate(self, step: Allocate) -> None:
        if step.object >= self._count:
            raise Impossible(f"there is no object {step.object}: the trace has {self._count}, from 0 on")
        if step.object in self._objects:
            raise Impossible(f"object {step.object} has memory already")
        if not 0 < step.size <= (MOST_ASKED if step.result else LARGEST):
            raise Impossible(f"{step.size} bytes cannot be allocated")
        if not 0 <= step.memory < self._memory:
            raise Impossible(f"there is no memory {step.memory}: the trace has {self._memory}, from 0 on")
        if step.result:
            return
        self._objects[step.object] = Live(step.size, step.memory)
        self._bytes += step.size
        self.most_bytes = max(self.most_bytes, self._bytes)
        self.most_objects = max(self.most_objects, len(self._objects))

    def _free(self, step: Free) -> None:
        if step.object is None:
            return
        one = self.live(step.object)
        if one.placed:
            self._placed[one.placed[0]].discard(step.object)
        del self._objects[step.object]
        self._bytes -= one.size

    def _map(self, step: Map) -> None:
        one = self.live(step.object)
        if one.mapped:
            raise Impossible(f"object {step.object} is mapped already (VUID-VkMemoryMapInfo-memory-07958)")
        end = one.size if step.size is None else step.offset + step.size
        if not 0 <= step.offset < end <= one.size:
            raise Impossible(f"{step.offset} to {end} is not inside object {step.object} of {one.size} bytes")
        placed = None if step.placed is None else self._place(step, step.placed, end - step.offset)
        if step.result:
            return
        if placed:
            self._placed.setdefault(placed[0], set()).add(step.object)
        self._objects[step.object] = Live(one.size, one.memory, (step.offset, end), placed)

    def _place(self, step: Map, number: int, size: int) -> tuple[int, int, int]:
        if step.api == "v1":
            raise Impossible("vkMapMemory cannot place: api is khr or core")
        if not 0 <= number < len(self._ranges):
            raise Impossible(f"there is no range {number}: the trace has {len(self._ranges)}, from 0 on")
        begin, end = step.at, step.at + size
        if end > self._ranges[number].size:
            raise Impossible(f"{begin} to {end} is not inside range {number} of {self._ranges[number].size} bytes")
        for other in self._placed.get(number, ()):
            held = self._objects[other].placed
            if held and held[1] < end and begin < held[2]:
                raise Impossible(f"range {number} holds object {other} there at this point")
        return number, begin, end

    def _unmap(self, step: Unmap) -> None:
        one = self.live(step.object)
        if not one.mapped:
            raise Impossible(f"object {step.object} is not mapped at this point")
        if step.reserve and step.api == "v1":
            raise Impossible("vkUnmapMemory cannot reserve: api is khr or core")
        if step.result:
            return
        if one.placed:
            self._placed[one.placed[0]].discard(step.object)
        self._objects[step.object] = Live(one.size, one.memory)

    def _ranges_of(self, step: Flush | Invalidate) -> None:
        if not step.ranges:
            raise Impossible("a flush or invalidate needs a range")
        for one in step.ranges:
            self._inside(one)

    def _touch(self, step: Touch) -> None:
        self._inside(step)

    def _inside(self, part: MemoryRange | Touch) -> None:
        mapped = self.live(part.object).mapped
        if not mapped:
            raise Impossible(f"object {part.object} is not mapped at this point")
        end = mapped[1] if part.size is None else part.offset + part.size
        if not mapped[0] <= part.offset < end <= mapped[1]:
            raise Impossible(f"{part.offset} to {end} is not inside the mapping, {mapped[0]} to {mapped[1]}")

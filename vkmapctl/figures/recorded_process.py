"""One pass over a process's events and page faults, in bounded memory, whatever they say.

A page fault is joined with the object in whose mapping its address is at that time. Objects are known by their device
and handle from an allocation to the free: a handle is used again.
"""

from collections.abc import Callable, Iterable, Sequence

from vkmapctl.figures.mapped_ranges import MappedRanges
from vkmapctl.figures.over_time import OverTime
from vkmapctl.figures.recorded_frames import FrameTally, Totals
from vkmapctl.figures.recorded_objects import ClassKey, Kind, MemoryObject, ObjectTally, OfKind, short_ns
from vkmapctl.figures.spread import Spread
from vkmapctl.model.recorded import Life
from vkmapctl.model.recording import MAPS, SUBMITS, UNMAPS, Called, Event, Mark, PageFault, RecordedDevice

WHOLE = (1 << 64) - 1  # VK_WHOLE_SIZE
MOST_OBJECTS = 200_000  # that are followed at one time
MOST_THREADS = 4096  # whose last flush and page fault are known
SMALL = 1 << 20  # bytes: an object below is small
LOW = 1 << 32
LARGEST = 1 << 56  # bytes of an object or time in ns that is believed: a CPU addresses no more, and none runs so long
_NEVER = 1 << 65  # ns


def _skip(event: Event) -> None:
    """No call."""


class CallTally:
    """The calls of one name."""

    def __init__(self) -> None:
        self.count = self.unreturned = 0
        self.took = Spread()
        self.errors: dict[int, int] = {}

    def merge(self, other: "CallTally") -> None:
        """Adds another process's."""
        self.count += other.count
        self.unreturned += other.unreturned
        self.took.merge(other.took)
        for result, count in other.errors.items():
            self.errors[result] = self.errors.get(result, 0) + count


class ProcessPass:
    """What one process did. devices: of its head; page_size: in bytes; seconds: how long it recorded, 0 if unknown.

    unknown: calls on objects whose allocation was not seen. unfollowed: objects beyond MOST_OBJECTS.
    """

    def __init__(self, devices: Sequence[RecordedDevice], page_size: int, seconds: float = 0.0) -> None:
        self._short_ns = short_ns(seconds)
        self._devices, self._page_size = devices, max(page_size, 1)
        self._calls = [CallTally() for _ in Called]
        self._classes: dict[tuple[OfKind, int, Life], ObjectTally] = {}
        self._kinds: dict[tuple[int, int], OfKind] = {}
        self._unknown_kind = OfKind(Kind(None, None, ()))
        self.over_time = OverTime()
        self.by_present, self.by_submit = FrameTally(), FrameTally()
        self.faults = self.faults_in_mappings = self.mappings_touched = 0
        self.page_ns = Spread()
        self.unknown = self.unfollowed = 0
        self.most_small = 0
        self.last_ns = 0
        self._live: dict[int, dict[int, MemoryObject]] = {}
        self._ranges: MappedRanges[MemoryObject] = MappedRanges()
        self._objects = self._small = self._allocated = self._mapped = self._low = 0
        self._submits = 0
        self._done_calls = self._done_ns = self._maps = self._allocations = self._flushes = 0
        self._flushed: dict[int, tuple[MemoryObject, int]] = {}
        self._touched: dict[int, tuple[int, int]] = {}

    @property
    def calls(self) -> dict[Called, CallTally]:
        """Of each call that was made."""
        return {call: self._calls[call] for call in Called if self._calls[call].count}

    @property
    def classes(self) -> dict[ClassKey, ObjectTally]:
        """Of each class of objects."""
        found = self._classes.items()
        return {ClassKey(kind.kind, 1 << bits >> 1, life): tally for (kind, bits, life), tally in found}

    @property
    def kinds(self) -> list[OfKind]:
        """Of each memory type that was allocated from."""
        return [one for one in (*self._kinds.values(), self._unknown_kind) if one.objects]

    def run(self, events: Iterable[Event], faults: Iterable[PageFault]) -> None:
        """Goes through both, in the order of time."""
        handlers = self._handlers()
        pending = iter(faults)
        fault = next(pending, None)
        fault_ns = fault.time_ns if fault else _NEVER
        for event in events:
            begin = event.begin_ns
            while fault_ns <= begin and fault:
                self._fault(fault)
                fault = next(pending, None)
                fault_ns = fault.time_ns if fault else _NEVER
            if begin > self.last_ns:
                self.last_ns = begin if begin < LARGEST else LARGEST
            handlers[event.call](event)
        while fault:
            self._fault(fault)
            fault = next(pending, None)
        self._end()

    def _handlers(self) -> list[Callable[[Event], object]]:
        """By the number of the call: a list, since there are many events, and a hash of an enum's takes its time."""
        handlers: dict[Called, Callable[[Event], object]] = {
            Called.ALLOCATE: self._allocate,
            Called.FREE: self._free,
            Called.FLUSH: self._flush,
            Called.INVALIDATE: self._flush,
            Called.CREATE_DEVICE: self._other,
            Called.DESTROY_DEVICE: self._destroy,
            Called.PRESENT: self._present,
        }
        handlers |= dict.fromkeys(MAPS, self._map) | dict.fromkeys(UNMAPS, self._unmap)
        handlers |= dict.fromkeys(SUBMITS, self._submit)
        return [handlers.get(call, _skip) for call in Called]

    def _other(self, event: Event) -> int:
        """Counts a call, and returns how long it took in ns."""
        tally = self._calls[event.call]
        tally.count += 1
        if event.result < 0:
            tally.errors[event.result] = tally.errors.get(event.result, 0) + 1
        took = event.duration_ns
        if took is None:
            tally.unreturned += 1
            return 0
        if took > LARGEST:
            took = LARGEST
        tally.took.add(took)
        return took

    def _memory(self, event: Event) -> int:
        """The same of a call whose time is mapping's."""
        took = self._other(event)
        self._done_calls += 1
        self._done_ns += took
        return took

    def _allocate(self, event: Event) -> None:
        took = self._memory(event)
        self._allocations += 1
        if event.result < 0 or event.duration_ns is None or not event.object:
            return
        if self._objects >= MOST_OBJECTS:
            self.unfollowed += 1
            return
        kind = self._kind(event.device, event.offset)
        size = min(event.size, LARGEST)
        one = MemoryObject(self.last_ns, size, kind, event.thread, took, self._submits)
        one.imported = event.marks != 0 and bool(event.marks & Mark.IMPORTED_HOST)
        kind.objects += 1
        kind.bytes += size
        kind.now += size
        if kind.now > kind.most:
            kind.most = kind.now
        live = self._live.setdefault(event.device, {})
        before = live.get(event.object)
        if before:  # its free was not recorded
            self._forget(before, freed=False)
        live[event.object] = one
        self._objects += 1
        self._allocated += size
        if size < SMALL:
            self._small += 1
            if self._small > self.most_small:
                self.most_small = self._small
        self._changed()

    def _kind(self, device: int, memory_type: int) -> OfKind:
        found = self._kinds.get((device, memory_type))
        if found is None:
            if device >= len(self._devices) or memory_type >= len(self._devices[device].memory_types):
                return self._unknown_kind
            flags = self._devices[device].memory_types[memory_type].flags
            found = self._kinds[device, memory_type] = OfKind(Kind(device, memory_type, flags))
        return found

    def _free(self, event: Event) -> None:
        took = self._memory(event)
        if not event.object:
            return
        one = self._found(event)
        if one is None:
            return
        del self._live[event.device][event.object]
        one.ns += took
        self._forget(one, freed=True)
        self._changed()

    def _forget(self, one: MemoryObject, *, freed: bool) -> None:
        """Of an object that is no longer there, also where nobody has freed it."""
        read_back = one.first_map_after_work and freed and one.submits == self._submits
        key = one.kind, one.size.bit_length(), one.life(self.last_ns, freed, self._short_ns)
        tally = self._classes.get(key)
        if tally is None:
            tally = self._classes[key] = ObjectTally()
        tally.add(one, self.last_ns, freed=freed, read_back=read_back)
        self._unmapped(one)
        one.kind.now -= one.size
        self._objects -= 1
        self._allocated -= one.size
        self._small -= one.size < SMALL

    def _destroy(self, event: Event) -> None:
        self._other(event)
        for one in self._live.pop(event.device, {}).values():
            self._forget(one, freed=False)
        self._changed()

    def _map(self, event: Event) -> None:
        took = self._memory(event)
        self._maps += 1
        if event.result < 0 or event.duration_ns is None:
            return
        one = self._found(event)
        if one is None:
            return
        self._unmapped(one)
        one.ns += took
        one.maps += 1
        one.kind.maps += 1
        if one.maps > 1:
            one.again_ns += took
        else:
            one.first_map_after_work = self._submits > one.submits
            one.submits = self._submits
        offset, pointer = min(event.offset, one.size), event.pointer
        length = one.size - offset if event.size == WHOLE else min(event.size, one.size - offset)
        one.mapped, one.mapped_at, one.touched = length, pointer, False
        one.low = max(min(pointer + length, LOW) - pointer, 0) if pointer else 0
        self._ranges.add(pointer, length, one)
        self._mapped += length
        self._low += one.low
        self._changed()

    def _unmap(self, event: Event) -> None:
        took = self._memory(event)
        one = self._found(event)
        if one is None:
            return
        one.ns += took
        if one.maps > 1:
            one.again_ns += took
        self._unmapped(one)
        self._changed()

    def _unmapped(self, one: MemoryObject) -> None:
        if one.mapped_at is None:
            return
        self._ranges.remove(one.mapped_at, one)
        self._mapped -= one.mapped
        self._low -= one.low
        one.mapped = one.low = 0
        one.mapped_at = None

    def _flush(self, event: Event) -> None:
        """Where one of several ranges is of memory that needs it, the call counts for that one."""
        if event.marks != 0 and event.marks & Mark.FURTHER:
            first = self._flushed.get(event.thread)
            one = self._found(event)
            if first and one and "Co" in first[0].kind.kind.flags and "Co" not in one.kind.kind.flags:
                self._flush_of(first[0], event, -1, -first[1])
                self._flush_of(one, event, 1, first[1])
                self._flushed[event.thread] = one, first[1]
            return
        took = self._memory(event)
        self._flushes += 1
        one = self._found(event)
        self._flushed.pop(event.thread, None)
        if one is None:
            return
        self._flush_of(one, event, 1, took)
        if len(self._flushed) < MOST_THREADS:
            self._flushed[event.thread] = one, took

    @staticmethod
    def _flush_of(one: MemoryObject, event: Event, times: int, ns: int) -> None:
        one.flush_ns += ns
        if event.call is Called.FLUSH:
            one.flushes += times
        else:
            one.invalidates += times

    def _found(self, event: Event) -> MemoryObject | None:
        live = self._live.get(event.device)
        one = live.get(event.object) if live else None
        if one is None:
            self.unknown += 1
        elif event.thread != one.thread:
            one.shared = True
        return one

    def _submit(self, event: Event) -> None:
        self._other(event)
        self._submits += 1
        self.by_submit.mark(self.last_ns, self._totals())

    def _present(self, event: Event) -> None:
        self._other(event)
        self.by_present.mark(self.last_ns, self._totals())

    def _totals(self) -> Totals:
        return Totals(
            self._done_calls, self._done_ns, self._maps, self._allocations, self._flushes, self.faults_in_mappings
        )

    def _fault(self, fault: PageFault) -> None:
        self.faults += 1
        one = self._ranges.at(fault.address)
        if one is None:
            return
        self.faults_in_mappings += 1
        one.kind.faults += 1
        one.faults += 1
        if one.maps > 1:
            one.again_faults += 1
        if not one.touched:
            one.touched = True
            self.mappings_touched += 1
        if fault.thread != one.thread:
            one.shared = True
        page, ns = fault.address // self._page_size, fault.time_ns
        before = self._touched.get(fault.thread)
        if before and page == before[0] + 1 and ns >= before[1]:
            self.page_ns.add(ns - before[1])
        if before or len(self._touched) < MOST_THREADS:
            self._touched[fault.thread] = page, ns

    def _changed(self) -> None:
        self.over_time.put(self.last_ns, (self._objects, self._allocated, self._mapped, self._low))

    def _end(self) -> None:
        self._changed()
        for live in self._live.values():
            for one in live.values():
                self._forget(one, freed=False)
        self._live.clear()

"""From a recording to a trace: the calls that one process made on one device, with nothing of the program's own.

A step is left out where it is not possible as recorded; what is left out is said. What keeps the recorded order between
threads: a change of an object (allocate, map, unmap, free) comes after all that was done with it before, a use of it
(flush, invalidate, touch) after its last change, a placed map after what was in its range. Of these orders, those that
follow from others need no signal: each thread has a vector clock (Lamport 1978; Fidge 1988).
"""

import heapq
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from vkmapctl.errors import UsageProblem
from vkmapctl.figures import stats
from vkmapctl.figures.lanes import MOST_KNOWN, Done, Lane, Steps, folded
from vkmapctl.figures.mapped_ranges import MappedRanges
from vkmapctl.figures.spread import Spread
from vkmapctl.model.loop import CALLS
from vkmapctl.model.recording import MAPS, UNMAPS, Called, Event, Mark, PageFault, RecordedDevice, Recording
from vkmapctl.model.trace import (
    MOST_OBJECTS,
    MOST_THREADS,
    Allocate,
    AnyTraceStep,
    Flush,
    Free,
    Invalidate,
    Map,
    MemoryRange,
    Touch,
    Trace,
    TraceApi,
    TraceMemory,
    TraceRange,
    Unmap,
    Wait,
)
from vkmapctl.model.trace_state import Impossible, TraceState
from vkmapctl.rules import FLAGS, result_name

WHOLE = (1 << 64) - 1  # VK_WHOLE_SIZE
LOW = 1 << 32
MOST_STEPS = 20_000_000  # before they are folded
MANY_THREADS = 64  # from so many on, a thread that begins goes on where one has ended
SPARE = 4  # numbers of objects that other threads have freed, and that are left alone so that no thread waits for them
_WAITING = 256  # events that wait until all ranges of a flush before them are seen
_MOST_RANGES = 100_000  # of one flush
_FURTHER, _PLACED = int(Mark.FURTHER), int(Mark.PLACED)  # & of flags themselves is slow
_TRACED = (Called.ALLOCATE, Called.FREE, *MAPS, *UNMAPS, Called.FLUSH, Called.INVALIDATE)
_APIS: dict[Called, TraceApi] = {
    Called.MAP: "v1", Called.MAP2: "core", Called.MAP2_KHR: "khr",
    Called.UNMAP: "v1", Called.UNMAP2: "core", Called.UNMAP2_KHR: "khr",
}  # fmt: skip
_NAMES = {
    **dict.fromkeys(MAPS, "map"),
    **dict.fromkeys(UNMAPS, "unmap"),
    Called.ALLOCATE: "allocate",
    Called.FREE: "free",
    Called.FLUSH: "flush",
    Called.INVALIDATE: "invalidate",
}
_KINDS = (
    (Mark.IMPORTED_HOST, "host"),
    (Mark.EXPORTED, "export"),
    (Mark.DEDICATED, "dedicated"),
    (Mark.DEVICE_ADDRESS, "device-address"),
)
_UNRETURNED = "{} which had not returned when the program ended"
_UNKNOWN = "{} on objects whose allocation was not recorded"
_NOT_POSSIBLE = "{} not possible at that place of the recording"
_OTHER_DEVICES = "{} on other devices"


class Traced(NamedTuple):
    """A trace, and what it was made of: indices of process and device, calls that are in it.

    left_out: what is not in it, in words. replaced: what is something else in it.
    """

    trace: Trace
    process: int
    device: int
    calls: int
    left_out: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()


def trace_of(recording: Recording, process: int | None = None, device: int | None = None) -> Traced:
    """The trace of a process, without one that with most events, and of a device of it, without one the most called.

    Raises UsageProblem for one that there is not, that called nothing, or that is too long.
    """
    processes = recording.head.processes
    if not processes:
        raise UsageProblem("nothing was recorded: no process made an instance")
    chosen = process if process is not None else max(range(len(processes)), key=lambda i: processes[i].events)
    one = processes[chosen]
    seen = _Survey(recording.events(chosen))
    if not seen.calls:
        raise UsageProblem(f"process {one.pid} called nothing that a trace could have")
    number = device if device is not None else seen.calls.most_common(1)[0][0]
    if number not in seen.calls:
        known = ", ".join(map(str, sorted(seen.calls)))
        raise UsageProblem(f"process {one.pid} called nothing on device {number}", f"it has: {known}")
    tracer = _Tracer(number, one.devices[number] if number < len(one.devices) else None, seen, one.page_size)
    tracer.run(recording.events(chosen), recording.faults(chosen))
    if not tracer.calls:
        raise UsageProblem(f"no call of process {one.pid} could become a step")
    if len(seen.calls) > 1:
        tracer.left_out[_OTHER_DEVICES] = seen.calls.total() - seen.calls[number]
    left_out = [words.format(_calls(count)) for words, count in tracer.left_out.items() if count]
    lost = [(one.dropped, "event"), (one.lost_faults, "page fault")]
    left_out += [f"{_count(count, what)} that the recording lost" for count, what in lost if count]
    replaced = [f"{_calls(tracer.imports)} that imported something else than host memory: plain allocations"]
    return Traced(
        tracer.trace(), chosen, number, tracer.calls, tuple(left_out), tuple(replaced if tracer.imports else ())
    )


def _calls(count: int) -> str:
    return _count(count, "call")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + "s" * (number != 1)


class _Survey:
    """What has to be known before: calls by device, placed ranges, and when it began and ended."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.calls: Counter[int] = Counter()
        self.begin_ns = self.end_ns = 0
        self.last_ns: dict[int, int] = {}  # when each thread's last call began
        placed: dict[int, set[tuple[int, int]]] = {}
        sizes: dict[tuple[int, int], int] = {}
        first = True
        for event in events:
            if first:
                self.begin_ns, first = event.begin_ns, False
            self.end_ns = max(self.end_ns, event.begin_ns + (event.duration_ns or 0))
            if event.call not in _TRACED or int(event.marks) & _FURTHER:
                continue
            self.calls[event.device] += 1
            self.last_ns[event.thread] = event.begin_ns
            if event.call is Called.ALLOCATE and event.object:
                sizes[event.device, event.object] = event.size
            elif event.call is Called.FREE:
                sizes.pop((event.device, event.object), None)
            elif int(event.marks) & _PLACED and event.call in MAPS:
                size = event.size
                if size == WHOLE:
                    size = sizes.get((event.device, event.object), 0) - event.offset
                if size > 0:
                    placed.setdefault(event.device, set()).add((event.pointer, event.pointer + size))
        self.placed = {number: _merged(ranges) for number, ranges in placed.items()}


def _merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges of addresses, those that overlap as one, in order."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(ranges):
        if found and begin < found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found


def whole_calls(events: Iterable[Event]) -> Iterator[tuple[Event, Sequence[Event]]]:
    """Every event with the further ranges that belong to it, in order."""
    waiting: deque[tuple[Event, list[Event]]] = deque()
    open_ones: dict[int, tuple[Event, list[Event]]] = {}  # flushes that may have further ranges, by thread
    for event in events:
        head = open_ones.get(event.thread)
        if head and int(event.marks) & _FURTHER and head[0].call is event.call and len(head[1]) < _MOST_RANGES:
            head[1].append(event)
            continue
        open_ones.pop(event.thread, None)
        entry: tuple[Event, list[Event]] = event, []
        if event.call in (Called.FLUSH, Called.INVALIDATE):
            open_ones[event.thread] = entry
        waiting.append(entry)
        while waiting and (open_ones.get(waiting[0][0].thread) is not waiting[0] or len(waiting) > _WAITING):
            first = waiting.popleft()
            if open_ones.get(first[0].thread) is first:
                del open_ones[first[0].thread]
            yield first
    yield from waiting


class Unknown(ValueError):
    """An object whose allocation was not seen."""


class _Object:
    """An object that has memory. changed: its last change; used: each thread's last use since."""

    __slots__ = ("changed", "mapped", "number", "pointer", "size", "touching", "used")

    def __init__(self, number: int, size: int, changed: Done) -> None:
        self.number, self.size, self.changed = number, size, changed
        self.used: dict[int, Done] = {}
        self.touching: set[int] = set()  # lanes that have a touch of it that is not a step yet
        self.mapped: tuple[int, int] | None = None
        self.pointer = 0


class _Touching:
    """Pages of an object that a lane touches one after the other. gap: before them."""

    __slots__ = ("begin", "end", "gap", "object")

    def __init__(self, one: _Object, begin: int, end: int, gap: tuple[int, int]) -> None:
        self.object, self.begin, self.end, self.gap = one, begin, end, gap


class _Numbers:
    """The numbers of objects: the lowest that a lane has freed itself, or one of which it knows that another freed it.

    Another number that another lane has freed makes the one that takes it wait: some are therefore left alone.
    """

    def __init__(self) -> None:
        self.count = 0
        self._free: dict[int, Done] = {}
        self._lowest: dict[int, list[tuple[int, Done]]] = {}  # heaps, by the lane that freed; some are taken again
        self._oldest: dict[int, deque[tuple[int, Done]]] = {}

    def take(self, lane: Lane) -> tuple[int, Done | None]:
        """A number, and since when it is free."""
        own = self._lowest.get(lane.number, [])
        while own and self._free.get(own[0][0]) is not own[0][1]:
            heapq.heappop(own)
        others = self._first_of_others(lane.number)
        known = [own[0]] if own else []
        known += [one for one in others if lane.knows(one[1])]
        if known:
            number, freed = min(known)
        elif others and len(self._free) > SPARE:
            number, freed = min(others, key=lambda one: one[1].order)
        else:
            self.count += 1
            return self.count - 1, None
        del self._free[number]
        return number, freed

    def _first_of_others(self, lane: int) -> list[tuple[int, Done]]:
        found = []
        for other, queue in self._oldest.items():
            while queue and self._free.get(queue[0][0]) is not queue[0][1]:
                queue.popleft()
            if queue and other != lane:
                found.append(queue[0])
        return found

    def give_back(self, number: int, freed: Done) -> None:
        """A number that is free from then on."""
        self._free[number] = freed
        heapq.heappush(self._lowest.setdefault(freed.lane, []), (number, freed))
        self._oldest.setdefault(freed.lane, deque()).append((number, freed))


class _Tracer:
    """Goes through a process's events once. calls: that became steps. left_out: by the words for it."""

    def __init__(self, number: int, device: RecordedDevice | None, seen: _Survey, page_size: int) -> None:
        self._number, self._seen = number, seen
        types = device.memory_types if device else ()
        self._types = [tuple(flag for flag in one.flags if flag in FLAGS) for one in types]
        self._page = page_size if page_size > 0 and page_size & (page_size - 1) == 0 else 4096
        self.calls = self.imports = 0
        self.left_out: Counter[str] = Counter()
        self._steps = Steps()
        self._lanes: dict[int, Lane] = {}
        self._by_number: list[Lane] = []
        self._ending: list[tuple[int, int]] = []  # when the threads of lanes call for the last time; a heap
        self._touches: dict[int, _Touching] = {}  # by lane
        self._until: dict[int, int] = {}  # when each thread's last call ended
        self._objects: dict[int, _Object] = {}
        self._mapped: MappedRanges[_Object] = MappedRanges()
        self._memory: dict[tuple[str, ...], int] = {}
        self._placed = seen.placed.get(number, [])
        self._left: dict[int, dict[int, Done]] = {}  # when each lane last left a range, by the survey's ranges
        self._numbers = _Numbers()
        self._ranges: dict[int, int] = {}  # numbers of the survey's ranges, by their first use
        self._range_sizes: list[TraceRange] = []
        self._state = TraceState(len(self._types), self._range_sizes, MOST_OBJECTS)
        self._spreads = {name: Spread() for name in CALLS}
        self._known = 0  # entries of all clocks

    def run(self, events: Iterable[Event], faults: Iterable[PageFault]) -> None:
        """Raises UsageProblem where there is more than a trace holds."""
        pending = iter(faults)
        fault = next(pending, None)
        for event, further in whole_calls(events):
            while fault and fault.time_ns <= event.begin_ns:
                self._fault(fault)
                fault = next(pending, None)
            self._event(event, further)
            if self._steps.total > MOST_STEPS:
                raise UsageProblem(f"the recording has more than {MOST_STEPS:,} steps", "record a shorter time: --for")
        while fault:
            self._fault(fault)
            fault = next(pending, None)
        for lane in self._by_number:
            self._settle(lane)

    def trace(self) -> Trace:
        """What the steps have become."""
        return Trace(
            memory=tuple(TraceMemory(flags) for flags in self._memory),
            threads=tuple(folded(lane, self._steps) for lane in self._by_number),
            ranges=tuple(self._range_sizes),
            objects=self._numbers.count,
            seconds=max(self._seen.end_ns - self._seen.begin_ns, 0) / 1e9,
            page_size=self._page,
            recorded={
                name: stats.latency(spread.histogram(), 0.0) for name, spread in self._spreads.items() if spread.count
            },
        )

    def _event(self, event: Event, further: Sequence[Event]) -> None:
        thread, took = event.thread, event.duration_ns
        if event.call is Called.GAP:
            if thread in self._lanes:
                self._lanes[thread].asleep_ns += max((took or 0) - event.size, 0)
            return
        self._until[thread] = event.begin_ns + (took or 0)
        if event.device != self._number or event.call not in _NAMES:
            return
        if took is None:
            self.left_out[_UNRETURNED] += 1
            return
        lane = self._lane(thread, event.begin_ns)
        self._settle(lane)
        lane.pass_time(event.begin_ns, event.begin_ns + took)
        gap = lane.take_gap()
        lane.asleep_ns = 0
        try:
            self._call(event, further, lane, gap)
        except (Unknown, Impossible) as error:
            self.left_out[_UNKNOWN if isinstance(error, Unknown) else _NOT_POSSIBLE] += 1
            if not lane.steps:  # so that no thread is without steps
                del self._lanes[thread], self._by_number[lane.number]
        else:
            self.calls += 1
            if event.result >= 0:
                host = event.call is Called.ALLOCATE and Mark.IMPORTED_HOST in event.marks
                self._spreads["import" if host else _NAMES[event.call]].add(took)

    def _lane(self, thread: int, now_ns: int) -> Lane:
        found = self._lanes.get(thread)
        if found is None:
            found = self._lanes[thread] = self._ended_lane(now_ns) or self._new_lane()
            found.asleep_ns = max(now_ns - found.at_ns, 0)
            heapq.heappush(self._ending, (self._seen.last_ns.get(thread, now_ns), thread))
        return found

    def _new_lane(self) -> Lane:
        if len(self._by_number) >= MOST_THREADS:
            raise UsageProblem(f"the recording has more than {MOST_THREADS} threads at a time")
        found = Lane(len(self._by_number), self._seen.begin_ns)
        self._by_number.append(found)
        return found

    def _ended_lane(self, now_ns: int) -> Lane | None:
        """That of a thread which calls nothing from now on, where there are many."""
        while len(self._by_number) >= MANY_THREADS and self._ending and self._ending[0][0] < now_ns:
            found = self._lanes.pop(heapq.heappop(self._ending)[1], None)
            if found:
                self._settle(found)
                return found
        return None

    def _object(self, event: Event) -> _Object:
        found = self._objects.get(event.object)
        if found is None:
            raise Unknown
        return found

    def _call(self, event: Event, further: Sequence[Event], lane: Lane, gap: tuple[int, int]) -> None:
        """Raises Unknown for an unknown object, Impossible for what cannot be."""
        match event.call:
            case Called.ALLOCATE:
                self._allocate(event, lane, gap)
            case Called.FREE if not event.object:
                self._do(Free(), lane, gap)
            case Called.FREE:
                self._free(event, lane, gap)
            case Called.MAP | Called.MAP2 | Called.MAP2_KHR:
                self._map(event, self._object(event), lane, gap)
            case Called.UNMAP | Called.UNMAP2 | Called.UNMAP2_KHR:
                self._unmap(event, self._object(event), lane, gap)
            case _:
                self._flush((event, *further), lane, gap)

    def _allocate(self, event: Event, lane: Lane, gap: tuple[int, int]) -> None:
        if event.offset >= len(self._types):
            raise Impossible("no such memory type is recorded")
        memory = self._memory.setdefault(self._types[event.offset], len(self._memory))
        kind = next((kind for mark, kind in _KINDS if event.marks & mark), "plain")
        number, freed = self._numbers.take(lane)
        step = Allocate(number, event.size, memory, kind, _result(event))  # type: ignore[arg-type]
        try:
            done = self._do(step, lane, gap, freed)
        except Impossible:
            self._numbers.give_back(number, freed or Done(lane.number, -1, 0))
            raise
        if event.result < 0:
            self._numbers.give_back(number, done)
            return
        self.imports += bool(event.marks & Mark.IMPORTED)
        self._objects[event.object] = _Object(number, event.size, done)

    def _free(self, event: Event, lane: Lane, gap: tuple[int, int]) -> None:
        one = self._object(event)
        done = self._change(Free(one.number), one, lane, gap)
        self._leave(one, done)
        self._numbers.give_back(one.number, done)
        del self._objects[event.object]

    def _map(self, event: Event, one: _Object, lane: Lane, gap: tuple[int, int]) -> None:
        size = None if event.size == WHOLE else event.size
        end = one.size if size is None else event.offset + size
        placed, at, left = None, 0, []
        if int(event.marks) & _PLACED:
            surveyed = self._range_at(event.pointer)
            if surveyed is None:
                raise Impossible("its range is not known")
            placed, at = self._range_number(surveyed), event.pointer - self._placed[surveyed][0]
            left = [*self._left.get(surveyed, {}).values()]
        step = Map(one.number, event.offset, size, _APIS[event.call], placed, at, _result(event))
        self._change(step, one, lane, gap, left)
        if event.result < 0:
            return
        one.mapped, one.pointer = (event.offset, end), event.pointer
        if event.pointer:
            self._mapped.add(event.pointer, end - event.offset, one)

    def _unmap(self, event: Event, one: _Object, lane: Lane, gap: tuple[int, int]) -> None:
        step = Unmap(one.number, _APIS[event.call], bool(event.marks & Mark.RESERVE), _result(event))
        done = self._change(step, one, lane, gap)
        if event.result >= 0:
            self._leave(one, done)

    def _flush(self, events: Sequence[Event], lane: Lane, gap: tuple[int, int]) -> None:
        ones = [self._object(event) for event in events]
        ranges = tuple(
            MemoryRange(one.number, event.offset, None if event.size == WHOLE else event.size)
            for one, event in zip(ones, events, strict=True)
        )
        kind = Flush if events[0].call is Called.FLUSH else Invalidate
        done = self._do(kind(ranges, _result(events[0])), lane, gap, *(one.changed for one in ones))
        for one in ones:
            one.used[lane.number] = done

    def _leave(self, one: _Object, done: Done) -> None:
        """Its mapping is gone."""
        if one.mapped and one.pointer:
            self._mapped.remove(one.pointer, one)
            surveyed = self._range_at(one.pointer)
            if surveyed is not None:
                self._left.setdefault(surveyed, {})[done.lane] = done
        one.mapped, one.pointer = None, 0

    def _range_at(self, address: int) -> int | None:
        found = bisect_right(self._placed, address, key=lambda one: one[0]) - 1
        return found if found >= 0 and address < self._placed[found][1] else None

    def _range_number(self, surveyed: int) -> int:
        if surveyed not in self._ranges:
            begin, end = self._placed[surveyed]
            self._ranges[surveyed] = len(self._ranges)
            self._range_sizes.append(TraceRange(-(-(end - begin) // self._page) * self._page, end <= LOW))
        return self._ranges[surveyed]

    # --- touched pages ------------------------------------------------------------------------------

    def _fault(self, fault: PageFault) -> None:
        one = self._mapped.at(fault.address)
        if not one or not one.mapped or fault.time_ns < self._until.get(fault.thread, 0):
            return  # within a call it is the driver that touches
        lane = self._lane(fault.thread, fault.time_ns)
        lane.pass_time(fault.time_ns, fault.time_ns)
        begin = (fault.address & -self._page) - one.pointer + one.mapped[0]
        begin, end = max(begin, one.mapped[0]), min(begin + self._page, one.mapped[1])
        touching = self._touches.get(lane.number)
        if touching and touching.object is one:
            if touching.end == begin:
                touching.end = end
                return
            if touching.begin == end:
                touching.begin = begin
                return
        self._settle(lane)
        self._touches[lane.number] = _Touching(one, begin, end, lane.take_gap())
        one.touching.add(lane.number)

    def _settle(self, lane: Lane) -> None:
        """Makes a step of what the lane has touched."""
        touching = self._touches.pop(lane.number, None)
        if touching:
            one = touching.object
            one.touching.discard(lane.number)
            step = Touch(one.number, touching.begin, touching.end - touching.begin)
            one.used[lane.number] = self._do(step, lane, touching.gap, one.changed)

    # --- the order between threads ------------------------------------------------------------------

    def _change(
        self, step: AnyTraceStep, one: _Object, lane: Lane, gap: tuple[int, int], left: Iterable[Done] = ()
    ) -> Done:
        """A step that comes after everything that was done with the object."""
        for other in tuple(one.touching):
            self._settle(self._by_number[other])
        done = self._do(step, lane, gap, one.changed, *one.used.values(), *left)
        one.changed = done
        one.used.clear()
        return done

    def _do(self, step: AnyTraceStep, lane: Lane, gap: tuple[int, int], *after: Done | None) -> Done:
        """Adds a step that comes after others. Raises Impossible before it adds anything."""
        self._state.apply(step)
        unknown = [one for one in after if one and not lane.knows(one)]
        for done in sorted(unknown, key=lambda one: -one.order):
            if lane.knows(done):  # by one that it has waited for
                continue
            other = self._by_number[done.lane]
            other.signals.setdefault(done.place, []).append(lane.number)
            self._add(lane, Wait(done.lane), gap)
            lane.learn(done, other, keep=self._known < MOST_KNOWN)
            self._known += len(self._by_number)
            gap = (0, 0)
        return self._add(lane, step, gap)

    def _add(self, lane: Lane, step: AnyTraceStep, gap: tuple[int, int]) -> Done:
        lane.add(self._steps.number(step), gap)
        self._steps.total += 1
        return Done(lane.number, len(lane.steps) - 1, self._steps.total)


def _result(event: Event) -> str:
    return result_name(event.result) if event.result < 0 else ""

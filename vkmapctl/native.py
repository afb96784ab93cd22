"""The C loop and the replay, as Python calls them: programs in, counters and histograms out, integers both ways."""

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from vkmapctl._loop import ffi, lib
from vkmapctl.model import bins
from vkmapctl.model.loop import CALLS, REPLAY_APIS, Fault, LoopStep, Op, Place, ReplayStep
from vkmapctl.model.measured import Counted, FirstTouch, Histogram, Mismatch, ReplayCounts, Touched
from vkmapctl.rules import Api

FOREVER = (1 << 64) - 1
PAGE = mmap.PAGESIZE
ACCESSES = ("sequential", "strided", "random")  # enum vkm_access of access.h
LINE = 128  # bytes: a cache line, or the pair of lines that some CPUs fetch together


class Pass(IntEnum):
    """enum vkm_pass of loop.h."""

    RATE = lib.VKM_RATE
    LATENCY = lib.VKM_LATENCY
    CHECK = lib.VKM_CHECK


class Refusal(IntEnum):
    """enum vkm_refusal of loop.h."""

    FIXED = lib.VKM_REFUSE_FIXED
    INACCESSIBLE = lib.VKM_REFUSE_INACCESSIBLE
    ALL = lib.VKM_REFUSE_ALL


class Functions(NamedTuple):
    """Addresses of a device's functions, and the VkDevice. version 1: vkMapMemory, 2: vkMapMemory2.

    allocate, free and the memory type of both are for programs with ALLOCATE steps.
    """

    device: int
    map: int
    unmap: int
    flush: int
    invalidate: int
    version: int
    allocate: int = 0
    free: int = 0
    memory_type: int = 0


class Object(NamedTuple):
    """What a program works on: VkDeviceMemory and bytes, 0 and 0 where ALLOCATE or IMPORT makes it.

    chain: address of what ALLOCATE chains to VkMemoryAllocateInfo, which must live as long as the program.
    """

    memory: int
    size: int
    chain: int = 0


class Transfer(NamedTuple):
    """struct vkm_transfer: addresses of VkSubmitInfo and, by direction, the key of the device's pattern or the address
    that is copied back to."""

    submits: tuple[int, int]
    key: int = 0
    back: int = 0


class Queue(NamedTuple):
    """A VkQueue, the functions that work on it, a VkFence of the thread's own, and what the steps submit."""

    queue: int
    submit: int
    wait: int
    reset: int
    fence: int
    transfers: Sequence[Transfer] = ()


def _histogram(raw: Any) -> Histogram:
    counts = ffi.unpack(raw.bins, lib.VKM_BINS)
    filled = tuple((bins.edge(i), n) for i, n in enumerate(counts) if n)
    return Histogram(raw.count, raw.sum_ns, raw.min_ns, raw.max_ns, raw.overflow, filled)


def _apart(owners: list[Any], kind: str, count: int = 1) -> Any:
    """A zeroed array of `count` structures that shares no cache line with anything; lives as long as `owners`."""
    owner = ffi.new("char[]", ffi.sizeof(kind) * max(count, 1) + 2 * LINE)
    owners.append(owner)
    return ffi.cast(f"{kind} *", -(-int(ffi.cast("uintptr_t", owner)) // LINE) * LINE)


class Results:
    """Counters and histograms of `threads` threads, in memory that a forked child shares with its parent."""

    def __init__(self, threads: int) -> None:
        stride = -(-ffi.sizeof("struct vkm_stats") // PAGE) * PAGE
        self._memory = mmap.mmap(-1, PAGE + stride * threads)
        base = ffi.from_buffer(self._memory)
        self.control = ffi.cast("struct vkm_control *", base)
        self.stats = [ffi.cast("struct vkm_stats *", base + PAGE + stride * i) for i in range(threads)]

    def clear(self) -> None:
        """Before a new job: everything but the stop flag."""
        for stats in self.stats:
            ffi.buffer(stats)[:] = bytes(ffi.sizeof("struct vkm_stats"))

    def stop(self) -> None:
        """Ends the running pass at its next look at the flag."""
        self.control.stop = 1

    def heartbeat(self) -> tuple[int, ...]:
        """Changes as long as any thread makes progress."""
        return tuple(value for s in self.stats for value in (s.iterations, s.at_step, s.at_op, s.running))

    def place(self) -> Place | None:
        """Where the first thread that is still inside the loop is, None where all have left it.

        Of a replay the first one that is in a call, where there is one: the others wait for it.
        """
        places = [_place(s, i) for i, s in enumerate(self.stats) if s.running]
        return next((one for one in places if one.op not in (Op.WAIT, Op.PAUSE)), places[0] if places else None)

    def fault(self) -> tuple[Fault, int, Place, Mismatch | None]:
        """The first fault met, its VkResult, where, and the byte that was wrong for MISMATCH."""
        for i, s in enumerate(self.stats):
            if s.fault:
                fault = Fault(s.fault)
                wrong = Mismatch(s.bad_offset, s.bad_expected, s.bad_found) if fault is Fault.MISMATCH else None
                return fault, s.result, _place_of_fault(s, i) if s.replayed.replaying else _place(s, i), wrong
        return Fault.OK, 0, Place(Op.MAP, 0, 0, 0), None

    def total(self, field: str) -> int:
        """Sum of one counter over the threads."""
        return sum(int(getattr(s, field)) for s in self.stats)

    def longest(self, field: str) -> int:
        """Largest value of one counter over the threads."""
        return max(int(getattr(s, field)) for s in self.stats)

    def histogram(self, call: str) -> Histogram:
        """Of one of CALLS, merged over the threads."""
        return self._merged("calls", CALLS.index(call))

    def _merged(self, *field: str | int) -> Histogram:
        merged = ffi.new("struct vkm_histogram *")
        for s in self.stats:
            lib.vkm_merge(merged, ffi.addressof(s, *field))
        return _histogram(merged)

    def counted(self) -> Counted:
        """What all threads together have counted so far."""
        return Counted(
            pairs=self.total("rate_pairs"),
            rate_ns=self.total("rate_ns"),
            longest_rate_ns=self.longest("rate_ns"),
            calls={call: self.histogram(call) for call in CALLS},
            cycle=self._merged("cycle_ns"),
            written=Touched(self.total("write_bytes"), self.longest("write_ns")),
            read=Touched(self.total("read_bytes"), self.longest("read_ns")),
            first=FirstTouch(
                mappings=self.total("first_mappings"),
                pages=self.total("first_pages"),
                ns=self.total("first_ns"),
                minor_faults=self.total("first_minor_faults"),
                major_faults=self.total("first_major_faults"),
                huge_bytes=self.total("huge_bytes"),
                looked_bytes=self.total("looked_bytes"),
            ),
            minor_faults=self.total("minor_faults"),
            major_faults=self.total("major_faults"),
            verified_bytes=self.total("verified_bytes"),
            mismatches=self.total("mismatches"),
            missed_cycles=self.total("missed_cycles"),
            write_ways=reduce(or_, (int(s.write_ways) for s in self.stats)),
            replay=self._replayed(),
        )

    def _replayed(self) -> ReplayCounts | None:
        all_of = [s.replayed for s in self.stats if s.replayed.replaying]
        if not all_of:
            return None
        failures: dict[int, int] = {}
        for one in all_of:
            for result, count in zip(one.results, one.failures, strict=True):
                if count:
                    failures[result] = failures.get(result, 0) + count
        made = {call: sum(int(one.made[i]) for one in all_of) for i, call in enumerate(CALLS)}
        return ReplayCounts(
            calls={call: count for call, count in made.items() if count},
            skipped=sum(int(one.skipped) for one in all_of),
            differs=sum(int(one.differs) for one in all_of),
            waits_ns=sum(int(one.wait_ns) for one in all_of),
            failures=failures,
        )


def _place(stats: Any, thread: int) -> Place:
    if not stats.replayed.replaying:
        return Place(Op(stats.at_op), stats.at_step, stats.at_object, stats.iterations)
    return Place(Op(stats.at_op), stats.at_step, stats.at_object, None, thread, _api(stats.at_api))


def _place_of_fault(stats: Any, thread: int) -> Place:
    """Of a replay, which goes on after its first fault."""
    at = stats.replayed
    return Place(Op(at.fault_op), stats.fault_step, at.fault_object, None, thread, _api(at.fault_api))


def _api(number: int) -> Api | None:
    return REPLAY_APIS[number - 1] if number else None


class Clock:
    """The cheapest clock that is right here. Choosing calibrates for some 15 ms."""

    NAMES = ("clock_gettime", "tsc", "generic timer")

    def __init__(self, counter_is_trusted: bool) -> None:
        self.raw = ffi.new("struct vkm_clock *")
        self.raw[0] = lib.vkm_clock_choose(counter_is_trusted)
        self.name = self.NAMES[self.raw.kind]

    def ns(self) -> int:
        """Nanoseconds from an arbitrary start."""
        return int(lib.vkm_clock_ns(self.raw))

    def floor(self, reads: int = 20_000) -> Histogram:
        """Distribution of two reads with nothing between, in ns."""
        histogram = ffi.new("struct vkm_histogram *")
        lib.vkm_clock_floor(self.raw, histogram, reads)
        return _histogram(histogram)

    def step(self) -> int:
        """ns by which a clock advances that stands still between; 0 for one that is new at each reading."""
        return int(lib.vkm_clock_step(self.raw))


class Program:
    """Steps over mapped objects, checked and laid out for the loop.

    cycles: an iteration runs the next one, round robin; all have the same number of steps and maps. interval_ns: how
    often a cycle is due in the latency pass, 0 for one straight after the other. Raises ValueError for a step out of
    bounds, a double map and the like: the loop itself trusts its program. width, access: of what WRITE
    and READ do.
    """

    def __init__(
        self,
        functions: Functions,
        objects: Sequence[Object | tuple[int, int]],
        cycles: Sequence[Sequence[LoopStep]],
        *,
        map_alignment: int = 64,
        seed: int = 0,
        interval_ns: float = 0.0,
        queue: Queue | None = None,
        width: str = "auto",
        access: str = "sequential",
    ) -> None:
        steps = [step for cycle in cycles for step in cycle]
        self._owners: list[Any] = []
        self._steps = _apart(self._owners, "struct vkm_step", len(steps))
        for i, step in enumerate(steps):
            raw = self._steps[i]
            raw.op, raw.object, raw.flags, raw.whole = step.op, step.object, step.flags, step.whole
            raw.offset, raw.size, raw.address = step.offset, step.size, step.address
        self._objects = _apart(self._owners, "struct vkm_object", len(objects))
        for i, one in enumerate(objects):
            raw, (memory, size, chain) = self._objects[i], Object(*one)
            raw.memory, raw.allocation_size, raw.allocate_next = memory, size, chain
        self._calls = _apart(self._owners, "struct vkm_call", len(steps))
        self.raw = _apart(self._owners, "struct vkm_program")
        self.raw.device, self.raw.map, self.raw.unmap = functions.device, functions.map, functions.unmap
        self.raw.flush, self.raw.invalidate = functions.flush, functions.invalidate
        self.raw.allocate, self.raw.free = functions.allocate, functions.free
        self.raw.memory_type, self.raw.interval_ns = functions.memory_type, interval_ns
        self.raw.version, self.raw.seed = functions.version, seed & FOREVER
        self.raw.map_alignment, self.raw.page_size = map_alignment, PAGE
        self.raw.width, self.raw.access = _width(width), ACCESSES.index(access)
        self.raw.step_count, self.raw.object_count = len(steps), len(objects)
        self.raw.cycle_steps = len(cycles[0]) if cycles else 0
        self.raw.steps, self.raw.calls, self.raw.objects = self._steps, self._calls, self._objects
        if queue:
            self._attach(queue)
        bad = lib.vkm_check(self.raw)
        if bad:
            raise ValueError(f"not a sound program at step {bad - 1} of {len(steps)}: {steps[bad - 1 : bad]}")
        lib.vkm_prepare(self.raw)

    def _attach(self, queue: Queue) -> None:
        """What the TO_HOST and TO_DEVICE steps submit, by the number in their `address`."""
        self.raw.queue, self.raw.fence = queue.queue, queue.fence
        self.raw.submit, self.raw.wait, self.raw.reset = queue.submit, queue.wait, queue.reset
        self.raw.transfers = _apart(self._owners, "struct vkm_transfer", len(queue.transfers))
        self.raw.transfer_count = len(queue.transfers)
        for i, one in enumerate(queue.transfers):
            raw = self.raw.transfers[i]
            raw.submits[0], raw.submits[1] = one.submits
            raw.key, raw.back = one.key, one.back

    def run(
        self,
        clock: Clock,
        results: Results,
        thread: int,
        kind: Pass,
        *,
        iterations: int = FOREVER,
        ns: int = FOREVER,
    ) -> Fault:
        """One pass of one thread, with the interpreter lock released. Ends at the first fault."""
        return Fault(lib.vkm_run(self.raw, clock.raw, results.control, results.stats[thread], kind, iterations, ns))

    def unwind(self) -> None:
        """Unmaps what a pass that met a fault left mapped, and frees what it left allocated."""
        lib.vkm_unwind(self.raw)

    def forget_writes(self) -> None:
        """Lets the next verify begin anew: another program may have written to the same memory since."""
        for i in range(self.raw.object_count):
            self._objects[i].written_begin = self._objects[i].written_end = 0

    def release_kept(self) -> None:
        """Gives back the ranges that unplaced maps left reserved."""
        for i in range(self.raw.object_count):
            kept = self._objects[i]
            if kept.kept_end > kept.kept_begin:
                lib.vkm_release_range(kept.kept_begin, kept.kept_end - kept.kept_begin)


class ReplayFunctions(NamedTuple):
    """Addresses of a device's functions, and the VkDevice. maps: of map and unmap, by api, those that there are."""

    device: int
    allocate: int
    free: int
    flush: int
    invalidate: int
    maps: dict[Api, tuple[int, int]]


class Replay:
    """Threads of steps over objects that all of them share, each thread run once.

    ranges: (object, offset, size) of what the FLUSH and INVALIDATE steps name by number. places: (address, length) of
    reserved addresses that maps are placed at. channels: how many pairs of threads signal. Raises ValueError for a
    step that names what is not there.
    """

    def __init__(
        self,
        functions: ReplayFunctions,
        threads: Sequence[Sequence[ReplayStep]],
        *,
        objects: int,
        ranges: Sequence[tuple[int, int, int]] = (),
        places: Sequence[tuple[int, int]] = (),
        channels: int = 0,
    ) -> None:
        self._owners: list[Any] = []
        self.raw = raw = _apart(self._owners, "struct vkm_replay")
        raw.device, raw.allocate, raw.free = functions.device, functions.allocate, functions.free
        raw.flush, raw.invalidate, raw.page_size = functions.flush, functions.invalidate, PAGE
        for i, api in enumerate(REPLAY_APIS):
            raw.map[i], raw.unmap[i] = functions.maps.get(api, (0, 0))
        raw.objects, raw.object_count = _apart(self._owners, "struct vkm_replay_object", objects), objects
        raw.channels, raw.channel_count = _apart(self._owners, "struct vkm_replay_channel", channels), channels
        raw.ranges, raw.range_count = _apart(self._owners, "struct vkm_replay_range", len(ranges)), len(ranges)
        for i, one in enumerate(ranges):
            raw.ranges[i].object, raw.ranges[i].offset, raw.ranges[i].size = one
        raw.places, raw.place_count = _apart(self._owners, "struct vkm_replay_place", len(places)), len(places)
        for i, (begin, length) in enumerate(places):
            pages = mmap.mmap(-1, max(length // PAGE, 1))  # of a large place hardly any is ever written
            self._owners.append(pages)
            raw.places[i].begin, raw.places[i].length = begin, length
            raw.places[i].pages = ffi.cast("unsigned char *", ffi.from_buffer(pages))
        raw.threads, raw.thread_count = _apart(self._owners, "struct vkm_replay_thread", len(threads)), len(threads)
        for number, steps in enumerate(threads):
            self._fill(raw.threads[number], steps)
            bad = lib.vkm_replay_check(raw, number)
            if bad:
                raise ValueError(f"not a sound replay at step {bad - 1} of thread {number}: {steps[bad - 1]}")

    def _fill(self, thread: Any, steps: Sequence[ReplayStep]) -> None:
        thread.steps, thread.step_count = _apart(self._owners, "struct vkm_replay_step", len(steps)), len(steps)
        thread.left = _apart(self._owners, "uint64_t", len(steps))
        thread.scratch_ranges = max((one.ranges for one in steps), default=0)
        thread.scratch = _apart(self._owners, "uint64_t", 5 * thread.scratch_ranges)
        for i, step in enumerate(steps):
            raw = thread.steps[i]
            raw.op, raw.number, raw.object, raw.api, raw.flags = step.op, step.number, step.object, step.api, step.flags
            raw.memory_type, raw.other, raw.count = step.memory_type, step.other, step.ranges
            raw.offset, raw.size, raw.address = step.offset, step.size, step.address

    def run(self, clock: Clock, results: Results, thread: int) -> Fault:
        """One thread, with the interpreter lock released, after the common start. Its first fault does not end it."""
        return Fault(lib.vkm_replay_run(self.raw, thread, clock.raw, results.control, results.stats[thread]))

    def end(self) -> None:
        """Once all threads are done: unmaps and frees what they left, after which they can run again."""
        lib.vkm_replay_end(self.raw)

    def lost(self) -> list[bool]:
        """Of each place, whether it is somebody else's now."""
        return [bool(self.raw.places[i].lost) for i in range(self.raw.place_count)]


def _width(width: str) -> int:
    """enum vkm_width of access.h."""
    words = {"auto": lib.VKM_AUTO, "memcpy": lib.VKM_MEMCPY, "stream": lib.VKM_STREAM}
    return int(words[width] if width in words else width)


def access_bytes(width: str) -> int:
    """Bytes of one access of a width that is not `auto`, 0 where this CPU has none."""
    return int(lib.vkm_access_bytes(_width(width)))


def null_driver(version: int, *, faulty: bool = False) -> Functions:
    """Functions that do nothing, or that fail as `inject` says: a memory handle is the address of host memory.

    Those that allocate and free are malloc and free.
    """
    null = lib.vkm_faulty_driver() if faulty else lib.vkm_null_driver()
    map_function, unmap_function = (null.map, null.unmap) if version == 1 else (null.map2, null.unmap2)
    return Functions(0, map_function, unmap_function, null.ranges, null.ranges, version, null.allocate, null.free)


SHIFT = int(lib.VKM_SHIFT)  # bytes between the two copies of a TO_HOST step


def null_queue(transfers: Sequence[Transfer], *, faulty: bool = False) -> Queue:
    """A queue that copies at once: a VkSubmitInfo is a struct vkm_null_copy there."""
    null = lib.vkm_faulty_driver() if faulty else lib.vkm_null_driver()
    return Queue(1, null.submit, null.wait, null.reset, 2, transfers)


def pattern_key(seed: int, thread: int) -> int:
    """The key of a pattern, unlike those of the loop's own writes."""
    return int(lib.vkm_pattern_key(seed & FOREVER, FOREVER, thread))


def write_pattern(address: int, size: int, key: int) -> None:
    """Fills [address, address+size) with the pattern of a key, from its beginning."""
    lib.vkm_pattern_write(ffi.cast("unsigned char *", address), 0, size, key, lib.VKM_VECTOR_STORES)


@contextmanager
def host_buffer(size: int) -> Iterator[int]:
    """Address of `size` bytes of the C library's memory, at a page: what the null driver takes for a memory handle.

    Every page is written once: until then they all are the kernel's one page of zeros, which the caches hold.
    """
    buffer = ffi.new("char[]", size + PAGE)
    memoryview(ffi.buffer(buffer))[::PAGE] = bytes(-(-len(buffer) // PAGE))
    yield -(-int(ffi.cast("uintptr_t", buffer)) // PAGE) * PAGE


def inject(fault: str, call: int) -> None:
    """Lets the faulty driver's call-th map or unmap from now fail; fault as in enum vkm_null_fault: `MAP_FAILS`, …"""
    lib.vkm_null_inject(getattr(lib, f"VKM_NULL_{fault}"), call)


def refuse_maps(refusal: Refusal) -> bool:
    """From now on the kernel refuses this thread such calls; False where it cannot be told so."""
    return bool(lib.vkm_refuse_maps(refusal))

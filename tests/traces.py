"""Recordings of made-up programs in memory, and traces run step by step, in any order that their signals allow."""

import random
from collections import Counter
from dataclasses import dataclass, field

from vkmapctl.figures.tracing import trace_of
from vkmapctl.model.device import MemoryHeap, MemoryType
from vkmapctl.model.documents import Tool
from vkmapctl.model.recording import (
    Called,
    Event,
    Mark,
    PageFault,
    Program,
    RecordedDevice,
    RecordedProcess,
    RecordingHead,
)
from vkmapctl.model.trace import Repeat, Signal, Wait
from vkmapctl.model.trace_state import TraceState

PAGE = 4096
WHOLE = (1 << 64) - 1
US, MS = 1_000, 1_000_000  # ns
BASE = 0x7F0000000000
CACHED, BAR, CACHED_TOO, HIDDEN = range(4)  # memory types
DEVICE = RecordedDevice(
    "Secret GPU", 1, 2, "1.4.305", "580.1",
    (
        MemoryType(0, 0, ("Vi", "Co", "Ca")),
        MemoryType(1, 0, ("De", "Vi", "Co")),
        MemoryType(2, 0, ("Vi", "Co", "Ca")),
        MemoryType(3, 0, ("De",)),
    ),
    (MemoryHeap(0, 1 << 40, True),),
    placed=True,
    reserve=True,
)  # fmt: skip


@dataclass
class Made:
    """A process's recording. A call takes 1 us and begins 1 us after the end of the one before, of whatever thread."""

    pid: int = 100
    devices: tuple = (DEVICE,)
    page_size: int = PAGE
    dropped: int = 0
    now: int = 0
    recorded: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    handles: int = 0x5000

    def call(self, call, thread=1, handle=0, offset=0, size=0, pointer=0, *, took=US, **more):
        self.now += US
        self.recorded.append(
            Event(
                call, self.now, took, thread, more.get("result", 0), more.get("device", 0), handle, offset, size,
                pointer, Mark(more.get("marks", 0)),
            )
        )  # fmt: skip
        self.now += took or 0
        return self

    def allocate(self, thread=1, size=64 << 10, memory_type=CACHED, handle=None, **more):
        """Returns the handle."""
        if handle is None:
            self.handles += 16
            handle = 0 if more.get("result", 0) < 0 else self.handles
        self.call(Called.ALLOCATE, thread, handle, memory_type, size, **more)
        return handle

    def free(self, handle, thread=1, **more):
        return self.call(Called.FREE, thread, handle, **more)

    def map(self, handle, thread=1, pointer=BASE, offset=0, size=WHOLE, call=Called.MAP, **more):
        return self.call(call, thread, handle, offset, size, pointer, **more)

    def unmap(self, handle, thread=1, call=Called.UNMAP, **more):
        return self.call(call, thread, handle, **more)

    def flush(self, *ranges, thread=1, call=Called.FLUSH, **more):
        """ranges: handle, offset, size."""
        marks = 0
        for handle, offset, size in ranges:
            self.call(call, thread, handle, offset, size, took=0 if marks else US, marks=marks, **more)
            marks = Mark.FURTHER
        return self

    def sleep(self, ns, thread=1, busy=0):
        """A gap of that thread."""
        self.recorded.append(Event(Called.GAP, self.now, ns, thread, size=busy))
        self.now += ns
        return self

    def touch(self, address, pages=1, thread=1):
        for page in range(pages):
            self.now += 100
            self.faults.append(PageFault(self.now, address + page * PAGE, thread))
        return self


class Recorded:
    """What RecordingFile is, without a file."""

    def __init__(self, *made):
        self._made = made
        processes = [
            RecordedProcess(
                one.pid, 1, "secret", len(one.recorded), len(one.faults), one.dropped, 0, one.page_size, one.devices
            )
            for one in made
        ]
        self.head = RecordingHead(
            tool=Tool("vkmapctl", "0.1.0", ("record", "--", "/home/secret/game")),
            started="2026-01-01T00:00:00Z",
            host={},
            loader="",
            outcome="ok",
            exit_code=0,
            program=Program("secret"),
            processes=tuple(processes),
        )

    def events(self, process):
        return iter(self._made[process].recorded)

    def faults(self, process):
        return iter(self._made[process].faults)


def a_trace():
    """Of a program that does a little of everything."""
    made = Made()
    one, two = made.allocate(), made.allocate(size=3 * PAGE, marks=Mark.DEDICATED)
    for _ in range(9):
        made.sleep(MS).map(one).touch(BASE, 2).flush((one, 0, 64), (one, 128, 64)).unmap(one)
    made.map(two, 2, 0x10000000, call=Called.MAP2, marks=Mark.PLACED, took=333)
    made.unmap(two, 2, Called.UNMAP2, marks=Mark.RESERVE).free(two).free(0)
    made.allocate(result=-1)
    return trace_of(Recorded(made)).trace


def unfolded(steps):
    """The steps with their repeats run."""
    for step in steps:
        if isinstance(step, Repeat):
            for _ in range(step.times):
                yield from unfolded(step.steps)
        else:
            yield step


def run(trace, seed=0):
    """Each step as (thread, step), in an order that is drawn at random; None at its end where threads are left waiting.

    Raises Impossible for a step that is not possible in that order.
    """
    draw = random.Random(seed)
    state = TraceState(len(trace.memory), trace.ranges, trace.objects)
    threads = {number: unfolded(steps) for number, steps in enumerate(trace.threads)}
    following = {number: next(steps, None) for number, steps in threads.items()}
    signals = Counter()
    while True:
        able = [
            number
            for number, step in following.items()
            if step is not None and not (isinstance(step, Wait) and not signals[step.of, number])
        ]
        if not able:
            if any(step is not None for step in following.values()):
                yield None
            return
        number = draw.choice(able)
        step = following[number]
        match step:
            case Signal():
                signals[number, step.to] += 1
            case Wait():
                signals[step.of, number] -= 1
            case _:
                state.apply(step)
        yield number, step
        following[number] = next(threads[number], None)

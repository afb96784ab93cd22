"""A trace run in thought: every step possible where it stands, and no thread left waiting.

A repeat whose steps leave their objects as they found them, and that waits for nobody, is run once for all. A trace is
checked in one order of its threads, which is one that its signals allow.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vkmapctl.errors import UsageProblem
from vkmapctl.model.trace import (
    Allocate,
    AnyTraceStep,
    Flush,
    Free,
    Gap,
    Invalidate,
    Map,
    Repeat,
    Signal,
    Touch,
    Trace,
    Unmap,
    Wait,
)
from vkmapctl.model.trace_state import Impossible, TraceState

MOST_STEPS = 20_000_000  # that are run in thought
_Pair = tuple[int, int]  # the thread that signals, and the one that waits


class Most(NamedTuple):
    """What is allocated at one time, at most, in the order that was checked."""

    objects: int
    size: int


def check(trace: Trace, where: str) -> Most:
    """What it takes.

    Raises UsageProblem that names the step, such as `threads[1][3].steps[0]`.
    """
    return _Walk(trace, where).run()


class _Body(NamedTuple):
    """What the steps of a repeat do: whether they wait, on which objects they work, to whom they signal how often."""

    waits: bool
    objects: tuple[int, ...]
    signals: Counter[int]


class _Walk:
    def __init__(self, trace: Trace, where: str) -> None:
        self._trace, self._where = trace, where
        self._state = TraceState(len(trace.memory), trace.ranges, trace.objects)
        self._signals: Counter[_Pair] = Counter()  # that nobody has waited for
        self._waiting: set[_Pair] = set()
        self._ready = deque(range(len(trace.threads)))
        self._steps = 0
        self._bodies: dict[int, _Body] = {}  # of repeats, by their identity
        self._places: list[list[int]] = [[] for _ in trace.threads]

    def run(self) -> Most:
        threads = [self._thread(number, steps) for number, steps in enumerate(self._trace.threads)]
        while self._ready:
            pair = next(threads[self._ready.popleft()], None)
            if pair:
                self._waiting.add(pair)
        if self._waiting:
            of, number = min(self._waiting, key=lambda pair: pair[1])
            raise self._wrong(number, f"thread {of} never sends the signal that ends this wait")
        return Most(self._state.most_objects, self._state.most_bytes)

    def _thread(self, number: int, steps: Sequence[AnyTraceStep]) -> Iterator[_Pair]:
        """Runs a thread up to its end, and yields wherever it has to wait."""
        try:
            yield from self._run(number, steps)
        except Impossible as error:
            raise self._wrong(number, str(error)) from None

    def _run(self, number: int, steps: Sequence[AnyTraceStep]) -> Iterator[_Pair]:
        place = self._places[number]
        place.append(0)
        for i, step in enumerate(steps):
            place[-1] = i
            self._steps += 1
            if self._steps > MOST_STEPS:
                raise Impossible(f"more than {MOST_STEPS:,} steps would have to be run to check it")
            match step:
                case Repeat():
                    yield from self._repeat(number, step)
                case Signal():
                    self._check_thread(number, step.to)
                    self._signal(number, step.to)
                case Wait():
                    self._check_thread(number, step.of)
                    if not self._signals[step.of, number]:
                        yield step.of, number
                    self._signals[step.of, number] -= 1
                case Gap() if step.busy > step.ns:
                    raise Impossible("a gap is busy for longer than it is")
                case _:
                    self._state.apply(step)
        place.pop()

    def _repeat(self, number: int, step: Repeat) -> Iterator[_Pair]:
        if not step.steps:
            raise Impossible("a repeat of nothing")
        body = self._bodies.get(id(step))
        if body is None:
            body = self._bodies[id(step)] = _body_of(step.steps)
        before = self._state.of(body.objects)
        for done in range(1, step.times + 1):
            yield from self._run(number, step.steps)
            after = self._state.of(body.objects)
            if after == before and not body.waits:
                for to, count in body.signals.items():
                    self._signal(number, to, count * (step.times - done))
                return
            before = after

    def _signal(self, number: int, to: int, count: int = 1) -> None:
        pair = number, to
        self._signals[pair] += count
        if count and pair in self._waiting:
            self._waiting.remove(pair)
            self._ready.append(to)

    def _check_thread(self, number: int, other: int) -> None:
        if other == number or not 0 <= other < len(self._trace.threads):
            raise Impossible(f"there is no other thread {other}: the trace has {len(self._trace.threads)}, from 0 on")

    def _wrong(self, number: int, why: str) -> UsageProblem:
        inside = ".steps".join(f"[{i}]" for i in self._places[number])
        return UsageProblem(f"{self._where}: threads[{number}]{inside}: {why}")


def _body_of(steps: Sequence[AnyTraceStep]) -> _Body:
    waits, objects, signals = False, set[int](), Counter[int]()
    for step in steps:
        match step:
            case Repeat():
                inside = _body_of(step.steps)
                waits |= inside.waits
                objects.update(inside.objects)
                for to, count in inside.signals.items():
                    signals[to] += count * step.times
            case Wait():
                waits = True
            case Signal():
                signals[step.to] += 1
            case Flush() | Invalidate():
                objects.update(one.object for one in step.ranges)
            case Allocate() | Free() | Map() | Unmap() | Touch() if step.object is not None:
                objects.add(step.object)
    return _Body(waits, tuple(objects), signals)

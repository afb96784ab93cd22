"""A trace as the steps that the replay in C runs: flat, its repeats closed, with this device's types and functions."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from vkmapctl.model.case import Pace
from vkmapctl.model.loop import REPLAY_APIS, Op, ReplayFlag, ReplayStep
from vkmapctl.model.trace import (
    Allocate,
    AnyTraceStep,
    Flush,
    Free,
    Gap,
    Invalidate,
    Map,
    MemoryRange,
    Repeat,
    Signal,
    Touch,
    Trace,
    TraceFit,
    Unmap,
    Wait,
)
from vkmapctl.plans.trace_fit import can_reserve, sizes_of, why_not_placed

WHOLE = (1 << 64) - 1
_STEP_BYTES = 600  # of a trace's step, the same laid out, and the replay's own copy of it


class Chained(NamedTuple):
    """What an allocation chains to VkMemoryAllocateInfo depends on these."""

    kind: str
    memory_type: int
    size: int


class ReplayProgram(NamedTuple):
    """What native.Replay takes; channels: how many pairs of threads signal."""

    threads: list[list[ReplayStep]]
    ranges: list[tuple[int, int, int]]
    channels: int


def program_bytes(trace: Trace) -> int:
    """About what this program itself needs to lay the trace out."""
    return sum(_STEP_BYTES for _ in trace.walk())


def chained(trace: Trace, fit: TraceFit) -> set[Chained]:
    """Everything that allocations chain, by what it depends on."""
    steps = (step for step in trace.walk() if isinstance(step, Allocate))
    return {one for step in steps if (one := _chained(step, fit)).kind != "plain"}


def _chained(step: Allocate, fit: TraceFit) -> Chained:
    kind = step.kind if step.kind in fit.kinds else "plain"
    sized = step.size if kind == "dedicated" else 0  # of the others the chain is the same for all
    return Chained(kind, fit.memory[step.memory], sized)


def imported(trace: Trace, fit: TraceFit) -> dict[int, int]:
    """The host memory that objects are imported from, by object, in bytes."""
    found: dict[int, int] = {}
    for step in trace.walk():
        if fit.imports and isinstance(step, Allocate) and step.kind == "host":
            found[step.object] = max(found.get(step.object, 0), _import_size(step, fit))
    return found


def _import_size(step: Allocate, fit: TraceFit) -> int:
    return -(-step.size // fit.import_alignment) * fit.import_alignment


def laid_out(
    trace: Trace, fit: TraceFit, pace: Pace, chains: Mapping[Chained, int], hosts: Mapping[int, int]
) -> ReplayProgram:
    """The program. chains, hosts: addresses of what is chained, 0 for what is not to be had, and of host memory."""
    made = _Layout(trace, fit, pace, chains, hosts)
    threads = [made.thread(number, steps) for number, steps in enumerate(trace.threads)]
    return ReplayProgram(threads, made.ranges, len(made.channels))


class _Layout:
    def __init__(
        self, trace: Trace, fit: TraceFit, pace: Pace, chains: Mapping[Chained, int], hosts: Mapping[int, int]
    ) -> None:
        self._fit, self._pace, self._chains, self._hosts = fit, pace, chains, hosts
        self._sizes = sizes_of(trace)
        self.ranges: list[tuple[int, int, int]] = []
        self._known_ranges: dict[tuple[MemoryRange, ...], int] = {}
        self.channels: dict[tuple[int, int], int] = {}
        self._number = 0

    def thread(self, number: int, steps: Iterable[AnyTraceStep]) -> list[ReplayStep]:
        """The steps of one thread."""
        self._number = 0
        found: list[ReplayStep] = []
        self._add(found, number, steps)
        return found

    def _add(self, found: list[ReplayStep], thread: int, steps: Iterable[AnyTraceStep]) -> None:
        for step in steps:
            number = self._number
            self._number += 1
            if not isinstance(step, Repeat):
                one = self._laid_out(thread, number, step)
                found += [one] if one else []
                continue
            begin = len(found)
            found.append(ReplayStep(Op.REPEAT, number, size=step.times))
            self._add(found, thread, step.steps)
            if len(found) == begin + 1:
                found.pop()
                continue
            found[begin] = found[begin]._replace(other=len(found))
            found.append(ReplayStep(Op.END, number, other=begin))

    def _laid_out(self, thread: int, number: int, step: AnyTraceStep) -> ReplayStep | None:
        """One that is no repeat; None for what is left out."""
        match step:
            case Allocate():
                return self._allocate(number, step)
            case Free():
                flags = ReplayFlag.NOTHING if step.object is None else 0
                return ReplayStep(Op.FREE, number, step.object or 0, flags=flags)
            case Map():
                return self._map(number, step)
            case Unmap():
                flags = _did_fail(step) | (ReplayFlag.RESERVE if step.reserve and can_reserve(step, self._fit) else 0)
                return ReplayStep(Op.UNMAP, number, step.object, api=self._api(step), flags=flags)
            case Touch():
                return ReplayStep(Op.FIRST, number, step.object, offset=step.offset, size=step.size)
            case Flush() | Invalidate():
                return self._of_ranges(number, step)
            case _:
                return self._between_calls(thread, number, step)

    def _of_ranges(self, number: int, step: Flush | Invalidate) -> ReplayStep:
        op = Op.FLUSH if isinstance(step, Flush) else Op.INVALIDATE
        first = self._ranges(step.ranges)
        return ReplayStep(op, number, flags=_did_fail(step), other=first, ranges=len(step.ranges))

    def _between_calls(self, thread: int, number: int, step: AnyTraceStep) -> ReplayStep | None:
        if isinstance(step, Signal):
            return ReplayStep(Op.SIGNAL, number, other=self._channel(thread, step.to))
        if isinstance(step, Wait):
            return ReplayStep(Op.WAIT, number, other=self._channel(step.of, thread))
        if isinstance(step, Gap) and self._pace == "recorded":
            return ReplayStep(Op.PAUSE, number, offset=min(step.busy, step.ns), size=step.ns)
        return None

    def _allocate(self, number: int, step: Allocate) -> ReplayStep:
        fit, flags = self._fit, _did_fail(step)
        if step.kind == "host" and step.object in self._hosts:
            size, memory = _import_size(step, fit), fit.imports[step.memory]
            address = self._hosts[step.object]
            return ReplayStep(
                Op.IMPORT, number, step.object, flags=flags, memory_type=memory, size=size, address=address
            )
        memory, chain = fit.memory[step.memory], self._chains.get(_chained(step, fit), 0)
        return ReplayStep(
            Op.ALLOCATE, number, step.object, flags=flags, memory_type=memory, size=step.size, address=chain
        )

    def _map(self, number: int, step: Map) -> ReplayStep:
        is_placed = step.placed is not None and not why_not_placed(step, self._fit, self._sizes)
        return ReplayStep(
            Op.MAP,
            number,
            step.object,
            api=self._api(step),
            flags=_did_fail(step),
            other=1 + (step.placed or 0) if is_placed else 0,
            offset=step.offset,
            size=WHOLE if step.size is None else step.size,
            address=step.at if is_placed else 0,
        )

    def _api(self, step: Map | Unmap) -> int:
        return REPLAY_APIS.index(self._fit.apis[step.api])

    def _ranges(self, ranges: tuple[MemoryRange, ...]) -> int:
        """Where these begin among the program's."""
        if ranges not in self._known_ranges:
            self._known_ranges[ranges] = len(self.ranges)
            self.ranges += [(one.object, one.offset, WHOLE if one.size is None else one.size) for one in ranges]
        return self._known_ranges[ranges]

    def _channel(self, of: int, to: int) -> int:
        return self.channels.setdefault((of, to), len(self.channels))


def _did_fail(step: Allocate | Map | Unmap | Flush | Invalidate) -> int:
    return ReplayFlag.DID_FAIL if step.result else 0

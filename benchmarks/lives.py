"""Rows of what programs do beside mapping: allocate and free, import and free, flush; vkmapctl's loop against C."""

import ctypes
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from machine import Effort, Figures, Machine, difference, interleaved, judge
from vkmapctl import native, units
from vkmapctl.figures import stats
from vkmapctl.machine.ranges import host_memory
from vkmapctl.model.loop import LoopStep, Op
from vkmapctl.native import Pass

ROUND_NS = 5_000_000
MOST_PAIRS = 20_000
FEWEST_PAIRS = 3
SHARE = 0.02  # that vkmapctl may be off by, or one step of the clock
EMPTY = (0, 0)


def lives(machine: Machine, effort: Effort) -> Iterator[Figures]:
    """A pair without a clock inside, and p50 of each call by the same clock."""
    for size in effort.sizes:
        yield from _pairs(machine, effort, size, 0)
        limits = machine.facts.host_import
        if limits:
            with host_memory([size], limits.min_imported_host_pointer_alignment) as (memory,):
                if machine.memory_type.index in machine.device.pointer_types(memory.begin):
                    yield from _pairs(machine, effort, size, memory.begin)
        yield from _flushes(machine, effort, size)


def _pairs(machine: Machine, effort: Effort, size: int, pointer: int) -> Iterator[Figures]:
    """pointer: of host memory to import, 0 to allocate."""
    call = "import" if pointer else "allocate"
    functions = machine.functions(machine.facts.apis()[0])
    first = LoopStep(Op.IMPORT if pointer else Op.ALLOCATE, 0, size=size, address=pointer)
    program = machine.laid_out(machine.facts.apis()[0], [EMPTY], [first, LoopStep(Op.FREE, 0)])
    results = native.Results(1)
    same = (functions.allocate, functions.free, functions.device, size, functions.memory_type, pointer)

    def by_hand(pairs: int) -> float:
        spent = machine.reference.call("life_pairs", *same, pairs)
        if not spent:
            raise RuntimeError(f"{call} failed in the hand-written loop")
        return spent / pairs

    pairs = _so_many(by_hand)

    def by_loop() -> float:
        machine.run([program], results, Pass.RATE, iterations=pairs)
        return results.total("slice_ns") / pairs

    what = f"{call}+free pair, {units.size(size)}"
    yield _judged(machine, what, "rate pass", effort.slices, by_loop, lambda: by_hand(pairs))

    samples = [(ctypes.c_uint64 * pairs)() for _ in range(2)]
    for i, one in enumerate((call, "free")):

        def clocked(which: int = i) -> float:
            where = [ctypes.addressof(array) for array in samples]
            if machine.reference.call("lives", *same, machine.clock.raw.kind, *where, pairs) < pairs:
                raise RuntimeError(f"{call} failed in the hand-written loop")
            return machine.median_ns(samples[which])

        def timed(name: str = one) -> float:
            return _p50(machine, program, results, name, pairs)

        what = one if one == call else f"free after {call}"
        yield _judged(machine, f"{what}, {units.size(size)}", "p50", effort.rounds, timed, clocked)


def _flushes(machine: Machine, effort: Effort, size: int) -> Iterator[Figures]:
    """Of a whole mapping; where memory is coherent a driver may do nothing."""
    with ExitStack() as held:
        memory = held.enter_context(machine.allocation(size))
        functions, results = machine.functions("v1"), native.Results(1)
        times = 1000
        steps = [LoopStep(Op.MAP, 0, size=size, whole=True), *[LoopStep(Op.FLUSH, 0, size=size)] * times]
        program = machine.laid_out("v1", [(memory, size)], [*steps, LoopStep(Op.UNMAP, 0)])
        same = (functions.flush, functions.map, functions.unmap, functions.device, memory, size)
        samples = (ctypes.c_uint64 * times)()

        def by_hand() -> float:
            if (
                machine.reference.call("flushes", *same, machine.clock.raw.kind, ctypes.addressof(samples), times)
                < times
            ):
                raise RuntimeError("a flush failed in the hand-written loop")
            return machine.median_ns(samples)

        def by_loop() -> float:
            return _p50(machine, program, results, "flush", 1)

        yield _judged(machine, f"flush, {units.size(size)}", "p50", effort.rounds, by_loop, by_hand)


def _p50(machine: Machine, program: native.Program, results: native.Results, call: str, cycles: int) -> float:
    results.clear()
    machine.run([program], results, Pass.LATENCY, iterations=cycles)
    return stats.percentile(results.histogram(call), 0.5) or 0.0


def _so_many(by_hand: Callable[[int], float]) -> int:
    """Pairs that take some 5 ms, but at least three."""
    cost = statistics.fmean(by_hand(FEWEST_PAIRS) for _ in range(3))
    return min(max(int(ROUND_NS / max(cost, 1.0)), FEWEST_PAIRS), MOST_PAIRS)


def _judged(
    machine: Machine, row: str, what: str, rounds: int, by_loop: Callable[[], float], by_hand: Callable[[], float]
) -> Figures:
    """Within two per cent, or one step of the clock and the 1 ns that vkmapctl's bins hold."""
    step = stats.timer_step(machine.clock.floor()) + 1
    values = interleaved(rounds, by_loop, by_hand)
    allowed = max(SHARE * statistics.median(values[1]), step)
    figures = Figures(row, f"{what} against the hand-written loop", "ns", how="difference", limit="<= 2% or one step")
    return judge(figures, *values, difference, lambda more: abs(more) <= allowed)

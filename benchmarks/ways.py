"""Rows of each way to map: ordinary, placed, unmapped with reserve; by memory type, size and threads, against C."""

import ctypes
import statistics
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from machine import Effort, Figures, Machine, Missing, in_threads, interleaved, judge, ratio
from vkmapctl import native, units
from vkmapctl.figures import stats
from vkmapctl.machine.ranges import reserve_for
from vkmapctl.model.device import MemoryType
from vkmapctl.model.loop import LoopStep, Op
from vkmapctl.native import Pass
from vkmapctl.rules import PLACED, RESERVE

ROUND_NS = 5_000_000
MOST_PAIRS = 20_000
FEWEST_PAIRS = 3


@dataclass(frozen=True)
class Way:
    """How a cycle maps and unmaps. reserve only with placed."""

    name: str
    placed: bool = False
    reserve: bool = False


ORDINARY, PLACED_MAP, RESERVED = Way("ordinary"), Way("placed", placed=True), Way("reserve", placed=True, reserve=True)


class Cost(NamedTuple):
    """p50 in ns of each call."""

    map: float
    unmap: float


class Place(NamedTuple):
    """One thread's memory and the reserved range it is placed in, 0 for an ordinary map."""

    memory: int
    address: int


def ways(machine: Machine, effort: Effort) -> Iterator[Figures]:
    """p50 of map and of unmap by the same clock, vkmapctl's latency pass against the hand-written loop."""
    api = machine.facts.apis()[0]
    if api == "v1":
        raise Missing("no map2 on this device")
    placed = machine.facts.placed
    possible = [ORDINARY]
    if placed.memory_map_placed:
        possible += [PLACED_MAP, *([RESERVED] if placed.memory_unmap_reserve else [])]
    for memory_type in (one for one in machine.facts.memory_types if one.usable):
        for size in effort.sizes:
            for threads in effort.threads:
                for way in possible:
                    with _places(machine, way, memory_type.index, size, threads) as places:
                        yield from _rows(machine, effort, way, memory_type, size, places)


@contextmanager
def _places(machine: Machine, way: Way, memory_type: int, size: int, threads: int) -> Iterator[list[Place]]:
    places: list[Place] = []
    with ExitStack() as held:
        for _ in range(threads):
            memory = held.enter_context(machine.allocation(size, memory_type))
            taken = reserve_for("any", size) if way.placed else None
            if taken:
                held.callback(taken.release)
            places.append(Place(memory, taken.begin if taken else 0))
        yield places


def _rows(
    machine: Machine, effort: Effort, way: Way, memory_type: MemoryType, size: int, places: Sequence[Place]
) -> Iterator[Figures]:
    pairs = _pairs_of_a_round(machine, way, size, places)
    programs = [_program(machine, way, size, place) for place in places]
    results = native.Results(len(places))

    def by_loop() -> Cost:
        results.clear()
        machine.run(programs, results, Pass.LATENCY, iterations=pairs)
        return Cost(*(stats.percentile(results.histogram(name), 0.5) or 0.0 for name in ("map", "unmap")))

    values = interleaved(effort.rounds, by_loop, lambda: _by_hand(machine, way, size, places, pairs))
    for i, call in enumerate(Cost._fields):
        many = f", {len(places)} threads" if len(places) > 1 else ""
        figures = Figures(
            f"{way.name} {call}, #{memory_type.index}, {units.size(size)}{many}",
            f"p50 in {' '.join(memory_type.flags)} against the hand-written loop",
            "ns",
            how="ratio",
        )
        yield judge(figures, [one[i] for one in values[0]], [one[i] for one in values[1]], ratio, bool)


def _program(machine: Machine, way: Way, size: int, place: Place) -> native.Program:
    steps = [LoopStep(Op.MAP, 0, size=size, whole=True, flags=PLACED if way.placed else 0, address=place.address)]
    steps.append(LoopStep(Op.UNMAP, 0, flags=RESERVE if way.reserve else 0))
    if way.placed and not way.reserve:
        steps.append(LoopStep(Op.HOLD, 0, size=size, address=place.address))
    return machine.laid_out(machine.facts.apis()[0], [(place.memory, size)], steps)


def _by_hand(machine: Machine, way: Way, size: int, places: Sequence[Place], pairs: int) -> Cost:
    """The hand-written loop in as many threads as places; the median over the calls of all of them."""
    functions = machine.functions(machine.facts.apis()[0])
    maps, unmaps = ((ctypes.c_uint64 * (pairs * len(places)))() for _ in range(2))
    done = [0] * len(places)

    def run(i: int) -> None:
        own = [ctypes.addressof(samples) + 8 * pairs * i for samples in (maps, unmaps)]
        done[i] = machine.reference.call(
            "ways",
            *(functions.map, functions.unmap, functions.device),
            *(places[i].memory, places[i].address, size, int(way.reserve)),
            *(machine.clock.raw.kind, *own, pairs),
        )

    in_threads(machine, len(places), run)
    if min(done) < pairs:
        raise RuntimeError("a call of the hand-written loop failed")
    return Cost(machine.median_ns(maps), machine.median_ns(unmaps))


def _pairs_of_a_round(machine: Machine, way: Way, size: int, places: Sequence[Place]) -> int:
    """So many pairs that a round of one side takes some 5 ms, but at least three."""
    cost = statistics.fmean(sum(_by_hand(machine, way, size, places, FEWEST_PAIRS)) for _ in range(3))
    return min(max(int(ROUND_NS / max(cost, 1.0)), FEWEST_PAIRS), MOST_PAIRS)

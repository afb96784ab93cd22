"""The threads of a trace while it is made: their steps in order, the gaps before them, what each knows of others."""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from vkmapctl.figures.folding import Again, Folded, fold, length
from vkmapctl.model.trace import AnyTraceStep, Gap, Repeat, Signal

SHORTEST_GAP = 20_000  # ns
JITTER = 4_000_000  # ns: so long a thread may have waited for a CPU, which is no reason for steps not to be alike
APART = 2  # gaps of one thread that differ by this factor, with none between them, are never folded into each other
MOST_KNOWN = 10_000_000  # entries of all clocks: beyond, threads wait more often than they had to


class Done(NamedTuple):
    """A step of a lane. order: counted over all lanes."""

    lane: int
    place: int
    order: int


class Steps:
    """The different steps of all lanes, each with a number. total: how many there are with those that are alike."""

    def __init__(self) -> None:
        self.known: list[AnyTraceStep] = []
        self.total = 0
        self._numbers: dict[AnyTraceStep, int] = {}

    def number(self, step: AnyTraceStep) -> int:
        """The number of a step."""
        found = self._numbers.get(step)
        if found is None:
            found = self._numbers[step] = len(self.known)
            self.known.append(step)
        return found


class Lane:
    """A thread. gaps: ns and of these busy, by the place of the step that they come before."""

    def __init__(self, number: int, begin_ns: int) -> None:
        self.number = number
        self.steps = array("i")
        self.gaps: dict[int, tuple[int, int]] = {}
        self.signals: dict[int, list[int]] = {}  # to which lanes, by the place of the step that they come after
        self.at_ns = begin_ns  # until when its time is told
        self._known: dict[int, int] = {}  # how many steps of each lane are done for sure
        self._learnt: list[tuple[int, dict[int, int]]] = []  # the same, from a place on
        self._gap_ns = 0
        self.asleep_ns = 0  # since its last call, and in no gap yet

    def pass_time(self, begin_ns: int, end_ns: int) -> None:
        """Goes on to a call or touch, at begin_ns, and to its end."""
        idle = begin_ns - self.at_ns
        if idle >= SHORTEST_GAP:
            self._gap_ns += idle
        self.at_ns = max(self.at_ns, end_ns)

    def take_gap(self) -> tuple[int, int]:
        """The gap so far, ns and of these busy."""
        gap, self._gap_ns = self._gap_ns, 0
        asleep = min(gap, self.asleep_ns)
        self.asleep_ns -= asleep
        return gap, gap - asleep

    def add(self, step: int, gap: tuple[int, int] = (0, 0)) -> None:
        """A step by its number, and the gap before it."""
        if gap[0]:
            self.gaps[len(self.steps)] = gap
        self.steps.append(step)

    def knows(self, done: Done) -> bool:
        """Whether the step was done before whatever comes next here."""
        return done.lane == self.number or self._known.get(done.lane, 0) > done.place

    def learn(self, done: Done, other: "Lane", *, keep: bool) -> None:
        """Waits for a step of another lane. keep: whether others may learn from this."""
        known = self._known
        for lane, count in other.known_at(done.place).items():
            if count > known.get(lane, 0):
                known[lane] = count
        known[done.lane] = max(known.get(done.lane, 0), done.place + 1)
        if keep:
            self._learnt.append((len(self.steps), dict(known)))

    def known_at(self, place: int) -> Mapping[int, int]:
        """What it knew when it did the step there."""
        found = bisect_right(self._learnt, place, key=lambda one: one[0])
        return self._learnt[found - 1][1] if found else {}


def folded(lane: Lane, steps: Steps) -> tuple[AnyTraceStep, ...]:
    """The lane's steps with its signals, repeats folded; a gap is the median of those at its place."""
    numbers, gaps = array("i"), {}
    for place, step in enumerate(lane.steps):
        if place in lane.gaps:
            gaps[len(numbers)] = lane.gaps[place]
        numbers.append(step)
        numbers.extend(steps.number(Signal(to)) for to in lane.signals.get(place, ()))
    return fold_steps(numbers, gaps, steps.known)


def fold_steps(
    numbers: Sequence[int], gaps: Mapping[int, tuple[int, int]], known: Sequence[AnyTraceStep]
) -> tuple[AnyTraceStep, ...]:
    """Steps, as numbers of known ones, folded. gaps: ns and of these busy, by place.

    Steps are alike only with gaps of one kind before them: jitter folds, a pause among short gaps stays where it is.
    """
    kinds = _kinds(gap for gap, _ in gaps.values())
    count = len(known)
    marked = array("q", numbers)
    for place, (gap, _) in gaps.items():
        marked[place] += count * kinds[max(gap, JITTER)]
    return _steps_of(fold(marked), [0], gaps, known)


def _kinds(gaps: Iterable[int]) -> dict[int, int]:
    """A kind for each length of a gap: 0 for those that may be jitter, or hardly longer."""
    found, kind = {}, 0
    for shorter, longer in pairwise([JITTER, *sorted({max(gap, JITTER) for gap in gaps})]):
        kind += longer > APART * shorter
        found[longer] = kind
    return found


def _steps_of(
    items: Folded, places: Sequence[int], gaps: Mapping[int, tuple[int, int]], known: Sequence[AnyTraceStep]
) -> tuple[AnyTraceStep, ...]:
    """The steps of items. places: where the first of them is, each time that they run."""
    found: list[AnyTraceStep] = []
    done = 0
    for item in items:
        here = [place + done for place in places] if gaps else []
        if isinstance(item, Again):
            one = length(item.body)
            inside = [place + i * one for place in here for i in range(item.times)]
            found.append(Repeat(item.times, _steps_of(item.body, inside, gaps, known)))
            done += one * item.times
            continue
        ns, busy = sorted(gaps.get(place, (0, 0)) for place in here)[len(here) // 2] if here else (0, 0)
        if ns >= SHORTEST_GAP:
            found.append(Gap(ns, busy))
        found.append(known[item % len(known)])
        done += 1
    return tuple(found)

"""What there was over time, in at most MOST_STEPS steps, however long it took."""

from collections.abc import Iterable, Sequence

from vkmapctl.model.recorded import Moment

MOST_STEPS = 200
_FIRST_STEP = 1 << 16  # ns; each next one is twice as long, so that steps of several processes nest
Levels = tuple[int, int, int, int]  # objects, allocated, mapped and low bytes
NOTHING: Levels = (0, 0, 0, 0)


class OverTime:
    """Levels of one process as they change; of each step its highest are kept, and its last."""

    def __init__(self) -> None:
        self._step = _FIRST_STEP
        self._end = _FIRST_STEP  # of the step that is being filled
        self._highest: dict[int, Levels] = {}
        self._last: dict[int, Levels] = {}
        self._now = 0

    def put(self, ns: int, levels: Levels) -> None:
        """From ns on it is so. Time that runs backwards stands still."""
        if ns >= self._end:
            self._go_to(ns)
        now = self._now
        a, b, c, d = levels
        e, f, g, h = self._highest.get(now, NOTHING)
        if a > e or b > f or c > g or d > h:
            self._highest[now] = (a if a > e else e, b if b > f else f, c if c > g else g, d if d > h else h)
        self._last[now] = levels

    def _go_to(self, ns: int) -> None:
        while ns // self._step >= MOST_STEPS:
            self._coarsen()
        before = self._last.get(self._now, NOTHING)
        self._now = ns // self._step
        self._end = (self._now + 1) * self._step
        if self._now not in self._last:
            self._highest[self._now] = self._last[self._now] = before

    def _coarsen(self) -> None:
        self._step *= 2
        highest: dict[int, Levels] = {}
        last: dict[int, Levels] = {}
        for at in sorted(self._last):
            highest[at // 2] = _highest(highest.get(at // 2, NOTHING), self._highest.get(at, NOTHING))
            last[at // 2] = self._last[at]
        self._highest, self._last, self._now = highest, last, self._now // 2
        self._end = (self._now + 1) * self._step

    def coarse(self, step: int) -> list[Levels]:
        """The highest levels of each step of `step` ns, 2**n times its own, from 0 on to the last change."""
        while self._step < step:
            self._coarsen()
        found, level = [], NOTHING
        for at in range(max(self._last, default=-1) + 1):
            found.append(_highest(level, self._highest.get(at, NOTHING)))
            level = self._last.get(at, level)
        return found

    @property
    def most(self) -> Levels:
        """The highest there were, each by itself."""
        most = NOTHING
        for levels in self._highest.values():
            most = _highest(most, levels)
        return most

    @property
    def step(self) -> int:
        return self._step


def together(series: Sequence[OverTime]) -> tuple[Moment, ...]:
    """Of several processes, added up; a process keeps its last levels."""
    step = max((one.step for one in series), default=_FIRST_STEP)
    found = [one.coarse(step) for one in series]
    length = max(map(len, found), default=0)
    return tuple(
        Moment(at * step / 1e9, *_sum(one[min(at, len(one) - 1)] for one in found if one)) for at in range(length)
    )


def _highest(one: Levels, other: Levels) -> Levels:
    a, b, c, d = (max(pair) for pair in zip(one, other, strict=True))
    return a, b, c, d


def _sum(levels: Iterable[Levels]) -> Levels:
    a, b, c, d = (sum(column) for column in zip(*levels, strict=True))
    return a, b, c, d

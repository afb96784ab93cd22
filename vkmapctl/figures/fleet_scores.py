"""A GPU's score among its peers, its shift beside its host's other GPUs, and what runs say of it in turn."""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from vkmapctl.figures.levels import Level, median, median_of_sorted, others_medians, widening
from vkmapctl.model.outliers import Against, Kind, Odd, Yardstick

LEAST_SIBLINGS = 3  # who outvote one of them that is odd, too

Key = tuple[str, ...]  # host; host and GPU; host, GPU and row
Scores = dict[str, list[tuple["Measured", float]]]  # by host
Sightings = dict[Key, list["Seen"]]  # newest first


class Measured(NamedTuple):
    """A GPU in one run. logs: of its figures in the order of the family's rows, nan where there is none."""

    host: str
    gpu: str
    kind: Kind
    logs: "array[float]"


class Family(NamedTuple):
    """What can be put side by side over time: one model, CPU and workload, whatever the driver and the kernel.

    runs: newest first.
    """

    rows: Sequence[str]
    runs: Sequence[tuple[str, Sequence[Measured]]]


class Shift(NamedTuple):
    """A GPU less its host's other ones, which are so many."""

    measured: Measured
    score: float
    shift: float
    siblings: int

    @property
    def value(self) -> float:
        """The shift as it can be compared among hosts of any size."""
        return self.shift / widening(self.siblings)


class Seen(NamedTuple):
    """What one run says of a GPU, a host or a row. side: as of Level. alone: of a host with one GPU."""

    run: str
    shift: float
    z: float
    side: int
    alone: bool = False


def medians(members: Sequence[Measured]) -> list[float]:
    """Of each row, nan where less than half of them have it."""
    columns = zip(*(one.logs for one in members), strict=True)
    known = (sorted(log for log in column if log == log) for column in columns)
    return [median_of_sorted(one) if one and 2 * len(one) >= len(members) else math.nan for one in known]


def scores(members: Iterable[Measured], middles: Sequence[float]) -> Scores:
    """Of those with half of the rows or more: fewer rows scatter more."""
    wanted = sum(one == one for one in middles) / 2
    found: Scores = {}
    for one in members:
        differences = [log - middle for log, middle in zip(one.logs, middles, strict=True)]
        known = sorted(each for each in differences if each == each)
        if known and len(known) >= wanted:
            found.setdefault(one.host, []).append((one, median_of_sorted(known)))
    return found


def shifts(found: Scores) -> Iterator[Shift]:
    """Of GPUs with others on their host."""
    for of_host in found.values():
        if len(of_host) > 1:
            others = others_medians([score for _, score in of_host])
            for (one, score), other in zip(of_host, others, strict=True):
                yield Shift(one, score, score - other, len(of_host) - 1)


def row_shifts(found: Iterable[Shift]) -> Iterator[tuple[Measured, Sequence[float]]]:
    """Each GPU's rows less its siblings' medians and its own shift, nan for one that not all of its host have."""
    by_host: dict[str, list[Shift]] = {}
    for one in found:
        if one.siblings >= LEAST_SIBLINGS:
            by_host.setdefault(one.measured.host, []).append(one)
    for of_host in by_host.values():
        columns = [
            others_medians(column) if all(log == log for log in column) else [math.nan] * len(column)
            for column in zip(*(one.measured.logs for one in of_host), strict=True)
        ]
        for one, others in zip(of_host, zip(*columns, strict=True), strict=True):
            logs = one.measured.logs
            yield one.measured, array("d", (log - other - one.shift for log, other in zip(logs, others, strict=True)))


def host_scores(found: Scores) -> dict[str, float]:
    """The median of each host's GPUs."""
    return {host: median([score for _, score in of_host]) for host, of_host in found.items()}


def level_of(found: Sequence[Shift], least: float) -> Level | None:
    """How far GPUs lie apart on their hosts; None for too few."""
    typical = median([widening(one.siblings) for one in found]) if found else 1.0
    return Level.of([one.value for one in found], least, typical)


def see_gpus(sightings: Sightings, run: str, found: Iterable[Shift], level: Level | None, center: float) -> None:
    """Adds what a run says of each GPU. center: of all scores.

    Of two that differ, or of one and the mean of two, siblings cannot say which is odd: the one that is further from
    the peers.
    """
    if level:
        for one in found:
            side = level.side(one.value, one.shift)
            if one.siblings < LEAST_SIBLINGS and side * (one.score - center) < abs(one.shift) / 2:
                side = 0
            key = (one.measured.host, one.measured.gpu)
            sightings.setdefault(key, []).append(Seen(run, one.shift, level.z(one.value), side))


def see_hosts(sightings: Sightings, run: str, found: Scores, level: Level | None, gpus: Sightings) -> None:
    """Adds what a run says of each host by those of its GPUs that are not odd themselves, if there are any."""
    if level:
        for host, of_host in found.items():
            well = [
                score
                for one, score in of_host
                if not any(seen.side for seen in gpus.get((host, one.gpu), ()) if seen.run == run)
            ]
            score = median(well or [score for _, score in of_host])
            shift = score - level.center
            seen = Seen(run, shift, level.z(score), level.side(score, shift), len(found[host]) == 1)
            sightings.setdefault((host,), []).append(seen)


def odd_ones(kind: Kind, against: Against, sightings: Sightings, newest: Sequence[str]) -> Iterator[Odd]:
    """The verdicts, by the two newest runs that measured each. newest: runs of which one must be among them."""
    for key, seen in sightings.items():
        now, before = seen[0], seen[1] if len(seen) > 1 else None
        side_before = before.side if before else 0
        if now.run not in newest or not (now.side or side_before):
            continue
        agree = now.side == side_before
        yield Odd(
            verdict="suspect" if agree else "run-again" if now.side else "cleared",
            against=against,
            kind=kind,
            host=key[0],
            gpu=key[1] if len(key) > 1 else "",
            shift=math.expm1(now.shift),
            z=now.z,
            before=math.expm1(before.shift) if before else None,
            runs=tuple(one.run for one in seen[:2]),
            alone=now.alone,
        )


def yardstick(level: Level | None, sightings: Mapping[Key, Sequence[Seen]], run: str) -> Yardstick | None:
    """What a run could see by that level."""
    faster = sum(one.side < 0 for seen in sightings.values() for one in seen if one.run == run)
    return level.yardstick(faster) if level else None

"""Which GPU is not what it was in its own earlier runs, less what all of them share, as after a driver's update."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from vkmapctl.figures import fleet_scores
from vkmapctl.figures.fleet_scores import Measured, Scores, Sightings, odd_ones, see_gpus, see_hosts, yardstick
from vkmapctl.figures.levels import LEAST_PEERS, Level, median
from vkmapctl.model.outliers import Drift, Kind, Odd

LEAST_DRIFT = math.log(1.02)
LEAST_EARLIER = 3  # runs beside the two newest
_NEWEST, _BEFORE = "newest", "before"
Way = tuple[Kind, Kind, Kind]  # of the newest run, of the one before, of the newest earlier one


class _Course(NamedTuple):
    """A GPU over its runs, newest first. scores: against one and the same medians."""

    newest: Measured
    runs: Sequence[str]
    scores: Sequence[float]

    def since(self, number: int) -> float:
        """How far the newest run, or the one before, is from the median of the earlier ones."""
        return self.scores[number] - median(self.scores[2:])


def against_themselves(
    runs: Sequence[tuple[str, Sequence[Measured]]], history: int
) -> Iterator[tuple[Drift, list[Odd]]]:
    """For each way in which drivers and kernels changed, or did not. runs: newest first; history: earlier ones."""
    ways: dict[Way, list[_Course]] = defaultdict(list)
    for seen in courses(runs).values():
        seen = seen[: 2 + history]
        if len(seen) >= 2 + LEAST_EARLIER:
            way = (seen[0][1].kind, seen[1][1].kind, seen[2][1].kind)
            ways[way].append(_Course(seen[0][1], [run for run, _, _ in seen], [score for _, _, score in seen]))
    for way, of_way in sorted(ways.items()):
        if len(of_way) >= LEAST_PEERS:
            yield _drift(way, of_way)


def courses(
    runs: Sequence[tuple[str, Sequence[Measured]]],
) -> dict[tuple[str, str], list[tuple[str, Measured, float]]]:
    """Each GPU of the newest full run over its runs: its scores, all against that run's medians. runs: newest first."""
    most = max(len(members) for _, members in runs)
    full = next(members for _, members in runs if 2 * len(members) >= most)
    middles = fleet_scores.medians(full)
    found: dict[tuple[str, str], list[tuple[str, Measured, float]]] = {(one.host, one.gpu): [] for one in full}
    for run, members in runs:
        for one, score in chain.from_iterable(fleet_scores.scores(members, middles).values()):
            if (one.host, one.gpu) in found:
                found[one.host, one.gpu].append((run, one, score))
    return found


def _drift(way: Way, of_way: Sequence[_Course]) -> tuple[Drift, list[Odd]]:
    gpus: Sightings = {}
    hosts: Sightings = {}
    shared, by_gpu, by_host = _see(_NEWEST, of_way, gpus, hosts)
    _see(_BEFORE, of_way, gpus, hosts)
    runs = {course.newest.host: course.runs for course in of_way}
    runs_of_gpu = {(course.newest.host, course.newest.gpu): course.runs for course in of_way}
    now, _, was = way
    found = [*odd_ones(now, "itself", gpus, [_NEWEST]), *odd_ones(now, "host-itself", hosts, [_NEWEST])]
    return Drift(
        kind=now,
        was=was,
        gpus=len(of_way),
        hosts=len(runs),
        runs=min(len(course.runs) for course in of_way) - 2,
        shared=math.expm1(shared),
        by_gpu=yardstick(by_gpu, gpus, _NEWEST),
        by_host=yardstick(by_host, hosts, _NEWEST),
    ), [
        msgspec.structs.replace(one, runs=tuple(runs_of_gpu.get((one.host, one.gpu), runs[one.host])[:2]))
        for one in found
    ]


def _see(
    run: str, of_way: Sequence[_Course], gpus: Sightings, hosts: Sightings
) -> tuple[float, Level | None, Level | None]:
    """Adds what the newest runs say, or those before; the shift that all share, and how far GPUs and hosts scatter."""
    moved = [course.since((_NEWEST, _BEFORE).index(run)) for course in of_way]
    shared = median(moved)
    scores: Scores = {}
    for course, value in zip(of_way, moved, strict=True):
        scores.setdefault(course.newest.host, []).append((course.newest, value - shared))
    shifts = [*fleet_scores.shifts(scores)]
    by_gpu = fleet_scores.level_of(shifts, LEAST_DRIFT)
    by_host = Level.of([*fleet_scores.host_scores(scores).values()], LEAST_DRIFT)
    see_gpus(gpus, run, shifts, by_gpu, 0.0)
    see_hosts(hosts, run, scores, by_host, gpus)
    return shared, by_gpu, by_host

"""Which GPU of many is not like its peers, which host, and which is not what it was: robust, and the same each time.

A GPU's score is the median, over its rows, of ln(figure) less the peers' median of that row; what is judged is the
score less the median of its host's other GPUs. The scale is 1.4826 times the median absolute deviation (Iglewicz and
Hoaglin, How to Detect and Handle Outliers, 1993), which half of the GPUs would have to spoil; what lies beyond the bar
that the number of GPUs demands, and at least 3 % off, is odd, and suspect once a second run has found the same.
"""

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from vkmapctl.errors import ExitCode
from vkmapctl.figures import fleet_scores
from vkmapctl.figures.fleet_drift import against_themselves, courses
from vkmapctl.figures.fleet_scores import (
    Family,
    Key,
    Measured,
    Scores,
    Shift,
    Sightings,
    odd_ones,
    see_gpus,
    see_hosts,
    yardstick,
)
from vkmapctl.figures.levels import LEAST_PEERS, Level, median
from vkmapctl.model.fleet import RATES, Observation
from vkmapctl.model.outliers import Drift, Group, Kind, Odd, Outliers

LEAST_SHIFT = math.log(1.03)
ROW_BAR, LEAST_ROW_SHIFT = 6.0, math.log(1.10)
_ORDER = ("suspect", "run-again", "cleared")

OddRows = dict[tuple[str, str, int], dict[str, tuple[float, float]]]  # (host, GPU, row) to run to (shift, z)


def families(observations: Iterable[Observation], runs: Sequence[str]) -> list[Family]:
    """What was observed, put together. runs: newest first; what is of another run is left out."""
    rows: dict[Key, dict[tuple[str, str], int]] = defaultdict(dict)
    kinds: dict[Kind, Kind] = {}
    measured: dict[Key, dict[str, dict[Key, Measured]]] = defaultdict(lambda: defaultdict(dict))
    wanted = frozenset(runs)
    for one in observations:
        if one.run not in wanted or not one.value > 0:
            continue
        family = (one.model, one.cpu, one.workload)
        places = rows[family]
        place = places.setdefault((one.row, one.metric), len(places))
        of_run = measured[family][one.run]
        gpu = of_run.get((one.host, one.gpu))
        if gpu is None:
            kind = Kind(one.model, one.cpu, one.workload, one.driver, one.kernel)
            gpu = Measured(one.host, one.gpu, kinds.setdefault(kind, kind), array("d"))
            of_run[one.host, one.gpu] = gpu
        _fill(gpu.logs, place + 1)
        gpu.logs[place] = -math.log(one.value) if one.metric in RATES else math.log(one.value)
    made = []
    for known, places in sorted(rows.items()):
        found = []
        for run in runs:
            members = [member for _, member in sorted(measured[known].get(run, {}).items())]
            for member in members:
                _fill(member.logs, len(places))
            if members:
                found.append((run, members))
        made.append(Family([f"{row} {metric}" for row, metric in places], found))
    return made


def _fill(logs: "array[float]", width: int) -> None:
    if len(logs) < width:
        logs.extend([math.nan] * (width - len(logs)))


def histories(given: Iterable[Family], most: int) -> dict[tuple[str, str], tuple[tuple[str, float], ...]]:
    """Of each (host, GPU) its newest runs, the oldest first: how much slower it was than its peers' newest medians.

    Of a GPU in several families, the one that has the most runs of it.
    """
    found: dict[tuple[str, str], tuple[tuple[str, float], ...]] = {}
    for family in given:
        for key, seen in courses(family.runs).items():
            told = tuple((run, math.expm1(score)) for run, _, score in reversed(seen[:most]))
            if len(told) > len(found.get(key, ())):
                found[key] = told
    return found


def judge(given: Iterable[Family], history: int = 5) -> Outliers:
    """Everything that is odd in these families. history: so many earlier runs that a GPU is held against."""
    groups: list[Group] = []
    drifts: list[Drift] = []
    found: list[Odd] = []
    runs: dict[str, None] = {}
    for family in given:
        runs |= dict.fromkeys(run for run, _ in family.runs)
        for kind in sorted({one.kind for _, members in family.runs for one in members}):
            of_kind = [(run, [one for one in members if one.kind == kind]) for run, members in family.runs]
            group, odd = _against_peers(kind, family.rows, [one for one in of_kind if one[1]])
            groups.append(group)
            found += odd
        for drift, odd in against_themselves(family.runs, history):
            drifts.append(drift)
            found += odd
    found.sort(key=_place)
    bad = any(one.verdict == "suspect" and one.shift > 0 and one.against != "siblings" for one in found)
    return Outliers(
        runs=tuple(runs),
        groups=tuple(groups),
        drifts=tuple(drifts),
        found=tuple(found),
        exit_code=ExitCode.MISSED if bad else ExitCode.OK,
    )


def _place(one: Odd) -> tuple[object, ...]:
    return (
        _ORDER.index(one.verdict),
        one.against == "siblings",
        -abs(one.shift),
        one.host,
        one.gpu,
        one.against,
        one.row,
    )


class _Read(NamedTuple):
    """A run's figures beside given medians: scores, shifts, and each row's shift beside the siblings'."""

    medians: Sequence[float]
    scores: Scores
    shifts: Sequence[Shift]
    rows: Sequence[tuple[Measured, Sequence[float]]]


class _Peers(NamedTuple):
    """What a full run says: the middle score, and how far GPUs, hosts and rows lie apart."""

    center: float
    gpus: Level | None
    hosts: Level | None
    rows: Sequence[Level | None]


def _read(members: Sequence[Measured], medians: Sequence[float]) -> _Read:
    scores = fleet_scores.scores(members, medians)
    shifts = [*fleet_scores.shifts(scores)]
    return _Read(medians, scores, shifts, [*fleet_scores.row_shifts(shifts)])


def _peers_of(one: _Read) -> _Peers:
    columns = zip(*(logs for _, logs in one.rows), strict=True)
    return _Peers(
        median([score for of_host in one.scores.values() for _, score in of_host]),
        fleet_scores.level_of(one.shifts, LEAST_SHIFT),
        Level.of([*fleet_scores.host_scores(one.scores).values()], LEAST_SHIFT),
        [Level.of([log for log in column if log == log], LEAST_ROW_SHIFT) for column in columns],
    )


def _against_peers(
    kind: Kind, rows: Sequence[str], runs: Sequence[tuple[str, Sequence[Measured]]]
) -> tuple[Group, list[Odd]]:
    """runs: newest first, each with members of this kind. A run of a few is held against the newest full one."""
    most = max(len(members) for _, members in runs)
    full = [run for run, members in runs if len(members) >= max(LEAST_PEERS, most / 2)]
    if not full:
        run, members = max(runs, key=lambda one: len(one[1]))
        reason = f"{most} of a kind: below {LEAST_PEERS} there is no verdict"
        return Group(kind=kind, run=run, gpus=most, hosts=_hosts(members), rows=len(rows), reason=reason), []
    newest = dict(runs)[full[0]]
    medians = fleet_scores.medians(newest)
    newest_read = _read(newest, medians)
    reference = _peers_of(newest_read)
    gpus: Sightings = {}
    hosts: Sightings = {}
    odd_rows: OddRows = {}
    judged = [run for run, _ in runs][: [run for run, _ in runs].index(full[0]) + 1]
    for run, members in runs:
        if run not in judged and all(len(seen) > 1 for seen in (*gpus.values(), *hosts.values())):
            break
        if run == full[0]:
            read, peers = newest_read, reference
        elif run in full:
            read = _read(members, fleet_scores.medians(members))
            peers = _peers_of(read)
        else:
            read, peers = _read(members, medians), reference
        see_gpus(gpus, run, read.shifts, peers.gpus, peers.center)
        see_hosts(hosts, run, read.scores, peers.hosts, gpus)
        _see_rows(odd_rows, run, read.rows, peers.rows)
    found = [
        *odd_ones(kind, "peers", gpus, judged),
        *odd_ones(kind, "hosts", hosts, judged),
        *_rows_twice(kind, rows, odd_rows, gpus, judged),
    ]
    return Group(
        kind=kind,
        run=full[0],
        gpus=len(newest),
        hosts=_hosts(newest),
        rows=len(rows),
        thin=len(newest) - sum(map(len, newest_read.scores.values())),
        reason=""
        if reference.gpus or reference.hosts
        else f"neither {LEAST_PEERS} GPUs with others on their host, nor {LEAST_PEERS} hosts: there is no verdict",
        by_gpu=yardstick(reference.gpus, gpus, full[0]),
        by_host=yardstick(reference.hosts, hosts, full[0]),
    ), found


def _hosts(members: Sequence[Measured]) -> int:
    return len({one.host for one in members})


def _see_rows(
    odd: OddRows, run: str, rows: Iterable[tuple[Measured, Sequence[float]]], levels: Sequence[Level | None]
) -> None:
    """Adds the rows of a run that are slower than those of the same host's other GPUs: (shift, z)."""
    for one, logs in rows:
        for place, log in enumerate(logs):
            if log >= LEAST_ROW_SHIFT and (level := levels[place]) and level.z(log) > ROW_BAR:
                odd.setdefault((one.host, one.gpu, place), {})[run] = (log, level.z(log))


def _rows_twice(
    kind: Kind,
    rows: Sequence[str],
    odd: OddRows,
    gpus: Sightings,
    judged: Sequence[str],
) -> Iterator[Odd]:
    """Those that both of the newest runs of their GPU name: among as many rows as there are, once is nothing."""
    for (host, gpu, place), by_run in odd.items():
        runs = tuple(one.run for one in gpus[host, gpu][:2])
        if len(runs) == 2 and runs[0] in judged and all(run in by_run for run in runs):
            (shift, z), (before, _) = (by_run[run] for run in runs)
            yield Odd(
                verdict="suspect",
                against="siblings",
                kind=kind,
                host=host,
                gpu=gpu,
                row=rows[place],
                shift=math.expm1(shift),
                z=z,
                before=math.expm1(before),
                runs=runs,
            )

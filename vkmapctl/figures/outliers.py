"""Which GPU of many is not like its peers, which host, and which is not what it was: robust, and the same each time.

A GPU's score is the median, over its rows, of ln(figure) less the peers' median of that row; what is judged is the
score less the median of its host's other GPUs. The scale is 1.4826 times the median absolute deviation (Iglewicz and
Hoaglin, How to Detect and Handle Outliers, 1993), which half of the GPUs would have to spoil; what lies beyond the bar
that the number of GPUs demands, and at least 3 % off, is odd, and suspect once a second run has found the same.
"""

import math
from array import array
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

from vkmapctl.errors import ExitCode
from vkmapctl.model.fleet import RATES, Observation
from vkmapctl.model.outliers import Against, Drift, Group, Kind, Odd, Outliers, Verdict, Yardstick

LEAST_PEERS = 8
LEAST_SHIFT = math.log(1.03)
LEAST_DRIFT = math.log(1.02)
ROW_BAR, LEAST_ROW_SHIFT = 6.0, math.log(1.10)
LEAST_SIBLINGS = 3  # for a single row to be held against theirs
LEAST_EARLIER = 3  # runs beside the two newest, for drift
LEAST_SPREAD = 1e-3  # figures that agree better than this do so by their clock's steps
FALSE_ALARMS = 0.05  # to be expected among the slower of one comparison, were its noise normal
_MAD = 1.4826
_NORMAL = NormalDist()
_NINE_OF_TEN_TWICE = _NORMAL.inv_cdf(math.sqrt(0.9))
# The bar that one or more of n normal values passes, on either side, in 1 of 10 trials, by n: their scale is found from
# themselves, which makes it higher than the quantile for few. Simulated with 10,000 to 200,000 trials each.
_SMALL = ((8, 4.04), (10, 3.75), (12, 3.67), (16, 3.53), (24, 3.46), (64, 3.46), (128, 3.52), (256, 3.63), (512, 3.77))

Key = tuple[str, str]  # host, GPU


class Measured(NamedTuple):
    """A GPU in one run. logs: of its figures in the order of the family's rows, nan where there is none."""

    host: str
    gpu: str
    kind: Kind
    logs: Sequence[float]

    @property
    def key(self) -> Key:
        return self.host, self.gpu


class Family(NamedTuple):
    """What can be put side by side over time: one model, CPU and workload, whatever the driver and kernel.

    runs: newest first.
    """

    rows: Sequence[str]
    runs: Sequence[tuple[str, Sequence[Measured]]]


class _Level(NamedTuple):
    """Where the middle of many values is, how far they spread, and above which z one is odd. allowance: see _typical"""

    count: int
    center: float
    scale: float
    bar: float
    least: float
    typical: float = 1.0

    def z(self, value: float) -> float:
        return (value - self.center) / self.scale

    def side(self, value: float, shift: float) -> int:
        """1 for one that is slower than it should be, -1 for one that is faster, 0 for neither."""
        if abs(self.z(value)) <= self.bar or abs(shift) < self.least:
            return 0
        return 1 if value > self.center else -1

    def yardstick(self, faster: int) -> Yardstick:
        spread = self.scale * self.typical
        smallest = max(self.bar * spread, self.least) + _NINE_OF_TEN_TWICE * spread
        return Yardstick(
            count=self.count, spread=math.expm1(spread), bar=self.bar, smallest=math.expm1(smallest),
            chance=FALSE_ALARMS, faster=faster,
        )  # fmt: skip


class _Seen(NamedTuple):
    """What one run says of one GPU, host or row."""

    run: str
    shift: float
    z: float
    side: int
    alone: bool = False


def bar(count: int) -> float:
    """The z above which one of so many is odd: in 1 of 20 sweeps without a fault a slower one is beyond it."""
    quantile = _NORMAL.inv_cdf(1 - FALSE_ALARMS / count)
    if count >= _SMALL[-1][0]:
        return max(quantile, _SMALL[-1][1])
    (low, at_low), (high, at_high) = next(
        pair for pair in zip(_SMALL, _SMALL[1:], strict=False) if count < pair[1][0]
    )
    part = math.log(max(count, low) / low) / math.log(high / low)
    return at_low + part * (at_high - at_low)


def families(observations: Iterable[Observation], runs: Sequence[str]) -> list[Family]:
    """What was observed, put together. runs: newest first; what is of another run is left out."""
    rows: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    kinds: dict[Kind, Kind] = {}
    figures: dict[tuple[str, str, str], dict[str, dict[Key, tuple[Kind, dict[int, float]]]]] = defaultdict(dict)
    for one in observations:
        if one.run not in runs or not one.value > 0:
            continue
        family = (one.model, one.cpu, one.workload)
        places = rows[family]
        place = places.setdefault(f"{one.row} {one.metric}", len(places))
        kind = Kind(one.model, one.cpu, one.workload, one.driver, one.kernel)
        kind = kinds.setdefault(kind, kind)
        of_run = figures[family].setdefault(one.run, {})
        value = math.log(one.value)
        rate = one.metric.rpartition(".")[2] in RATES
        of_run.setdefault((one.host, one.gpu), (kind, {}))[1][place] = -value if rate else value
    found = []
    for family in sorted(rows):
        width = len(rows[family])
        made = [
            (run, [_measured(key, *given, width) for key, given in sorted(figures[family].get(run, {}).items())])
            for run in runs
        ]
        found.append(Family(tuple(rows[family]), [(run, members) for run, members in made if members]))
    return found


def _measured(key: Key, kind: Kind, given: Mapping[int, float], width: int) -> Measured:
    logs = array("d", [math.nan]) * width
    for place, value in given.items():
        logs[place] = value
    return Measured(*key, kind, logs)


def judge(given: Iterable[Family], history: int = 5) -> Outliers:
    """Everything that is odd in these families. history: earlier runs that a GPU is held against, its newest."""
    groups: list[Group] = []
    drifts: list[Drift] = []
    found: list[Odd] = []
    runs: dict[str, None] = {}
    for family in given:
        family = family._replace(runs=family.runs[: history + 2])
        runs |= dict.fromkeys(run for run, _ in family.runs)
        for kind in sorted({one.kind for _, members in family.runs for one in members}):
            of_kind = [(run, [one for one in members if one.kind == kind]) for run, members in family.runs]
            group, odd = _peers(kind, len(family.rows), [one for one in of_kind if one[1]])
            groups.append(group)
            found += odd
        more, odd = _drifts(family)
        drifts += more
        found += odd
    order: tuple[Verdict, ...] = ("suspect", "run-again", "cleared")
    found.sort(key=lambda one: (order.index(one.verdict), one.against == "siblings", -abs(one.shift), one.host, one.gpu))
    bad = any(one.verdict == "suspect" and one.slower and one.against != "siblings" for one in found)
    return Outliers(
        runs=tuple(runs), groups=tuple(groups), drifts=tuple(drifts), found=tuple(found),
        exit_code=ExitCode.THRESHOLD if bad else ExitCode.OK,
    )  # fmt: skip


# --- against peers --------------------------------------------------------------------------------


class _Peers(NamedTuple):
    """What a full run says of its GPUs: each row's median, and how far GPUs, hosts and rows lie apart."""

    medians: Sequence[float]
    center: float  # of the scores
    gpus: _Level | None
    hosts: _Level | None
    rows: Sequence[_Level | None]


def _peers(
    kind: Kind, width: int, runs: Sequence[tuple[str, Sequence[Measured]]]
) -> tuple[Group, list[Odd]]:
    """runs: newest first, each with members of this kind."""
    most = max(len(members) for _, members in runs)
    full = [run for run, members in runs if len(members) >= max(LEAST_PEERS, most / 2)]
    if not full:
        run, members = max(runs, key=lambda one: len(one[1]))
        reason = f"{most} GPUs of a kind: below {LEAST_PEERS} there is no verdict"
        return Group(kind=kind, run=run, gpus=most, hosts=_hosts(members), rows=width, reason=reason), []
    by_run = dict(runs)
    newest = by_run[full[0]]
    reference = _peers_of(newest)
    gpus: dict[Hashable, list[_Seen]] = defaultdict(list)
    hosts: dict[Hashable, list[_Seen]] = defaultdict(list)
    rows: dict[Hashable, list[_Seen]] = defaultdict(list)
    passed = False  # the newest full run
    for run, members in runs:
        wanted = [one for one in members if len(gpus[one.key]) < 2] if run not in full else members
        if passed and all(len(seen) >= 2 for seen in gpus.values()):
            break
        if run == full[0]:
            against, passed = reference, True
        else:
            against = _peers_of(members) if run in full else reference
        hosts_wanted = {one.host for one in wanted}
        _see(run, [one for one in members if one.host in hosts_wanted], against, gpus, hosts, rows)
        if passed and run == full[0]:
            thin = sum(not _is_thick(one.logs, reference.medians) for one in members)
    in_time = set(by_run[full[0]][0].run for _ in ()) if False else None
    del in_time
    newest_runs = [run for run, _ in runs][: [run for run, _ in runs].index(full[0]) + 1]
    odd = [*_odd(kind, "peers", gpus, newest_runs), *_odd(kind, "hosts", hosts, newest_runs)]
    return Group(kind=kind, run=full[0], gpus=len(newest), hosts=_hosts(newest), rows=width, thin=thin), odd

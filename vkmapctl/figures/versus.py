"""Two processes that measured the same in turns: the ratio of one to the other, with its interval. Pure."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import NamedTuple

from vkmapctl.figures import stats
from vkmapctl.model.measured import Counted, Histogram, Versus

LEAST = 0.02  # of a difference, to be told: two processes of one build differ by as much
SAME = 0.10  # at most, to be called the same
LEAST_PROCESSES = 3  # pairs of them, for their scatter to be measured


def verdict(ratio: tuple[float, float, float]) -> str:
    """`slower`, `faster` or `the same`, where all of the interval says so, else `cannot tell`."""
    _, low, high = ratio
    if low > 1 + LEAST:
        return "slower"
    if high < 1 - LEAST:
        return "faster"
    return "the same" if 1 - SAME <= low and high <= 1 + SAME else "cannot tell"


class Side(NamedTuple):
    """What one of them measured of a row: ns per pair of each round, and all that it had counted from time to time."""

    ns_per_pair: Sequence[float | None]
    counted: Sequence[Counted]


def versus(here: Side, there: Side) -> Versus:
    """Round i of one is beside round i of the other, and what was counted until then too."""
    rounds = {"ns_per_pair": _ratios(here.ns_per_pair, there.ns_per_pair)}
    middles = [_middles(side.counted) for side in (here, there)]
    for call in middles[0]:
        rounds[f"{call}.p50"] = _ratios(middles[0][call], middles[1].get(call, []))
    return _of({metric: ratios for metric, ratios in rounds.items() if ratios}, ())


def pooled(parts: Iterable[Versus]) -> Versus:
    """All pairs of processes together."""
    known = list(parts)
    metrics = dict.fromkeys(metric for one in known for metric in one.rounds)
    rounds = {metric: tuple(ratio for one in known for ratio in one.rounds.get(metric, ())) for metric in metrics}
    return _of(rounds, tuple(process for one in known for process in one.processes))


def _of(rounds: dict[str, tuple[float, ...]], processes: tuple[dict[str, float], ...]) -> Versus:
    processes = processes or ({metric: median(ratios) for metric, ratios in rounds.items()},)
    found = {metric: _interval(ratios, processes, metric) for metric, ratios in rounds.items()}
    return Versus({metric: one for metric, one in found.items() if one}, rounds, processes)


def _interval(
    rounds: Sequence[float], processes: Sequence[dict[str, float]], metric: str
) -> tuple[float, float, float] | None:
    """Of the pairs of processes where there are several, else of the rounds of the one pair that there is."""
    each = [one[metric] for one in processes if one.get(metric)]
    if len(each) >= LEAST_PROCESSES:
        return stats.process_interval(each)
    return stats.ratio_interval(rounds, [1.0] * len(rounds))


def _ratios(here: Sequence[float | None], there: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(other / one for one, other in zip(here, there, strict=False) if one and other)


def _middles(counted: Sequence[Counted]) -> dict[str, list[float | None]]:
    """By call, the p50 of what was counted from one time to the next."""
    return {
        call: [
            stats.percentile(_since(before.calls.get(call) if before else None, after.calls[call]), 0.5)
            for before, after in zip([None, *counted], counted, strict=False)
        ]
        for call in (counted[-1].calls if counted else ())
    }


def _since(before: Histogram | None, after: Histogram) -> Histogram:
    """What one histogram has more than the one that it was; min_ns and max_ns stay those of all."""
    if before is None:
        return after
    known = dict(before.bins)
    bins = tuple((edge, count - known.get(edge, 0)) for edge, count in after.bins if count > known.get(edge, 0))
    return Histogram(
        after.count - before.count,
        after.sum_ns - before.sum_ns,
        after.min_ns,
        after.max_ns,
        after.overflow - before.overflow,
        bins,
    )

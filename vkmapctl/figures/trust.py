"""What a reader should know before trusting a figure: pure functions of plain data, advice that fits the flags."""

import math
from collections.abc import Sequence

from vkmapctl.figures import stats
from vkmapctl.model.base import Note
from vkmapctl.model.measured import Row

DRIFT_LIMIT = 0.25  # of the median, between the first and the last third of the rounds
TREND_LIMIT = 0.6  # Kendall's tau: 10 rounds without a trend reach it in 2 of 100 runs
MOST_ROUNDS = 200
SCATTER_LIMIT = 0.5  # interquartile range of the rounds over their median
FEW_BEYOND = 10  # samples beyond p99 for it to be more than an anecdote
FEW_PAIRS = 100  # in one round, for its mean to mean something
LONGEST_ADVISED_SECONDS = 600.0
BUSY = 0.5  # load for each CPU that a run may use


def row_notes(row: Row) -> list[Note]:
    """Everything about one finished row."""
    where = row.job
    if row.status != "ok":
        return _overflow_notes(row, where)
    return [
        *_rounds_notes(row, where),
        *_sample_notes(row, where),
        *_floor_notes(row),
        *_rate_notes(row, where),
        *_overflow_notes(row, where),
    ]


def trend(rounds: Sequence[float]) -> float:
    """Kendall's tau of the rounds against their order, -1 to 1: how steadily they rise or fall.

    Of some MOST_ROUNDS of them, evenly from all of the run: each is compared with each, and a soak has thousands.
    """
    rounds = rounds[:: len(rounds) // MOST_ROUNDS + 1]
    n = len(rounds)
    if n < 3:
        return 0.0
    signs = sum((b > a) - (b < a) for i, a in enumerate(rounds) for b in rounds[i + 1 :])
    return signs / (n * (n - 1) / 2)


def _rounds_notes(row: Row, where: str) -> list[Note]:
    """A trend through the rounds is drift; a jump to and fro is scatter, which more warm-up would not cure."""
    if row.rate:
        return []  # the rate sets the pace, not the driver
    moved, steady = stats.drift(row.rounds_ns_per_pair), trend(row.rounds_ns_per_pair)
    if moved > DRIFT_LIMIT and abs(steady) >= TREND_LIMIT:
        way = "rose" if steady > 0 else "fell"
        text = f"{where}: ns per pair {way} by {moved:.0%} between the first and the last rounds; {_settle(row)}"
        return [Note("drift", text)]
    scatter = _scatter(row.rounds_ns_per_pair)
    if scatter <= SCATTER_LIMIT:
        return []
    pairs = row.pairs / max(len(row.rounds_ns_per_pair), 1)
    cure = longer(row, FEW_PAIRS / max(pairs, 1)) if pairs < FEW_PAIRS else "look for other load on this machine"
    return [Note("scatter", f"{where}: half of the rounds' ns per pair lie {scatter:.0%} apart; {cure}")]


def _scatter(rounds: Sequence[float]) -> float:
    ordered, n = sorted(rounds), len(rounds)
    if n < 4 or not ordered[n // 2]:
        return 0.0
    return (ordered[n - 1 - n // 4] - ordered[n // 4]) / ordered[n // 2]


def _settle(row: Row) -> str:
    wanted = max(1.0, (row.warmup_seconds or 0.0) * 4)
    return f"try --warmup {as_flag(wanted)}, or {longer(row, 4)}"


def as_flag(seconds: float) -> str:
    """A duration as a flag takes it, rounded up to two digits: `300ms`, `2s`, `25s`."""
    milliseconds = seconds * 1e3
    step = 10 ** max(math.floor(math.log10(max(milliseconds, 1))) - 1, 0)
    rounded = math.ceil(milliseconds / step - 1e-9) * step
    return f"{rounded / 1000:g}s" if rounded >= 1000 else f"{rounded}ms"


def longer(row: Row, factor: float) -> str:
    """How to measure `factor` times as long with the flags of this run."""
    factor = max(factor, 2.0)
    if row.iterations is not None:
        return f"try --iterations {math.ceil(row.iterations * factor)}"
    return f"try --duration {as_flag((row.duration_seconds or 0.0) * factor)}"


def _sample_notes(row: Row, where: str) -> list[Note]:
    """p99 of fewer samples than 100 does not exist, and of fewer than 1000 rests on less than ten."""
    if row.trace:
        return []  # it has as many as it has
    counts = [latency.count for latency in row.latencies().values() if latency.count]
    fewest = min(counts, default=0)
    if not fewest or fewest * 0.01 >= FEW_BEYOND:
        return []
    state = f"p99 rests on {fewest} samples" if fewest >= 100 else f"{fewest} samples are too few for a p99"
    return [Note("few-samples", f"{where}: {state}; {_for_samples(row, FEW_BEYOND / 0.01 / fewest)}")]


def _for_samples(row: Row, factor: float) -> str:
    """How to get `factor` times as many samples; a row of few, slow cycles took longer than it was given."""
    if row.iterations is None and 2 * (row.seconds or 0.0) * factor > LONGEST_ADVISED_SECONDS:
        return "try a smaller --size, which takes less time for each"
    return longer(row, factor)


def _floor_notes(row: Row) -> list[Note]:
    """One note for all rows alike: on a fast driver every one would say the same."""
    at_floor = [call for call, latency in row.latencies().items() if latency.at_floor]
    if not at_floor:
        return []
    text = (
        f"p50 of {' and '.join(at_floor)} is less than twice that of a call that does nothing, or no more than a "
        f"step of the clock: the clock is most of it{'' if row.trace else ', so compare ns per pair instead'}"
    )
    return [Note("at-floor", text)]


def _rate_notes(row: Row, where: str) -> list[Note]:
    if not row.missed_cycles:
        return []
    text = f"{where}: the rate was not reached: {row.missed_cycles} cycles were due and never started"
    return [Note("rate-missed", text)]


def _overflow_notes(row: Row, where: str) -> list[Note]:
    overflow = sum(latency.histogram.overflow for latency in row.latencies().values())
    if not overflow:
        return []
    return [Note("overflow", f"{where}: {overflow} calls took 18 minutes or more, or the clock went back")]


def machine_notes(facts: dict[str, str | int | float | list[int] | None], threads: int) -> list[Note]:
    """What the machine at the start of a run makes doubtful. threads: those of the run."""
    notes = []
    cpus = facts.get("cpu_affinity")
    allowed = len(cpus) if isinstance(cpus, list) else 1
    governor, load = facts.get("governor"), facts.get("load_1min")
    if threads > allowed:
        text = f"{threads} threads share {allowed} CPUs, so they wait for each other; try --threads {allowed}"
        notes.append(Note("more-threads-than-cpus", text))
    if isinstance(load, (int, float)) and load > BUSY * allowed:
        notes.append(Note("busy-machine", f"the load was {load:.1f} on {allowed} CPUs before this run began"))
    if governor in ("powersave", "ondemand", "conservative"):
        text = f"the CPU governor {governor} changes the clock under the run; try cpupower frequency-set -g performance"
        notes.append(Note("governor", text))
    return notes

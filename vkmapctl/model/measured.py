"""What was measured: distributions, and the rows of a run."""

import msgspec

from vkmapctl.model.base import Data, Status
from vkmapctl.model.case import Case
from vkmapctl.model.loop import CALLS

TIMED = (*CALLS, "response")  # what can have a distribution; response: with a rate, from when a cycle was due


class Bins(Data, frozen=True):
    """Latency counts: [lower edge of the bin in ns, count] for each bin that is not empty.

    A bin is exact below 128 ns and at most 1/64 wide above; `overflow` counts samples from 2**40 ns on.
    """

    bins: tuple[tuple[int, int], ...]
    overflow: int


class Histogram(Data, frozen=True):
    """Samples in ns as the loop counts them; bins as (lower edge in ns, count), see Bins."""

    count: int
    sum_ns: int
    min_ns: int
    max_ns: int
    overflow: int
    bins: tuple[tuple[int, int], ...]


class Latency(Data, frozen=True):
    """Distribution of one call's latency. A percentile with fewer samples beyond it than one is None."""

    count: int
    min_ns: int | None
    mean_ns: float | None
    p50_ns: float | None
    p90_ns: float | None
    p99_ns: float | None
    p999_ns: float | None
    max_ns: int | None
    at_floor: bool
    histogram: Bins


class TouchRate(Data, frozen=True):
    """Bandwidth through the mapping, bytes per second."""

    write: float | None = None
    read: float | None = None


class Mismatch(Data, frozen=True):
    """A byte that is not what was written: its offset in the allocation, what was written, what is there."""

    offset: int
    expected: int
    found: int


class Touched(Data, frozen=True):
    """Bytes, or pages, that were touched, and how long that took in ns."""

    count: int = 0
    ns: int = 0


class FirstTouch(Data, frozen=True):
    """The first touches of mappings: one byte of each page written.

    ns, minor_faults, major_faults: of these stores alone, over all mappings and threads. huge_bytes: of looked_bytes,
    which were touched, so many lay on huge pages, as /proc/self/smaps says, which knows nothing of a device's memory.
    """

    mappings: int = 0
    pages: int = 0
    ns: int = 0
    minor_faults: int = 0
    major_faults: int = 0
    huge_bytes: int = 0
    looked_bytes: int = 0

    @property
    def faults_per_mapping(self) -> float:
        return (self.minor_faults + self.major_faults) / max(self.mappings, 1)


class GpuWork(Data, frozen=True):
    """What kept the device busy while a row was measured.

    submissions: that ended, submission_ns: time of one, bytes: copied or filled by all. gaps: submissions after which
    nothing was left for the device to do, so that it was idle until the next one.
    """

    submissions: int
    submission_ns: float
    bytes: int
    gaps: int = 0

    @property
    def bytes_per_second(self) -> float | None:
        spent = self.submissions * self.submission_ns
        return self.bytes / spent * 1e9 if spent else None

    def __add__(self, other: "GpuWork | None") -> "GpuWork":
        if other is None:
            return self
        count = self.submissions + other.submissions
        spent = self.submissions * self.submission_ns + other.submissions * other.submission_ns
        return GpuWork(count, spent / max(count, 1), self.bytes + other.bytes, self.gaps + other.gaps)


class ReplayCounts(Data, frozen=True):
    """What the threads of a replay counted beside the latencies.

    calls: that were made, failed ones too, by the names of model/loop.CALLS. failures: of those that succeeded in the
    recording, by VkResult. skipped: steps that were not made after such a failure. differs: calls that succeeded where
    the recording's failed, undone at once. waits_ns: for other threads.
    """

    calls: dict[str, int] = msgspec.field(default_factory=dict)
    skipped: int = 0
    differs: int = 0
    waits_ns: int = 0
    failures: dict[int, int] = msgspec.field(default_factory=dict)


class Counted(Data, frozen=True):
    """What the loop counted for one job, all its threads together.

    rate_ns: sum over the threads, longest_rate_ns: of the longest. calls: by the names of model/loop.CALLS. written,
    read: bytes, by the longest thread, since all touch at the same time.
    """

    pairs: int
    rate_ns: int
    longest_rate_ns: int
    calls: dict[str, Histogram]
    cycle: Histogram
    written: Touched
    read: Touched
    first: FirstTouch
    minor_faults: int
    major_faults: int
    verified_bytes: int
    mismatches: int
    missed_cycles: int
    write_ways: int = 0  # every enum vkm_write_way of the loop, ORed
    replay: ReplayCounts | None = None


class Cause(Data, frozen=True):
    """Why a row or a proof did not end well, as it was seen; words are made of it where it is shown.

    kind: `call-failed`, `crashed`, `hung`, `out-of-memory` (the kernel killed the process), `interrupted`, `cut-short`,
    `refused`, `unsupported`, `leak`, `validation`, or the name of what was wrong: `null-pointer`, `moved`, `mismatch`,
    … call: the function; result: the VkResult's name; step, object, iteration: of the loop's program; thread: of a
    trace, whose steps are counted as they are written. text: what the process's end, a leak or a layer's message says
    of itself; said: the driver's own last line.
    at_fault: layers without which it works; blame: what trying once more without them has shown.
    """

    kind: str
    call: str = ""
    result: str = ""
    step: int | None = None
    object: int | None = None
    iteration: int | None = None
    mismatch: Mismatch | None = None
    text: str = ""
    said: str = ""
    at_fault: tuple[str, ...] = ()
    blame: str = ""
    thread: int | None = None


class Repetition(Data, frozen=True):
    """What one process found of a row: ns per pair of its median round, percentiles by call, bandwidths, ratios."""

    ns_per_pair: float | None = None
    p50_ns: dict[str, float] = msgspec.field(default_factory=dict)
    p99_ns: dict[str, float] = msgspec.field(default_factory=dict)
    p999_ns: dict[str, float] = msgspec.field(default_factory=dict)
    touch_bytes_per_second: TouchRate = TouchRate()
    ratio_to_idle: float | None = None


class Versus(Data, frozen=True):
    """A row beside the same of another driver's process, which measured in turns with it: the other over this one.

    All by metric: `ns_per_pair`, and p50 of each call as `map.p50`. ratios: with an interval of 95 % (ratio, low,
    high). rounds: the ratio of each pair of rounds. processes: the median of these of each pair of processes.
    """

    ratios: dict[str, tuple[float, float, float]] = msgspec.field(default_factory=dict)
    rounds: dict[str, tuple[float, ...]] = msgspec.field(default_factory=dict)
    processes: tuple[dict[str, float], ...] = ()

    @property
    def ratio(self) -> tuple[float, float, float] | None:
        """That of a pair's time, or where that says nothing, of the first call's p50; None where there are too few."""
        return self.ratios.get("ns_per_pair") or next(iter(self.ratios.values()), None)


class Replayed(Data, frozen=True):
    """A trace's replay. calls, skipped, differs, waits_ns: as in ReplayCounts.

    recorded: latencies of the same calls as the recording saw them, on its machine; recorded_seconds: that it took.
    replaced: what was done otherwise than recorded, in words, since the device has it not.
    """

    calls: dict[str, int] = msgspec.field(default_factory=dict)
    recorded: dict[str, Latency] = msgspec.field(default_factory=dict)
    recorded_seconds: float = 0.0
    replaced: tuple[str, ...] = ()
    skipped: int = 0
    differs: int = 0
    waits_ns: int = 0


class Row(Case, frozen=True, kw_only=True):
    """One job's result.

    job: its label, unlike any other row's in the run. calls: of the others that were made, by the names of
    model/loop.CALLS. ratio_to_v1, ratio_to_idle: of ns per pair, median and interval, to the same row by vkMapMemory or
    while the device was idle. gpu: what the device did. With a `rate`, `response` counts each cycle from the moment it
    was due to its end. write_way: how the pattern of `--touch write` or `verify` was stored, chosen by measuring, empty
    where none was. first_touch_ns_per_page: of a job that writes one byte of each page. reason: the cause, or the
    refusal, in words. repeats: what each process found, of a row that several have measured; the other figures are
    those of all of them together. versus: beside another driver's process. replay: of a trace; errors are then all the
    calls that failed and did not in the recording, and seconds the time that it took.
    """

    job: str
    pairs: int = 0
    seconds: float = 0.0
    pairs_per_second: float | None = None
    ns_per_pair: float | None = None
    rounds_ns_per_pair: tuple[float, ...] = ()
    ratio_to_v1: tuple[float, float, float] | None = None
    map: Latency | None = None
    unmap: Latency | None = None
    calls: dict[str, Latency] = msgspec.field(default_factory=dict)
    touch_bytes_per_second: TouchRate = TouchRate()
    first_touch_ns_per_page: float | None = None
    first_touch: FirstTouch | None = None
    page_faults: dict[str, int] = msgspec.field(default_factory=dict)
    errors: dict[str, int] = msgspec.field(default_factory=dict)
    verified_bytes: int = 0
    mismatches: int = 0
    status: Status = "ok"
    reason: str = ""
    cause: Cause | None = None
    response: Latency | None = None
    missed_cycles: int = 0
    write_way: str = ""
    ratio_to_idle: tuple[float, float, float] | None = None
    gpu: GpuWork | None = None
    repeats: tuple[Repetition, ...] = ()
    versus: Versus | None = None
    replay: Replayed | None = None

    def latency(self, call: str) -> Latency | None:
        """Of one of TIMED; None where it was not timed."""
        found: Latency | None = self.calls.get(call) or getattr(self, call, None)
        return found

    def latencies(self) -> dict[str, Latency]:
        """Every distribution of the row by its call, in the order of TIMED."""
        found = {call: self.latency(call) for call in TIMED}
        return {call: latency for call, latency in found.items() if latency is not None}


class Floor(Data, frozen=True):
    """What measuring itself costs here: a pair of clock reads, and a map and unmap that do nothing."""

    timer: str
    timer_ns: float
    timer_step_ns: float
    call_ns: float
    timer_latency: Latency
    call_latency: Latency

"""What was measured: distributions, and the rows of a run."""

import msgspec

from vkmapctl.model.base import Data, Status
from vkmapctl.model.case import Touch, UnmapOrder
from vkmapctl.rules import Api


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


class Row(Data, frozen=True):
    """One job's result.

    part: the job's name in its workload file. steps: of a script, 0 for other jobs. touches_pages: what is
    written is one byte of each page. With a `rate` (cycles per second
    and thread), `response` counts each cycle from the moment it was due to its end. together: devices that ran the
    job at the same time.
    """

    job: str
    device: int
    api: Api
    memory_type: int
    memory_flags: tuple[str, ...]
    allocation_size: int
    offset: int | str
    map_size: int | None
    placed: str | None
    reserve: bool
    touch: Touch
    threads: int
    live: int
    pairs: int = 0
    seconds: float = 0.0
    pairs_per_second: float | None = None
    ns_per_pair: float | None = None
    rounds_ns_per_pair: tuple[float, ...] = ()
    ratio_to_v1: tuple[float, float, float] | None = None
    map: Latency | None = None
    unmap: Latency | None = None
    touch_bytes_per_second: TouchRate = TouchRate()
    page_faults: dict[str, int] = msgspec.field(default_factory=dict)
    errors: dict[str, int] = msgspec.field(default_factory=dict)
    verified_bytes: int = 0
    mismatches: int = 0
    status: Status = "ok"
    reason: str = ""
    part: str = ""
    steps: int = 0
    touches_pages: bool = False
    unmap_order: UnmapOrder = "same"
    rate: float | None = None
    response: Latency | None = None
    missed_cycles: int = 0
    together: int = 1
    gap_seconds: float = 0.0


class Floor(Data, frozen=True):
    """What measuring itself costs here: a pair of clock reads, and a map and unmap that do nothing."""

    timer: str
    timer_ns: float
    timer_step_ns: float
    call_ns: float
    timer_latency: Latency
    call_latency: Latency

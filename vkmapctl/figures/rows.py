"""Rows of a run: what was counted for a job, and what stands for one that was not to be had. Pure."""

from collections.abc import Sequence

from vkmapctl.errors import Unsupported
from vkmapctl.figures import stats
from vkmapctl.model.base import Status
from vkmapctl.model.case import Job, Workload
from vkmapctl.model.device import Device, MemoryType
from vkmapctl.model.measured import Row, TouchRate
from vkmapctl.model.script import First, walk
from vkmapctl.native import Results


def measured_row(
    job: Job,
    memory_type: MemoryType,
    results: Results,
    status: tuple[Status, str],
    rounds: Sequence[float],
    ratio: tuple[float, float, float] | None,
    latencies_floor: float,
) -> Row:
    """A job's row. status: with its reason; rounds: ns per pair of each; ratio: to v1, with its interval;
    latencies_floor: p50 of a call that does nothing, in ns.
    """
    pairs, total_ns = results.total("rate_pairs"), results.total("rate_ns")
    seconds = results.longest("rate_ns") / 1e9
    _, result, _ = results.fault()
    return Row(
        job=job.name,
        device=job.device,
        api=job.api,
        memory_type=job.memory_type,
        memory_flags=memory_type.flags,
        allocation_size=job.allocation_size,
        offset=job.offset,
        map_size=job.map_size,
        placed=job.placed,
        reserve=job.reserve,
        touch=job.touch,
        threads=job.threads,
        live=job.live,
        pairs=pairs,
        seconds=seconds,
        pairs_per_second=pairs / seconds if seconds else None,
        ns_per_pair=total_ns / pairs if pairs and not job.waits else None,
        rounds_ns_per_pair=tuple(rounds),
        ratio_to_v1=ratio,
        map=stats.latency(results.histogram("map_ns"), latencies_floor),
        unmap=stats.latency(results.histogram("unmap_ns"), latencies_floor),
        touch_bytes_per_second=TouchRate(
            write=_per_second(results, "write"),
            read=_per_second(results, "read"),
        ),
        page_faults={"minor": results.total("minor_faults"), "major": results.total("major_faults")},
        errors={status[1].split()[0]: 1} if result else {},
        verified_bytes=results.total("verified_bytes"),
        mismatches=results.total("mismatches"),
        status=status[0],
        reason=status[1],
        part=job.part,
        steps=len(job.steps),
        touches_pages=job.touch == "first" or any(isinstance(step, First) for _, step in walk(job.steps)),
        unmap_order=job.unmap_order,
        rate=job.rate,
        gap_seconds=job.gap_seconds,
        response=stats.latency(results.histogram("cycle_ns"), 0.0) if job.rate else None,
        missed_cycles=results.total("missed_cycles"),
    )


def _per_second(results: Results, kind: str) -> float | None:
    """Bytes per second of all threads together: they touch at the same time. None where there was nothing to touch."""
    total, longest = results.total(f"{kind}_bytes"), results.longest(f"{kind}_ns")
    return total / longest * 1e9 if total and longest else None


def refused_row(part: Workload, device: Device, error: Unsupported) -> Row:
    """What stands for a part that this device cannot run."""
    size = next((one for one in part.sizes if isinstance(one, int)), 0)
    return Row(
        job=part.name,
        device=device.index,
        api=device.apis()[0],
        memory_type=0,
        memory_flags=(),
        allocation_size=size,
        offset=part.offsets[0],
        map_size=part.map_size,
        placed=part.placed,
        reserve=part.reserve,
        touch=part.touch,
        threads=part.threads,
        live=part.live,
        status="unsupported",
        reason=error.message,
        part=part.name,
    )

"""Rows of a run: what was counted for a job, and what stands for one that was not to be had. Pure."""

from collections.abc import Sequence
from typing import Any

from vkmapctl.errors import Unsupported
from vkmapctl.figures import causes, outcomes, stats
from vkmapctl.model.case import Case
from vkmapctl.model.device import Device
from vkmapctl.model.measured import Cause, Counted, GpuWork, ReplayCounts, Replayed, Row, Touched, TouchRate
from vkmapctl.model.workload import Job, Workload
from vkmapctl.rules import result_name

WRITE_WAYS = ("", "vector stores", "non-temporal stores", "both vector and non-temporal stores")


def measured_row(
    job: Job,
    counted: Counted,
    cause: Cause | None,
    rounds: Sequence[float],
    ratio: tuple[float, float, float] | None,
    latencies_floor: float,
    *,
    to_idle: tuple[float, float, float] | None = None,
    gpu: GpuWork | None = None,
    replaced: Sequence[str] = (),
) -> Row:
    """A job's row. cause: why it ended early, if it did; rounds: ns per pair of each; ratio: to v1, with its interval;
    latencies_floor: p50 of a call that does nothing, in ns; to_idle: as ratio, to the same job while the device was
    idle; gpu: what it did meanwhile; replaced: what a replay did otherwise, beyond what its plan says.
    """
    latencies = {
        call: stats.latency(histogram, latencies_floor) for call, histogram in counted.calls.items() if histogram.count
    }
    seconds = counted.longest_rate_ns / 1e9
    status = outcomes.of_cause(cause, measured=bool(counted.pairs or latencies))
    if cause and (job.fitted or job.pressure) and status == "out-of-memory":
        cause = Cause(
            outcomes.DOES_NOT_FIT, text=f"it does not fit{'' if job.pressure else ' after all'}: {causes.words(cause)}"
        )
        status = outcomes.of_cause(cause)
    return Row(
        **_asked(job),
        job=job.job,
        pairs=counted.pairs,
        seconds=seconds,
        pairs_per_second=counted.pairs / seconds if seconds and not job.traced else None,
        ns_per_pair=counted.rate_ns / counted.pairs if counted.pairs and not job.waits else None,
        rounds_ns_per_pair=tuple(rounds),
        ratio_to_v1=ratio,
        map=latencies.pop("map", None),
        unmap=latencies.pop("unmap", None),
        calls=latencies,
        touch_bytes_per_second=TouchRate(_per_second(counted.written), _per_second(counted.read)),
        first_touch_ns_per_page=counted.first.ns / counted.first.pages if counted.first.pages else None,
        first_touch=counted.first if counted.first.mappings else None,
        page_faults={"minor": counted.minor_faults, "major": counted.major_faults},
        errors=_errors(counted, cause),
        verified_bytes=counted.verified_bytes,
        mismatches=counted.mismatches,
        status=status,
        reason=causes.words(cause) if cause else "",
        cause=cause,
        response=stats.latency(counted.cycle, 0.0) if job.rate else None,
        missed_cycles=counted.missed_cycles,
        write_way=WRITE_WAYS[counted.write_ways],
        ratio_to_idle=to_idle,
        gpu=gpu,
        replay=_replayed(job, counted.replay or ReplayCounts(), replaced) if job.traced else None,
    )


def _errors(counted: Counted, cause: Cause | None) -> dict[str, int]:
    """Calls that failed, by their result: a loop ends at the first one, a replay goes on."""
    if counted.replay and counted.replay.failures:
        return {result_name(result): count for result, count in counted.replay.failures.items()}
    return {cause.result: 1} if cause and cause.result else {}


def _replayed(job: Job, counts: ReplayCounts, replaced: Sequence[str]) -> Replayed:
    return Replayed(
        calls=counts.calls,
        recorded=job.traced.recorded if job.traced else {},
        recorded_seconds=job.traced.seconds if job.traced else 0.0,
        replaced=(*(job.fit.replaced if job.fit else ()), *replaced),
        skipped=counts.skipped,
        differs=counts.differs,
        waits_ns=counts.waits_ns,
    )


def _asked(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in Case.__struct_fields__}


def _per_second(touched: Touched) -> float | None:
    """Bytes per second, None where there was nothing to touch."""
    return touched.count / touched.ns * 1e9 if touched.count and touched.ns else None


def refused_row(part: Workload, device: Device, error: Unsupported) -> Row:
    """What stands for a part that this device cannot run: not run where it is optional."""
    cause = Cause("not-run" if part.optional else "unsupported", text=error.message)
    return Row(
        **part.asked(),
        job="",
        device=device.index,
        api=device.apis()[0],
        memory_type=0,
        memory_flags=device.memory_types[0].flags if device.memory_types else (),
        allocation_size=next((one for one in part.sizes if isinstance(one, int)), 0),
        offset=part.offsets[0],
        status=outcomes.of_cause(cause),
        reason=causes.words(cause),
        cause=cause,
    )


def not_run_row(job: Job, why: str) -> Row:
    """What stands for a job that was planned, and whose turn never came."""
    cause = Cause("not-run", text=why)
    return Row(**_asked(job), job=job.job, status=outcomes.of_cause(cause), reason=causes.words(cause), cause=cause)

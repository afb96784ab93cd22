"""How long a driver may go without any sign of progress before it counts as hung."""

from collections.abc import Sequence

from vkmapctl import units
from vkmapctl.model.script import Pause, walk
from vkmapctl.model.workload import Job

BASE_SECONDS = 30.0  # for calls whose time does not depend on a size; shared machines stall for seconds
_MAP_BYTES_PER_SECOND = 1e9  # allocating and mapping: the kernel clears each page
_TOUCH_BYTES_PER_SECOND = 5e6  # the slowest known, reading through a BAR, is 20 MB/s


def for_job(job: Job) -> float:
    """Seconds for the longest single step of a job that is no wait: each call and each step that begins is progress."""
    memory = job.memory_bytes + job.pressure_bytes
    untouched = job.touch in ("none", "first") and not job.scripted
    touched = 0 if untouched else job.allocation_size * job.threads
    return BASE_SECONDS + memory / _MAP_BYTES_PER_SECOND + touched / _TOUCH_BYTES_PER_SECOND


def planned_wait(job: Job) -> float:
    """Seconds for which a job is quiet by itself: between two cycles of its rate, in its gap, in a pause."""
    pauses = [units.parse_duration(step.duration) for _, step in walk(job.scripted) if isinstance(step, Pause)]
    return max([1 / job.rate if job.rate else 0.0, job.gap_seconds, *pauses])


def for_group(jobs: Sequence[Job], timeout: float | None) -> float:
    """Seconds without progress that jobs which take turns may have. timeout: in place of what is derived from each."""
    return (timeout or max(map(for_job, jobs))) + max(map(planned_wait, jobs))

"""How long a driver may go without any sign of progress before it counts as hung."""

from vkmapctl.model.workload import Job

BASE_SECONDS = 30.0  # for calls whose time does not depend on a size; shared machines stall for seconds
_MAP_BYTES_PER_SECOND = 1e9  # allocating and mapping: the kernel clears each page
_TOUCH_BYTES_PER_SECOND = 5e6  # the slowest known, reading through a BAR, is 20 MB/s


def for_job(job: Job) -> float:
    """Seconds for the longest single step of a job: each call and each step that begins is progress."""
    memory = job.memory_bytes
    untouched = job.touch in ("none", "first") and not job.scripted
    touched = 0 if untouched else job.allocation_size * job.threads
    return BASE_SECONDS + memory / _MAP_BYTES_PER_SECOND + touched / _TOUCH_BYTES_PER_SECOND

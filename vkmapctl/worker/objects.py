"""The memory and the addresses that a job's programs work on, given back whatever happens."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from vkmapctl import native
from vkmapctl.errors import Unsupported
from vkmapctl.inside.allocations import chained
from vkmapctl.machine.ranges import Range, host_memory
from vkmapctl.model.device import MALLOC, Device
from vkmapctl.model.loop import LoopStep
from vkmapctl.model.workload import Job
from vkmapctl.plans.program import thread_seed
from vkmapctl.plans.script import begins_free, cycle_of, imported_objects

NOTHING = native.Object(0, 0)


@contextmanager
def allocated(device: Any, job: Job) -> Iterator[list[native.Object]]:
    """One thread's objects, without memory where a step allocates.

    For malloc's memory the handle is the address, as the null driver wants it.
    """
    free = begins_free(job.scripted, job.object_count) if job.scripted else set(range(job.live * job.imports))
    sizes = job.object_sizes if job.scripted else (job.allocation_size,) * job.live
    with ExitStack() as held:
        objects = [held.enter_context(_object(device, job, size, empty=i in free)) for i, size in enumerate(sizes)]
        yield [*objects, NOTHING] if job.scripted else objects  # the last one is what range steps are about


@contextmanager
def _object(device: Any, job: Job, size: int, *, empty: bool) -> Iterator[native.Object]:
    if job.memory_type == MALLOC:
        with ExitStack() as held:
            yield NOTHING if empty else native.Object(held.enter_context(native.host_buffer(size)), size)
        return
    with chained(device, job.allocation, job.memory_type, size) as chain:
        memory = 0 if empty else device.allocate(job.memory_type, size, chain)
        try:
            yield native.Object(memory, size if memory else 0, chain)
        finally:
            if memory:
                device.free(memory)


@contextmanager
def host_memory_of(device: Any, job: Job) -> Iterator[dict[int, Range]]:
    """Host memory for each of one thread's objects that is imported, by the object's number.

    Raises Unsupported where the driver does not take the pointer for the job's memory type
    (VUID-VkMemoryAllocateInfo-memoryTypeIndex-01744).
    """
    count = job.object_count
    which = imported_objects(job.scripted, count) if job.scripted else range(count if job.imports else 0)
    if not which:
        yield {}
        return
    alignment = device.facts.host_import.min_imported_host_pointer_alignment
    sizes = job.object_sizes if job.scripted else (job.allocation_size,) * count
    with host_memory([sizes[i] for i in which], alignment) as ranges:
        for one in ranges:
            if job.memory_type not in device.pointer_types(one.begin):
                kind = device.facts.memory_type(job.memory_type).label
                raise Unsupported(f"memory type {kind} does not take a pointer to {one.length} bytes of host memory")
        yield dict(zip(which, ranges, strict=True))


def scripted_cycle(
    job: Job, device: Device, addresses: dict[str, int], hosts: Mapping[int, Range], thread: int
) -> list[LoopStep]:
    """The cycle of one thread; a random mix differs from thread to thread, and is the same for the same seed."""
    return cycle_of(
        job.scripted,
        job.object_sizes,
        addresses,
        hosts={i: one.begin for i, one in hosts.items()},
        draws=job.draws,
        seed=thread_seed(job, thread),
        device=device,
    )

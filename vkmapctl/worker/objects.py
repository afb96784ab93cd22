"""The memory and the addresses that a job's programs work on, given back whatever happens."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from vkmapctl import native
from vkmapctl.errors import Unsupported
from vkmapctl.machine.ranges import Range, host_memory
from vkmapctl.model.device import MALLOC, Device
from vkmapctl.model.loop import LoopStep
from vkmapctl.model.workload import Job
from vkmapctl.plans.program import thread_seed
from vkmapctl.plans.script import begins_free, cycle_of, imported_objects


@contextmanager
def allocated(device: Any, job: Job) -> Iterator[list[tuple[int, int]]]:
    """One thread's objects as (VkDeviceMemory, size), or (0, 0) where a step allocates.

    For malloc's memory the handle is the address, as the null driver wants it.
    """
    if job.memory_type == MALLOC:
        if job.scripted:
            raise Unsupported("steps need Vulkan memory: malloc's cannot be allocated, freed or placed by them")
        with ExitStack() as held:
            size = job.allocation_size
            yield [(held.enter_context(native.host_buffer(size)), size) for _ in range(job.live)]
        return
    free = begins_free(job.scripted, job.object_count) if job.scripted else set(range(job.live * job.imports))
    sizes = job.object_sizes if job.scripted else (job.allocation_size,) * job.live
    objects: list[tuple[int, int]] = []
    try:
        for i, size in enumerate(sizes):
            objects.append((0, 0) if i in free else (device.allocate(job.memory_type, size), size))
        yield [*objects, (0, 0)] if job.scripted else objects  # the last one is what range steps are about
    finally:
        for memory, _ in objects:
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

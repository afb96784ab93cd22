"""A heap filled with other allocations while a group is measured, and given back whatever happens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vkmapctl import units
from vkmapctl.errors import CallFailed
from vkmapctl.model.base import Note
from vkmapctl.model.workload import Job
from vkmapctl.plans import pressure

ENOUGH = ("VK_ERROR_OUT_OF_DEVICE_MEMORY", "VK_ERROR_OUT_OF_HOST_MEMORY", "VK_ERROR_TOO_MANY_OBJECTS")
DEVICES_TOLERANCE = 64 << 20  # bytes in use that are a driver's own pools
HOSTS_TOLERANCE = 16  # a share of a budget that other programs use too: one part in so many


@contextmanager
def pressed(device: Any, job: Job) -> Iterator[list[Note]]:
    """Fills the heap of the job's memory type, in pieces, until it is as full as asked or the driver has no more.

    Where it refuses a piece, it is asked for ever smaller ones.

    Yields the notes that say how far it came, and whether all was as before at the end: complete when it has ended.
    """
    notes: list[Note] = []
    if not job.pressure:
        yield notes
        return
    facts = device.facts
    memory_type = facts.memory_type(job.memory_type)
    heap = facts.heaps[memory_type.heap]
    budget, usage = device.heap_use(heap.index)
    fill = min(pressure.wanted_bytes(job, budget, usage), job.pressure_bytes)
    most = facts.limits.max_memory_allocation_count - job.object_count * job.threads
    sizes = pressure.pieces(fill, facts.limits.max_memory_allocation_size, most)
    held: list[int] = []
    filled, refused = 0, ""
    try:
        while sizes:
            try:
                held.append(device.allocate(job.memory_type, sizes[0]))
                filled += sizes.pop(0)
            except CallFailed as error:
                if error.result not in ENOUGH:
                    raise
                refused = f"; there it stopped with {error.result}"
                sizes = pressure.smaller(fill - filled, sizes[0], most - len(held))
        notes.append(
            Note(
                "pressure",
                f"{job.job}: heap {heap.index} is at {(usage + filled) / max(budget, 1):.1%} of its budget of "
                f"{units.size(budget)}: {units.size(filled)} in {len(held)} allocations beside {units.size(usage)} in "
                f"use{refused}",
            )
        )
        yield notes
    finally:
        for memory in held:
            device.free(memory)
    left = device.heap_use(heap.index)[1] - usage
    shared = facts.in_host_memory(memory_type)
    if left > max(DEVICES_TOLERANCE, budget // HOSTS_TOLERANCE if shared else 0):
        text = f"{job.job}: heap {heap.index} has {units.size(left)} more in use than before the pressure"
        notes.append(Note("pressure-left", text))

"""In the child: the memory and the addresses that a job's programs work on, given back whatever happens."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from vkmapctl import native
from vkmapctl.errors import Unsupported
from vkmapctl.model import MALLOC, Device, Job
from vkmapctl.plans.program import thread_seed
from vkmapctl.plans.script import begins_free, cycle_of
from vkmapctl.plans.workload import PLACES, placed_address

LOWEST_ADDRESS = 1 << 20
ARENA_STEP = 64 << 10
QUIET_ADDRESS = 1 << 44  # far from where the kernel puts mappings by itself, so that a free range stays free


@contextmanager
def allocated(device: Any, job: Job) -> Iterator[list[tuple[int, int]]]:
    """One thread's objects as (VkDeviceMemory, size), or (0, 0) where a step allocates.

    For malloc's memory the handle is the address, as the null driver wants it.
    """
    if job.memory_type == MALLOC:
        if job.steps:
            raise Unsupported("steps need Vulkan memory: malloc's cannot be allocated, freed or placed by them")
        with ExitStack() as held:
            size = job.allocation_size
            yield [(held.enter_context(native.host_buffer(size)), size) for _ in range(job.live)]
        return
    free = begins_free(job.steps, job.object_count)
    sizes = job.object_sizes if job.steps else (job.allocation_size,) * job.live
    objects: list[tuple[int, int]] = []
    try:
        for i, size in enumerate(sizes):
            objects.append((0, 0) if i in free else (device.allocate(job.memory_type, size), size))
        yield [*objects, (0, 0)] if job.steps else objects  # the last one is what range steps are about
    finally:
        for memory, _ in objects:
            if memory:
                device.free(memory)


def scripted_cycle(job: Job, device: Device, addresses: dict[str, int], thread: int) -> list[native.Step]:
    """The cycle of one thread; a random mix differs from thread to thread, and is the same for the same seed."""
    return cycle_of(
        job.steps, job.object_sizes, addresses, draws=job.draws, seed=thread_seed(job, thread), device=device
    )


@contextmanager
def reserved(wanted: str, length: int) -> Iterator[int]:
    """A range held while the other addresses are chosen; the program's own steps take it afterwards."""
    address = reserve_for(wanted, length, QUIET_ADDRESS if wanted == "any" else LOWEST_ADDRESS)
    try:
        yield address
    finally:
        native.release_range(address, length)


@contextmanager
def filled(placed: str) -> Iterator[None]:
    """Takes every free address below the limit of `low4g` or `low2g`, in pieces down to ARENA_STEP."""
    end, taken, piece = PLACES[placed], [], 256 << 20
    try:
        while piece >= ARENA_STEP:
            for address in range(LOWEST_ADDRESS // piece * piece, end, piece):
                if address >= LOWEST_ADDRESS and native.reserve_range(piece, address):
                    taken.append((address, piece))
            piece //= 8
        yield
    finally:
        for address, length in taken:
            native.release_range(address, length)


def reserve_for(placed: str, length: int, lowest: int = LOWEST_ADDRESS) -> int:
    """A reserved range for a placed map: `any`, below 4 or 2 GiB from `lowest` on, or at an address.

    Raises Unsupported where there is no such range.
    """
    wanted = placed_address(placed)
    if wanted is not None:
        found = native.reserve_range(length, wanted)
    elif placed == "any" and lowest < QUIET_ADDRESS:
        found = native.reserve_range(length)
    else:
        end = PLACES[placed]
        lowest = -(-lowest // ARENA_STEP) * ARENA_STEP
        candidates = range(lowest, end - length + 1, ARENA_STEP)
        found = next((a for a in candidates if native.reserve_range(length, a)), 0)
    if not found:
        where = {"any": "anywhere", "low4g": "below 4 GiB", "low2g": "below 2 GiB"}.get(placed, f"at {placed}")
        raise Unsupported(f"no free address range of {length} bytes {where} in this process")
    return found

"""How much other allocations fill of a heap: a row is measured under pressure, and the machine does not suffer."""

from vkmapctl import units
from vkmapctl.errors import UsageProblem
from vkmapctl.model.device import MALLOC, Device, Room
from vkmapctl.model.workload import Job
from vkmapctl.plans import memory

LEFT_BESIDE = 64 << 20  # for the driver's own, beside what the row needs
MOST_PIECES = 1024
USUAL_PIECES = 64
SMALLEST_PIECE = 16 << 20
PIECE_STEP = 64 << 10


def wanted_bytes(job: Job, budget: int, usage: int) -> int:
    """Bytes to fill of a heap of this budget, of which so much is in use: the row finds room for what it needs."""
    room = budget - usage - job.memory_bytes - LEFT_BESIDE
    return max(min(budget * job.pressure // 100 - usage, room), 0)


def pieces(fill: int, largest: int | None, most: int) -> list[int]:
    """Sizes of the allocations that fill so many bytes, as far as `most` of them, none above `largest`, reach."""
    size = max(-(-fill // USUAL_PIECES), SMALLEST_PIECE)
    size = max(min(size, largest or size) // PIECE_STEP, 1) * PIECE_STEP
    return [size] * min(fill // size, MOST_PIECES, max(most, 0))


def smaller(fill: int, refused: int, most: int) -> list[int]:
    """Sizes that fill what is left after a piece of so many bytes was refused: half as large, down to the smallest."""
    return pieces(fill, refused // 2, most) if refused // 2 >= SMALLEST_PIECE else []


def planned(job: Job, device: Device, room: Room) -> int:
    """Bytes to fill. room: what the machine can still give.

    Raises Unsupported, with the figures, where the machine would suffer.
    """
    if not job.pressure:
        return 0
    if job.memory_type == MALLOC:
        raise UsageProblem("--pressure fills a heap, and malloc's memory is of none", "leave one of them out")
    memory_type = device.memory_type(job.memory_type)
    heap = device.heaps[memory_type.heap]
    fill = wanted_bytes(job, heap.budget or heap.size, heap.usage or 0)
    if device.in_host_memory(memory_type):
        memory.check(
            f"--pressure {job.pressure}% of heap {heap.index} takes {units.size(fill)} of the host's memory, "
            f"and the row {units.size(job.memory_bytes)}, which",
            room,
            memory=fill + job.memory_bytes,
            addresses=fill + job.memory_bytes,
            private=0,
            smaller="choose less pressure, or a memory type of the device's own memory",
        )
    return fill

"""A job as the loop's steps: which calls with which ranges, in which order."""

import math
import random
from mmap import PAGESIZE

from vkmapctl.model.device import Device
from vkmapctl.model.loop import LoopStep, Op
from vkmapctl.model.workload import Job
from vkmapctl.rules import PLACED, RESERVE

RANDOM_CYCLES = 256
RANDOM_ORDERS = 16
MOST_STEPS = 100_000  # of random unmap orders together
_STEP_BYTES = 400  # a LoopStep, its place in the lists, and the loop's own copy of it
_STEPS_OF_AN_OBJECT = 6


def page_ceil(size: int) -> int:
    """size rounded up to whole pages."""
    return -(-size // PAGESIZE) * PAGESIZE


def thread_seed(job: Job, thread: int) -> int:
    """The seed of one thread: each has its own, and the same one for the same job."""
    return job.seed * 1_000_003 + thread


def program_bytes(job: Job) -> int:
    """About what this program itself needs to lay out a job's steps, so that it can be planned like the rest."""
    cycles = 2 * RANDOM_CYCLES if job.offset == "random" else 1
    return job.object_count * job.threads * cycles * _STEPS_OF_AN_OBJECT * _STEP_BYTES


def is_coherent(job: Job, device: Device) -> bool:
    """Whether touches need no flush. What was imported is not mapped, so that none may name it, and the host alone
    works on it (VUID-VkMappedMemoryRange-memory-00684).
    """
    return job.imported == "host" or device.memory_type(job.memory_type).coherent


def atom_range(offset: int, end: int, allocation_size: int, atom: int) -> tuple[int, int]:
    """The part of [offset, end) that flush and invalidate can name, as (begin, end); empty if begin >= end.

    VUID-VkMappedMemoryRange-offset-00687 and -size-01390: both ends are multiples of nonCoherentAtomSize, or the
    end is the allocation's, and the range stays inside the mapping (-size-00685).
    """
    begin = -(-offset // atom) * atom
    return begin, end if end == allocation_size else end // atom * atom


def offsets_of(job: Job, device: Device, thread: int) -> list[list[int]]:
    """The map offset of each live object in each cycle. `random` is the same for the same seed."""
    if isinstance(job.offset, int):
        return [[job.offset] * job.live]
    generator = random.Random(thread_seed(job, thread))
    step = 1
    if job.placed:
        step = device.placed.min_placed_memory_map_alignment or PAGESIZE
    elif job.touch != "none" and not device.memory_types[job.memory_type].coherent:
        step = device.limits.non_coherent_atom_size  # so that every range holds a whole atom
    last = job.allocation_size - (job.map_size or step)
    return [[generator.randrange(0, last + 1, step) for _ in range(job.live)] for _ in range(RANDOM_CYCLES)]


def cycles_of(job: Job, device: Device, addresses: list[int], thread: int) -> list[list[LoopStep]]:
    """The program of one thread. addresses: where each live object is placed or imported from; empty for ordinary maps.

    Touching `verify` checks what the mapping before wrote and then writes anew, so every unmap is checked by the
    next map; a random range is therefore mapped twice in a row. Memory that is not coherent is flushed and
    invalidated, and touched only in the range that those can name.
    """
    offsets = offsets_of(job, device, thread)
    repeats = 2 if job.touch == "verify" and len(offsets) > 1 else 1
    orders = unmap_orders(job, thread)
    offsets = [one for one in offsets for _ in range(repeats)]
    count = math.lcm(len(offsets), len(orders))
    return [_cycle(job, device, addresses, offsets[i % len(offsets)], orders[i % len(orders)]) for i in range(count)]


def unmap_orders(job: Job, thread: int) -> list[list[int]]:
    """In which order each cycle unmaps the live objects. `random` is the same for the same seed."""
    order = list(range(job.live))
    if job.unmap_order == "reverse":
        return [order[::-1]]
    if job.unmap_order == "same" or job.live == 1:
        return [order]
    generator = random.Random(thread_seed(job, thread))
    cycles = max(1, min(RANDOM_ORDERS, MOST_STEPS // job.live))
    return [generator.sample(order, job.live) for _ in range(cycles)]


def _cycle(job: Job, device: Device, addresses: list[int], offsets: list[int], order: list[int]) -> list[LoopStep]:
    sizes = [job.allocation_size - offset if job.map_size is None else job.map_size for offset in offsets]
    steps = [LoopStep(Op.PAUSE, size=round(job.gap_seconds * 1e9))] if job.gap_seconds else []
    for i, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        if job.imported == "host":
            steps += [LoopStep(Op.IMPORT, i, size=size, address=addresses[i]), *_touch(job, device, i, offset, size)]
            continue
        address = addresses[i] if addresses else 0
        flags = PLACED if addresses else 0
        steps.append(LoopStep(Op.MAP, i, offset, size, whole=job.map_size is None, flags=flags, address=address))
        if job.reserve and not addresses:  # only now, so that this map must avoid the range
            steps.append(LoopStep(Op.RELEASE_KEPT, i))
        steps += _touch(job, device, i, offset, size)
    for i in order:
        if job.imported == "host":
            steps.append(LoopStep(Op.FREE, i))
            continue
        steps.append(LoopStep(Op.UNMAP, i, flags=RESERVE if job.reserve else 0))
        if addresses and not job.reserve:
            steps.append(LoopStep(Op.HOLD, i, size=page_ceil(sizes[i]), address=addresses[i]))
    return steps


def _touch(job: Job, device: Device, index: int, offset: int, size: int) -> list[LoopStep]:
    if job.touch == "none":
        return []
    begin, end = offset, offset + size
    coherent = is_coherent(job, device)
    if not coherent:
        begin, end = atom_range(begin, end, job.allocation_size, device.limits.non_coherent_atom_size)
    if begin >= end:
        return []
    place = (index, begin, end - begin)
    ops = {"first": [Op.FIRST], "write": [Op.WRITE], "read": [Op.READ], "verify": [Op.VERIFY, Op.WRITE]}[job.touch]
    before = [] if coherent or ops[0] in (Op.FIRST, Op.WRITE) else [Op.INVALIDATE]
    after = [] if coherent or ops[-1] in (Op.READ, Op.VERIFY) else [Op.FLUSH]
    return [LoopStep(op, *place) for op in (*before, *ops, *after)]

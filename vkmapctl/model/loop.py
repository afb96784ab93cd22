"""The measuring loop's words as plain data: what a step does, how a pass can end, and where. No loop is here."""

from enum import IntEnum, IntFlag
from typing import NamedTuple

from vkmapctl.rules import MAP_CALLS, Api


class Op(IntEnum):
    """What a step does; enum vkm_op of loop.h."""

    MAP = 0
    UNMAP = 1
    FIRST = 2
    WRITE = 3
    READ = 4
    VERIFY = 5
    FLUSH = 6
    INVALIDATE = 7
    HOLD = 8
    RELEASE = 9
    RELEASE_KEPT = 10
    FORGET = 11
    ALLOCATE = 12
    FREE = 13
    PAUSE = 14
    IMPORT = 15
    TO_HOST = 16
    TO_DEVICE = 17
    SIGNAL = 18  # this and the next ones: of a replay alone
    WAIT = 19
    REPEAT = 20
    END = 21


CALLS = (
    "map", "unmap", "allocate", "free", "flush", "invalidate", "import", "to-host", "to-device",
)  # fmt: skip  # enum vkm_timed of loop.h


class Fault(IntEnum):
    """How a pass ended; enum vkm_fault of loop.h."""

    OK = 0
    CALL_FAILED = 1
    NULL_POINTER = 2
    MOVED = 3
    MISALIGNED = 4
    OVERLAP = 5
    MISMATCH = 6
    RESERVATION_LOST = 7
    HOLD_FAILED = 8
    RELEASE_FAILED = 9
    RESERVATION_REUSED = 10
    STILL_MAPPED = 11


class LoopStep(NamedTuple):
    """One step of the loop's program; offset and size in bytes of the object's allocation, nanoseconds for PAUSE."""

    op: Op
    object: int = 0
    offset: int = 0
    size: int = 0
    whole: bool = False
    flags: int = 0
    address: int = 0


class ReplayStep(NamedTuple):
    """One step of a thread of a replay, struct vkm_replay_step of replay.h; number: by which it is told."""

    op: Op
    number: int
    object: int = 0
    api: int = 0
    flags: int = 0
    memory_type: int = 0
    other: int = 0
    ranges: int = 0
    offset: int = 0
    size: int = 0
    address: int = 0


class ReplayFlag(IntFlag):
    """enum vkm_replay_flag of replay.h."""

    RESERVE = 1
    NOTHING = 2
    DID_FAIL = 4


REPLAY_APIS: tuple[Api, ...] = ("v1", "khr", "core")  # enum vkm_api of replay.h


class Place(NamedTuple):
    """Where a thread of the loop is, or was when its pass ended. thread, api: of a replay, which has no iterations."""

    op: Op
    step: int
    object: int
    iteration: int | None
    thread: int | None = None
    api: Api | None = None


_CALLS = {
    Op.FLUSH: "vkFlushMappedMemoryRanges",
    Op.INVALIDATE: "vkInvalidateMappedMemoryRanges",
    Op.ALLOCATE: "vkAllocateMemory",
    Op.IMPORT: "vkAllocateMemory",
    Op.FREE: "vkFreeMemory",
    Op.TO_HOST: "vkQueueSubmit or vkWaitForFences",
    Op.TO_DEVICE: "vkQueueSubmit or vkWaitForFences",
    Op.HOLD: "mmap",
    Op.RELEASE: "munmap",
    Op.RELEASE_KEPT: "munmap",
}


def call_of(op: Op, api: Api) -> str:
    """The function that a step calls, such as `vkMapMemory2KHR`; what it does, for one that calls none."""
    if op in (Op.MAP, Op.UNMAP):
        return MAP_CALLS[api][op is Op.UNMAP]
    return _CALLS.get(op, op.name.lower())

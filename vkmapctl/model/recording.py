"""What a recording holds: the calls that a program made, in order, and where it touched what was mapped.

A recording is data of a stranger's: whoever reads one has to do with handles that never were allocated, and with times
that run backwards.
"""

from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import NamedTuple, Protocol

from vkmapctl.model.base import Data
from vkmapctl.model.device import MemoryHeap, MemoryType
from vkmapctl.model.documents import Document


class Called(IntEnum):
    """What an event is about; enum vkm_called of ring.h."""

    ALLOCATE = 0
    FREE = 1
    MAP = 2
    MAP2 = 3
    MAP2_KHR = 4
    UNMAP = 5
    UNMAP2 = 6
    UNMAP2_KHR = 7
    FLUSH = 8
    INVALIDATE = 9
    CREATE_DEVICE = 10
    DESTROY_DEVICE = 11
    SUBMIT = 12
    SUBMIT2 = 13
    SUBMIT2_KHR = 14
    PRESENT = 15
    GAP = 16


MAPS = (Called.MAP, Called.MAP2, Called.MAP2_KHR)
UNMAPS = (Called.UNMAP, Called.UNMAP2, Called.UNMAP2_KHR)
SUBMITS = (Called.SUBMIT, Called.SUBMIT2, Called.SUBMIT2_KHR)

NAMES = {
    Called.ALLOCATE: "vkAllocateMemory",
    Called.FREE: "vkFreeMemory",
    Called.MAP: "vkMapMemory",
    Called.MAP2: "vkMapMemory2",
    Called.MAP2_KHR: "vkMapMemory2KHR",
    Called.UNMAP: "vkUnmapMemory",
    Called.UNMAP2: "vkUnmapMemory2",
    Called.UNMAP2_KHR: "vkUnmapMemory2KHR",
    Called.FLUSH: "vkFlushMappedMemoryRanges",
    Called.INVALIDATE: "vkInvalidateMappedMemoryRanges",
    Called.CREATE_DEVICE: "vkCreateDevice",
    Called.DESTROY_DEVICE: "vkDestroyDevice",
    Called.SUBMIT: "vkQueueSubmit",
    Called.SUBMIT2: "vkQueueSubmit2",
    Called.SUBMIT2_KHR: "vkQueueSubmit2KHR",
    Called.PRESENT: "vkQueuePresentKHR",
}  # by the name that the program called; a GAP is no call


class Mark(IntFlag):
    """What else is true of an event; enum vkm_mark of ring.h.

    PLACED: a map with VK_MEMORY_MAP_PLACED_BIT_EXT. RESERVE: an unmap with VK_MEMORY_UNMAP_RESERVE_BIT_EXT. FURTHER:
    one more range of the flush or invalidate that came before it, in no time. DEDICATED, EXPORTED, DEVICE_ADDRESS:
    kinds of an allocation. IMPORTED_HOST: of host memory, at `pointer`. IMPORTED: of something else, such as a file
    descriptor.
    """

    PLACED = 1
    RESERVE = 2
    FURTHER = 4
    DEDICATED = 8
    IMPORTED_HOST = 16
    EXPORTED = 32
    DEVICE_ADDRESS = 64
    IMPORTED = 128


class Event(NamedTuple):
    """One call, or for GAP the time that its thread spent outside of recorded calls, where that was long.

    begin_ns: since the recording began; duration_ns: None for a call that had not returned when the program ended.
    device: its number in the process, from 0 on. object: the VkDeviceMemory, 0 where there was none; a handle is used
    again once it was freed. offset, size: bytes, as they were passed (VK_WHOLE_SIZE is 2**64 - 1); of an allocation,
    offset is the memory type; of a submission, size is the number of its batches; of a GAP, size is the ns of CPU time
    that the thread used meanwhile. pointer: what a map returned or was told, or what an allocation imports.
    """

    call: Called
    begin_ns: int
    duration_ns: int | None
    thread: int
    result: int = 0
    device: int = 0
    object: int = 0
    offset: int = 0
    size: int = 0
    pointer: int = 0
    marks: Mark = Mark(0)


class PageFault(NamedTuple):
    """A page that was touched for the first time, by the program itself. time_ns: since the recording began."""

    time_ns: int
    address: int
    thread: int


class RecordedDevice(Data, frozen=True):
    """A device that the program made. placed, reserve: whether it enabled these features."""

    name: str
    vendor_id: int
    device_id: int
    api_version: str
    driver_version: str
    memory_types: tuple[MemoryType, ...]
    heaps: tuple[MemoryHeap, ...]
    placed: bool = False
    reserve: bool = False


class RecordedProcess(Data, frozen=True):
    """A process that made an instance. parent: its parent's pid. events, faults: how many were recorded.

    dropped: events that were lost since the recorder could not keep up. lost_faults: the same of page faults.
    page_size: in bytes. forked: it was forked from a process that recorded. seconds: from its first event to its last.
    """

    pid: int
    parent: int
    name: str
    events: int
    faults: int = 0
    dropped: int = 0
    lost_faults: int = 0
    page_size: int = 4096
    devices: tuple[RecordedDevice, ...] = ()
    forked: bool = False
    seconds: float = 0.0


class Program(Data, frozen=True):
    """How the program ended, and how long it ran. exit_code: None where a signal ended it, or it still ran.

    page_faults: minor and major ones of all its processes that have ended, those of the kernel for it among them.
    """

    name: str
    exit_code: int | None = None
    signal: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    page_faults: int = 0


class RecordingHead(Document, frozen=True, kw_only=True, tag="recording"):
    """What a recording file says of itself. faults_missing: why page faults were not recorded, or empty."""

    program: Program
    processes: tuple[RecordedProcess, ...] = ()
    faults_missing: str = ""


class Recording(Protocol):
    """A recording that is open to be read, as often as one likes; its events are too many to be held at once."""

    @property
    def head(self) -> RecordingHead:
        """What it says of itself."""

    def events(self, process: int) -> Iterator[Event]:
        """Those of head.processes[process], in the order in which they began."""

    def faults(self, process: int) -> Iterator[PageFault]:
        """Those of head.processes[process], in the order of time."""

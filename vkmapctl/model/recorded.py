"""What a recording says, as a saved document: where the time of a program's mapping goes."""

from typing import Literal

import msgspec

from vkmapctl.model.base import Data
from vkmapctl.model.documents import Document
from vkmapctl.model.measured import Latency
from vkmapctl.model.recording import MAPS, NAMES, UNMAPS, Called, Program, RecordedDevice, RecordedProcess

MAPPING = (Called.ALLOCATE, Called.FREE, *MAPS, *UNMAPS, Called.FLUSH, Called.INVALIDATE)
MAPPING_CALLS = tuple(NAMES[call] for call in MAPPING)  # whose time is mapping's; the others are marks
Life = Literal["per-use", "mapped-again", "kept", "unmapped", "imported"]
LIVES: dict[Life, str] = {  # of a memory object: what its word means
    "per-use": "mapped once or twice, and soon freed",
    "mapped-again": "mapped more than once",
    "kept": "mapped once, for longer or to the end",
    "unmapped": "never mapped",
    "imported": "of memory that the program had",
}


class RecordedCall(Data, frozen=True):
    """All calls of one name, those that failed among them. seconds: in all. unreturned: under way at the end."""

    call: str
    count: int
    seconds: float
    latency: Latency
    failed: int = 0
    unreturned: int = 0
    errors: dict[str, int] = msgspec.field(default_factory=dict)


class ObjectClass(Data, frozen=True):
    """Memory objects that are alike: of one memory type, of one size within a factor of two, and of one life.

    device: index in `devices`, None with memory_type where the recording does not tell. least_bytes: the class's lower
    end, a power of two. maps_again: maps of an object behind its first one; again_seconds: of these and their unmaps.
    flush_seconds: of flushes and invalidates, the others' time is in seconds. page_faults: in their mappings, None
    where none were recorded. shared: objects that several threads used. read_back: those whose first map came after a
    submission, and after which the device was given nothing before they were freed.
    """

    device: int | None
    memory_type: int | None
    memory_flags: tuple[str, ...]
    least_bytes: int
    life: Life
    objects: int
    bytes: int
    freed: int = 0
    freed_mapped: int = 0
    maps: int = 0
    maps_again: int = 0
    seconds: float = 0.0
    again_seconds: float = 0.0
    flushes: int = 0
    invalidates: int = 0
    flush_seconds: float = 0.0
    lifetime_p50_ns: float | None = None
    lifetime_max_ns: int | None = None
    page_faults: int | None = None
    page_faults_again: int | None = None
    shared: int = 0
    read_back: int = 0


class Frames(Data, frozen=True):
    """From one mark to the next: of a present, or where none came, of a submission.

    frame: how long they were. mapping: the time of calls that map, allocate, flush and undo that, in each. The means
    and percentiles count these calls.
    """

    marked_by: Literal["present", "submit"]
    count: int
    frame: Latency
    mapping: Latency
    calls_mean: float
    calls_p50: float | None
    calls_p99: float | None
    calls_max: int
    maps_mean: float
    allocations_mean: float
    flushes_mean: float
    page_faults_mean: float | None = None


class Moment(Data, frozen=True):
    """What there was at most at one time, from `seconds` after the recording began until the next moment.

    low_bytes: of mapped addresses below 4 GiB.
    """

    seconds: float
    objects: int
    allocated_bytes: int
    mapped_bytes: int
    low_bytes: int


class UsedType(Data, frozen=True):
    """A memory type that was allocated from. most_bytes: at one time."""

    device: int | None
    memory_type: int | None
    memory_flags: tuple[str, ...]
    objects: int
    bytes: int
    most_bytes: int
    maps: int
    page_faults: int | None = None


class RecordedFaults(Data, frozen=True):
    """Pages that the program touched for the first time. in_mappings: in mapped ranges. recorded: everywhere.

    mappings: so many had any. lost: the kernel could not keep up with. of_program: as the system counts them, with
    those of the kernel for the program. ns_per_page: median time between two faults of a thread at neighbouring pages
    of a mapping: an upper bound, since the program's own work and the recording's are in it; None for too few.
    """

    in_mappings: int
    recorded: int
    mappings: int
    per_mapping: float | None
    lost: int
    of_program: int
    ns_per_page: float | None = None


class RecordFinding(Data, frozen=True):
    """A pattern that was found. text: with its figure; saves: what to do about it, and what that would save.

    seconds: what it cost, and save_seconds what of it can be saved, None where the recording cannot tell. likely: it is
    inferred, not seen. figures: what the text rests on.
    """

    code: str
    text: str
    saves: str = ""
    seconds: float | None = None
    save_seconds: float | None = None
    likely: bool = False
    figures: dict[str, float] = msgspec.field(default_factory=dict)


class RecordReport(Document, frozen=True, kw_only=True, tag="record"):
    """The answer to a recording. answer: where the time goes, in a sentence; findings: why, the dearest first.

    mapping_seconds: in calls that allocate, map, flush and undo that, of all threads. dropped: events that were lost.
    faults_missing: why there are no page faults, or empty. most_…: at one time, in each process, together;
    most_small_objects: of those below 1 MiB. floor_ns: what a call that does nothing would be recorded with.
    """

    program: Program
    processes: tuple[RecordedProcess, ...] = ()
    devices: tuple[RecordedDevice, ...] = ()
    dropped: int = 0
    faults_missing: str = ""
    answer: str = ""
    findings: tuple[RecordFinding, ...] = ()
    seconds: float = 0.0
    mapping_seconds: float = 0.0
    calls: tuple[RecordedCall, ...] = ()
    objects: tuple[ObjectClass, ...] = ()
    frames: Frames | None = None
    timeline: tuple[Moment, ...] = ()
    memory_types: tuple[UsedType, ...] = ()
    page_faults: RecordedFaults | None = None
    most_objects: int = 0
    most_small_objects: int = 0
    most_allocated_bytes: int = 0
    most_mapped_bytes: int = 0
    most_low_bytes: int = 0
    floor_ns: float = 0.0

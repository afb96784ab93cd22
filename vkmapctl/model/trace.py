"""A trace: the calls of a recorded program without anything of its own, as threads of steps that are replayed once.

Unlike a script it need not end as it began, and its objects belong to no thread: an object is a number that is free to
be used again once the object was freed. The order across threads is made of signals: the n-th `wait` of thread B for
thread A ends when A has made its n-th `signal` to B.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from vkmapctl.model.base import Data
from vkmapctl.model.measured import Latency
from vkmapctl.rules import Api

MOST_OBJECTS = 1_000_000
MOST_THREADS = 1_000
_Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Size = Annotated[_Number, Meta(description="bytes")]
Offset = Annotated[_Number, Meta(description="where it begins in the allocation, in bytes")]
Rest = Annotated[_Number | None, Meta(description="bytes; left out for VK_WHOLE_SIZE")]
Slot = Annotated[int, Meta(ge=0, lt=MOST_OBJECTS, description="number of the object; free to be used again once freed")]
Thread = Annotated[int, Meta(ge=0, lt=MOST_THREADS, description="number of the other thread, from 0 on")]
TraceApi = Annotated[
    Literal["v1", "khr", "core"], Meta(description="which function was called: vkMapMemory, vkMapMemory2KHR, …")
]
AllocationKind = Annotated[
    Literal["plain", "dedicated", "export", "device-address", "host"],
    Meta(description="kind of allocation; `host` imports host memory"),
]
Result = Annotated[str, Meta(description="the VkResult that the program got, where it was no success")]


class TraceStep(msgspec.Struct, frozen=True, tag_field="op", forbid_unknown_fields=True, omit_defaults=True):
    """Base of the steps."""


class Allocate(TraceStep, frozen=True, tag="allocate"):
    """vkAllocateMemory. memory: index into the trace's memory types. host: of the host's own memory."""

    object: Slot
    size: Size
    memory: Annotated[int, Meta(description="which of the trace's memory types, from 0 on")] = 0
    kind: AllocationKind = "plain"
    result: Result = ""


class Free(TraceStep, frozen=True, tag="free"):
    """vkFreeMemory, also of a mapped object; without an object, of VK_NULL_HANDLE."""

    object: Annotated[Slot | None, Meta(description="number of the object; left out for VK_NULL_HANDLE")] = None


class Map(TraceStep, frozen=True, tag="map"):
    """Maps; without size, VK_WHOLE_SIZE. placed: number of the address range, one of the trace's; at: where in it."""

    object: Slot
    offset: Offset = 0
    size: Rest = None
    api: TraceApi = "v1"
    placed: Annotated[int | None, Meta(description="the range to map at, of the trace's `ranges`, from 0 on")] = None
    at: Annotated[_Number, Meta(description="where in the range, in bytes")] = 0
    result: Result = ""


class Unmap(TraceStep, frozen=True, tag="unmap"):
    """Unmaps; with reserve the addresses stay taken."""

    object: Slot
    api: TraceApi = "v1"
    reserve: Annotated[bool, Meta(description="keep the addresses taken")] = False
    result: Result = ""


class MemoryRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One VkMappedMemoryRange; without size, VK_WHOLE_SIZE."""

    object: Slot
    offset: Offset = 0
    size: Rest = None


Ranges = Annotated[
    tuple[MemoryRange, ...],
    Meta(description="tables with `object`, `offset` (0) and `size` (left out for VK_WHOLE_SIZE)"),
]


class Flush(TraceStep, frozen=True, tag="flush"):
    """vkFlushMappedMemoryRanges."""

    ranges: Ranges
    result: Result = ""


class Invalidate(TraceStep, frozen=True, tag="invalidate"):
    """vkInvalidateMappedMemoryRanges."""

    ranges: Ranges
    result: Result = ""


class Touch(TraceStep, frozen=True, tag="touch"):
    """Writes one byte of each page of [offset, offset + size) of a mapped object's allocation."""

    object: Slot
    offset: Offset
    size: Size


class Gap(TraceStep, frozen=True, tag="gap"):
    """What the thread did beside: so many ns, of which `busy` on the CPU. Left out at full speed."""

    ns: Annotated[_Number, Meta(description="how long, in ns")]
    busy: Annotated[_Number, Meta(description="ns of it on the CPU")] = 0


class Signal(TraceStep, frozen=True, tag="signal"):
    """Lets thread `to` pass one `wait` for this thread."""

    to: Thread


class Wait(TraceStep, frozen=True, tag="wait"):
    """Waits for the next signal of thread `of` to this one."""

    of: Thread


class Repeat(TraceStep, frozen=True, tag="repeat"):
    """Runs steps several times."""

    times: Annotated[int, Meta(ge=1, le=1_000_000_000, description="how often")]
    steps: Annotated[tuple["AnyTraceStep", ...], Meta(description="what to run")]


AnyTraceStep = Allocate | Free | Map | Unmap | Flush | Invalidate | Touch | Gap | Signal | Wait | Repeat


class TraceMemory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A memory type of the recorded device, by its flags as MemoryType has them, so that another device can have it."""

    flags: tuple[str, ...]


class TraceRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An address range that maps were placed at: its size in bytes, and whether it lay below 4 GiB."""

    size: Size
    low: bool = False


class Trace(Data, frozen=True, forbid_unknown_fields=True):
    """The whole. recorded: latency of each call as the recording saw it, by the names of model/loop.CALLS.

    objects: how many numbers there are for them. seconds: of the recording. page_size: bytes of a page there.
    """

    memory: tuple[TraceMemory, ...]
    threads: tuple[tuple[AnyTraceStep, ...], ...]
    ranges: tuple[TraceRange, ...] = ()
    objects: int = 0
    seconds: float = 0.0
    page_size: int = 4096
    recorded: dict[str, Latency] = msgspec.field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of all that a replay does, in eight digits."""
        told = msgspec.msgpack.encode((self.memory, self.threads, self.ranges, self.objects))
        return hashlib.blake2s(told, digest_size=4).hexdigest()

    def walk(self) -> Iterator[AnyTraceStep]:
        """Every step as it is written, those of repeats once."""
        for steps in self.threads:
            yield from _walk(steps)

    def calls(self) -> Counter[str]:
        """How often each call is made, repeats counted, by the names of model/loop.CALLS."""
        return sum((_calls(steps) for steps in self.threads), Counter())


_CALLS: dict[type, str] = {
    Allocate: "allocate", Free: "free", Map: "map", Unmap: "unmap", Flush: "flush", Invalidate: "invalidate",
}  # fmt: skip


def _calls(steps: Iterable[AnyTraceStep]) -> Counter[str]:
    found: Counter[str] = Counter()
    for step in steps:
        if isinstance(step, Repeat):
            found += Counter({call: count * step.times for call, count in _calls(step.steps).items()})
        elif type(step) in _CALLS:
            is_import = isinstance(step, Allocate) and step.kind == "host"
            found["import" if is_import else _CALLS[type(step)]] += 1
    return found


def _walk(steps: Iterable[AnyTraceStep]) -> Iterator[AnyTraceStep]:
    for step in steps:
        yield step
        if isinstance(step, Repeat):
            yield from _walk(step.steps)


class TraceFit(Data, frozen=True):
    """How one device replays a trace.

    memory: by the trace's memory types, the index of the device's. imports: the same for imports, empty where the
    device has none. apis: which functions stand for the recorded ones. kinds: of allocations that it has. placed,
    range_placed, reserve: whether it has these. alignment: of placed maps, import_alignment: of imports, in bytes.
    most_bytes, most_objects: that are allocated at one time, at most. replaced: in words, what is done otherwise than
    recorded.
    """

    memory: tuple[int, ...]
    imports: tuple[int, ...]
    apis: dict[str, Api]
    kinds: tuple[str, ...]
    placed: bool
    range_placed: bool
    reserve: bool
    alignment: int
    import_alignment: int
    most_bytes: int
    most_objects: int
    replaced: tuple[str, ...] = ()

"""The steps that a scripted job is written in: plain data, one class for each `op`."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MOST_OBJECTS = 100_000
Place = Annotated[str, Meta(description="any, low4g, low2g or an address such as 0x10000000")]
_Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Bytes = Annotated[_Number | str, Meta(description="bytes, or a number with a unit such as 64K")]
RangeName = Annotated[str, Meta(description="a name for the range, chosen by the file")]
_Index = Annotated[int, Meta(ge=0, lt=MOST_OBJECTS)]
Object = Annotated[_Index | Literal["any"], Meta(description="number of the object from 0 on, or any for a random one")]
Weight = Annotated[float, Meta(ge=0, le=1e9, description="how often `draws` picks this step, relative to the others")]


class ScriptStep(msgspec.Struct, frozen=True, tag_field="op", forbid_unknown_fields=True):
    """Base of the steps."""


class Map(ScriptStep, frozen=True, tag="map"):
    """Maps [offset, offset + size) of an object, all that follows where size is left out; `placed` names a range."""

    object: Object = 0
    offset: Bytes = 0
    size: Bytes | None = None
    placed: Annotated[str, Meta(description="the range to map at: reserved, and empty")] | None = None
    weight: Weight = 1.0


class Unmap(ScriptStep, frozen=True, tag="unmap"):
    """Unmaps an object; `reserve` keeps the addresses taken."""

    object: Object = 0
    reserve: Annotated[bool, Meta(description="keep the addresses taken")] = False
    weight: Weight = 1.0


class Touching(ScriptStep, frozen=True):
    """Base of what works on mapped bytes: the whole mapping where offset and size are left out."""

    object: Object = 0
    offset: Bytes | None = None
    size: Bytes | None = None
    weight: Weight = 1.0


class First(Touching, frozen=True, tag="first"):
    """Writes one byte of each page."""


class Write(Touching, frozen=True, tag="write"):
    """Fills the range with a new pattern."""


class Read(Touching, frozen=True, tag="read"):
    """Loads every byte."""


class Verify(Touching, frozen=True, tag="verify"):
    """Compares the range with what the object's last write left there."""


class Flush(Touching, frozen=True, tag="flush"):
    """vkFlushMappedMemoryRanges."""


class Invalidate(Touching, frozen=True, tag="invalidate"):
    """vkInvalidateMappedMemoryRanges."""


class ToHost(Touching, frozen=True, tag="to-host"):
    """The device copies new bytes to the range, which are read there and compared: one round trip."""


class ToDevice(Touching, frozen=True, tag="to-device"):
    """The host writes new bytes to the range, and the device copies them to a buffer of its own: one round trip."""


class Allocate(ScriptStep, frozen=True, tag="allocate"):
    """Gives an object memory; the object's size where size is left out."""

    object: Object = 0
    size: Bytes | None = None
    weight: Weight = 1.0


class Import(ScriptStep, frozen=True, tag="import"):
    """Makes an object of the host's own memory, without a map: its size, or the first `size` bytes of it."""

    object: Object = 0
    size: Bytes | None = None
    weight: Weight = 1.0


class Free(ScriptStep, frozen=True, tag="free"):
    """Frees the memory that an allocate or an import step gave."""

    object: Object = 0
    weight: Weight = 1.0


class Reserve(ScriptStep, frozen=True, tag="reserve"):
    """Takes a named address range; the first step of that name says its size and address."""

    range: RangeName
    size: Bytes | None = None
    address: Place | None = None
    weight: Weight = 1.0


class Release(ScriptStep, frozen=True, tag="release"):
    """Gives a named range back, or the one that an object's unmap with reserve has kept."""

    range: RangeName | None = None
    object: Object | None = None
    weight: Weight = 1.0


class Pause(ScriptStep, frozen=True, tag="pause"):
    """Sleeps, at most 10 s."""

    duration: Annotated[str, Meta(description="such as 50us or 5ms")]
    weight: Weight = 1.0


class Repeat(ScriptStep, frozen=True, tag="repeat"):
    """Runs steps several times; within `draws`, steps that belong together."""

    steps: Annotated[tuple["AnyStep", ...], Meta(description="what to run")]
    times: Annotated[int, Meta(ge=1, le=1_000_000, description="how often")] = 1
    weight: Weight = 1.0


AnyStep = (
    Map | Unmap | First | Write | Read | Verify | Flush | Invalidate | ToHost | ToDevice
    | Allocate | Import | Free | Reserve | Release | Pause | Repeat
)  # fmt: skip


def walk(steps: Iterable[AnyStep], path: str = "steps") -> Iterator[tuple[str, AnyStep]]:
    """Every step with its place, those inside of `repeat` too."""
    for i, step in enumerate(steps):
        yield f"{path}[{i}]", step
        if isinstance(step, Repeat):
            yield from walk(step.steps, f"{path}[{i}].steps")

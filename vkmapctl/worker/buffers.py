"""Transfer buffers in memory of their own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from vkmapctl.errors import Unsupported
from vkmapctl.inside.device import OpenDevice
from vkmapctl.inside.transfers import Buffer
from vkmapctl.model.device import MemoryType

_NOT_FOR_THIS = {"Pr", "La", "Dc"}


@contextmanager
def buffer_of_its_own(device: OpenDevice, size: int) -> Iterator[Buffer]:
    """In the device's own memory, that which the host does not see first. Raises CallFailed, or Unsupported."""
    with _bound(device, size, ("De", "-Vi"), ("De",), ()) as (buffer, _):
        yield buffer


@contextmanager
def shown_buffer(device: OpenDevice, size: int) -> Iterator[tuple[Buffer, int]]:
    """In memory that the host sees without flushes, cached first; with the address that it is mapped at.

    Every device has such memory for it (vkGetBufferMemoryRequirements, memoryTypeBits).
    """
    with _bound(device, size, ("Vi", "Co", "Ca"), ("Vi", "Co")) as (buffer, memory):
        yield buffer, device.mapped(memory)


@contextmanager
def _bound(device: OpenDevice, size: int, *wishes: Sequence[str]) -> Iterator[tuple[Buffer, int]]:
    buffer = Buffer(device, size)
    memory = 0
    try:
        memory = device.allocate(_type_of(device.facts.memory_types, buffer.memory_types, wishes), buffer.needs)
        buffer.bind_to(memory)
        yield buffer, memory
    finally:
        buffer.destroy()
        if memory:
            device.free(memory)


def _type_of(types: Sequence[MemoryType], bits: int, wishes: Sequence[Sequence[str]]) -> int:
    """The index of the first type among the bits that has all the flags of a wish, and none after a minus."""
    able = [one for one in types if bits >> one.index & 1 and not one.barred and _NOT_FOR_THIS.isdisjoint(one.flags)]
    for wish in wishes:
        for one in able:
            if all((flag[1:] not in one.flags) if flag[0] == "-" else flag in one.flags for flag in wish):
                return one.index
    raise Unsupported("no memory type for a transfer buffer of the run's own")

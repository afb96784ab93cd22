"""The ground that a check stands on: a device, one of its memory types, and what a check takes of both.

What a check says by raising is here too. Which checks there are, and how one is run, is the registry's.
"""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from vkmapctl.machine import host, ranges
from vkmapctl.machine.addresses import PAGE
from vkmapctl.model.device import Device, MemoryType
from vkmapctl.rules import Api

if TYPE_CHECKING:  # checks can be listed where there is no Vulkan at all
    from vkmapctl.checks.calls import Memory
    from vkmapctl.checks.transfer import Buffer, Transfers
    from vkmapctl.inside.device import OpenDevice

MAP_FAILED = -5  # VK_ERROR_MEMORY_MAP_FAILED


class Broken(Exception):
    """The rule does not hold; the text says what was seen."""


class Skip(Exception):
    """The check cannot be tried here; the text says why."""


def expect(holds: object, text: str) -> None:
    """Raises Broken unless it holds."""
    if not holds:
        raise Broken(text)


class Ground:
    """A device and one of its host-visible memory types; what a check takes is given back at its end."""

    def __init__(self, device: "OpenDevice", memory_type: MemoryType) -> None:
        self.device, self.memory_type = device, memory_type
        self.facts: Device = device.facts
        self.held = ExitStack()
        self._ranges = self.held.enter_context(ExitStack())  # given back last, when no object is left in them

    @property
    def apis(self) -> tuple[Api, ...]:
        return self.facts.apis()

    @property
    def alignment(self) -> int:
        """minPlacedMemoryMapAlignment."""
        return self.facts.placed.min_placed_memory_map_alignment or PAGE

    @property
    def modest_size(self) -> int:
        """A quarter of what this memory type can still have of its heap and of the machine, as one allocation."""
        heap = self.facts.heaps[self.memory_type.heap]
        free = max(heap.budget - (heap.usage or 0), 0) if heap.budget else heap.size
        modest = min(free, host.memory_available()) // 4
        return min(modest, self.facts.limits.max_memory_allocation_size or modest)

    def allocate(self, size: int) -> "Memory":
        """Memory of this ground's type, freed at the end."""
        from vkmapctl.checks.calls import Memory

        memory = Memory(self.device, self.memory_type, size)
        self.held.callback(memory.free)
        return memory

    def buffer(self, size: int) -> "Buffer":
        """A transfer buffer in memory of its own. Raises Skip where the memory type cannot hold one."""
        from vkmapctl.checks.transfer import Buffer

        buffer = Buffer(self.device, size)
        self.held.callback(buffer.destroy)
        if not buffer.memory_types >> self.memory_type.index & 1:
            raise Skip("no transfer buffer may be bound to this memory type")
        buffer.bind(self.allocate(self.placed_size(buffer.needs)))
        return buffer

    def transfers(self) -> "Transfers":
        """The device's own copies and fills."""
        from vkmapctl.checks.transfer import Transfers

        return self.held.enter_context(Transfers(self.device))

    def placed_size(self, size: int) -> int:
        """size rounded up to what a placed map may have."""
        return -(-size // self.alignment) * self.alignment

    def take_range(self, length: int, protection: int = 0) -> int:
        """The address of a range of this process's own between guards, given back at the end."""
        return self.take(length, protection).begin

    def take(self, length: int, protection: int = 0) -> ranges.Range:
        """As take_range, with its guards. No multiple of more than the alignment: a driver may not count on that."""
        taken = ranges.take(length, alignment=self.alignment, protection=protection)
        self._ranges.callback(taken.release)
        return taken

    def take_for(self, place: str, length: int) -> int:
        """As take_range, but `low4g` or `low2g`."""
        taken = ranges.reserve_for(place, length)
        self._ranges.callback(taken.release)
        return taken.begin

    def flush(self, memory: "Memory") -> None:
        """Makes host writes through the current mapping stay, where the type needs it."""
        if not self.memory_type.coherent:
            memory.flush(0)

    def invalidate(self, memory: "Memory") -> None:
        """Makes what was flushed visible to the current mapping, where the type needs it."""
        if not self.memory_type.coherent:
            memory.invalidate(0)

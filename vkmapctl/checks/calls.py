"""The mapping calls one at a time, each with its VkResult: what the checks are written in."""

from typing import Any, NamedTuple

from vkmapctl.errors import CallFailed
from vkmapctl.inside.current_call import at
from vkmapctl.inside.device import WHOLE_SIZE, OpenDevice
from vkmapctl.inside.vkapi import result_name
from vkmapctl.model.device import MemoryType
from vkmapctl.rules import MAP_CALLS, PLACED, RESERVE, Api


class Mapped(NamedTuple):
    """What a map call gave: VkResult and the pointer, 0 after a failure."""

    result: int
    pointer: int


class Memory:
    """One VkDeviceMemory. Python only marshals: every call goes to the driver's function of the chosen api."""

    def __init__(self, device: OpenDevice, memory_type: MemoryType, size: int) -> None:
        self._device, self.memory_type, self.size = device, memory_type, size
        self.handle = device.allocate(memory_type.index, size)
        self.was_mapped = False  # ever, by whatever call

    def free(self) -> None:
        """vkFreeMemory, once."""
        if self.handle:
            self._device.free(self.handle)
            self.handle = 0

    def try_map(
        self,
        offset: int = 0,
        size: int | None = None,
        *,
        api: Api | None = None,
        address: int | None = None,
        ignored_address: int | None = None,
    ) -> Mapped:
        """Maps [offset, offset+size), VK_WHOLE_SIZE for None. address: placed there.

        ignored_address: chains the placed structure without setting the flag. Raises CallFailed for a success without
        a pointer.
        """
        api = api or self._device.facts.apis()[0]
        length, chained = WHOLE_SIZE if size is None else size, address or ignored_address or 0
        at(f"{MAP_CALLS[api][0]} of {self.describe(offset, size)}")
        flags = PLACED if address else 0
        mapped = Mapped(*self._device.map(api, self.handle, offset, length, flags=flags, address=chained))
        if mapped.result == 0:
            self.was_mapped = True
            if not mapped.pointer:
                raise CallFailed(f"map of {self.describe(offset, size)} succeeded without a pointer")
        return mapped

    def map(self, offset: int = 0, size: int | None = None, **options: Any) -> int:
        """As try_map, but the pointer alone. Raises CallFailed where the driver refuses."""
        return self.checked(self.try_map(offset, size, **options), offset, size)

    def checked(self, mapped: Mapped, offset: int = 0, size: int | None = None) -> int:
        """The pointer that a map gave. Raises CallFailed where the driver refused it."""
        if mapped.result:
            name = result_name(mapped.result)
            raise CallFailed(f"map of {self.describe(offset, size)} failed: {name}", call="map", result=name)
        return mapped.pointer

    def describe(self, offset: int, size: int | None) -> str:
        """The range in words."""
        return f"{'the rest' if size is None else f'{size} bytes'} at {offset} of {self.size}"

    def try_unmap(self, *, api: Api | None = None, reserve: bool = False) -> int:
        """Unmaps; the VkResult, VK_SUCCESS for v1, which returns nothing."""
        api = api or self._device.facts.apis()[0]
        at(f"{MAP_CALLS[api][1]}{' with reserve' if reserve else ''}")
        return self._device.unmap(api, self.handle, RESERVE if reserve else 0)

    def unmap(self, **options: Any) -> None:
        """As try_unmap. Raises CallFailed where the driver refuses."""
        result = self.try_unmap(**options)
        if result:
            raise CallFailed(f"unmap failed: {result_name(result)}", call="unmap", result=result_name(result))

    def flush(self, offset: int = 0, size: int = WHOLE_SIZE) -> None:
        """vkFlushMappedMemoryRanges; WHOLE_SIZE is to the end of the mapping. Raises CallFailed."""
        self._device.flush(self.handle, offset, size)

    def invalidate(self, offset: int = 0, size: int = WHOLE_SIZE) -> None:
        """vkInvalidateMappedMemoryRanges. Raises CallFailed."""
        self._device.invalidate(self.handle, offset, size)

"""The mapping calls one at a time, each with its VkResult: what the checks are written in."""

import ctypes
from typing import Any, NamedTuple

from vkmapctl.driver import vkapi
from vkmapctl.driver.vkapi import WHOLE_SIZE, OpenDevice, result_name
from vkmapctl.driver.whereabouts import at
from vkmapctl.errors import CallFailed
from vkmapctl.model import MAP_CALLS, Api, MemoryType

vk: Any = vkapi.vk  # the binding itself stays vkapi's import

PLACED, RESERVE = 1, 1  # VK_MEMORY_MAP_PLACED_BIT_EXT, VK_MEMORY_UNMAP_RESERVE_BIT_EXT
_MAP_INFO, _UNMAP_INFO, _PLACED_INFO = 1000271000, 1000271001, 1000272002


class _PlacedInfo(ctypes.Structure):
    """VkMemoryMapPlacedInfoEXT."""

    _fields_ = (("sType", ctypes.c_uint32), ("pNext", ctypes.c_void_p), ("pPlacedAddress", ctypes.c_void_p))


class Mapped(NamedTuple):
    """What a map call gave: VkResult and the pointer, 0 after a failure."""

    result: int
    pointer: int


class Memory:
    """One VkDeviceMemory. Python only marshals: every call goes to the driver's function of the chosen api."""

    def __init__(self, device: OpenDevice, memory_type: MemoryType, size: int) -> None:
        self._device, self.memory_type, self.size = device, memory_type, size
        self.handle = device.allocate(memory_type.index, size)

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

        ignored_address: chains the placed structure without setting the flag.
        """
        api = api or self._device.facts.apis()[0]
        function = self._device.map_functions(api)[0]
        data = vk.ffi.new("void **")
        length = WHOLE_SIZE if size is None else size
        memory = vk.ffi.cast("VkDeviceMemory", self.handle)
        at(f"{MAP_CALLS[api][0]} of {self.describe(offset, size)}")
        if api == "v1":
            call = vk.ffi.cast("PFN_vkMapMemory", function)
            result = call(self._device.handle, memory, offset, length, 0, data)
        else:
            call = vk.ffi.cast("PFN_vkMapMemory2KHR", function)
            result = call(self._device.handle, self._map_info(memory, offset, length, address, ignored_address), data)
        return Mapped(result, int(vk.ffi.cast("uintptr_t", data[0])) if result == 0 else 0)

    def _map_info(self, memory: Any, offset: int, size: int, address: int | None, ignored: int | None) -> Any:
        info = vk.ffi.new("VkMemoryMapInfoKHR *")
        info.sType, info.memory, info.offset, info.size = _MAP_INFO, memory, offset, size
        self._placed_info = _PlacedInfo(_PLACED_INFO, None, address or ignored)
        if address or ignored:
            info.pNext = vk.ffi.cast("void *", ctypes.addressof(self._placed_info))
        info.flags = PLACED if address else 0
        return info

    def map(self, offset: int = 0, size: int | None = None, **options: Any) -> int:
        """As try_map, but the pointer alone. Raises CallFailed where the driver refuses."""
        mapped = self.try_map(offset, size, **options)
        if mapped.result:
            raise CallFailed(f"map of {self.describe(offset, size)} failed: {result_name(mapped.result)}")
        if not mapped.pointer:
            raise CallFailed(f"map of {self.describe(offset, size)} succeeded without a pointer")
        return mapped.pointer

    def describe(self, offset: int, size: int | None) -> str:
        """The range in words."""
        return f"{'the rest' if size is None else f'{size} bytes'} at {offset} of {self.size}"

    def try_unmap(self, *, api: Api | None = None, reserve: bool = False) -> int:
        """Unmaps; the VkResult, VK_SUCCESS for v1, which returns nothing."""
        api = api or self._device.facts.apis()[0]
        function = self._device.map_functions(api)[1]
        memory = vk.ffi.cast("VkDeviceMemory", self.handle)
        at(f"{MAP_CALLS[api][1]}{' with reserve' if reserve else ''}")
        if api == "v1":
            vk.ffi.cast("PFN_vkUnmapMemory", function)(self._device.handle, memory)
            return 0
        info = vk.ffi.new("VkMemoryUnmapInfoKHR *")
        info.sType, info.memory, info.flags = _UNMAP_INFO, memory, RESERVE if reserve else 0
        return int(vk.ffi.cast("PFN_vkUnmapMemory2KHR", function)(self._device.handle, info))

    def unmap(self, **options: Any) -> None:
        """As try_unmap. Raises CallFailed where the driver refuses."""
        result = self.try_unmap(**options)
        if result:
            raise CallFailed(f"unmap failed: {result_name(result)}")

    def flush(self, offset: int = 0, size: int = WHOLE_SIZE) -> None:
        """vkFlushMappedMemoryRanges; WHOLE_SIZE is to the end of the mapping. Raises CallFailed."""
        self._ranges("vkFlushMappedMemoryRanges", offset, size)

    def invalidate(self, offset: int = 0, size: int = WHOLE_SIZE) -> None:
        """vkInvalidateMappedMemoryRanges. Raises CallFailed."""
        self._ranges("vkInvalidateMappedMemoryRanges", offset, size)

    def _ranges(self, name: str, offset: int, size: int) -> None:
        at(name)
        mapped = vk.ffi.new("VkMappedMemoryRange *")
        mapped.sType, mapped.memory = (
            vk.VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE,
            vk.ffi.cast("VkDeviceMemory", self.handle),
        )
        mapped.offset, mapped.size = offset, size
        vkapi.check(name, getattr(vk.lib, name)(self._device.handle, 1, mapped))

"""An open device: its functions and its memory, as integers."""

import ctypes
from typing import Any, Self

from vkmapctl.errors import CallFailed
from vkmapctl.inside.current_call import at
from vkmapctl.inside.queues import Family, Queues, chosen
from vkmapctl.inside.vkapi import (
    DEVICE_COHERENT_MEMORY,
    MEMORY_BUDGET,
    PLACED_FEATURES,
    PLACED_FLAGS,
    Facts,
    PlacedFeatures,
    check,
    heaps_now,
    number_of,
    pointer_to,
    vk,
)
from vkmapctl.rules import (
    BUFFER_DEVICE_ADDRESS,
    EXTERNAL_MEMORY_FD,
    EXTERNAL_MEMORY_HOST,
    MAP_CALLS,
    MAP_MEMORY2,
    MAP_PLACED,
    Api,
)

WHOLE_SIZE = (1 << 64) - 1
_MAP_INFO, _UNMAP_INFO, _PLACED_INFO = 1000271000, 1000271001, 1000272002


class _PlacedInfo(ctypes.Structure):
    """VkMemoryMapPlacedInfoEXT."""

    _fields_ = (("sType", ctypes.c_uint32), ("pNext", ctypes.c_void_p), ("pPlacedAddress", ctypes.c_void_p))


class OpenDevice:
    """A VkDevice with every mapping extension and feature that its driver has, enabled.

    described: the device in builtin types (vkapi.describe). facts: the same as whoever opened it knows it, for those
    who use it.
    """

    def __init__(self, physical: Any, described: Facts, facts: Any) -> None:
        self.facts = facts
        self._described = described
        extensions, placed = described["extensions"], described["placed"]
        ffi = vk.ffi
        self.physical = physical
        self.queues = self._queues(any_fills=described["api_version"].split(".")[:2] != ["1", "0"])
        device_address = "device-address" in described["allocations"]
        device_coherent = any("Dc" in one["flags"] and not one["barred"] for one in described["memory_types"])
        wanted = {
            MAP_MEMORY2: True,
            MAP_PLACED: True,
            DEVICE_COHERENT_MEMORY: device_coherent,
            EXTERNAL_MEMORY_HOST: described["api_version"] >= "1.1",  # it needs VK_KHR_external_memory, promoted there
            EXTERNAL_MEMORY_FD: "export" in described["allocations"],
            BUFFER_DEVICE_ADDRESS: device_address and described["api_version"] < "1.2",
        }
        enabled = [name for name, want in wanted.items() if want and name in extensions]
        names = [ffi.new("char[]", name.encode()) for name in enabled]
        name_list = ffi.new("char *[]", names or [ffi.NULL])
        counts = self.queues.counts()
        queues = ffi.new("VkDeviceQueueCreateInfo[]", len(counts))
        priorities = ffi.new("float[]", [1.0] * max(counts.values()))
        for queue, (family, count) in zip(queues, counts.items(), strict=True):
            queue.sType = vk.VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO
            queue.queueFamilyIndex, queue.queueCount, queue.pQueuePriorities = family, count, priorities
        features = PlacedFeatures(PLACED_FEATURES, None, *(placed[name] for name in PLACED_FLAGS))
        info = ffi.new("VkDeviceCreateInfo *")
        info.sType = vk.VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO
        info.queueCreateInfoCount, info.pQueueCreateInfos = len(counts), queues
        info.enabledExtensionCount, info.ppEnabledExtensionNames = len(names), name_list
        coherent = ffi.new("VkPhysicalDeviceCoherentMemoryFeaturesAMD *")
        coherent.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COHERENT_MEMORY_FEATURES_AMD
        coherent.deviceCoherentMemory = 1
        if device_coherent:
            info.pNext = coherent
        addresses = ffi.new("VkPhysicalDeviceBufferDeviceAddressFeatures *")
        addresses.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES
        addresses.bufferDeviceAddress = 1
        if device_address:
            addresses.pNext, info.pNext = info.pNext, addresses
        if MAP_PLACED in extensions:
            features.pNext = int(ffi.cast("uintptr_t", info.pNext)) or None
            info.pNext = pointer_to(features)
        handle = ffi.new("VkDevice *")
        at("vkCreateDevice")
        check("vkCreateDevice", vk.lib.vkCreateDevice(physical, info, ffi.NULL, handle))
        self.handle = handle[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """vkDestroyDevice."""
        at("vkDestroyDevice")
        vk.lib.vkDestroyDevice(self.handle, vk.ffi.NULL)

    def _queues(self, *, any_fills: bool) -> Queues:
        """Those to create, by what their families can do."""
        count = vk.ffi.new("uint32_t *")
        vk.lib.vkGetPhysicalDeviceQueueFamilyProperties(self.physical, count, vk.ffi.NULL)
        families = vk.ffi.new("VkQueueFamilyProperties[]", max(count[0], 1))
        vk.lib.vkGetPhysicalDeviceQueueFamilyProperties(self.physical, count, families)
        known = [Family(int(one.queueFlags), int(one.queueCount)) for one in families[0 : count[0]]]
        return chosen(known, any_fills=any_fills)

    @property
    def address(self) -> int:
        """The VkDevice as an integer."""
        return int(vk.ffi.cast("uintptr_t", self.handle))

    def function(self, name: str) -> int:
        """Address that vkGetDeviceProcAddr gives for the name, 0 for NULL."""
        pointer = vk.lib.vkGetDeviceProcAddr(self.handle, vk.ffi.new("char[]", name.encode()))
        return int(vk.ffi.cast("uintptr_t", pointer))

    def map_functions(self, api: Api) -> tuple[int, int]:
        """Addresses of the map and the unmap function of `v1`, `khr` or `core`. Raises CallFailed on NULL."""
        found = tuple(self.function(name) for name in MAP_CALLS[api])
        for name, address in zip(MAP_CALLS[api], found, strict=True):
            if not address:
                raise CallFailed(f"vkGetDeviceProcAddr gives NULL for {name}, which this device must have")
        return found[0], found[1]

    def allocate(self, memory_type: int, size: int, chain: int = 0) -> int:
        """A VkDeviceMemory of `size` bytes as an integer. chain: address of what is chained to VkMemoryAllocateInfo.

        Raises CallFailed with the VkResult's name.
        """
        info = vk.ffi.new("VkMemoryAllocateInfo *")
        info.sType = vk.VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO
        info.allocationSize, info.memoryTypeIndex = size, memory_type
        info.pNext = vk.ffi.cast("void *", chain)
        memory = vk.ffi.new("VkDeviceMemory *")
        at("vkAllocateMemory")
        check("vkAllocateMemory", vk.lib.vkAllocateMemory(self.handle, info, vk.ffi.NULL, memory))
        return number_of(memory[0])

    def pointer_types(self, address: int) -> list[int]:
        """The memory types that take a pointer to this process's own memory; none where the driver refuses it.

        address: a multiple of minImportedHostPointerAlignment
        (VUID-vkGetMemoryHostPointerPropertiesEXT-pHostPointer-01753). Raises CallFailed where memory runs out.
        """
        name = "vkGetMemoryHostPointerPropertiesEXT"
        function = self.function(name)
        if not function:
            return []
        found = vk.ffi.new("VkMemoryHostPointerPropertiesEXT *")
        found.sType = vk.VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT
        pointer, kind = vk.ffi.cast("void *", address), vk.VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT
        at(name)
        result = vk.ffi.cast(f"PFN_{name}", function)(self.handle, kind, pointer, found)
        if result == vk.VK_ERROR_INVALID_EXTERNAL_HANDLE:
            return []
        check(name, result)
        return [i for i in range(found.memoryTypeBits.bit_length()) if found.memoryTypeBits >> i & 1]

    def heap_use(self, heap: int) -> tuple[int, int]:
        """heapBudget and heapUsage of a heap now; its size, and 0, where the device does not tell."""
        described = self._described["heaps"][heap]
        if MEMORY_BUDGET not in self._described["extensions"]:
            return described["size"], 0
        now = heaps_now(self.physical)[heap]
        return min(now[0] or described["size"], described["size"]), now[1]

    def free(self, memory: int) -> None:
        """vkFreeMemory; a mapped object is unmapped by it."""
        at("vkFreeMemory")
        vk.lib.vkFreeMemory(self.handle, vk.ffi.cast("VkDeviceMemory", memory), vk.ffi.NULL)

    def map(
        self, api: Api, memory: int, offset: int = 0, size: int = WHOLE_SIZE, *, flags: int = 0, address: int = 0
    ) -> tuple[int, int]:
        """vkMapMemory or vkMapMemory2: the VkResult, and the pointer, 0 after a failure.

        address: chains VkMemoryMapPlacedInfoEXT, which counts where flags hold PLACED.
        """
        function, handle = self.map_functions(api)[0], vk.ffi.cast("VkDeviceMemory", memory)
        data = vk.ffi.new("void **")
        if api == "v1":
            call = vk.ffi.cast("PFN_vkMapMemory", function)
            result = call(self.handle, handle, offset, size, 0, data)
        else:
            info = vk.ffi.new("VkMemoryMapInfoKHR *")
            info.sType, info.flags, info.memory, info.offset, info.size = _MAP_INFO, flags, handle, offset, size
            placed = _PlacedInfo(_PLACED_INFO, None, address)
            if address:
                info.pNext = pointer_to(placed)
            result = vk.ffi.cast("PFN_vkMapMemory2KHR", function)(self.handle, info, data)
        return result, int(vk.ffi.cast("uintptr_t", data[0])) if result == 0 else 0

    def mapped(self, memory: int) -> int:
        """The address of the whole of a VkDeviceMemory, mapped by vkMapMemory until it is freed. Raises CallFailed."""
        at("vkMapMemory")
        result, pointer = self.map("v1", memory)
        check("vkMapMemory", result)
        return pointer

    def unmap(self, api: Api, memory: int, flags: int = 0) -> int:
        """vkUnmapMemory or vkUnmapMemory2: the VkResult, VK_SUCCESS for the former, which returns nothing."""
        function, handle = self.map_functions(api)[1], vk.ffi.cast("VkDeviceMemory", memory)
        if api == "v1":
            vk.ffi.cast("PFN_vkUnmapMemory", function)(self.handle, handle)
            return 0
        info = vk.ffi.new("VkMemoryUnmapInfoKHR *")
        info.sType, info.flags, info.memory = _UNMAP_INFO, flags, handle
        return int(vk.ffi.cast("PFN_vkUnmapMemory2KHR", function)(self.handle, info))

    def flush(self, memory: int, offset: int = 0, size: int = WHOLE_SIZE) -> None:
        """vkFlushMappedMemoryRanges; WHOLE_SIZE is to the end of the mapping. Raises CallFailed."""
        self._with_range("vkFlushMappedMemoryRanges", memory, offset, size)

    def invalidate(self, memory: int, offset: int = 0, size: int = WHOLE_SIZE) -> None:
        """vkInvalidateMappedMemoryRanges. Raises CallFailed."""
        self._with_range("vkInvalidateMappedMemoryRanges", memory, offset, size)

    def _with_range(self, name: str, memory: int, offset: int, size: int) -> None:
        at(name)
        mapped = vk.ffi.new("VkMappedMemoryRange *")
        mapped.sType, mapped.memory = (
            vk.VK_STRUCTURE_TYPE_MAPPED_MEMORY_RANGE,
            vk.ffi.cast("VkDeviceMemory", memory),
        )
        mapped.offset, mapped.size = offset, size
        check(name, getattr(vk.lib, name)(self.handle, 1, mapped))

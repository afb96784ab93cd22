"""What the specification calls things, and which device has which functions: plain values for both sides of the fork.

Imports the standard library alone, since the driver's process needs it too (inside/).
"""

from collections.abc import Collection, Iterable
from typing import Literal

Api = Literal["v1", "khr", "core"]
Allocation = Literal["plain", "dedicated", "export", "device-address"]

MAP_MEMORY2 = "VK_KHR_map_memory2"
MAP_PLACED = "VK_EXT_map_memory_placed"
EXTERNAL_MEMORY_HOST = "VK_EXT_external_memory_host"
EXTERNAL_MEMORY_FD = "VK_KHR_external_memory_fd"
BUFFER_DEVICE_ADDRESS = "VK_KHR_buffer_device_address"  # core in Vulkan 1.2
PLACED = 1  # VK_MEMORY_MAP_PLACED_BIT_EXT
RESERVE = 1  # VK_MEMORY_UNMAP_RESERVE_BIT_EXT
MAP_CALLS: dict[Api, tuple[str, str]] = {
    "v1": ("vkMapMemory", "vkUnmapMemory"),
    "khr": ("vkMapMemory2KHR", "vkUnmapMemory2KHR"),
    "core": ("vkMapMemory2", "vkUnmapMemory2"),
}
FLAGS: dict[str, str] = {  # VkMemoryPropertyFlagBits in the order of their bits: as they are shown, and in words
    "De": "device-local",
    "Vi": "host-visible",
    "Co": "host-coherent",
    "Ca": "host-cached",
    "La": "lazily allocated",
    "Pr": "protected",
    "Dc": "device-coherent",
    "Du": "device-uncached",
    "Rd": "reachable by RDMA",
}

RESULTS: dict[int, str] = {  # VkResult: those that a call which has to do with memory, or marks a frame, returns
    0: "VK_SUCCESS",
    1: "VK_NOT_READY",
    2: "VK_TIMEOUT",
    5: "VK_INCOMPLETE",
    -1: "VK_ERROR_OUT_OF_HOST_MEMORY",
    -2: "VK_ERROR_OUT_OF_DEVICE_MEMORY",
    -3: "VK_ERROR_INITIALIZATION_FAILED",
    -4: "VK_ERROR_DEVICE_LOST",
    -5: "VK_ERROR_MEMORY_MAP_FAILED",
    -7: "VK_ERROR_EXTENSION_NOT_PRESENT",
    -8: "VK_ERROR_FEATURE_NOT_PRESENT",
    -10: "VK_ERROR_TOO_MANY_OBJECTS",
    -11: "VK_ERROR_FORMAT_NOT_SUPPORTED",
    -12: "VK_ERROR_FRAGMENTED_POOL",
    -13: "VK_ERROR_UNKNOWN",
    -1000000000: "VK_ERROR_SURFACE_LOST_KHR",
    -1000001004: "VK_ERROR_OUT_OF_DATE_KHR",
    -1000011001: "VK_ERROR_VALIDATION_FAILED",
    -1000069000: "VK_ERROR_OUT_OF_POOL_MEMORY",
    -1000072003: "VK_ERROR_INVALID_EXTERNAL_HANDLE",
    -1000161000: "VK_ERROR_FRAGMENTATION",
    -1000174001: "VK_ERROR_NOT_PERMITTED",
    -1000255000: "VK_ERROR_FULL_SCREEN_EXCLUSIVE_MODE_LOST_EXT",
    -1000257000: "VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS",
}


def result_name(result: int) -> str:
    """Of a VkResult; `VkResult -77` for one that is not among RESULTS."""
    return RESULTS.get(result, f"VkResult {result}")


def apis(route: str, extensions: Collection[str]) -> tuple[Api, ...]:
    """The ways to map on a device, newest first; route as in model.Device."""
    found: list[Api] = ["core"] if route == "core" else []
    if MAP_MEMORY2 in extensions:
        found.append("khr")
    return (*found, "v1")


def why_barred(flags: Collection[str], *, device_coherent: bool) -> str:
    """Why a host-visible memory type must not be allocated from or mapped here; empty where it may.

    device_coherent: whether the feature deviceCoherentMemory is enabled, which such types need
    (VUID-vkAllocateMemory-deviceCoherentMemory-02790). Protected memory needs a feature too, and cannot be mapped at
    all (VUID-VkMemoryAllocateInfo-memoryTypeIndex-01872).
    """
    if "Pr" in flags:
        return "protected memory is not for the host"
    if "Dc" in flags and not device_coherent:
        return "it needs the feature deviceCoherentMemory, which this device does not have"
    return ""


def aligned_to(told: int) -> int:
    """What a limit that is an alignment can be held to: itself, or 1 where it is no power of two and says nothing."""
    return told if told > 0 and told & (told - 1) == 0 else 1


def no_usable_type(types: Iterable[tuple[Collection[str], str]]) -> str:
    """Why a device has no memory to map. types: the flags of each, and what bars it."""
    reasons = dict.fromkeys(barred for flags, barred in types if "Vi" in flags and barred)
    return "; ".join(["no host-visible memory type to allocate from", *reasons])

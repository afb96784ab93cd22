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

"""What the specification calls things, and which device has which functions: plain values for both sides of the fork.

Imports the standard library alone, since the driver's process needs it too (inside/).
"""

from collections.abc import Collection
from typing import Literal

Api = Literal["v1", "khr", "core"]

MAP_MEMORY2 = "VK_KHR_map_memory2"
MAP_PLACED = "VK_EXT_map_memory_placed"
PLACED = 1  # VK_MEMORY_MAP_PLACED_BIT_EXT
RESERVE = 1  # VK_MEMORY_UNMAP_RESERVE_BIT_EXT
MAP_CALLS: dict[Api, tuple[str, str]] = {
    "v1": ("vkMapMemory", "vkUnmapMemory"),
    "khr": ("vkMapMemory2KHR", "vkUnmapMemory2KHR"),
    "core": ("vkMapMemory2", "vkUnmapMemory2"),
}


def apis(route: str, extensions: Collection[str]) -> tuple[Api, ...]:
    """The ways to map on a device, newest first; route as in model.Device."""
    found: list[Api] = ["core"] if route == "core" else []
    if MAP_MEMORY2 in extensions:
        found.append("khr")
    return (*found, "v1")


def usable(flags: Collection[str]) -> bool:
    """Whether vkAllocateMemory and vkMapMemory are all that a memory type needs: protected memory cannot be mapped."""
    return "Vi" in flags and "Pr" not in flags

"""What each kind of allocation chains to VkMemoryAllocateInfo."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vkmapctl.errors import Unsupported
from vkmapctl.inside.current_call import at
from vkmapctl.inside.device import OpenDevice
from vkmapctl.inside.vkapi import check, vk


@contextmanager
def chained(device: OpenDevice, kind: str, memory_type: int, size: int) -> Iterator[int]:
    """The address of the chain, 0 for a plain allocation. Raises Unsupported, or CallFailed.

    kind: as in rules.Allocation, of those that the device has. Of a dedicated one the buffer lives as long.
    """
    if kind == "plain":
        yield 0
    elif kind == "dedicated":
        with _buffer(device, memory_type, size) as buffer:
            info = vk.ffi.new("VkMemoryDedicatedAllocateInfo *")
            info.sType, info.buffer = vk.VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO, buffer
            yield _address(info)
    elif kind == "export":
        info = vk.ffi.new("VkExportMemoryAllocateInfo *")
        info.sType = vk.VK_STRUCTURE_TYPE_EXPORT_MEMORY_ALLOCATE_INFO
        info.handleTypes = vk.VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT
        yield _address(info)
    else:
        info = vk.ffi.new("VkMemoryAllocateFlagsInfo *")
        info.sType = vk.VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO
        info.flags = vk.VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT
        yield _address(info)


@contextmanager
def _buffer(device: OpenDevice, memory_type: int, size: int) -> Iterator[Any]:
    """A buffer whose memory has this size and may be of this type; Unsupported where it has another.

    VUID-VkMemoryDedicatedAllocateInfo-buffer-02965: the allocation's size must be what the buffer needs.
    """
    info = vk.ffi.new("VkBufferCreateInfo *")
    info.sType, info.size = vk.VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, size
    info.usage = vk.VK_BUFFER_USAGE_TRANSFER_SRC_BIT | vk.VK_BUFFER_USAGE_TRANSFER_DST_BIT
    found = vk.ffi.new("VkBuffer *")
    at("vkCreateBuffer")
    check("vkCreateBuffer", vk.lib.vkCreateBuffer(device.handle, info, vk.ffi.NULL, found))
    try:
        needs = vk.ffi.new("VkMemoryRequirements *")
        vk.lib.vkGetBufferMemoryRequirements(device.handle, found[0], needs)
        if needs.size != size:
            raise Unsupported(f"a buffer of {size} bytes takes a dedicated allocation of {needs.size} bytes here")
        if not needs.memoryTypeBits >> memory_type & 1:
            raise Unsupported(f"a buffer cannot be in memory type {memory_type}, so nothing there is dedicated to one")
        yield found[0]
    finally:
        at("vkDestroyBuffer")
        vk.lib.vkDestroyBuffer(device.handle, found[0], vk.ffi.NULL)


def _address(structure: Any) -> int:
    return int(vk.ffi.cast("uintptr_t", structure))

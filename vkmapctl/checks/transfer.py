"""The device's own reads and writes of mapped memory: vkCmdFillBuffer and vkCmdCopyBuffer with host barriers."""

from contextlib import ExitStack
from typing import Any, Self

from vkmapctl.checks.calls import Memory
from vkmapctl.inside import vkapi
from vkmapctl.inside.current_call import at
from vkmapctl.inside.device import OpenDevice
from vkmapctl.inside.vkapi import check

vk: Any = vkapi.vk  # the binding itself stays vkapi's import
_TIMEOUT_NS = 10_000_000_000


class Buffer:
    """A transfer buffer. memory_types: bits of those that it may be bound to; needs: bytes that it takes of one."""

    def __init__(self, device: OpenDevice, size: int) -> None:
        self._device, self.size = device.handle, size
        info = vk.ffi.new("VkBufferCreateInfo *")
        info.sType, info.size = vk.VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, size
        info.usage = vk.VK_BUFFER_USAGE_TRANSFER_SRC_BIT | vk.VK_BUFFER_USAGE_TRANSFER_DST_BIT
        handle = vk.ffi.new("VkBuffer *")
        check("vkCreateBuffer", vk.lib.vkCreateBuffer(self._device, info, vk.ffi.NULL, handle))
        self.handle = handle[0]
        needs = vk.ffi.new("VkMemoryRequirements *")
        vk.lib.vkGetBufferMemoryRequirements(self._device, self.handle, needs)
        self.memory_types, self.needs = int(needs.memoryTypeBits), int(needs.size)

    def bind(self, memory: Memory) -> None:
        """vkBindBufferMemory at offset 0."""
        self.memory = memory
        handle = vk.ffi.cast("VkDeviceMemory", memory.handle)
        check("vkBindBufferMemory", vk.lib.vkBindBufferMemory(self._device, self.handle, handle, 0))

    def destroy(self) -> None:
        """vkDestroyBuffer."""
        vk.lib.vkDestroyBuffer(self._device, self.handle, vk.ffi.NULL)


class Transfers:
    """One queue, one command buffer: each transfer is recorded, submitted and waited for."""

    def __init__(self, device: OpenDevice) -> None:
        self._device, self._held = device.handle, ExitStack()
        queue = vk.ffi.new("VkQueue *")
        vk.lib.vkGetDeviceQueue(self._device, device.queue_family, 0, queue)
        self._queue = queue[0]
        pool_info = vk.ffi.new("VkCommandPoolCreateInfo *")
        pool_info.sType = vk.VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO
        pool_info.flags = vk.VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT
        pool_info.queueFamilyIndex = device.queue_family
        pool = vk.ffi.new("VkCommandPool *")
        check("vkCreateCommandPool", vk.lib.vkCreateCommandPool(self._device, pool_info, vk.ffi.NULL, pool))
        self._held.callback(vk.lib.vkDestroyCommandPool, self._device, pool[0], vk.ffi.NULL)
        allocate = vk.ffi.new("VkCommandBufferAllocateInfo *")
        allocate.sType = vk.VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO
        allocate.commandPool, allocate.commandBufferCount = pool[0], 1
        commands = vk.ffi.new("VkCommandBuffer *")
        check("vkAllocateCommandBuffers", vk.lib.vkAllocateCommandBuffers(self._device, allocate, commands))
        self._commands = commands[0]
        fence_info = vk.ffi.new("VkFenceCreateInfo *")
        fence_info.sType = vk.VK_STRUCTURE_TYPE_FENCE_CREATE_INFO
        fence = vk.ffi.new("VkFence *")
        check("vkCreateFence", vk.lib.vkCreateFence(self._device, fence_info, vk.ffi.NULL, fence))
        self._fence = fence
        self._held.callback(vk.lib.vkDestroyFence, self._device, fence[0], vk.ffi.NULL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def fill(self, buffer: Buffer, word: int, offset: int = 0, size: int | None = None) -> None:
        """The device writes a 32-bit word all over [offset, offset+size); multiples of 4."""
        length = buffer.size - offset if size is None else size
        self._run(lambda commands: vk.lib.vkCmdFillBuffer(commands, buffer.handle, offset, length, word))

    def copy(self, source: Buffer, target: Buffer) -> None:
        """The device copies the whole of source to the start of target."""
        region = vk.ffi.new("VkBufferCopy *")
        region.size = source.size
        self._run(lambda commands: vk.lib.vkCmdCopyBuffer(commands, source.handle, target.handle, 1, region))

    def _run(self, record: Any) -> None:
        begin = vk.ffi.new("VkCommandBufferBeginInfo *")
        begin.sType = vk.VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO
        begin.flags = vk.VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT
        check("vkBeginCommandBuffer", vk.lib.vkBeginCommandBuffer(self._commands, begin))
        self._barrier(host_first=True)
        record(self._commands)
        self._barrier(host_first=False)
        check("vkEndCommandBuffer", vk.lib.vkEndCommandBuffer(self._commands))
        submit = vk.ffi.new("VkSubmitInfo *")
        commands = vk.ffi.new("VkCommandBuffer *", self._commands)
        submit.sType, submit.commandBufferCount = vk.VK_STRUCTURE_TYPE_SUBMIT_INFO, 1
        submit.pCommandBuffers = commands
        at("vkQueueSubmit")
        check("vkQueueSubmit", vk.lib.vkQueueSubmit(self._queue, 1, submit, self._fence[0]))
        at("vkWaitForFences")
        check("vkWaitForFences", vk.lib.vkWaitForFences(self._device, 1, self._fence, 1, _TIMEOUT_NS))
        check("vkResetFences", vk.lib.vkResetFences(self._device, 1, self._fence))

    def _barrier(self, *, host_first: bool) -> None:
        """Host writes before the transfer, or the transfer before host reads (chapter Synchronization)."""
        barrier = vk.ffi.new("VkMemoryBarrier *")
        barrier.sType = vk.VK_STRUCTURE_TYPE_MEMORY_BARRIER
        host, transfer = vk.VK_PIPELINE_STAGE_HOST_BIT, vk.VK_PIPELINE_STAGE_TRANSFER_BIT
        moves = vk.VK_ACCESS_TRANSFER_READ_BIT | vk.VK_ACCESS_TRANSFER_WRITE_BIT
        barrier.srcAccessMask = vk.VK_ACCESS_HOST_WRITE_BIT if host_first else moves
        barrier.dstAccessMask = moves if host_first else vk.VK_ACCESS_HOST_READ_BIT
        stages = (host, transfer) if host_first else (transfer, host)
        null = vk.ffi.NULL
        vk.lib.vkCmdPipelineBarrier(self._commands, *stages, 0, 1, barrier, 0, null, 0, null)

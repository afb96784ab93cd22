"""The device's own reads and writes of memory: transfer buffers, command buffers recorded once, submissions."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

from vkmapctl.inside import vkapi
from vkmapctl.inside.device import OpenDevice
from vkmapctl.inside.queues import Place
from vkmapctl.inside.vkapi import check, number_of

vk: Any = vkapi.vk  # the binding itself stays vkapi's import
FOREVER_NS = (1 << 64) - 1


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

    def bind_to(self, memory: int) -> None:
        """vkBindBufferMemory at offset 0 of a VkDeviceMemory."""
        handle = vk.ffi.cast("VkDeviceMemory", memory)
        check("vkBindBufferMemory", vk.lib.vkBindBufferMemory(self._device, self.handle, handle, 0))

    def destroy(self) -> None:
        """vkDestroyBuffer."""
        vk.lib.vkDestroyBuffer(self._device, self.handle, vk.ffi.NULL)


def over(device: OpenDevice, memory_type: int, size: int) -> Buffer | None:
    """A buffer that an allocation of `size` bytes can hold whole, as large as that allows; None where none can be."""
    wanted = size
    for _ in range(3):  # what a driver rounds up to is known once it has said so
        if wanted <= 0:
            return None
        buffer = Buffer(device, wanted)
        if buffer.needs <= size and buffer.memory_types >> memory_type & 1:
            return buffer
        excess, fits = buffer.needs - size, buffer.memory_types >> memory_type & 1
        buffer.destroy()
        if not fits:
            return None
        wanted -= max(excess, 1)
    return None


def copy(commands: Any, source: Buffer, target: Buffer, size: int, source_offset: int = 0, offset: int = 0) -> None:
    """Records vkCmdCopyBuffer of one region."""
    region = vk.ffi.new("VkBufferCopy *")
    region.srcOffset, region.dstOffset, region.size = source_offset, offset, size
    vk.lib.vkCmdCopyBuffer(commands, source.handle, target.handle, 1, region)


def fill(commands: Any, buffer: Buffer, word: int, offset: int, size: int) -> None:
    """Records vkCmdFillBuffer; multiples of 4."""
    vk.lib.vkCmdFillBuffer(commands, buffer.handle, offset, size, word)


def after_transfers(commands: Any) -> None:
    """Records that what follows in this queue waits for the transfers before it, and sees them."""
    moves = vk.VK_ACCESS_TRANSFER_READ_BIT | vk.VK_ACCESS_TRANSFER_WRITE_BIT
    transfer = vk.VK_PIPELINE_STAGE_TRANSFER_BIT
    _barrier(commands, transfer, moves, transfer, moves)


def after_host(commands: Any) -> None:
    """Records that transfers see what the host has written (chapter Synchronization)."""
    moves = vk.VK_ACCESS_TRANSFER_READ_BIT | vk.VK_ACCESS_TRANSFER_WRITE_BIT
    host, transfer = vk.VK_PIPELINE_STAGE_HOST_BIT, vk.VK_PIPELINE_STAGE_TRANSFER_BIT
    _barrier(commands, host, vk.VK_ACCESS_HOST_WRITE_BIT, transfer, moves)


def before_host(commands: Any) -> None:
    """Records that the host sees what the transfers have written, once the fence is signalled."""
    moves = vk.VK_ACCESS_TRANSFER_READ_BIT | vk.VK_ACCESS_TRANSFER_WRITE_BIT
    host, transfer = vk.VK_PIPELINE_STAGE_HOST_BIT, vk.VK_PIPELINE_STAGE_TRANSFER_BIT
    _barrier(commands, transfer, moves, host, vk.VK_ACCESS_HOST_READ_BIT)


def _barrier(commands: Any, source_stage: int, source: int, target_stage: int, target: int) -> None:
    barrier = vk.ffi.new("VkMemoryBarrier *")
    barrier.sType = vk.VK_STRUCTURE_TYPE_MEMORY_BARRIER
    barrier.srcAccessMask, barrier.dstAccessMask = source, target
    null = vk.ffi.NULL
    vk.lib.vkCmdPipelineBarrier(commands, source_stage, target_stage, 0, 1, barrier, 0, null, 0, null)


class Recorder:
    """A command pool of one queue's family, and the queue."""

    def __init__(self, device: OpenDevice, place: Place) -> None:
        self.device, self._handle, self._held = device, device.handle, ExitStack()
        queue = vk.ffi.new("VkQueue *")
        vk.lib.vkGetDeviceQueue(self._handle, place.family, place.number, queue)
        self.queue = queue[0]
        info = vk.ffi.new("VkCommandPoolCreateInfo *")
        info.sType = vk.VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO
        info.flags = vk.VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT
        info.queueFamilyIndex = place.family
        pool = vk.ffi.new("VkCommandPool *")
        check("vkCreateCommandPool", vk.lib.vkCreateCommandPool(self._handle, info, vk.ffi.NULL, pool))
        self._pool = pool[0]
        self._held.callback(vk.lib.vkDestroyCommandPool, self._handle, self._pool, vk.ffi.NULL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    @property
    def queue_address(self) -> int:
        """The VkQueue as an integer."""
        return int(vk.ffi.cast("uintptr_t", self.queue))

    def fence(self) -> Any:
        """A VkFence that is not signalled, destroyed with the pool."""
        info = vk.ffi.new("VkFenceCreateInfo *")
        info.sType = vk.VK_STRUCTURE_TYPE_FENCE_CREATE_INFO
        fence = vk.ffi.new("VkFence *")
        check("vkCreateFence", vk.lib.vkCreateFence(self._handle, info, vk.ffi.NULL, fence))
        self._held.callback(vk.lib.vkDestroyFence, self._handle, fence[0], vk.ffi.NULL)
        return fence

    def submission(self, record: Callable[[Any], None] | None = None, fence: Any = None) -> "Submission":
        """A command buffer, recorded once where `record` is given. fence: of its own where none is given."""
        return Submission(self, record, self.fence() if fence is None else fence)

    def commands(self) -> Any:
        """A VkCommandBuffer, freed with the pool."""
        info = vk.ffi.new("VkCommandBufferAllocateInfo *")
        info.sType = vk.VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO
        info.commandPool, info.commandBufferCount = self._pool, 1
        commands = vk.ffi.new("VkCommandBuffer *")
        check("vkAllocateCommandBuffers", vk.lib.vkAllocateCommandBuffers(self._handle, info, commands))
        return commands


class Submission:
    """A command buffer with its VkSubmitInfo and a fence: made again and again, once the one before is over."""

    def __init__(self, recorder: Recorder, record: Callable[[Any], None] | None, fence: Any) -> None:
        self._device, self._queue, self._fence = recorder.device.handle, recorder.queue, fence
        self._commands = recorder.commands()
        self._info = vk.ffi.new("VkSubmitInfo *")
        self._info.sType, self._info.commandBufferCount = vk.VK_STRUCTURE_TYPE_SUBMIT_INFO, 1
        self._info.pCommandBuffers = self._commands
        if record:
            self.record(record)

    def record(self, record: Callable[[Any], None]) -> None:
        """In place of what was recorded before."""
        begin = vk.ffi.new("VkCommandBufferBeginInfo *")
        begin.sType = vk.VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO
        check("vkBeginCommandBuffer", vk.lib.vkBeginCommandBuffer(self._commands[0], begin))
        record(self._commands[0])
        check("vkEndCommandBuffer", vk.lib.vkEndCommandBuffer(self._commands[0]))

    @property
    def info_address(self) -> int:
        """Of the VkSubmitInfo; it lives as long as this does."""
        return int(vk.ffi.cast("uintptr_t", self._info))

    @property
    def fence_handle(self) -> int:
        """The VkFence as an integer."""
        return number_of(self._fence[0])

    def submit(self) -> None:
        """vkQueueSubmit. Raises CallFailed."""
        check("vkQueueSubmit", vk.lib.vkQueueSubmit(self._queue, 1, self._info, self._fence[0]))

    def wait(self, nanoseconds: int = FOREVER_NS) -> None:
        """vkWaitForFences and vkResetFences. Raises CallFailed, with VK_TIMEOUT where it took longer."""
        check("vkWaitForFences", vk.lib.vkWaitForFences(self._device, 1, self._fence, 1, nanoseconds))
        check("vkResetFences", vk.lib.vkResetFences(self._device, 1, self._fence))

    def is_over(self) -> bool:
        """vkGetFenceStatus of a submission that was not waited for yet. Raises CallFailed for what is neither."""
        result = vk.lib.vkGetFenceStatus(self._device, self._fence[0])
        if result == vk.VK_NOT_READY:
            return False
        check("vkGetFenceStatus", result)
        return True

    def run(self) -> None:
        """Submits and waits. Raises CallFailed."""
        self.submit()
        self.wait()

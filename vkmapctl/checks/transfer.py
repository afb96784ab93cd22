"""What checks let the device do with mapped memory: fills and copies with host barriers, each waited for."""

from typing import Any, Self

from vkmapctl.checks.calls import Memory
from vkmapctl.inside import transfers
from vkmapctl.inside.current_call import at
from vkmapctl.inside.device import OpenDevice

_TIMEOUT_NS = 10_000_000_000


class Buffer(transfers.Buffer):
    """A transfer buffer and the memory that it is bound to."""

    def bind(self, memory: Memory) -> None:
        """vkBindBufferMemory at offset 0."""
        self.memory = memory
        self.bind_to(memory.handle)


class Transfers:
    """One queue, one command buffer: each transfer is recorded, submitted and waited for."""

    def __init__(self, device: OpenDevice) -> None:
        self._recorder = transfers.Recorder(device, device.queues.copies)
        self._submission = self._recorder.submission()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._recorder.__exit__()

    def fill(self, buffer: Buffer, word: int, offset: int = 0, size: int | None = None) -> None:
        """The device writes a 32-bit word all over [offset, offset+size); multiples of 4."""
        length = buffer.size - offset if size is None else size
        self._run(lambda commands: transfers.fill(commands, buffer, word, offset, length))

    def copy(self, source: Buffer, target: Buffer) -> None:
        """The device copies the whole of source to the start of target."""
        self._run(lambda commands: transfers.copy(commands, source, target, source.size))

    def _run(self, record: Any) -> None:
        def between_host_barriers(commands: Any) -> None:
            transfers.after_host(commands)
            record(commands)
            transfers.before_host(commands)

        self._submission.record(between_host_barriers)
        at("vkQueueSubmit")
        self._submission.submit()
        at("vkWaitForFences")
        self._submission.wait(_TIMEOUT_NS)

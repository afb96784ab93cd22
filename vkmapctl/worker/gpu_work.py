"""What keeps a device busy: copies and fills recorded once, as many of them as take some milliseconds."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from vkmapctl.errors import Unsupported
from vkmapctl.inside import transfers
from vkmapctl.inside.current_call import at
from vkmapctl.inside.device import OpenDevice
from vkmapctl.inside.transfers import Buffer, Recorder
from vkmapctl.model.workload import Job
from vkmapctl.plans.gpu import device_half
from vkmapctl.worker.buffers import buffer_of_its_own
from vkmapctl.worker.load import Load

OWN_BYTES = 16 << 20  # of each of the load's own buffers, of which there are at most two
IN_FLIGHT = 3  # submissions: while one that has ended is made again, two are left to the device
SUBMISSION_NS = 3_000_000  # about what each takes
MOST_COMMANDS = 8192  # of one submission
_WORD = 0x5AA5C33C


@contextmanager
def load_of(device: OpenDevice, job: Job, objects: Sequence[tuple[int, int]]) -> Iterator[Load]:
    """The load that a job asks for, over (VkDeviceMemory, size) of the objects that it maps; all ended afterwards.

    Raises CallFailed, or Unsupported where an object's memory type can hold no transfer buffer.
    """
    with ExitStack() as held:
        at("vkCreateBuffer of the GPU load")
        passes = _on_mapped(device, job, objects, held) if job.gpu_on == "mapped" else _on_others(device, job, held)
        recorder = held.enter_context(Recorder(device, device.queues.load))
        times = _times(recorder, passes.record, passes.commands)
        ring = [recorder.submission(partial(passes.record, times=times)) for _ in range(IN_FLIGHT)]
        at("")
        yield Load(ring, passes.nbytes * times)


class _Passes:
    """Commands that are recorded over and over; nbytes: that one pass through them copies or fills."""

    def __init__(self) -> None:
        self._commands: list[Callable[[Any], None]] = []
        self.nbytes = 0

    @property
    def commands(self) -> int:
        return len(self._commands)

    def copy(self, source: Buffer, target: Buffer, size: int, source_offset: int = 0, offset: int = 0) -> None:
        self._commands.append(lambda one: transfers.copy(one, source, target, size, source_offset, offset))
        self.nbytes += size

    def fill(self, buffer: Buffer, offset: int, size: int) -> None:
        self._commands.append(lambda one: transfers.fill(one, buffer, _WORD, offset, size))
        self.nbytes += size

    def record(self, commands: Any, times: int) -> None:
        """Each command after the one before, and after those of the submission before: they write the same bytes."""
        for _ in range(times):
            for one in self._commands:
                transfers.after_transfers(commands)
                one(commands)


def _on_others(device: OpenDevice, job: Job, held: ExitStack) -> _Passes:
    passes = _Passes()
    target = held.enter_context(buffer_of_its_own(device, OWN_BYTES))
    if job.gpu_load == "fill":
        passes.fill(target, 0, OWN_BYTES)
    else:
        passes.copy(held.enter_context(buffer_of_its_own(device, OWN_BYTES)), target, OWN_BYTES)
    return passes


def _on_mapped(device: OpenDevice, job: Job, objects: Sequence[tuple[int, int]], held: ExitStack) -> _Passes:
    """The second half of each object, in pieces of the load's own buffer."""
    passes = _Passes()
    own = None if job.gpu_load == "fill" else held.enter_context(buffer_of_its_own(device, OWN_BYTES))
    for memory, size in objects:
        mapped = transfers.over(device, job.memory_type, size)
        if mapped is None:
            raise Unsupported(
                f"no transfer buffer can be bound to {size} bytes of memory type {job.memory_type}",
                "use --gpu-on others, a larger --size or another --memory-type",
            )
        held.callback(mapped.destroy)
        mapped.bind_to(memory)
        begin, end = device_half(size), mapped.size // 4 * 4
        for offset in range(begin, end, OWN_BYTES):
            length = min(OWN_BYTES, end - offset)
            if own is None:
                passes.fill(mapped, offset, length)
            elif job.gpu_load == "copy":
                passes.copy(own, mapped, length, offset=offset)
            else:
                passes.copy(mapped, own, length, source_offset=offset)
    return passes


def _times(recorder: Recorder, record: Callable[..., None], commands: int) -> int:
    """How often the passes are repeated in one submission, so that it takes about SUBMISSION_NS; measured."""
    times, most = 1, max(MOST_COMMANDS // max(commands, 1), 1)
    trial = recorder.submission()
    while True:
        trial.record(partial(record, times=times))
        trial.run()  # the first one also makes the memory present
        begin = time.monotonic_ns()
        at("vkWaitForFences of the GPU load")
        trial.run()
        spent = max(time.monotonic_ns() - begin, 1)
        if times == most or spent >= SUBMISSION_NS / 2:
            return times
        times = min(max(times * 2, min(round(times * SUBMISSION_NS / spent), times * 8)), most)

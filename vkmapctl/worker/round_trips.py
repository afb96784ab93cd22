"""The copies that to-host and to-device steps submit: buffers over the objects, recorded once for each step."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from vkmapctl import native
from vkmapctl.errors import Unsupported
from vkmapctl.inside import transfers
from vkmapctl.inside.current_call import at
from vkmapctl.inside.device import OpenDevice
from vkmapctl.inside.transfers import Buffer, Recorder, Submission
from vkmapctl.model.loop import LoopStep, Op
from vkmapctl.model.workload import Job
from vkmapctl.native import SHIFT, Queue, Transfer
from vkmapctl.plans.program import thread_seed
from vkmapctl.plans.script import TRANSFERS
from vkmapctl.worker.buffers import buffer_of_its_own, shown_buffer

MOST = 4096  # different copies of one thread; each has two command buffers
_NOT_COHERENT = 1  # VKM_NOT_COHERENT


@contextmanager
def prepared(
    device: OpenDevice, job: Job, objects: Sequence[native.Object], cycle: Sequence[LoopStep], thread: int
) -> Iterator[tuple[list[LoopStep], Queue | None]]:
    """The cycle with its copies numbered, and what they submit; None where there are none.

    Raises CallFailed, or Unsupported where a memory type can hold no transfer buffer, where there are too many copies,
    or where they would share their only queue with a load.
    """
    wanted = list(dict.fromkeys(step for step in cycle if step.op in TRANSFERS))
    if not wanted:
        yield list(cycle), None
        return
    if len(wanted) > MOST:
        raise Unsupported(f"{len(wanted)} different copies by the device are more than {MOST}", "use fewer objects")
    if job.gpu_load != "none" and not device.queues.apart:
        raise Unsupported(
            "this device has one queue, which a load and the steps to-host and to-device would have to share",
            "leave --gpu-load out",
        )
    with ExitStack() as held:
        at("vkCreateBuffer")
        copies = _Copies(device, job, objects, wanted, thread, held)
        numbers = {step: i for i, step in enumerate(wanted)}
        coherent = device.facts.memory_type(job.memory_type).coherent
        flags = 0 if coherent else _NOT_COHERENT
        numbered = [
            step._replace(address=numbers[step], flags=flags) if step.op in TRANSFERS else step for step in cycle
        ]
        yield numbered, copies.queue()


class _Copies:
    """One thread's buffers, command buffers and fence."""

    def __init__(
        self,
        device: OpenDevice,
        job: Job,
        objects: Sequence[native.Object],
        wanted: Sequence[LoopStep],
        thread: int,
        held: ExitStack,
    ) -> None:
        self._device, self._recorder = device, held.enter_context(Recorder(device, device.queues.copies))
        self._fence = self._recorder.fence()
        self._key = native.pattern_key(thread_seed(job, thread), thread)
        largest = {op: max((one.size for one in wanted if one.op is op), default=0) for op in TRANSFERS}
        self._shown, self._address = held.enter_context(shown_buffer(device, max(largest.values()) + SHIFT))
        self._kept: list[Submission] = []
        if largest[Op.TO_HOST]:
            size = largest[Op.TO_HOST] + SHIFT
            self._source = held.enter_context(buffer_of_its_own(device, size))
            native.write_pattern(self._address, size, self._key)
            self._submission(self._shown, self._source, size).run()
        if largest[Op.TO_DEVICE]:
            self._target = held.enter_context(buffer_of_its_own(device, largest[Op.TO_DEVICE]))
        mapped = {i: self._over(job, objects[i], held) for i in {step.object for step in wanted}}
        self._transfers = [self._transfer(step, mapped[step.object]) for step in wanted]

    def _over(self, job: Job, one: native.Object, held: ExitStack) -> Buffer:
        mapped = transfers.over(self._device, job.memory_type, one.size)
        if mapped is None:
            raise Unsupported(f"no transfer buffer can be bound to {one.size} bytes of memory type {job.memory_type}")
        held.callback(mapped.destroy)
        mapped.bind_to(one.memory)
        return mapped

    def _transfer(self, step: LoopStep, mapped: Buffer) -> Transfer:
        if step.offset + step.size > mapped.size:
            raise Unsupported(
                f"bytes {step.offset} to {step.offset + step.size} are not inside the transfer buffer of {mapped.size} "
                "bytes that the object can hold"
            )
        if step.op is Op.TO_HOST:
            pair = [
                self._submission(self._source, mapped, step.size, shift, step.offset).info_address
                for shift in (0, SHIFT)
            ]
            return Transfer((pair[0], pair[1]), key=self._key)
        there = self._submission(mapped, self._target, step.size, step.offset)
        back = self._submission(self._target, self._shown, step.size)
        return Transfer((there.info_address, back.info_address), back=self._address)

    def _submission(
        self, source: Buffer, target: Buffer, size: int, source_offset: int = 0, offset: int = 0
    ) -> Submission:
        def record(commands: Any) -> None:
            transfers.after_host(commands)
            transfers.after_transfers(commands)
            transfers.copy(commands, source, target, size, source_offset, offset)
            transfers.before_host(commands)

        made = self._recorder.submission(record, self._fence)
        self._kept.append(made)  # the loop knows the address of its VkSubmitInfo
        return made

    def queue(self) -> Queue:
        """For the loop."""
        names = ("vkQueueSubmit", "vkWaitForFences", "vkResetFences")
        submit, wait, reset = (self._device.function(name) for name in names)
        fence = self._kept[0].fence_handle
        return Queue(self._recorder.queue_address, submit, wait, reset, fence, self._transfers)

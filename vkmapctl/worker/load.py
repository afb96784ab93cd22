"""Keeping the device busy while something is measured: submissions made again and again by a thread of their own.

Knows no Vulkan; what is submitted: worker/gpu_work.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import cycle
from typing import Protocol

from vkmapctl.errors import CallFailed
from vkmapctl.inside.current_call import at
from vkmapctl.model.measured import Cause, GpuWork

WAIT_NS = 20_000_000_000  # for a submission of some milliseconds: whatever takes so long does not end


class Repeated(Protocol):
    """What is submitted again and again; see transfers.Submission."""

    def submit(self) -> None:
        """Raises CallFailed."""

    def wait(self, nanoseconds: int) -> None:
        """Until it is over, and it can be submitted again. Raises CallFailed."""

    def is_over(self) -> bool:
        """Raises CallFailed."""


class Load:
    """A device's work. nbytes: that one submission copies or fills.

    It runs from the beginning to the end of each `running`, in a thread that waits for the oldest submission and makes
    it again while the others are in flight. failed: the call that failed, after which it does not start again.
    """

    def __init__(self, ring: Sequence[Repeated], nbytes: int) -> None:
        self._ring, self._nbytes = ring, nbytes
        self._done, self._gaps, self._busy_ns = 0, 0, 0
        self._stopping, self._under_way = threading.Event(), threading.Event()
        self.failed: Cause | None = None

    @contextmanager
    def running(self) -> Iterator[bool]:
        """The device is busy from before the block to behind it. False where the load has failed and does not run."""
        if self.failed:
            yield False
            return
        self._stopping.clear()
        self._under_way.clear()
        begin = time.monotonic_ns()
        thread = threading.Thread(target=self._keep_busy, name="gpu-load", daemon=True)
        thread.start()
        try:
            at("vkWaitForFences of the GPU load")
            self._under_way.wait()
            at("")
            yield self.failed is None
        finally:
            at("vkWaitForFences of the GPU load")
            self._stopping.set()
            thread.join()
            at("")
            self._busy_ns += time.monotonic_ns() - begin

    def take(self) -> GpuWork:
        """What it has done since this was last asked."""
        each = self._busy_ns / self._done if self._done else 0.0
        work = GpuWork(self._done, each, self._nbytes * self._done, self._gaps)
        self._done = self._gaps = self._busy_ns = 0
        return work

    def _keep_busy(self) -> None:
        """The thread. Under way is: one submission has ended, and was made again behind those that had not."""
        in_flight: list[Repeated] = []
        try:
            for one in self._ring:
                one.submit()
                in_flight.append(one)
            for one in cycle(self._ring):
                self._await(one, in_flight)
                if self._stopping.is_set():
                    break
                self._gaps += all(other.is_over() for other in in_flight)
                one.submit()
                in_flight.append(one)
                self._under_way.set()
            while in_flight:
                self._await(in_flight[0], in_flight)
        except CallFailed as error:
            self.failed = Cause("call-failed", call=f"{error.call} of the GPU load", result=error.result)
            for left in in_flight:  # what they use is about to go
                with suppress(CallFailed):
                    left.wait(WAIT_NS)
        finally:
            self._under_way.set()

    def _await(self, one: Repeated, in_flight: list[Repeated]) -> None:
        one.wait(WAIT_NS)
        in_flight.remove(one)
        self._done += 1

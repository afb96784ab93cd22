"""What is written while a recorded program runs: events by the recording layer's ring, page faults by the kernel."""

import mmap
import os
from pathlib import Path

from vkmapctl._loop import ffi, lib


class Ring:
    """The ring that the recording layer of another process writes its events to.

    base_ns: the moment of CLOCK_MONOTONIC that times count from. Raises ValueError where the file holds no ring yet.
    """

    _MOST = 1 << 14  # events that are taken at a time

    def __init__(self, path: Path, base_ns: int) -> None:
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._ring = ffi.cast("struct vkm_ring *", ffi.from_buffer(self._memory))
        if not lib.vkm_ring_is_sound(self._ring, len(self._memory)):
            raise ValueError(f"{path} is no ring")
        self._base_ns = base_ns
        self._events = ffi.new("struct vkm_event[]", self._MOST)
        self.pid, self.parent, self.forked = int(self._ring.pid), int(self._ring.parent), bool(self._ring.forked)
        self.page_size = int(self._ring.page_size)
        self.name = ffi.string(self._ring.name, 16).decode("utf-8", "replace")

    @property
    def dropped(self) -> int:
        """Events for which there was no room."""
        return int(self._ring.dropped)

    @property
    def waiting(self) -> float:
        """How full it is, from 0 to 1."""
        return int(self._ring.head - self._ring.tail) / int(self._ring.capacity)

    def take(self, *, ended: bool = False) -> memoryview:
        """The next events, in the form of saved/recordings.EVENT, until it is asked again; none where there are none.

        ended: the process has, so that its open events come too.
        """
        count = lib.vkm_ring_take(self._ring, self._events, self._MOST, self._base_ns, ended)
        return memoryview(ffi.buffer(self._events, count * ffi.sizeof("struct vkm_event")))

    def under_way(self) -> memoryview:
        """The calls that its threads were in when it ended, in the same form."""
        count = lib.vkm_ring_under_way(self._ring, self._events, self._base_ns)
        return memoryview(ffi.buffer(self._events, count * ffi.sizeof("struct vkm_event")))


class FaultWatch:
    """Page faults of a process, from the moment that it executes a program, and of its children.

    Raises OSError where the kernel does not allow it.
    """

    _MOST = 1 << 16  # faults that are taken at a time
    _BYTES = 512 << 10  # of memory for each CPU, and a page: what kernel.perf_event_mlock_kb allows to anyone

    def __init__(self, pid: int, base_ns: int) -> None:
        error = ffi.new("int *")
        self._watch = lib.vkm_faults_open(pid, self._BYTES, mmap.PAGESIZE, error)
        if not self._watch:
            raise OSError(error[0], os.strerror(error[0]))
        self._base_ns = base_ns
        self._faults = ffi.new("struct vkm_page_fault[]", self._MOST)
        self._lost = ffi.new("uint64_t *")

    @property
    def lost(self) -> int:
        """Faults for which the kernel had no room."""
        return int(self._lost[0])

    def take(self) -> bytes:
        """The next faults, in the form of saved/recordings.FAULT; none where there are none."""
        count = lib.vkm_faults_take(self._watch, self._faults, self._MOST, self._base_ns, self._lost)
        return bytes(ffi.buffer(self._faults, count * ffi.sizeof("struct vkm_page_fault")))

    def close(self) -> None:
        """Ends the watching."""
        lib.vkm_faults_close(self._watch)


def in_order_of_time(faults: bytes) -> bytes:
    """Records of saved/recordings.FAULT, sorted."""
    raw = ffi.new("char[]", faults)
    size = ffi.sizeof("struct vkm_page_fault")
    lib.vkm_faults_sort(ffi.cast("struct vkm_page_fault *", raw), len(faults) // size)
    return bytes(ffi.buffer(raw, len(faults)))

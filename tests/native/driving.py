"""Drivers and memory for the loop's tests: no Vulkan, a memory handle is the address of host bytes."""

import ctypes
import mmap
from contextlib import contextmanager
from typing import NamedTuple

from vkmapctl._loop import ffi

from vkmapctl import native
from vkmapctl.machine import addresses
from vkmapctl.model.loop import LoopStep, Op
from vkmapctl.native import PAGE, Clock, Functions, Pass, Program, Results

CLOCK = Clock(False)
PLAIN_PAIR = (LoopStep(Op.MAP, size=PAGE), LoopStep(Op.UNMAP))
WRITE_VERIFY = (
    LoopStep(Op.MAP, size=PAGE), LoopStep(Op.WRITE, size=PAGE), LoopStep(Op.UNMAP),
    LoopStep(Op.MAP, size=PAGE), LoopStep(Op.VERIFY, size=PAGE), LoopStep(Op.UNMAP),
)  # fmt: skip


class Memory:
    """Page-aligned host bytes."""

    def __init__(self, size):
        self.bytes = mmap.mmap(-1, size)
        self.size = size
        self._held = ffi.from_buffer(self.bytes)
        self.address = int(ffi.cast("uintptr_t", self._held))

    @property
    def object(self):
        return (self.address, self.size)


class Call(NamedTuple):
    """What a driver was called with. Fields that a call does not have are None."""

    name: str
    memory: int
    offset: int | None = None
    size: int | None = None
    flags: int | None = None
    placed: int | None = None


class MapInfo(ctypes.Structure):
    """VkMemoryMapInfo."""

    _fields_ = (("type", ctypes.c_uint32), ("next", ctypes.c_void_p), ("flags", ctypes.c_uint32),
                ("memory", ctypes.c_uint64), ("offset", ctypes.c_uint64), ("size", ctypes.c_uint64))  # fmt: skip


class UnmapInfo(ctypes.Structure):
    """VkMemoryUnmapInfo."""

    _fields_ = (("type", ctypes.c_uint32), ("next", ctypes.c_void_p), ("flags", ctypes.c_uint32),
                ("memory", ctypes.c_uint64))  # fmt: skip


class PlacedInfo(ctypes.Structure):
    """VkMemoryMapPlacedInfoEXT."""

    _fields_ = (("type", ctypes.c_uint32), ("next", ctypes.c_void_p), ("address", ctypes.c_void_p))


class Range(ctypes.Structure):
    """VkMappedMemoryRange."""

    _fields_ = (("type", ctypes.c_uint32), ("next", ctypes.c_void_p), ("memory", ctypes.c_uint64),
                ("offset", ctypes.c_uint64), ("size", ctypes.c_uint64))  # fmt: skip


TYPES = {MapInfo: 1000271000, UnmapInfo: 1000271001, PlacedInfo: 1000272002, Range: 6}


def at(structure, pointer):
    """The structure at a C pointer, with the sType that Vulkan wants there."""
    found = structure.from_address(int(ffi.cast("uintptr_t", pointer)))
    assert found.type == TYPES[structure]
    return found


class Scripted:
    """A driver that notes each call. `at_call(call)` may look at the world, and returns a VkResult or None."""

    def __init__(self, at_call=lambda call: None):
        self.calls = []
        self._at_call = at_call
        self._held = {
            "map1": ffi.callback("int32_t(void *, uint64_t, uint64_t, uint64_t, uint32_t, void **)", self._map1),
            "unmap1": ffi.callback("void(void *, uint64_t)", self._unmap1),
            "map2": ffi.callback("int32_t(void *, void *, void **)", self._map2),
            "unmap2": ffi.callback("int32_t(void *, void *)", self._unmap2),
            "flush": ffi.callback("int32_t(void *, uint32_t, void *)", lambda *a: self._range("flush", *a)),
            "invalidate": ffi.callback("int32_t(void *, uint32_t, void *)", lambda *a: self._range("invalidate", *a)),
        }

    def functions(self, version):
        names = (f"map{version}", f"unmap{version}", "flush", "invalidate")
        return Functions(7, *(int(ffi.cast("uintptr_t", self._held[name])) for name in names), version)

    def names(self):
        return [call.name for call in self.calls]

    def _note(self, device, call):
        assert int(ffi.cast("uintptr_t", device)) == 7
        self.calls.append(call)
        return self._at_call(call) or 0

    def _map1(self, device, memory, offset, size, flags, data):
        result = self._note(device, Call("map", memory, offset, size, flags))
        data[0] = ffi.cast("void *", memory + offset)
        return result

    def _unmap1(self, device, memory):
        self._note(device, Call("unmap", memory))

    def _map2(self, device, pointer, data):
        info, placed = at(MapInfo, pointer), None
        if info.next:
            chained = at(PlacedInfo, info.next)
            assert chained.next is None
            placed = chained.address
        result = self._note(device, Call("map", info.memory, info.offset, info.size, info.flags, placed))
        data[0] = ffi.cast("void *", info.memory + info.offset if placed is None else placed)
        return result

    def _unmap2(self, device, pointer):
        info = at(UnmapInfo, pointer)
        assert info.next is None
        return self._note(device, Call("unmap", info.memory, flags=info.flags))

    def _range(self, name, device, count, pointer):
        one = at(Range, pointer)
        assert (count, one.next) == (1, None)
        return self._note(device, Call(name, one.memory, one.offset, one.size))


def run(program, results, kind=Pass.RATE, *, thread=0, **limits):
    """One pass of one thread; its fault."""
    return program.run(CLOCK, results, thread, kind, **limits)


def a_program(memory, *cycles, functions=None, **options):
    """The cycles over one object."""
    program = Program(functions or native.null_driver(2), [memory.object], cycles, **options)
    program.memory = memory  # must not be unmapped before the program is gone
    return program


def one_thread():
    """Results of a single thread that waits for nobody."""
    results = Results(1)
    results.control.threads = 1
    return results


@contextmanager
def hole(pages):
    """Address of so many free pages between reserved ones, so that nothing larger lands there meanwhile."""
    begin = addresses.map_pages((pages + 2) * PAGE, addresses.NONE)
    addresses.unmap_pages(begin + PAGE, pages * PAGE)
    try:
        yield begin + PAGE
    finally:
        addresses.unmap_pages(begin, (pages + 2) * PAGE)


@contextmanager
def injected(fault, call):
    """The faulty driver, and no fault left behind."""
    native.inject(fault, call)
    try:
        yield native.null_driver(2, faulty=True)
    finally:
        native.inject("NONE", 0)

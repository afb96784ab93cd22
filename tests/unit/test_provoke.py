"""A kernel that refuses: what it refuses which thread, and what it does not."""

import ctypes
import json
import mmap
import os
import threading

import pytest

from vkmapctl.machine import addresses
from vkmapctl.machine.addresses import NONE, READ_WRITE
from vkmapctl.machine.ranges import QUIET_ADDRESS
from vkmapctl.native import PAGE, Refusal, refuse_maps

FAILED = addresses.END - 1
FLAGS, FIXED, FIXED_NOREPLACE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 0x10, 0x100000
MREMAP_MAYMOVE_FIXED = 3
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_size_t
libc.mmap.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.mremap.restype = ctypes.c_size_t
libc.mremap.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_size_t)
libc.mprotect.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)


def refused(one: int, two: int) -> list[str]:
    """Which ways to map this thread is refused, tried with two pages."""
    ways = {
        "map": libc.mmap(0, PAGE, READ_WRITE, FLAGS, -1, 0) == FAILED,
        "fixed": libc.mmap(one, PAGE, READ_WRITE, FLAGS | FIXED, -1, 0) == FAILED,
        "fixed, if free": libc.mmap(QUIET_ADDRESS, PAGE, READ_WRITE, FLAGS | FIXED_NOREPLACE, -1, 0) == FAILED,
        "inaccessible": libc.mmap(0, PAGE, NONE, FLAGS, -1, 0) == FAILED,
        "protect": libc.mprotect(one, PAGE, READ_WRITE) != 0,
        "protect from all": libc.mprotect(one, PAGE, NONE) != 0,
        "remap": libc.mremap(two, PAGE, PAGE, MREMAP_MAYMOVE_FIXED, one) == FAILED,
    }
    addresses.unmap_pages(QUIET_ADDRESS, PAGE)
    return [way for way, failed in ways.items() if failed]


def refused_to_two_threads(refusal: Refusal) -> list[list[str]]:
    """What the thread that asked for it is refused, then another one that was there before."""
    pages = [addresses.map_pages(PAGE, READ_WRITE) for _ in range(4)]
    go, found = threading.Event(), []

    def other() -> None:
        go.wait()
        found.append(refused(*pages[2:]))

    thread = threading.Thread(target=other)
    thread.start()
    assert refuse_maps(refusal)
    found.append(refused(*pages[:2]))
    go.set()
    thread.join()
    return found


@pytest.mark.parametrize(
    ("refusal", "ways"),
    [
        (Refusal.FIXED, ["fixed", "fixed, if free", "remap"]),
        (Refusal.INACCESSIBLE, ["inaccessible", "protect from all"]),
        (Refusal.ALL, ["map", "fixed", "fixed, if free", "inaccessible", "protect", "protect from all", "remap"]),
    ],
    ids=lambda value: value.name if isinstance(value, Refusal) else "",
)
def test_one_thread_is_refused_and_the_others_are_not(refusal: Refusal, ways: list[str]) -> None:
    reader, writer = os.pipe()
    child = os.fork()  # the filter stays for the rest of a thread's life
    if child == 0:
        try:
            os.write(writer, json.dumps(refused_to_two_threads(refusal)).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as file:
        assert json.load(file) == [ways, []]
    os.waitpid(child, 0)

"""A kernel that refuses: what it refuses which thread, and what it does not."""

import ctypes
import mmap
import threading

import pytest

from vkmapctl.machine import addresses
from vkmapctl.machine.addresses import NONE, READ_WRITE
from vkmapctl.machine.ranges import QUIET_ADDRESS
from vkmapctl.native import PAGE, Refusal, refuse_maps

MREMAP_MAYMOVE_FIXED = 3
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_size_t
libc.mmap.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.mremap.restype = ctypes.c_size_t
libc.mremap.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_size_t)
libc.mprotect.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
FAILED = (1 << 64) - 1
FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def two_pages() -> list[int]:
    return [addresses.map_pages(PAGE, READ_WRITE) for _ in range(2)]


def refused(one: int, two: int) -> set[str]:
    """Which ways to map this thread is refused, tried with two pages."""
    ways = {
        "map": libc.mmap(0, PAGE, READ_WRITE, FLAGS, -1, 0) == FAILED,
        "fixed": libc.mmap(one, PAGE, READ_WRITE, FLAGS | 0x10, -1, 0) == FAILED,
        "fixed, if free": libc.mmap(QUIET_ADDRESS, PAGE, READ_WRITE, FLAGS | 0x100000, -1, 0) == FAILED,
        "inaccessible": libc.mmap(0, PAGE, NONE, FLAGS, -1, 0) == FAILED,
        "protect": libc.mprotect(one, PAGE, READ_WRITE) != 0,
        "protect from all": libc.mprotect(one, PAGE, NONE) != 0,
        "remap": libc.mremap(two, PAGE, PAGE, MREMAP_MAYMOVE_FIXED, one) == FAILED,
    }
    addresses.unmap_pages(QUIET_ADDRESS, PAGE)
    return {way for way, failed in ways.items() if failed}


@pytest.mark.parametrize(
    ("refusal", "ways"),
    [
        (Refusal.FIXED, {"fixed", "fixed, if free", "remap"}),
        (Refusal.INACCESSIBLE, {"inaccessible", "protect from all"}),
        (
            Refusal.ALL,
            {"map", "fixed", "fixed, if free", "inaccessible", "protect", "protect from all", "remap"},
        ),
    ],
)
def test_one_thread_is_refused_and_the_others_are_not(refusal: Refusal, ways: set[str]) -> None:
    pages, found = two_pages(), []
    thread = threading.Thread(target=lambda: found.append(refuse_maps(refusal) and refused(*pages)))
    thread.start()
    thread.join()
    assert found == [ways]
    assert refused(*two_pages()) == set()

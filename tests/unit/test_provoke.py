"""A kernel that refuses: what it refuses which thread, and what it does not."""

import ctypes
import json
import mmap
import os
import struct
import sys
import threading

import pytest
from vkmapctl._loop import ffi, lib

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


# Of each machine's <asm/unistd.h> and of <linux/audit.h>: its architecture, and the numbers of mmap, mprotect, mremap
# and of a call that is none of them.
KNOWN = {
    "x86_64": (0xC000003E, {"mmap": 9, "mprotect": 10, "mremap": 25, "madvise": 28}),
    "i386": (0x40000003, {"mmap": 192, "mprotect": 125, "mremap": 163, "madvise": 219}),  # mmap2, which takes numbers
    "aarch64": (0xC00000B7, {"mmap": 222, "mprotect": 226, "mremap": 216, "madvise": 233}),
}
MACHINE = "i386" if sys.maxsize < 1 << 32 else os.uname().machine  # whose kernel may have 64 bits
WAYS = {
    "map", "fixed", "fixed, if free", "inaccessible", "protect", "protect from all", "remap", "remap anywhere",
}  # fmt: skip
MOVE, MOVE_FIXED = 1, 3  # flags of mremap
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06  # BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ, ...
ALLOWED, ENOMEM = 0x7FFF0000, 0x5000C


def verdict(refusal: Refusal, arch: int, number: int, *arguments: int) -> int:
    """What the filter says to a call, by the rules of the kernel's BPF (seccomp(2), struct seccomp_data)."""
    room = ffi.new("unsigned char[]", 8 * lib.VKM_FILTER_MOST)
    instructions = list(struct.iter_unpack("=HBBI", ffi.buffer(room, 8 * lib.vkm_refusal_filter(refusal, room))[:]))
    data = struct.pack("=iIQ6Q", number, arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    at = value = 0
    while True:
        code, then, otherwise, operand = instructions[at]
        at += 1
        if code == RETURN:
            return operand
        if code == LOAD:
            (value,) = struct.unpack_from("=I", data, operand)
        else:
            holds = {EQUAL: value == operand, ANY_BIT: bool(value & operand)}[code]
            at += then if holds else otherwise


def answers(refusal: Refusal, arch: int) -> set[str]:
    """What is refused, of calls by the numbers of this machine."""
    numbers = KNOWN[MACHINE][1]
    calls = {
        "map": ("mmap", 0, PAGE, READ_WRITE, FLAGS, -1 % (1 << 64)),
        "fixed": ("mmap", PAGE, PAGE, READ_WRITE, FLAGS | FIXED),
        "fixed, if free": ("mmap", PAGE, PAGE, READ_WRITE, FLAGS | FIXED_NOREPLACE),
        "inaccessible": ("mmap", 0, PAGE, NONE, FLAGS),
        "protect": ("mprotect", PAGE, PAGE, READ_WRITE),
        "protect from all": ("mprotect", PAGE, PAGE, NONE),
        "remap": ("mremap", PAGE, PAGE, PAGE, MOVE_FIXED, PAGE),
        "remap anywhere": ("mremap", PAGE, PAGE, PAGE, MOVE),
        "advise": ("madvise", PAGE, PAGE, 0, 0x10),
    }
    given = {way: verdict(refusal, arch, numbers[name], *arguments) for way, (name, *arguments) in calls.items()}
    assert set(given.values()) <= {ALLOWED, ENOMEM}
    return {way for way, answer in given.items() if answer == ENOMEM}


@pytest.mark.parametrize(
    ("refusal", "ways"),
    [
        (Refusal.FIXED, {"fixed", "fixed, if free", "remap"}),
        (Refusal.INACCESSIBLE, {"inaccessible", "protect from all"}),
        (Refusal.ALL, WAYS),
    ],
    ids=lambda value: value.name if isinstance(value, Refusal) else "",
)
def test_the_filter_knows_the_numbers_of_this_machine(refusal: Refusal, ways: set[str]) -> None:
    """Also where no kernel takes it, as under qemu-user. Calls of another architecture have other numbers."""
    arch = KNOWN[MACHINE][0]
    assert answers(refusal, arch) == ways
    other = next(arch for name, (arch, _) in KNOWN.items() if name != MACHINE)
    assert answers(refusal, other) == set()

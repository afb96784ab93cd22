"""This process's address space, for checks: mappings at fixed addresses, and what the kernel says is there."""

import ctypes
import mmap
import os
from typing import NamedTuple

from vkmapctl.errors import CallFailed

PAGE = mmap.PAGESIZE
NONE, READ_WRITE = 0, mmap.PROT_READ | mmap.PROT_WRITE
_FIXED, _FIXED_NOREPLACE, _NORESERVE = 0x10, 0x100000, 0x4000
_FAILED = (1 << 64) - 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_size_t
_libc.mmap.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
_libc.write.argtypes = (ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)
_libc.write.restype = ctypes.c_ssize_t


class Area(NamedTuple):
    """One line of /proc/self/maps."""

    begin: int
    end: int
    permissions: str
    path: str


def areas() -> list[Area]:
    """Every mapping of this process, by address."""
    found = []
    with open("/proc/self/maps") as lines:
        for line in lines:
            fields = line.split(maxsplit=5)
            begin, end = (int(part, 16) for part in fields[0].split("-"))
            found.append(Area(begin, end, fields[1], fields[5].strip() if len(fields) > 5 else ""))
    return found


def areas_in(begin: int, end: int) -> list[Area]:
    """The mappings that overlap [begin, end)."""
    return [area for area in areas() if area.begin < end and area.end > begin]


def covered(begin: int, end: int) -> bool:
    """Whether mappings, one or several, cover the whole of [begin, end)."""
    at = begin
    for area in areas_in(begin, end):
        if area.begin > at:
            return False
        at = area.end
    return at >= end


def map_pages(length: int, protection: int, *, address: int = 0, file: int = -1, offset: int = 0) -> int:
    """mmap: shared with a file, else private and anonymous; replaces what stands at `address`.

    Raises CallFailed where the kernel refuses.
    """
    flags = (mmap.MAP_SHARED if file >= 0 else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) | _NORESERVE
    found = _libc.mmap(address, length, protection, flags | (_FIXED if address else 0), file, offset)
    if found == _FAILED:
        raise CallFailed(f"mmap of {length} bytes failed: {os.strerror(ctypes.get_errno())}")
    return int(found)


def map_hinted(length: int, hint: int) -> int:
    """mmap with an address that is only a wish; 0 where the kernel refuses."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
    found = _libc.mmap(hint, length, NONE, flags, -1, 0)
    return 0 if found == _FAILED else int(found)


def map_if_free(length: int, address: int) -> bool:
    """Takes exactly the range if nothing stands in it (MAP_FIXED_NOREPLACE)."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE | _FIXED_NOREPLACE
    return bool(_libc.mmap(address, length, NONE, flags, -1, 0) == address)


def unmap_pages(address: int, length: int) -> None:
    """munmap."""
    _libc.munmap(address, length)


def readable(address: int) -> bool:
    """Whether a byte can be read there, without risking a signal."""
    reader, writer = os.pipe()
    try:
        return bool(_libc.write(writer, address, 1) == 1)
    finally:
        os.close(reader)
        os.close(writer)


def write(address: int, data: bytes) -> None:
    """Stores bytes; a bad address is a SIGSEGV, which is the checks' verdict on a driver."""
    ctypes.memmove(address, data, len(data))


def fill(address: int, value: int, length: int) -> None:
    """Stores `length` bytes of one value."""
    ctypes.memset(address, value, length)


def read(address: int, length: int) -> bytes:
    """Loads bytes."""
    return ctypes.string_at(address, length)

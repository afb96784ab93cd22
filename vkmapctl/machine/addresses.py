"""This process's address space, for checks: mappings at fixed addresses, and what the kernel says is there."""

import ctypes
import mmap
import os
import threading
from collections.abc import Iterable
from typing import NamedTuple

from vkmapctl.errors import CallFailed

PAGE = mmap.PAGESIZE
NONE, READ_WRITE = 0, mmap.PROT_READ | mmap.PROT_WRITE
_FIXED, _FIXED_NOREPLACE, _NORESERVE = 0x10, 0x100000, 0x4000
_FAILED = ctypes.c_size_t(-1).value
END = _FAILED + 1  # of what a pointer can hold

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_size_t
_libc.mmap.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_size_t, ctypes.c_size_t)
_libc.open.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.read.argtypes = (ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)
_libc.read.restype = ctypes.c_ssize_t
_libc.write.argtypes = (ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t)
_libc.write.restype = ctypes.c_ssize_t

# For /proc/self/maps, taken beforehand: memory taken while looking could itself land in the hole that is looked for.
_ROOM = 16 << 20  # some 150,000 lines; vm.max_map_count is 65530 by default
_room = _libc.mmap(0, _ROOM, READ_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE, -1, 0)
_room_lock = threading.Lock()


class Area(NamedTuple):
    """One line of /proc/self/maps. offset, device, inode: of the file that is mapped, inode 0 for none."""

    begin: int
    end: int
    permissions: str
    path: str
    offset: int = 0
    device: str = ""
    inode: int = 0

    @property
    def in_reach(self) -> bool:
        """Whether its bytes can be read or written."""
        return self.permissions[:2] != "--"

    def shows_the_same(self, other: "Area") -> bool:
        """Whether both map one file, with the same byte of it at each address: one mapping, however it is cut."""
        ours, theirs = (self.device, self.inode), (other.device, other.inode)
        return bool(self.inode) and ours == theirs and self.offset - self.begin == other.offset - other.begin

    def __str__(self) -> str:
        return f"{self.permissions} {self.path or 'without a file'}"


def areas() -> list[Area]:
    """Every mapping of this process, by address. Nothing is mapped or unmapped by looking until all is read."""
    with _room_lock:
        length = _read_maps()
        lines = ctypes.string_at(_room, length).decode(errors="replace").splitlines()
    found = []
    for line in lines:
        fields = line.split(maxsplit=5)
        begin, end = (int(part, 16) for part in fields[0].split("-"))
        path = fields[5].strip() if len(fields) > 5 else ""
        found.append(Area(begin, end, fields[1], path, int(fields[2], 16), fields[3], int(fields[4])))
    return found


def _read_maps() -> int:
    """How many bytes of /proc/self/maps are in the room now."""
    file, length = _libc.open(b"/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC), 0
    while (read := _libc.read(file, _room + length, _ROOM - length)) > 0:
        length += read
    if read < 0 or length == _ROOM:
        raise CallFailed(f"/proc/self/maps cannot be read: {os.strerror(ctypes.get_errno()) if read else 'too long'}")
    _libc.close(file)
    return length


def areas_in(begin: int, end: int) -> list[Area]:
    """The mappings that overlap [begin, end)."""
    return [area for area in areas() if area.begin < end and area.end > begin]


def still_showing(before: Iterable[Area], now: Iterable[Area]) -> list[Area]:
    """Those of `now` that show in reach what was mapped at the same addresses before."""
    return [area for area in now if area.in_reach and any(area.shows_the_same(one) for one in before)]


def covered(begin: int, end: int, among: Iterable[Area] | None = None) -> bool:
    """Whether mappings, one or several, cover the whole of [begin, end). among: as seen before, for now."""
    at = begin
    for area in areas_in(begin, end) if among is None else among:
        if area.begin > at:
            return False
        at = max(at, area.end)
    return at >= end


def map_pages(length: int, protection: int, *, address: int = 0, file: int = -1, offset: int = 0) -> int:
    """mmap: shared with a file, else private and anonymous; replaces what stands at `address`.

    Raises CallFailed where the kernel refuses.
    """
    if length >= END:
        raise CallFailed(f"mmap of {length} bytes failed: pointers have {ctypes.sizeof(ctypes.c_void_p) * 8} bits")
    flags = (mmap.MAP_SHARED if file >= 0 else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) | _NORESERVE
    found = _libc.mmap(address, length, protection, flags | (_FIXED if address else 0), file, offset)
    if found == _FAILED:
        raise CallFailed(f"mmap of {length} bytes failed: {os.strerror(ctypes.get_errno())}")
    return int(found)


def map_hinted(length: int, hint: int) -> int:
    """mmap with an address that is only a wish; 0 where the kernel refuses."""
    if hint + length > END:
        return 0
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE
    found = _libc.mmap(hint, length, NONE, flags, -1, 0)
    return 0 if found == _FAILED else int(found)


def map_if_free(length: int, address: int) -> bool:
    """Takes exactly the range if nothing stands in it (MAP_FIXED_NOREPLACE)."""
    if address + length > END:
        return False
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NORESERVE | _FIXED_NOREPLACE
    found = _libc.mmap(address, length, NONE, flags, -1, 0)
    if found not in (address, _FAILED):  # a kernel before 4.17 takes the address for a hint
        unmap_pages(found, length)
    return bool(found == address)


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

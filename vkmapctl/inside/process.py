"""This process, as the kernel sees it: its rights, its parent, its end, and the files in it."""

import ctypes
import os
import signal

_AT_SECURE = 23  # <elf.h>: set by the kernel for set-uid files, file capabilities and the like
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>

_libc = ctypes.CDLL(None)


def is_elevated() -> bool:
    """Whether the rights of this process are others than its caller's."""
    ids = os.getresuid()[:2] + os.getresgid()[:2]
    return ids[0] != ids[1] or ids[2] != ids[3] or bool(_libc.getauxval(_AT_SECURE))


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends, however that ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))


def exit(status: int) -> None:
    """exit(3): the exit handlers and destructors of every library run, but nothing of Python's."""
    _libc.exit(status)


def files_mapped() -> list[str]:
    """Every file that is mapped here, libraries among them (/proc/self/maps)."""
    with open("/proc/self/maps", errors="replace") as lines:
        return sorted({line[line.index("/") :].rstrip("\n") for line in lines if "/" in line})

"""This process, as the kernel sees it. Imports little, because a probe's child asks before anything else."""

import ctypes
import os

_AT_SECURE = 23  # <elf.h>: set by the kernel for set-uid files, file capabilities and the like
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_SIGINT, _SIGKILL, _SIGPIPE, _SIGTERM = 2, 9, 13, 15  # <signal.h>, on every Linux
_SIG_DFL, _SIG_IGN = 0, 1

_libc = ctypes.CDLL(None)
# Looked up here and now: while a thread loads the drivers, the dynamic linker has no time for anyone else.
_getauxval, _prctl, _signal, _exit = _libc.getauxval, _libc.prctl, _libc.signal, _libc.exit


def is_elevated() -> bool:
    """Whether the rights of this process are others than its caller's."""
    ids = os.getresuid()[:2] + os.getresgid()[:2]
    return ids[0] != ids[1] or ids[2] != ids[3] or bool(_getauxval(_AT_SECURE))


def die_with_parent() -> None:
    """The kernel kills this process when its parent ends, however that ends."""
    _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(_SIGKILL))


def default_signals() -> None:
    """Ctrl-C is the parent's to answer; SIGTERM and SIGPIPE end this process, as they do by default.

    Through the C library: the signal module would cost a probe's child the import of enum.
    """
    for number, action in ((_SIGINT, _SIG_IGN), (_SIGTERM, _SIG_DFL), (_SIGPIPE, _SIG_DFL)):
        _signal(number, ctypes.c_void_p(action))


def exit(status: int) -> None:
    """exit(3): the exit handlers and destructors of every library run, but nothing of Python's."""
    _exit(status)


def files_mapped() -> list[str]:
    """Every file that is mapped here, libraries among them (/proc/self/maps)."""
    with open("/proc/self/maps", errors="replace") as lines:
        return sorted({line[line.index("/") :].rstrip("\n") for line in lines if "/" in line})

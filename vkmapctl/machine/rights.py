"""Whether this process may do more than its caller. Imports little, because a probe asks before anything else."""

import ctypes
import os

_AT_SECURE = 23  # <elf.h>: set by the kernel for set-uid files, file capabilities and the like


def is_elevated() -> bool:
    """Whether the rights of this process are others than its caller's."""
    ids = os.getresuid()[:2] + os.getresgid()[:2]
    return ids[0] != ids[1] or ids[2] != ids[3] or bool(ctypes.CDLL(None).getauxval(_AT_SECURE))

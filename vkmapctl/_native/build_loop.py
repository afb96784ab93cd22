"""Builds vkmapctl._loop (cffi API mode): loop.h is both the C header and the declarations for Python."""

import platform
import sys
from pathlib import Path

from cffi import FFI

HERE = "vkmapctl/_native"  # setuptools runs this from the project's root
SOURCES = [
    "loop.c", "prepare.c", "objects.c", "transfers.c", "clock.c", "pattern.c", "write_way.c", "access.c", "histogram.c",
    "address.c", "provoke.c", "null_driver.c", "replay.c", "ring.c", "faults.c",
]  # fmt: skip
HEADERS = ["loop.h", "replay.h", "clock.h", "pattern.h", "access.h", "vk_calls.h", "vk_numbers.h", "ring.h", "faults.h"]
DECLARED = ("loop.h", "replay.h", "pattern.h", "access.h", "ring.h", "faults.h")  # for Python


# On i386 accesses of 64 bits take it, and every CPU that could run a 64-bit kernel has it.
SSE2 = ["-msse2", "-mfpmath=sse"] if sys.maxsize < 1 << 32 and platform.machine() in ("i386", "i686", "x86_64") else []
DEFINES = ("#define VKM_BINS", "#define VKM_SHIFT", "#define VKM_RING_HEAD", "#define VKM_UNDER_WAY")


def declarations() -> str:
    """The headers without what cffi does not parse."""
    lines = []
    for header in DECLARED:
        for line in Path(HERE, header).read_text().splitlines():
            if not line.startswith("#") or line.startswith(DEFINES):
                lines.append(line)
    return "\n".join(lines)


ffibuilder = FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "vkmapctl._loop",
    "\n".join(f'#include "{header}"' for header in DECLARED),
    sources=[f"{HERE}/{name}" for name in SOURCES],
    depends=[f"{HERE}/{name}" for name in HEADERS],
    include_dirs=[HERE],
    # A loop of a few ns takes one more where it straddles what the CPU fetches at once.
    extra_compile_args=["-std=c11", "-O3", "-falign-loops=32", "-Wall", "-Wextra", *SSE2],
)

"""A program that runs with more rights than its caller must not load what the caller names."""

import ctypes
import os
from typing import TYPE_CHECKING

from vkmapctl.errors import UsageProblem

if TYPE_CHECKING:
    from vkmapctl.model import TestLayer

_AT_SECURE = 23  # <elf.h>: set by the kernel for set-uid files, file capabilities and the like
SWITCHES = (
    "VK_LAYER_PATH", "VK_ADD_LAYER_PATH", "VK_IMPLICIT_LAYER_PATH", "VK_ADD_IMPLICIT_LAYER_PATH",
    "VK_INSTANCE_LAYERS", "VK_LOADER_LAYERS_ENABLE", "VK_DRIVER_FILES", "VK_ICD_FILENAMES", "VK_ADD_DRIVER_FILES",
    "VKMAPCTL_LAYER_FAULT", "VKMAPCTL_LAYER_EMULATE",
)  # fmt: skip


def is_elevated() -> bool:
    """Whether the rights of this process are others than its caller's."""
    ids = os.getresuid()[:2] + os.getresgid()[:2]
    return ids[0] != ids[1] or ids[2] != ids[3] or bool(ctypes.CDLL(None).getauxval(_AT_SECURE))


def refuse_switches(layer: "TestLayer | None") -> None:
    """Raises UsageProblem where an elevated run asks for layers, by flags or by the environment."""
    named = [name for name in SWITCHES if name in os.environ]
    if (layer or named) and is_elevated():
        what = "--emulate, --inject and --validate" if layer else named[0]
        raise UsageProblem(
            f"{what}: refused, because this process has other rights than its caller",
            "layers and drivers are code; run vkmapctl without set-uid or capabilities to choose them",
        )

"""Builds the test driver, and gives the environment that puts it in front of lavapipe. What it can break: icd.c."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

from scratch import scratch

SOURCES = Path(__file__).parent
COMPILER = "cc -std=c11 -O2 -Wall -Wextra -Werror -fvisibility=hidden -shared -fPIC -pthread".split()


def icd(folder: Path, breaks: str = "", *, beside: bool = False, real: Path | None = None) -> dict[str, str]:
    """Environment with the test driver as the only one, or what it stands in front of beside it.

    folder: for its manifest. real: another manifest than lavapipe's, of a software driver.
    """
    real = real or lavapipe()
    described = json.loads(real.read_text())
    ours = folder / "vkmapctl_test_icd.json"
    described["ICD"]["library_path"], path = str(library()), described["ICD"]["library_path"]
    ours.write_text(json.dumps(described))
    drivers = os.pathsep.join(str(manifest) for manifest in ([ours, real] if beside else [ours]))
    return {
        "VK_DRIVER_FILES": drivers,
        "VK_ICD_FILENAMES": drivers,  # the name that loaders before 1.3.207 know
        "VKMAPCTL_ICD_DRIVER": str(real.parent / path) if "/" in path else path,
        "VKMAPCTL_ICD": breaks,
    }


def text(value: bytes) -> str:
    """Bytes as a value of a setting, none of them special."""
    return "".join(f"\\x{byte:02x}" for byte in value)


@cache
def library() -> Path:
    """The driver, built once for this process."""
    built = scratch("icd") / "libvkmapctl_test_icd.so"
    subprocess.run([*COMPILER, "-o", built, *sorted(SOURCES.glob("*.c"))], check=True)
    return built


@cache
def lavapipe() -> Path:
    """Its manifest, where the loader looks for it (LoaderDriverInterface.md, "Driver Discovery")."""
    shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    for folder in ("/usr/local/etc", "/etc", *shared.split(os.pathsep)):
        for manifest in sorted(Path(folder, "vulkan/icd.d").glob("*lvp*.json")):
            return manifest
    raise FileNotFoundError("no manifest of lavapipe: install mesa-vulkan-drivers")

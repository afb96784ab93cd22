"""Why drivers may offer no device: what to look at on this machine."""

import glob
import os
from collections.abc import Mapping

from vkmapctl.errors import Unsupported

_FILTERS = ("VK_LOADER_DRIVERS_SELECT", "VK_LOADER_DRIVERS_DISABLE", "VK_DRIVER_FILES", "VK_ICD_FILENAMES")


def no_device() -> Unsupported:
    """The error, with hints."""
    return Unsupported("the Vulkan drivers on this machine offer no device", *hints(os.environ))


def hints(environment: Mapping[str, str], root: str = "/") -> list[str]:
    """What is so here and what to do. root: where /dev is, for tests."""
    nodes = sorted(glob.glob(f"{root}dev/dri/renderD*"))
    nvidia = [node for node in (f"{root}dev/nvidiactl",) if os.path.exists(node)]
    closed = [node for node in nodes + nvidia if not os.access(node, os.R_OK | os.W_OK)]
    found = []
    if closed:
        found.append(f"{closed[0]} may not be opened by this user: join the groups render and video, and log in anew")
    elif not nodes + nvidia:
        found.append("there is no /dev/dri/renderD* and no /dev/nvidiactl: a GPU's driver finds its GPU by them")
        found.append("in a container: docker run --device /dev/dri, or --gpus all for NVIDIA")
    if "graphics" not in (capabilities := environment.get("NVIDIA_DRIVER_CAPABILITIES", "")) and capabilities != "all":
        found.append("NVIDIA in a container: NVIDIA_DRIVER_CAPABILITIES must hold graphics, or be all")
    if os.path.exists(f"{root}dev/dxg"):
        found.append("WSL: its GPU has no Vulkan driver but Mesa's dzn; on the CPU, lavapipe works as everywhere")
    found += [f"{name}={environment[name]} chooses among the drivers" for name in _FILTERS if environment.get(name)]
    found.append("mesa-vulkan-drivers has a driver for every CPU")
    return found

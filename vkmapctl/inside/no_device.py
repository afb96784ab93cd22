"""Why drivers may offer no device: what to look at on this machine."""

import os
from collections.abc import Mapping

from vkmapctl.errors import Unsupported

_FILTERS = ("VK_LOADER_DRIVERS_SELECT", "VK_LOADER_DRIVERS_DISABLE", "VK_DRIVER_FILES", "VK_ICD_FILENAMES")


def no_device() -> Unsupported:
    """The error, with hints."""
    return Unsupported("the Vulkan drivers on this machine offer no device", *hints(os.environ))


def no_driver() -> Unsupported:
    """The same where the loader has found no driver that it can use."""
    return Unsupported(
        "the Vulkan loader found no usable driver",
        *hints(os.environ),
        "a GPU's own driver comes with its package; VK_LOADER_DEBUG=all tells what the loader tried",
    )


def hints(environment: Mapping[str, str], root: str = "/") -> list[str]:
    """What is so here and what to do. root: where /dev and so on are, for tests."""
    from vkmapctl.inside.places import lines  # here: a probe that goes well has no use for it

    found = [line.text for line in lines(environment, root) if line.lacks]
    found += [f"{name}={environment[name]} chooses among the drivers" for name in _FILTERS if environment.get(name)]
    found.append("mesa-vulkan-drivers has a driver for every CPU")
    return found

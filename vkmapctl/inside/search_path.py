"""Where the Vulkan loader looks for manifests on Linux."""

import os
from collections.abc import Mapping


def folders(environment: Mapping[str, str], below: str) -> list[str]:
    """The folders that hold `below`, such as `vulkan/icd.d`, the first to be searched first.

    LoaderDriverInterface.md and LoaderLayerInterface.md, "Linux Driver Discovery" and "Linux Layer Discovery".
    """
    home = environment.get("HOME", "")
    roots = [
        environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else ""),
        *(environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"),
        "/usr/local/etc",
        "/etc",
        environment.get("XDG_DATA_HOME") or (f"{home}/.local/share" if home else ""),
        *(environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share").split(":"),
    ]
    return list(dict.fromkeys(os.path.join(root, below) for root in roots if root))

"""The Khronos validation layer in the driver's process: whether it is there and knows these calls, and what it says."""

import os
from collections.abc import Mapping
from typing import Any

from vkmapctl.errors import Unsupported
from vkmapctl.inside import vkapi
from vkmapctl.inside.layer import VALIDATION as LAYER
from vkmapctl.text import clean

vk: Any = vkapi.vk

EXTENSION = "VK_EXT_debug_utils"
OLDEST = (1, 3, 278)  # the first to know VK_EXT_map_memory_placed
_KEPT = 20
_LONGEST = 600
_CALLBACK = (
    "VkBool32(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT, "
    "const VkDebugUtilsMessengerCallbackDataEXT *, void *)"
)


def require(versions: Mapping[str, str]) -> str:
    """The layer's name. versions: of the layers that the loader offers. Raises Unsupported: missing, or too old."""
    if LAYER not in versions:
        raise Unsupported(
            f"--validate needs {LAYER}, which the Vulkan loader does not find",
            "Debian 13, Ubuntu: apt install vulkan-validationlayers; Fedora: dnf install vulkan-validation-layers",
            "VK_LAYER_PATH, where it is set, must name its folder too",
        )
    version = versions[LAYER]
    if tuple(int(part) for part in version.split(".")) < OLDEST:
        raise Unsupported(
            f"{LAYER} {version} is too old to know these calls: "
            f"--validate needs {'.'.join(str(part) for part in OLDEST)}",
            "Debian 13 has a newer one; make test-trixie runs it in a Debian 13 root",
        )
    return LAYER


class Messages:
    """The layer's error messages, the first of each VUID. Also written to standard error, for a driver that dies."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}
        self._new: list[str] = []
        self._callback = vk.ffi.callback(_CALLBACK, self._note)
        self.info = vk.ffi.new("VkDebugUtilsMessengerCreateInfoEXT *")
        self.info.sType = vk.VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT
        self.info.messageSeverity = vk.VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT
        self.info.messageType = vk.VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT
        self.info.pfnUserCallback = vk.ffi.cast("PFN_vkDebugUtilsMessengerCallbackEXT", self._callback)

    def listen(self, instance: Any) -> Any:
        """A messenger for the life of an instance. Raises CallFailed."""
        handle = vk.ffi.new("VkDebugUtilsMessengerEXT *")
        create = vk.ffi.cast(
            "PFN_vkCreateDebugUtilsMessengerEXT",
            vk.lib.vkGetInstanceProcAddr(instance, vk.ffi.new("char[]", b"vkCreateDebugUtilsMessengerEXT")),
        )
        vkapi.check("vkCreateDebugUtilsMessengerEXT", create(instance, self.info, vk.ffi.NULL, handle))
        return handle[0]

    def stop(self, instance: Any, messenger: Any) -> None:
        """Ends a messenger; messages of the instance's own end still arrive, by its creation."""
        destroy = vk.ffi.cast(
            "PFN_vkDestroyDebugUtilsMessengerEXT",
            vk.lib.vkGetInstanceProcAddr(instance, vk.ffi.new("char[]", b"vkDestroyDebugUtilsMessengerEXT")),
        )
        destroy(instance, messenger, vk.ffi.NULL)

    def take(self) -> tuple[str, ...]:
        """What has come since the last call, as `VUID: text`."""
        taken, self._new = tuple(self._new), []
        return taken

    def _note(self, severity: int, kind: int, data: Any, user: Any) -> int:
        name = _text(data.pMessageIdName) or "no VUID"
        if name not in self._kept and len(self._kept) < _KEPT:
            line = clean(f"{name}: {' '.join(_text(data.pMessage).split())}", _LONGEST)
            self._kept[name] = line
            self._new.append(line)
            os.write(2, line.encode("utf-8", "replace") + b"\n")
        return 0


def _text(string: Any) -> str:
    return str(vk.ffi.string(string).decode(errors="replace")) if string else ""

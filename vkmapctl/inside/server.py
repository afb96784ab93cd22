"""What the driver's process does with its driver: lists the devices, and proves one on request.

Answers in builtin types, in the shape that driver/messages gives them in the parent. Measuring and checking: worker/.
"""

import os
from typing import TYPE_CHECKING, Any

from vkmapctl.inside.elevated import refuse_switches
from vkmapctl.inside.layer import LayerChoice, use_test_layer
from vkmapctl.inside.process import files_mapped

if TYPE_CHECKING:  # a server is made where no driver may be loaded yet
    from vkmapctl.inside.device import OpenDevice
    from vkmapctl.inside.fork import Channel
    from vkmapctl.inside.vkapi import Facts, Instance


def serve(channel: "Channel", layer: LayerChoice | None = None) -> None:
    """All that a probe's process does."""
    Server(channel, layer).serve()


class Server:
    """The instance and its devices, and the validation layer's messages."""

    def __init__(self, channel: "Channel", layer: LayerChoice | None = None) -> None:
        os.environ.setdefault("VK_LOADER_DEBUG", "error,warn")  # before it is loaded: which driver it skips, and why
        from vkmapctl.inside import vkapi  # here, so that only this process loads the driver

        self.channel, self.layer, self.vk = channel, layer, vkapi
        self._instance: Instance | None = None
        self._messages: Any = None
        self._physical: list[Any] = []
        self._devices: list[Facts] = []
        self._opened: dict[int, OpenDevice] = {}

    def serve(self) -> None:
        """Tells the devices, then answers until the parent closes its pipe."""
        try:
            self.reply(self.describe())
            for request in self.channel.requests():
                self.answer(request)
        finally:
            self.close()
        self.vk.unload()

    def answer(self, request: dict[str, Any]) -> None:
        """Does what one request asks, and replies."""
        match request:
            case {"type": "Prove", "device": index}:
                self.reply(self.prove(index))
            case {"type": "AskPointer", "device": index}:
                self.reply({"type": "PointerTypes", "pointer_types": self.pointer_types(index)})
            case {"type": "Finish"}:
                self.close()
                self.reply({"type": "Finished"})

    def reply(self, reply: dict[str, Any]) -> None:
        """Sends it, with what the validation layer has said since the last one."""
        said = self._messages.take() if self._messages else ()
        self.channel.send({**reply, "validation": said})

    def close(self) -> None:
        """Destroys everything that is open, the last first."""
        while self._opened:
            self._opened.popitem()[1].close()
        if self._instance:
            self._instance.close()
            self._instance = None

    def describe(self) -> dict[str, Any]:
        """The devices, as messages.Described."""
        refuse_switches(self.layer)
        emulates = self.layer is not None and self.layer.emulate != "none"
        own = self.vk.placed_natively() if emulates else []
        wanted = use_test_layer(self.layer) if self.layer and self.layer.own else ()
        if self.layer and self.layer.validate:
            from vkmapctl.inside import validation

            wanted = (validation.require(self.vk.layer_versions()), *wanted)  # the first is next to us
            self._messages = validation.Messages()
        self._instance = self.vk.Instance(wanted, self._messages)
        files = files_mapped()
        self._physical = self.vk.physical_devices(self._instance.handle)
        notes = []
        for index, physical in enumerate(self._physical):
            device, wrong = self.vk.describe(index, physical, emulated=emulates and not own[index])
            self._devices.append(device)
            if emulates and (why := self._why_not_emulated(device, own=own[index])):
                wrong.append(("not-emulated", f"{device['name']}: {why}"))
            notes += [{"code": code, "message": message} for code, message in wrong]
        return {
            "type": "Described",
            "loader": self.vk.loader_version(),
            "files": files,
            "devices": self._devices,
            "notes": notes,
        }

    def _why_not_emulated(self, device: "Facts", *, own: bool) -> str:
        """Why --emulate changes nothing on a device, empty where it does."""
        assert self.layer is not None
        if own:
            return f"--emulate {self.layer.emulate} does nothing, since the driver has placed maps of its own"
        if device["placed"]["memory_map_placed"]:
            return ""
        needs = "VK_EXT_external_memory_host" if device["route"] != "none" else "Vulkan 1.4 or VK_KHR_map_memory2"
        return f"--emulate {self.layer.emulate} does nothing, since the device has not what it needs, {needs}"

    def device(self, index: int) -> Any:
        """The open device of an index."""
        if index not in self._opened:
            self._opened[index] = self.open(self._physical[index], self._devices[index])
        return self._opened[index]

    def open(self, physical: Any, facts: "Facts") -> "OpenDevice":
        """vkCreateDevice; what a server does with the device decides how it is held."""
        from vkmapctl.inside.device import OpenDevice

        return OpenDevice(physical, facts, facts)

    def prove(self, index: int) -> dict[str, Any]:
        """The live proof of one device, as messages.Proved."""
        from vkmapctl.inside.proof import prove

        proved = prove(self.device(index), self._devices[index])
        return {"type": "Proved", **proved, "pointer_types": self.pointer_types(index)}

    def pointer_types(self, index: int) -> list[int] | None:
        """The memory types that take a pointer to host memory; None where the device imports none."""
        from vkmapctl.inside.proof import pointer_types

        return pointer_types(self.device(index), self._devices[index])

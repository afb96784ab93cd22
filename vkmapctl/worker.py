"""The child's side: answers the parent's requests with the driver."""

import os
import resource
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from vkmapctl import native
from vkmapctl.driver import layers
from vkmapctl.driver.child import Channel, requests
from vkmapctl.driver.elevated import refuse_switches
from vkmapctl.driver.protocol import (
    Calibrate,
    Describe,
    Described,
    Finish,
    Finished,
    Measure,
    Measured,
    Prove,
    Proved,
    Tried,
    Try,
)
from vkmapctl.errors import Unsupported, VkmapError
from vkmapctl.machine.addresses import areas
from vkmapctl.model import Device, Note, TestLayer

if TYPE_CHECKING:
    from vkmapctl.measuring import Measuring


def serve(channel: Channel, results: Sequence[native.Results] = (), layer: TestLayer | None = None) -> None:
    """The whole life of a child, for child.Child."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # some drivers hold a file for each allocation
    Session(channel, results, layer).serve()


def serve_ahead(channel: Channel) -> None:
    """The life of a probe's child, which prepares the next answer while the parent is still starting.

    One answer ahead, no more: should the driver die of it, the parent's next request is the one that it dies of.
    """
    session = Session(channel, (), None)
    with suppress(VkmapError):  # met again when the parent asks
        session.describe()
    session.serve(ahead=True)


class Session:
    """One child's life: the instance, its devices, and the shared results of the running jobs."""

    def __init__(self, channel: Channel, results: Sequence[native.Results], layer: TestLayer | None) -> None:
        from vkmapctl.driver import vkapi  # here, so that only this process loads the driver

        self.channel, self.results, self.layer, self.vk = channel, results, layer, vkapi
        self._open = ExitStack()
        self._physical: list[Any] = []
        self._devices: dict[int, Device] = {}
        self._opened: dict[int, Any] = {}
        self._described: Described | None = None
        self._proved: dict[int, Proved] = {}
        self._layers: list[layers.Layer] = []
        self._messages: Any = None

    def serve(self, *, ahead: bool = False) -> None:
        """Until the parent closes its pipe. ahead: its next request is prepared for as soon as the last is answered."""
        with self._open:
            for request in requests(self.channel):
                match request:
                    case Describe():
                        self._reply(self.describe())
                        if ahead:
                            self._prove_ahead(0)
                    case Prove(device):
                        self._reply(self._proved[device] if device in self._proved else self.prove(device))
                        if ahead:
                            self._prove_ahead(device + 1)
                    case Calibrate():
                        self.channel.send(self.measuring.calibrate())
                    case Measure(jobs, effort):
                        self._reply(self.measuring.measure(jobs, effort))
                    case Try(check, device, memory_type):
                        self._reply(self.try_check(check, device, memory_type))
                    case Finish():
                        self._open.close()
                        self._reply(Finished())

    def _reply(self, reply: Described | Proved | Measured | Tried | Finished) -> None:
        """Sends it, with what the validation layer has said since the last one."""
        said = self._messages.take() if self._messages else ()
        self.channel.send(replace(reply, validation=said))

    def describe(self) -> Described:
        if self._described is None:
            self._described = self._describe()
        return self._described

    def _describe(self) -> Described:
        refuse_switches(self.layer)
        emulates = self.layer is not None and self.layer.emulate != "none"
        own = self.vk.placed_natively() if emulates else []
        wanted = self.vk.use_test_layer(self.layer) if self.layer and self.layer.own else ()
        if self.layer and self.layer.validate:
            from vkmapctl.driver import validation

            wanted = (validation.require(self.vk.layer_versions()), *wanted)  # the first is next to us
            self._messages = validation.Messages()
        handle = self._open.enter_context(self.vk.instance(wanted, self._messages))
        self._layers = layers.active(layers.known(os.environ), areas(), os.environ)
        self._physical = self.vk.physical_devices(handle)
        notes = []
        for index, physical in enumerate(self._physical):
            device, filled = self.vk.describe(index, physical, emulated=emulates and not own[index])
            self._devices[index] = device
            if not filled:
                notes.append(
                    Note(
                        "features-unfilled",
                        f"{device.name} advertises {self.vk.MAP_PLACED} but leaves its features unfilled",
                    )
                )
        if not self._devices:
            raise Unsupported(
                "the Vulkan drivers on this machine offer no device", "vulkaninfo --summary shows the same"
            )
        names = tuple(layer.name for layer in self._layers)
        return Described(self.vk.loader_version(), names, tuple(self._devices.values()), tuple(notes))

    def device(self, index: int) -> Any:
        if index not in self._opened:
            opened = self.vk.OpenDevice(self._physical[index], self._devices[index])
            self._opened[index] = self._open.enter_context(opened)
        return self._opened[index]

    def _prove_ahead(self, index: int) -> None:
        if index in self._devices:
            with suppress(VkmapError):  # met again when the parent asks
                self._proved[index] = self.prove(index)

    def prove(self, index: int) -> Proved:
        from vkmapctl.driver.proof import prove

        return Proved(prove(self.device(index)))

    def try_check(self, check: str, device: int, memory_type: int) -> Tried:
        from vkmapctl.checks import registry

        opened = self.device(device)
        return Tried(registry.run(registry.load()[check], opened, opened.facts.memory_types[memory_type]))

    @cached_property
    def measuring(self) -> "Measuring":
        from vkmapctl.measuring import Measuring  # here, because a probe has no use for it

        return Measuring(self.channel, self.results, self.device, self._layers)

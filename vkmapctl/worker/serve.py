"""What the driver's process does for stress and verify: all that inside/server does, and measuring and checking."""

import resource
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from vkmapctl import native
from vkmapctl.driver.messages import Calibrate, Measure, Tried, Try, pack, request_of
from vkmapctl.inside.fork import Channel
from vkmapctl.inside.layer import LayerChoice
from vkmapctl.inside.server import Server
from vkmapctl.model.device import Device

if TYPE_CHECKING:
    from vkmapctl.inside.device import OpenDevice
    from vkmapctl.worker.measuring import Measuring


def serve(channel: Channel, results: Sequence[native.Results] = (), layer: LayerChoice | None = None) -> None:
    """All that the process does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # some drivers hold a file for each allocation
    MeasuringServer(channel, results, layer).serve()


class MeasuringServer(Server):
    """A server that also measures and checks. results: shared with the parent, one for each running job."""

    def __init__(self, channel: Channel, results: Sequence[native.Results], layer: LayerChoice | None) -> None:
        super().__init__(channel, layer)
        self.results = results

    def answer(self, request: dict[str, Any]) -> None:
        match request_of(request):
            case Calibrate():
                self.channel.send(pack(self.measuring.calibrate()))
            case Measure(jobs, in_turns):
                self.reply(pack(self.measuring.measure(jobs, in_turns=in_turns)))
            case Try(check, device, memory_type):
                self.reply(pack(self.try_check(check, device, memory_type)))
            case _:
                super().answer(request)

    def open(self, physical: Any, facts: dict[str, Any]) -> "OpenDevice":
        from vkmapctl.inside.device import OpenDevice

        return OpenDevice(physical, facts, msgspec.convert(facts, Device))

    def try_check(self, check: str, device: int, memory_type: int) -> Tried:
        from vkmapctl.checks import registry

        opened = self.device(device)
        return Tried(registry.run(registry.load()[check], opened, opened.facts.memory_types[memory_type]))

    @cached_property
    def measuring(self) -> "Measuring":
        from vkmapctl.worker.measuring import Measuring

        return Measuring(self.channel, self.results, self.device)

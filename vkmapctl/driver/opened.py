"""An open device with what is known of it as plain data: what measures and checks are written against."""

from typing import Any

import msgspec

from vkmapctl.driver.device import OpenDevice
from vkmapctl.model import Device


class Opened(OpenDevice):
    """A VkDevice, as OpenDevice, and its facts."""

    def __init__(self, physical: Any, facts: Device) -> None:
        super().__init__(physical, facts.extensions, msgspec.structs.asdict(facts.placed))
        self.facts = facts

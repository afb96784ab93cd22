"""Which devices a --device selector means."""

from collections.abc import Sequence

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.model.device import Device
from vkmapctl.plans.gates import driver_matches

_RANK = {"discrete": 0, "integrated": 1, "virtual": 2, "other": 3, "cpu": 4}
_UUID_PREFIX = 4


def best(devices: Sequence[Device]) -> Device:
    """Real hardware before software, and before both what has host-visible memory at all."""
    return min(devices, key=lambda d: (not any(t.usable for t in d.memory_types), _RANK[d.type], d.index))


def select(devices: Sequence[Device], selector: str | None) -> list[Device]:
    """An index, part of the name, a UUID prefix, a driver's name, or `all`; None: the best device.

    Raises Unsupported where nothing matches, UsageProblem where several do.
    """
    if selector is None:
        return [best(devices)]
    if selector == "all":
        return list(devices)
    if selector.isdecimal() and len(selector) < _UUID_PREFIX:
        found = [device for device in devices if device.index == int(selector)]
    else:
        found = [device for device in devices if _matches(device, selector.lower())]
    known = tuple(f"device {d.index}: {d.name}, UUID {d.device_uuid}, driver {d.driver_name}" for d in devices)
    if not found:
        raise Unsupported(f"no device matches '{selector}'", *known)
    if len(found) > 1:
        raise UsageProblem(f"{len(found)} devices match '{selector}'", "give an index, a longer name or a UUID", *known)
    return found


def _matches(device: Device, text: str) -> bool:
    uuid = text.replace("-", "")
    return (
        text in device.name.lower()
        or driver_matches(device, text)
        or (len(uuid) >= _UUID_PREFIX and device.device_uuid.startswith(uuid))
    )

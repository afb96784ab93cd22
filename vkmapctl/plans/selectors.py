"""Which devices a command uses: what --device means, and whether --require and --expect-driver hold for them."""

from collections.abc import Callable, Sequence

from vkmapctl.errors import Unsupported, UsageProblem
from vkmapctl.model.base import Note
from vkmapctl.model.device import Device, Probe
from vkmapctl.plans.gates import driver_matches, unmet

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


def choose(
    devices: Sequence[Device],
    selector: str | None,
    *,
    requirements: Sequence[str] = (),
    expected_driver: str | None = None,
    prove: Callable[[Device], Probe] = Probe,
    hints: Sequence[str] = (),
) -> list[Device]:
    """The devices that a command runs on, as `select`, each with what is required and driven as expected.

    prove: the live proof of a device, asked only where something is required. hints: which drivers are not among the
    devices, and why. Raises Unsupported with what is missing, and as `select` does.
    """
    chosen = select(devices, selector)
    lacking = unmet(requirements, expected_driver, [prove(one) if requirements else Probe(one) for one in chosen])
    if lacking:
        other = [one for one in devices if expected_driver and driver_matches(one, expected_driver)]
        named = [f"--device {one.index} is {one.name}, driver {one.driver_name}" for one in other if one not in chosen]
        raise Unsupported(f"the device in use is not what was asked for: {'; '.join(lacking)}", *named, *hints)
    return chosen


def same_gpu_notes(devices: Sequence[Device]) -> dict[int, Note]:
    """A warning for each device, by its index, that is another one again."""
    text = "device {} is device {} again (same deviceUUID, driverUUID): two manifests of one driver"
    return {index: Note("same-gpu", text.format(index, first)) for index, first in twins(devices).items()}


def twins(devices: Sequence[Device]) -> dict[int, int]:
    """Devices that are another one again, by a second manifest of one driver: index, and index of the first.

    Two handles of one GPU share memory and bandwidth with themselves, which says nothing.
    """
    first: dict[tuple[str, str], int] = {}
    again = {}
    for device in devices:
        key = (device.device_uuid, device.driver_uuid)
        if device.device_uuid.strip("0") and first.setdefault(key, device.index) != device.index:
            again[device.index] = first[key]
    return again


def _matches(device: Device, text: str) -> bool:
    uuid = text.replace("-", "")
    return (
        text in device.name.lower()
        or driver_matches(device, text)
        or (len(uuid) >= _UUID_PREFIX and device.device_uuid.startswith(uuid))
    )

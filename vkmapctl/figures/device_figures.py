"""What a stress run measured of the memory types of a recorded device."""

from collections.abc import Sequence
from typing import NamedTuple

from vkmapctl.model.documents import Run
from vkmapctl.model.recording import RecordedDevice


class Place(NamedTuple):
    """A memory type by its flags, of a device by its place in the recording."""

    device: int
    flags: tuple[str, ...]


class DeviceFigures(NamedTuple):
    """read: bytes per second through a mapping, at best. page_ns: of the first touch of a page. strangers: devices of
    the recording that the run does not have.
    """

    read: dict[Place, float]
    page_ns: dict[Place, float]
    strangers: tuple[str, ...] = ()


def device_figures(run: Run | None, devices: Sequence[RecordedDevice]) -> DeviceFigures:
    """By the memory types' flags, of the devices that are the same by vendor, number and name."""
    found = DeviceFigures({}, {})
    if run is None:
        return found
    strangers = []
    for place, device in enumerate(devices):
        same = {one.index for one in run.devices if _same(one.vendor_id, one.device_id, one.name, device)}
        if not same:
            strangers.append(device.name)
        for row in run.results:
            if row.device not in same or row.memory_type < 0:
                continue
            at = Place(place, row.memory_flags)
            if row.touch_bytes_per_second.read:
                found.read[at] = max(found.read.get(at, 0.0), row.touch_bytes_per_second.read)
            if row.first_touch_ns_per_page:
                found.page_ns[at] = min(found.page_ns.get(at, row.first_touch_ns_per_page), row.first_touch_ns_per_page)
    return found._replace(strangers=tuple(strangers))


def _same(vendor: int, number: int, name: str, device: RecordedDevice) -> bool:
    return (vendor, number, name) == (device.vendor_id, device.device_id, device.name)

"""The devices that a recorded program made, as the recording layer has written them down: Vulkan's own structures."""

import struct
from pathlib import Path

from vkmapctl import rules
from vkmapctl.inside.versions import driver_version_text, version_text
from vkmapctl.model.device import MemoryHeap, MemoryType
from vkmapctl.model.recording import RecordedDevice
from vkmapctl.text import clean

# struct described of record_layer.c: features, VkPhysicalDeviceProperties, memory types and heaps
_DEVICE = struct.Struct("<II IIIII256s548x I256s I256s")
_DEVICE_LOCAL_HEAP = 1
_NVIDIA, _FIRST_OF_NVIDIA = 0x10DE, 300  # Mesa drives NVIDIA's GPUs too, and its versions are still small


def read(path: Path) -> tuple[RecordedDevice, ...]:
    """Those of a process, in the order in which they were made; none where the file is not there."""
    try:
        data = path.read_bytes()
    except OSError:
        return ()
    whole = len(data) - len(data) % _DEVICE.size
    return tuple(_device(*fields) for fields in _DEVICE.iter_unpack(data[:whole]))


def _device(
    placed: int, reserve: int, api: int, driver: int, vendor: int, device: int, _type: int, name: bytes,
    type_count: int, types: bytes, heap_count: int, heaps: bytes,
) -> RecordedDevice:  # fmt: skip
    nvidia = vendor == _NVIDIA and driver >> 22 >= _FIRST_OF_NVIDIA
    return RecordedDevice(
        clean(name.split(b"\0")[0].decode("utf-8", "replace")),
        vendor,
        device,
        version_text(api),
        driver_version_text("NVIDIA_PROPRIETARY" if nvidia else "", driver),
        tuple(
            MemoryType(i, heap, _flags(flags))
            for i, (flags, heap) in enumerate(struct.iter_unpack("<II", types))
            if i < type_count
        ),
        tuple(
            MemoryHeap(i, size, bool(flags & _DEVICE_LOCAL_HEAP))
            for i, (size, flags) in enumerate(struct.iter_unpack("<QI4x", heaps))
            if i < heap_count
        ),
        bool(placed),
        bool(reserve),
    )


def _flags(bits: int) -> tuple[str, ...]:
    return tuple(name for i, name in enumerate(rules.FLAGS) if bits >> i & 1)

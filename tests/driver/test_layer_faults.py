"""Each fault of the test layer's catalogue does what its description says."""

import os
import signal
import threading
import time
from functools import partial

import pytest
import vulkan as vk
from layer_device import (
    DEVICE_LOST,
    MAP_FAILED,
    PAGE,
    PLACED,
    Device,
    PlacedFeatures,
    catalogue,
    chain,
    extensions,
    leaked_mappings,
    permissions,
    physical_device,
    placed_device,
    read,
    run,
    take_range,
    write,
)

from vkmapctl.native import Refusal, refuse_maps

DEATHS = {
    "map-hangs": None,
    "map-crashes": -signal.SIGSEGV,
    "map-aborts": -signal.SIGABRT,
    "init-crashes": -signal.SIGSEGV,
    "enumerate-crashes": -signal.SIGSEGV,
}
EFFECTS = {}


def shows(fault):
    def register(case):
        EFFECTS[fault] = case
        return case

    return register


@shows("map-fails")
def map_fails():
    device, memory, address = placed_device()
    assert device.map(memory) == device.map(memory, suffix="") == device.map(memory, address) == MAP_FAILED


@shows("place-elsewhere")
def place_elsewhere():
    device, memory, address = placed_device()
    pointer = device.map(memory, address)
    assert pointer not in (address, MAP_FAILED)
    assert read(address, 1) == b"\xab"


def placed_and_written():
    device, memory, address = placed_device()
    device.map(memory, address)
    write(address, b"hello")
    return device, memory, address


def reserve_once():
    device, memory, address = placed_and_written()
    return device, memory, address, device.unmap(memory, reserve=True)


@shows("reserve-lets-go")
def reserve_lets_go():
    _, _, address, result = reserve_once()
    assert result == 0
    assert permissions(address) is None


@shows("reserve-fails")
def reserve_fails():
    device, memory, address, result = reserve_once()
    assert result == MAP_FAILED
    assert read(address) == b"hello"
    assert device.unmap(memory) == 0
    assert permissions(address) is None


@shows("reserve-lies")
def reserve_lies():
    device, memory, address, result = reserve_once()
    assert result == MAP_FAILED
    assert permissions(address) is None
    assert device.unmap(memory) == 0


@shows("reserve-keeps")
def reserve_keeps():
    device, memory, address, result = reserve_once()
    assert result == 0
    assert read(address) == b"hello"
    assert read(device.map(memory)) == b"hello"


def while_refused(refusal, call):
    """call() in a thread that the kernel refuses so. It does not end: a sanitizer maps something at a thread's end."""
    found, done = [], threading.Event()

    def work():
        found.append(refuse_maps(refusal) and call())
        done.set()
        threading.Event().wait()

    threading.Thread(target=work, daemon=True).start()
    done.wait()
    return found[0]


@shows("reserve-ignored")
def reserve_ignored():
    for refusal in (Refusal.FIXED, Refusal.INACCESSIBLE):
        device, memory, address = placed_and_written()
        assert while_refused(refusal, partial(device.unmap, memory, reserve=True)) == 0
        assert permissions(address) == "rw-s"
        write(device.map(memory), b"later")
        assert read(address) == b"later"
    *_, address, result = reserve_once()
    assert (result, permissions(address)) == (0, "---p"), "not refused"


@shows("reserve-ignores-none")
def reserve_ignores_none():
    device, memory, address = placed_and_written()
    for refusal, result in ((Refusal.FIXED, MAP_FAILED), (Refusal.INACCESSIBLE, 0)):
        assert while_refused(refusal, partial(device.unmap, memory, reserve=True)) == result
        assert permissions(address) == "rw-s"
    *_, address, result = reserve_once()
    assert (result, permissions(address)) == (0, "---p"), "not refused"


@shows("unmap-keeps")
def unmap_keeps():
    device, memory, address = placed_device()
    for place in (address, None):
        pointer = device.map(memory, place)
        assert device.unmap(memory) == 0
        assert permissions(pointer) == "rw-s"
        write(device.map(memory), b"later")
        assert read(pointer) == b"later"
        device.unmap(memory)


@shows("unmap2-fails")
def unmap2_fails():
    device, memory, _ = placed_device()
    pointer = device.map(memory)
    assert device.unmap(memory) == MAP_FAILED
    assert permissions(pointer) == "rw-s"


def contents_after_unmap():
    """64 bytes of 0xFF, mapped again after an unmap. Works on the driver's own maps too."""
    device = Device(names=["VK_KHR_map_memory2"])
    memory = device.allocate(64)
    write(device.map(memory), b"\xff" * 64)
    device.unmap(memory)
    return read(device.map(memory), 64)


@shows("contents-lost")
def contents_lost():
    assert contents_after_unmap() == bytes(64)


@shows("bit-flip")
def bit_flip():
    assert int.from_bytes(contents_after_unmap(), "big").bit_count() == 64 * 8 - 1


@shows("misaligned-pointer")
def misaligned_pointer():
    device, memory, address = placed_device()
    assert device.map(memory) % 64 == 8
    device.unmap(memory)
    assert device.map(memory, address) == address + 8


@shows("map2-ignores-offset")
def map2_ignores_offset():
    device, memory, _ = placed_device()
    write(device.map(memory), b"hello" * 2)
    device.unmap(memory)
    pointer = device.map(memory, offset=1, size=5)
    assert read(pointer) == b"hello"
    device.unmap(memory)
    assert read(device.map(memory, offset=1, size=5, suffix="")) == b"elloh"


@shows("whole-size-short")
def whole_size_short():
    device, memory, address = placed_device()
    for place in (None, address):
        pointer = device.map(memory, place)
        assert [permissions(pointer + page * PAGE) for page in range(4)] == ["rw-s", "rw-s", "rw-s", "---s"]
        device.unmap(memory)


@shows("tramples-neighbours")
def tramples_neighbours():
    device, memory, address = placed_device()
    device.map(memory, address)
    assert (read(address - 1, 1), read(address + 4 * PAGE, 1)) == (b"\0", b"\0")


@shows("place-replaces-64k")
def place_replaces_64k():
    device = Device()
    memory, base = device.allocate(2 * PAGE), take_range(1 << 18)
    device.map(memory, base)
    assert read(base - 1, 1) == b"\xab"
    assert (read(base + 2 * PAGE, 1), read(base + (64 << 10) - 1, 1)) == (b"\0", b"\0")
    assert read(base + (64 << 10), 1) == b"\xab"


@shows("first-place-refused")
def first_place_refused():
    device, memory, address = placed_device()
    assert device.map(memory, address) == MAP_FAILED
    assert permissions(address) == "rw-p"
    device.map(memory)
    device.unmap(memory)
    assert device.map(memory, address) == address


@shows("place-sticks")
def place_sticks():
    device, memory, first = placed_device()
    second = take_range(4 * PAGE)
    assert device.map(memory, first) == first
    device.unmap(memory, reserve=True)
    assert device.map(memory, second) == first
    assert permissions(second) == "rw-p"


@shows("refused-map-null")
def refused_map_null():
    device, memory, address = placed_device()
    assert device.map(memory, 2**60) is None
    assert device.unmap(memory) == 0
    assert device.map(memory, address) == address


@shows("large-maps-fail")
def large_maps_fail():
    device = Device()
    memory, larger = device.allocate(64 << 20), device.allocate((64 << 20) + PAGE)
    assert device.map(larger) == MAP_FAILED
    assert device.map(memory) != MAP_FAILED
    assert device.map(larger, offset=PAGE) != MAP_FAILED


@shows("parallel-maps-collide")
def parallel_maps_collide():
    device, pointers = Device(), []
    memories = [device.allocate(PAGE) for _ in range(8)]
    threads = [threading.Thread(target=lambda one=one: pointers.append(device.map(one))) for one in memories]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pointers)) < len(memories)
    alone = device.allocate(PAGE)
    assert device.map(alone) not in pointers


@shows("fork-disturbs")
def fork_disturbs():
    device, memory, _ = placed_device()
    pointer = device.map(memory)
    device.unmap(memory)
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    assert pointer != MAP_FAILED
    assert device.map(memory) == MAP_FAILED


@shows("free-keeps")
def free_keeps():
    device, memory, address = placed_device()
    device.map(memory, address)
    device.free(memory)
    assert permissions(address) == "rw-s"


@shows("free-releases")
def free_releases():
    device, memory, address = placed_device()
    device.map(memory, address)
    device.unmap(memory, reserve=True)
    device.map(memory)
    assert permissions(address) == "---p"
    device.free(memory)
    assert permissions(address) is None


@shows("shared-address")
def shared_address():
    device, first, _ = placed_device()
    pointer = device.map(first)
    second = device.allocate(PAGE)
    assert device.map(second) == pointer
    assert device.unmap(first) == device.unmap(second) == 0
    assert permissions(pointer) is None


@shows("map-sleeps")
def map_sleeps():
    device, memory, _ = placed_device()
    start = time.monotonic()
    device.map(memory)
    assert time.monotonic() - start >= 0.05


@shows("device-lost")
def device_lost():
    device, memory, _ = placed_device()
    assert device.map(memory) == DEVICE_LOST
    with pytest.raises(vk.VkErrorDeviceLost):
        vk.vkQueueWaitIdle(vk.vkGetDeviceQueue(device.device, 0, 0))


@shows("leak")
def leak():
    device, memory, _ = placed_device()
    before = leaked_mappings()
    for _ in range(100):
        device.map(memory)
        device.unmap(memory)
    assert leaked_mappings() == before + 100


@shows("features-unfilled")
def features_unfilled():
    physical = physical_device()
    features = PlacedFeatures(1000272000, None, 7, 7, 7)
    vk.vkGetPhysicalDeviceFeatures2(physical, vk.VkPhysicalDeviceFeatures2(pNext=chain(features)))
    assert PLACED in extensions(physical)
    assert (features.placed, features.range_placed, features.reserve) == (7, 7, 7)


@shows("entry-point-null")
def entry_point_null():
    device = Device()
    assert not any(device.address_of(f"vk{verb}Memory2{suffix}") for verb in ("Map", "Unmap") for suffix in ("", "KHR"))
    assert device.address_of("vkMapMemory")


@shows("out-of-memory")
def out_of_memory():
    with pytest.raises(vk.VkErrorOutOfDeviceMemory):
        Device().allocate(PAGE)


def test_every_fault_is_covered():
    assert EFFECTS.keys() | DEATHS.keys() == catalogue().keys()
    assert all(catalogue().values())


@pytest.mark.parametrize("fault", EFFECTS)
def test_effect(fault):
    assert run(EFFECTS[fault], VKMAPCTL_LAYER_FAULT=fault, VKMAPCTL_LAYER_SLEEP_US="50000") == 0


def map_once():
    device, memory, _ = placed_device()
    device.map(memory)


@pytest.mark.parametrize("fault", DEATHS)
def test_death(fault):
    assert run(map_once, timeout=2, VKMAPCTL_LAYER_FAULT=fault) == DEATHS[fault]


@pytest.mark.parametrize("fault", ["contents-lost", "bit-flip"])
def test_effect_on_maps_of_the_driver(fault):
    assert run(EFFECTS[fault], emulate="none", VKMAPCTL_LAYER_FAULT=fault) == 0


def fails_every_third_map():
    device, memory, _ = placed_device()
    results = []
    for _ in range(6):
        results.append(device.map(memory) == MAP_FAILED)
        device.unmap(memory)
    assert results == [False, False, True] * 2


def test_period():
    assert run(fails_every_third_map, VKMAPCTL_LAYER_FAULT="map-fails:3") == 0

"""What the test layer emulates, over lavapipe."""

import os
import threading

import pytest
import vulkan as vk
from layer_device import (
    MAP_FAILED,
    PAGE,
    PLACED,
    WHOLE,
    Device,
    PlacedFeatures,
    PlacedProperties,
    chain,
    create_instance,
    extensions,
    mappings_and_files,
    permissions,
    physical_device,
    placed_device,
    read,
    run,
    take_range,
    write,
)


def advertises():
    physical = physical_device()
    features, properties = PlacedFeatures(1000272000, None, 7, 7, 7), PlacedProperties(1000272001)
    vk.vkGetPhysicalDeviceFeatures2(physical, vk.VkPhysicalDeviceFeatures2(pNext=chain(features)))
    vk.lib.vkGetPhysicalDeviceProperties2(
        physical,
        vk.ffi.new(
            "VkPhysicalDeviceProperties2 *",
            {"sType": vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, "pNext": chain(properties)},
        ),
    )
    range_placed = os.environ["VKMAPCTL_LAYER_EMULATE"] == "range"
    assert extensions(physical).count(PLACED) == 1
    assert (features.placed, features.range_placed, features.reserve) == (1, range_placed, 1)
    assert properties.alignment == PAGE


def keeps_contents_from_place_to_place():
    device, memory, first = placed_device()
    second = take_range(4 * PAGE)
    assert device.map(memory, first) == first
    write(first, b"hello")
    assert device.unmap(memory, reserve=True) == 0
    assert device.map(memory, second, size=4 * PAGE, suffix="2KHR") == second
    assert read(second) == b"hello"
    assert (read(second - 1, 1), read(second + 4 * PAGE, 1)) == (b"\xab", b"\xab")
    assert device.unmap(memory, suffix="2KHR") == 0
    pointer = device.map(memory, suffix="")
    assert pointer != first
    assert read(pointer) == b"hello"
    device.unmap(memory, suffix="")


def reserves():
    device, memory, address = placed_device()
    for place in (address, None):
        pointer = device.map(memory, place)
        assert device.unmap(memory, reserve=True) == 0
        assert permissions(pointer) == permissions(pointer + 3 * PAGE) == "---p"


def maps_odd_offsets():
    device, memory, address = placed_device()
    for suffix in ("", "2", "2KHR"):
        whole = device.map(memory, suffix=suffix)
        write(whole + 5001, b"hello")
        device.unmap(memory, suffix=suffix)
        pointer = device.map(memory, offset=5001, size=5, suffix=suffix)
        assert (pointer - 5001) % 64 == 0
        assert read(pointer) == b"hello"
        device.unmap(memory, suffix=suffix)
    assert device.map(memory, address, offset=PAGE, size=PAGE) == MAP_FAILED, "the range feature is off"


def places_ranges():
    device, memory, address = placed_device(range_placed=True)
    whole = device.map(memory)
    write(whole + 2 * PAGE, b"hello")
    device.unmap(memory)
    assert device.map(memory, address, offset=2 * PAGE, size=PAGE) == address
    assert read(address) == b"hello"
    assert read(address + PAGE, 1) == b"\xab"


def refuses_what_cannot_be_placed():
    device, memory, address = placed_device()
    assert device.map(memory, address + 1) == device.map(memory, 2**60) == MAP_FAILED
    assert device.map(memory, address) == address


def fills_from_the_device():
    device, memory, address = placed_device()
    handle = device.device
    buffer = vk.vkCreateBuffer(
        handle, vk.VkBufferCreateInfo(size=PAGE, usage=vk.VK_BUFFER_USAGE_TRANSFER_DST_BIT), None
    )
    vk.vkBindBufferMemory(handle, buffer, vk.ffi.cast("VkDeviceMemory", memory), 0)
    pool = vk.vkCreateCommandPool(handle, vk.VkCommandPoolCreateInfo(queueFamilyIndex=0), None)
    commands = vk.vkAllocateCommandBuffers(
        handle, vk.VkCommandBufferAllocateInfo(commandPool=pool, commandBufferCount=1)
    )[0]
    vk.vkBeginCommandBuffer(commands, vk.VkCommandBufferBeginInfo())
    vk.vkCmdFillBuffer(commands, buffer, 0, PAGE, 0x6C6C6568)
    vk.vkEndCommandBuffer(commands)
    queue = vk.vkGetDeviceQueue(handle, 0, 0)
    device.map(memory, address)
    vk.vkQueueSubmit(queue, 1, [vk.VkSubmitInfo(pCommandBuffers=[commands])], vk.VK_NULL_HANDLE)
    vk.vkQueueWaitIdle(queue)
    mapped = vk.VkMappedMemoryRange(memory=vk.ffi.cast("VkDeviceMemory", memory), size=WHOLE)
    vk.vkInvalidateMappedMemoryRanges(handle, 1, [mapped])
    assert read(address, 8) == b"hellhell"


def leaves_nothing_behind():
    device, _, address = placed_device()

    def cycle(number):
        memory = device.allocate(4 * PAGE - 100)
        device.map(memory, address if number % 2 else None)
        if number % 3:
            device.unmap(memory, reserve=number % 2)
        device.free(memory)

    for number in range(6):
        cycle(number)
    mappings, files = mappings_and_files()
    for number in range(1000):
        cycle(number)
    mappings_after, files_after = mappings_and_files()
    assert files_after == files
    assert mappings_after < mappings + 10, "the interpreter may map a little itself"


def starts_again():
    for _ in range(3):
        device, memory, address = placed_device()
        assert device.map(memory, address) == address
        device.free(memory)
        device.close()


def maps_from_two_threads():
    device = Device()
    failures = []

    def work(text):
        memory, address = device.allocate(PAGE), take_range(PAGE)
        for number in range(500):
            placed = device.map(memory, address) == address
            if not placed or (number and read(address) != text):
                failures.append(number)
            write(address, text)
            device.unmap(memory, reserve=True)

    threads = [threading.Thread(target=work, args=(text,)) for text in (b"first", b"other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize(
    "case",
    [
        advertises,
        keeps_contents_from_place_to_place,
        reserves,
        maps_odd_offsets,
        refuses_what_cannot_be_placed,
        fills_from_the_device,
        leaves_nothing_behind,
        starts_again,
        maps_from_two_threads,
    ],
)
def test_emulation(case):
    assert run(case) == 0


@pytest.mark.parametrize("case", [advertises, places_ranges])
def test_range_emulation(case):
    assert run(case, emulate="range") == 0


def enabling_range_fails():
    with pytest.raises(vk.VkErrorFeatureNotPresent):
        Device(range_placed=True)


def test_range_is_refused_unless_asked_for():
    assert run(enabling_range_fails) == 0


def lists_into_short_array():
    physical = physical_device()
    listed = len(extensions(physical))
    for room, result in ((listed - 1, vk.VK_INCOMPLETE), (listed, vk.VK_SUCCESS)):
        count = vk.ffi.new("uint32_t *", room)
        array = vk.ffi.new("VkExtensionProperties[]", listed)
        assert vk.lib.vkEnumerateDeviceExtensionProperties(physical, vk.ffi.NULL, count, array) == result
        assert count[0] == room


def test_listing_into_a_short_array_is_incomplete():
    assert run(lists_into_short_array) == 0


def passes_through():
    assert PLACED not in extensions(physical_device())
    device = Device(names=["VK_KHR_map_memory2"])
    memory = device.allocate(PAGE)
    pointer = device.map(memory)
    write(pointer, b"hello")
    assert device.unmap(memory) == 0
    assert read(device.map(memory, suffix="")) == b"hello"


def test_passthrough_without_emulation():
    assert run(passes_through, emulate="none") == 0


def resolves_as_the_driver_does():
    core, old = Device(names=[PLACED]), Device(minor=1)
    assert core.address_of("vkMapMemory2")
    assert not core.address_of("vkMapMemory2KHR")
    assert old.address_of("vkUnmapMemory2KHR")
    assert not old.address_of("vkUnmapMemory2")


def test_entry_points_are_those_of_the_driver():
    assert run(resolves_as_the_driver_does) == 0


def creating_an_instance_fails():
    with pytest.raises(vk.VkErrorInitializationFailed):
        create_instance()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VKMAPCTL_LAYER_FAULT", "no-such-fault"),
        ("VKMAPCTL_LAYER_FAULT", "leak:0"),
        ("VKMAPCTL_LAYER_EMULATE", "all"),
        ("VKMAPCTL_LAYER_SLEEP_US", "long"),
    ],
)
def test_bad_settings_are_refused(variable, value, capfd):
    assert run(creating_an_instance_fails, **{variable: value}) == 0
    assert f"VK_LAYER_VKMAPCTL_test: {variable}={value}: " in capfd.readouterr().err

"""The least Vulkan program that maps memory. Each call's result is a line of JSON in a file, so a death has a place.

Usage: client.py FILE [v1|khr|core]. It knows nothing of vkmapctl, and ends as programs do, by exit(3).
"""

import json
import sys
import time
from itertools import pairwise

import vulkan as vk

ffi, lib = vk.ffi, vk.lib
MAP_MEMORY2 = "VK_KHR_map_memory2"


def say(name, value):
    with open(sys.argv[1], "a") as report:
        report.write(json.dumps([name, value]) + "\n")


def address(pointer):
    return int(ffi.cast("uintptr_t", pointer))


def check(name, result):
    say(name, result)
    if result < 0:
        sys.exit(1)


def create_instance():
    application = ffi.new("VkApplicationInfo *", {"sType": 0, "apiVersion": vk.VK_MAKE_VERSION(1, 4, 0)})
    info = ffi.new("VkInstanceCreateInfo *", {"sType": 1, "pApplicationInfo": application})
    instance = ffi.new("VkInstance *")
    check("vkCreateInstance", lib.vkCreateInstance(info, ffi.NULL, instance))
    return instance[0]


def enumerate_devices(instance):
    count = ffi.new("uint32_t *")
    check("vkEnumeratePhysicalDevices", lib.vkEnumeratePhysicalDevices(instance, count, ffi.NULL))
    devices = ffi.new("VkPhysicalDevice[]", max(count[0], 1))
    check("vkEnumeratePhysicalDevices", lib.vkEnumeratePhysicalDevices(instance, count, devices))
    say("devices", count[0])
    return devices[0] if count[0] else sys.exit(0)


def plain(value):
    """A C value as JSON has it; bytes as hexadecimal digits."""
    kind = ffi.typeof(value) if isinstance(value, ffi.CData) else None
    if kind is None:
        return value
    if kind.kind == "array":
        if kind.item.cname in ("char", "uint8_t"):
            return bytes(ffi.buffer(value)).hex()
        return [plain(one) for one in value]
    return {name: plain(getattr(value, name)) for name, _ in kind.fields if name != "pNext"}


def describe(physical):
    first = ffi.new("VkPhysicalDeviceProperties *")
    lib.vkGetPhysicalDeviceProperties(physical, first)
    say("properties of 1.0", plain(first[0]))
    chain = [
        ffi.new(f"VkPhysicalDevice{name} *", {"sType": kind})
        for name, kind in (
            ("Properties2", 1000059001), ("DriverProperties", 1000196000), ("IDProperties", 1000071004),
            ("Maintenance3Properties", 1000168000), ("Vulkan11Properties", 50), ("Vulkan12Properties", 52),
        )
    ]  # fmt: skip
    linked(chain)
    lib.vkGetPhysicalDeviceProperties2(physical, chain[0])
    for one in chain:
        say(ffi.typeof(one).item.cname.rpartition("VkPhysicalDevice")[2], plain(one[0]))
    memory = ffi.new("VkPhysicalDeviceMemoryProperties *")
    lib.vkGetPhysicalDeviceMemoryProperties(physical, memory)
    say("memory of 1.0", plain(memory[0]))
    memory2 = ffi.new("VkPhysicalDeviceMemoryProperties2 *", {"sType": 1000059006})
    budget = ffi.new("VkPhysicalDeviceMemoryBudgetPropertiesEXT *", {"sType": 1000237000})
    linked([memory2, budget])
    lib.vkGetPhysicalDeviceMemoryProperties2(physical, memory2)
    say("memory", plain(memory2.memoryProperties))
    say("budget", plain(budget[0]))
    count = ffi.new("uint32_t *")
    lib.vkEnumerateDeviceExtensionProperties(physical, ffi.NULL, count, ffi.NULL)
    found = ffi.new("VkExtensionProperties[]", count[0])
    lib.vkEnumerateDeviceExtensionProperties(physical, ffi.NULL, count, found)
    say("extensions", [ffi.string(one.extensionName).decode() for one in found])


def linked(chain):
    for one, behind in pairwise(chain):
        one.pNext = behind


def create_device(physical):
    priority = ffi.new("float *", 1.0)
    queue = {"sType": 2, "queueCount": 1, "pQueuePriorities": priority}
    queues = ffi.new("VkDeviceQueueCreateInfo *", queue)
    name = ffi.new("char[]", MAP_MEMORY2.encode())
    names = ffi.new("char *[]", [name])
    info = {"sType": 3, "queueCreateInfoCount": 1, "pQueueCreateInfos": queues, "enabledExtensionCount": 1}
    device = ffi.new("VkDevice *")
    created = ffi.new("VkDeviceCreateInfo *", info | {"ppEnabledExtensionNames": names})
    check("vkCreateDevice", lib.vkCreateDevice(physical, created, ffi.NULL, device))
    return device[0]


def map_once(device, way):
    suffix = {"v1": "", "khr": "2KHR", "core": "2"}[way]
    found = {
        name: lib.vkGetDeviceProcAddr(device, name.encode())
        for name in (f"vkMapMemory{suffix}", f"vkUnmapMemory{suffix}")
    }
    say("found", {name: bool(pointer) for name, pointer in found.items()})
    map_it, unmap_it = found.values()
    memory, data = ffi.new("VkDeviceMemory *"), ffi.new("void **", ffi.cast("void *", 1))
    allocate = ffi.new("VkMemoryAllocateInfo *", {"sType": 5, "allocationSize": 4096})
    check("vkAllocateMemory", lib.vkAllocateMemory(device, allocate, ffi.NULL, memory))
    before = time.monotonic()
    if way == "v1":
        result = ffi.cast("PFN_vkMapMemory", map_it)(device, memory[0], 0, 4096, 0, data)
    else:
        info = ffi.new("VkMemoryMapInfoKHR *", {"sType": 1000271000, "memory": memory[0], "size": 4096})
        result = ffi.cast("PFN_vkMapMemory2KHR", map_it)(device, info, data)
    say("seconds", time.monotonic() - before)
    say("pointer", address(data[0]))
    check("map", result)
    if way == "v1":
        ffi.cast("PFN_vkUnmapMemory", unmap_it)(device, memory[0])
    else:
        unmap = ffi.new("VkMemoryUnmapInfoKHR *", {"sType": 1000271001, "memory": memory[0]})
        check("unmap", ffi.cast("PFN_vkUnmapMemory2KHR", unmap_it)(device, unmap))
    lib.vkFreeMemory(device, memory[0], ffi.NULL)


def main():
    instance = create_instance()
    physical = enumerate_devices(instance)
    describe(physical)
    device = create_device(physical)
    map_once(device, sys.argv[2])
    lib.vkDestroyDevice(device, ffi.NULL)
    say("vkDestroyDevice", 0)
    lib.vkDestroyInstance(instance, ffi.NULL)
    say("vkDestroyInstance", 0)


main()

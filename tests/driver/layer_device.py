"""Drives the test layer over lavapipe: children with its settings, devices with raw map and unmap calls."""

import ctypes
import faulthandler
import mmap
import multiprocessing
import os
import pathlib

import vulkan as vk

import vkmapctl

PACKAGE = pathlib.Path(vkmapctl.__file__).parent
LAYER = "VK_LAYER_VKMAPCTL_test"
PLACED = "VK_EXT_map_memory_placed"
PAGE = mmap.PAGESIZE
WHOLE = 2**64 - 1
DEVICE_LOST, MAP_FAILED = -4, -5
U32, U64, POINTER = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = POINTER
libc.mmap.argtypes = [POINTER, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def structure(name, **fields):
    head = [("sType", U32), ("pNext", POINTER)]
    return type(name, (ctypes.Structure,), {"_fields_": head + list(fields.items())})


MapInfo = structure("MapInfo", flags=U32, memory=U64, offset=U64, size=U64)
PlacedInfo = structure("PlacedInfo", address=POINTER)
UnmapInfo = structure("UnmapInfo", flags=U32, memory=U64)
PlacedFeatures = structure("PlacedFeatures", placed=U32, range_placed=U32, reserve=U32)
PlacedProperties = structure("PlacedProperties", alignment=U64)


def run(case, emulate="placed", timeout=30, **settings):
    """Runs case() in a child, since the layer reads its settings once. None: it hung."""

    def child():
        os.environ["VK_LOADER_DRIVERS_SELECT"] = "*lvp*"
        os.environ["VK_LAYER_PATH"] = str(PACKAGE / "layer")
        os.environ["VKMAPCTL_LAYER_EMULATE"] = emulate
        os.environ.update(settings)
        faulthandler.disable()
        case()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    return process.exitcode


def chain(struct):
    return vk.ffi.cast("void *", ctypes.addressof(struct))


def create_instance(minor=4):
    app = vk.VkApplicationInfo(apiVersion=vk.VK_MAKE_VERSION(1, minor, 0))
    info = vk.VkInstanceCreateInfo(pApplicationInfo=app, ppEnabledLayerNames=[LAYER])
    return vk.vkCreateInstance(info, None)


def physical_device(instance=None):
    return vk.vkEnumeratePhysicalDevices(instance or create_instance())[0]


def extensions(physical):
    return [extension.extensionName for extension in vk.vkEnumerateDeviceExtensionProperties(physical, None)]


class Device:
    def __init__(self, names=("VK_KHR_map_memory2", PLACED), range_placed=False, minor=4):
        queue = vk.VkDeviceQueueCreateInfo(queueFamilyIndex=0, pQueuePriorities=[1.0])
        features = PlacedFeatures(1000272000, None, 1, range_placed, 1)
        next_struct = chain(features) if PLACED in names else None
        info = vk.VkDeviceCreateInfo(pNext=next_struct, pQueueCreateInfos=[queue], ppEnabledExtensionNames=list(names))
        self.instance = create_instance(minor)
        self.device = vk.vkCreateDevice(physical_device(self.instance), info, None)
        self.handle = int(vk.ffi.cast("uintptr_t", self.device))

    def close(self):
        vk.vkDestroyDevice(self.device, None)
        vk.vkDestroyInstance(self.instance, None)

    def address_of(self, name):
        return int(vk.ffi.cast("uintptr_t", vk.lib.vkGetDeviceProcAddr(self.device, name.encode())))

    def call(self, name, *arguments, types=(POINTER, POINTER), result=ctypes.c_int32):
        return ctypes.CFUNCTYPE(result, U64, *types)(self.address_of(name))(self.handle, *arguments)

    def allocate(self, size):
        memory = vk.vkAllocateMemory(self.device, vk.VkMemoryAllocateInfo(allocationSize=size, memoryTypeIndex=0), None)
        return int(vk.ffi.cast("uintptr_t", memory))

    def free(self, memory):
        vk.vkFreeMemory(self.device, vk.ffi.cast("VkDeviceMemory", memory), None)

    def map(self, memory, address=None, offset=0, size=WHOLE, suffix="2"):
        pointer = POINTER()
        if not suffix:
            types = (U64, U64, U64, U32, POINTER)
            result = self.call("vkMapMemory", memory, offset, size, 0, ctypes.addressof(pointer), types=types)
        else:
            placed = PlacedInfo(1000272002, None, address)
            info = MapInfo(1000271000, ctypes.addressof(placed), address is not None, memory, offset, size)
            result = self.call("vkMapMemory" + suffix, ctypes.addressof(info), ctypes.addressof(pointer))
        return pointer.value if result == 0 else result

    def unmap(self, memory, reserve=False, suffix="2"):
        if not suffix:
            return self.call("vkUnmapMemory", memory, types=(U64,), result=None)
        info = UnmapInfo(1000271001, None, reserve, memory)
        return self.call("vkUnmapMemory" + suffix, ctypes.addressof(info), types=(POINTER,))


def take_range(size):
    """The middle of a fresh range of three times the size, filled with 0xAB."""
    base = libc.mmap(None, 3 * size, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    ctypes.memset(base, 0xAB, 3 * size)
    return base + size


def write(pointer, text):
    ctypes.memmove(pointer, text, len(text))


def read(pointer, size=5):
    return ctypes.string_at(pointer, size)


def permissions(address):
    """What /proc/self/maps says of the page at the address, None if nothing is there."""
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            return line.split()[1]
    return None


def leaked_mappings():
    """How many pages of shared anonymous memory stand, which the layer alone takes here: the kernel calls them so."""
    return pathlib.Path("/proc/self/maps").read_text().count("/dev/zero (deleted)")


def mappings_and_files():
    return len(pathlib.Path("/proc/self/maps").read_text().splitlines()), len(os.listdir("/proc/self/fd"))


def catalogue():
    library = ctypes.CDLL(str(PACKAGE / "_layer.abi3.so"))
    library.vkmapctl_layer_faults.restype = ctypes.c_char_p
    return dict(line.split("\t") for line in library.vkmapctl_layer_faults().decode().splitlines())


def placed_device(size=4 * PAGE, **options):
    device = Device(**options)
    return device, device.allocate(size), take_range(size)

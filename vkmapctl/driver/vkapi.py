"""The only module that imports `vulkan`: instances, devices and memory, as plain data and integers.

The binding knows Vulkan 1.3.275. What it lacks is declared here: the 1.4 names, and the structures of
VK_EXT_map_memory_placed (vk.xml; layouts as on every LP64 system). Its wrappers are passed by in favour of the
raw functions, because they raise without the VkResult and cannot express VK_WHOLE_SIZE.
"""

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any, Literal

from vkmapctl.driver.whereabouts import at
from vkmapctl.errors import CallFailed, Unsupported
from vkmapctl.model import MAP_CALLS, Api, Device, EntryPoint, Limits, MemoryHeap, MemoryType, Placed, TestLayer


class _Binding:
    """What this module uses of the package: `ffi`, `lib`, and the constants, which the library object knows too."""

    def __init__(self, ffi: Any) -> None:
        self.ffi, self.lib = ffi, ffi.dlopen("libvulkan.so.1")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lib, name)


def _binding() -> Any:
    """The package's declarations without its wrappers: 22,000 lines that no one here calls, and 20 ms of each start.

    Loaded under its own name, so that the package shares it; the package as a whole where it is laid out otherwise.
    """
    name = "vulkan._vulkancache"
    package = PathFinder.find_spec("vulkan")
    spec = PathFinder.find_spec(name, package.submodule_search_locations) if package else None
    if spec is None or spec.loader is None or name in sys.modules:
        import vulkan

        return vulkan
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return _Binding(module.ffi)


try:
    vk = _binding()
except OSError as error:
    raise Unsupported(
        "no Vulkan loader (libvulkan.so.1) on this machine",
        "Debian, Ubuntu: apt install libvulkan1, and mesa-vulkan-drivers or your GPU's driver",
        "Fedora: dnf install vulkan-loader; Arch: pacman -S vulkan-icd-loader",
    ) from error

API_1_4 = 1 << 22 | 4 << 12
WHOLE_SIZE = (1 << 64) - 1
MAP_MEMORY2 = "VK_KHR_map_memory2"
MAP_PLACED = "VK_EXT_map_memory_placed"
MEMORY_BUDGET = "VK_EXT_memory_budget"
PCI_BUS_INFO = "VK_EXT_pci_bus_info"
EXTERNAL_MEMORY_HOST = "VK_EXT_external_memory_host"
SHOWN_EXTENSIONS = (MAP_MEMORY2, MAP_PLACED, MEMORY_BUDGET, PCI_BUS_INFO, EXTERNAL_MEMORY_HOST)
TEST_LAYER = "VK_LAYER_VKMAPCTL_test"
_LAYER_FOLDERS = tuple(f"{root}/vulkan/explicit_layer.d" for root in ("/usr/local/share", "/usr/share", "/etc"))

_PLACED_FEATURES, _PLACED_PROPERTIES = 1000272000, 1000272001
_UNFILLED = 0xA5A5A5A5
_FLAG_NAMES = ("De", "Vi", "Co", "Ca", "La", "Pr", "Dc", "Du", "Rd")
_TYPE_NAMES = ("other", "integrated", "discrete", "virtual", "cpu")
_RESULTS: dict[int, str] = vk.ffi.typeof("VkResult").elements
_DRIVER_IDS: dict[int, str] = vk.ffi.typeof("VkDriverId").elements


class _PlacedFeatures(ctypes.Structure):
    """VkPhysicalDeviceMapMemoryPlacedFeaturesEXT."""

    _fields_ = (
        ("sType", ctypes.c_uint32),
        ("pNext", ctypes.c_void_p),
        ("memoryMapPlaced", ctypes.c_uint32),
        ("memoryMapRangePlaced", ctypes.c_uint32),
        ("memoryUnmapReserve", ctypes.c_uint32),
    )


class _PlacedProperties(ctypes.Structure):
    """VkPhysicalDeviceMapMemoryPlacedPropertiesEXT."""

    _fields_ = (
        ("sType", ctypes.c_uint32),
        ("pNext", ctypes.c_void_p),
        ("minPlacedMemoryMapAlignment", ctypes.c_uint64),
    )


def result_name(result: int) -> str:
    """`VK_ERROR_MEMORY_MAP_FAILED` for -5; the number for one that the binding does not know."""
    return _RESULTS.get(result, f"VkResult {result}")


def check(call: str, result: int) -> None:
    """Raises CallFailed unless result is VK_SUCCESS."""
    if result:
        raise CallFailed(f"{call} failed: {result_name(result)}")


def _pointer(structure: ctypes.Structure) -> Any:
    return vk.ffi.cast("void *", ctypes.addressof(structure))


def _enumerate(call: str, item: str, *leading: Any) -> list[Any]:
    """The two-call idiom of vkEnumerate…."""
    at(call)
    function, count = getattr(vk.lib, call), vk.ffi.new("uint32_t *")
    check(call, function(*leading, count, vk.ffi.NULL))
    items = vk.ffi.new(f"{item}[]", max(count[0], 1))
    check(call, function(*leading, count, items))
    return [items[i] for i in range(count[0])]


def version_text(version: int) -> str:
    """`1.4.305`."""
    return f"{version >> 22 & 0x7F}.{version >> 12 & 0x3FF}.{version & 0xFFF}"


def driver_version_text(vendor_id: int, version: int) -> str:
    """VkPhysicalDeviceProperties::driverVersion, which each vendor packs its own way."""
    if vendor_id == 0x10DE:
        return f"{version >> 22}.{version >> 14 & 0xFF}.{version >> 6 & 0xFF}.{version & 0x3F}"
    return version_text(version)


def loader_version() -> str:
    """vkEnumerateInstanceVersion, such as `1.3.239`."""
    version = vk.ffi.new("uint32_t *")
    check("vkEnumerateInstanceVersion", vk.lib.vkEnumerateInstanceVersion(version))
    return version_text(version[0])


def layer_versions() -> dict[str, str]:
    """Layers that the loader offers, with the version of Vulkan each was written for."""
    layers = _enumerate("vkEnumerateInstanceLayerProperties", "VkLayerProperties")
    return {vk.ffi.string(layer.layerName).decode(): version_text(layer.specVersion) for layer in layers}


@contextmanager
def instance(layers: Sequence[str] = (), messages: Any = None) -> Iterator[Any]:
    """A VkInstance for Vulkan 1.4, whatever the loader's own version: devices then offer all they have.

    messages: a validation.Messages to which the validation layer's errors go.
    """
    ffi = vk.ffi
    application = ffi.new("VkApplicationInfo *")
    application.sType, application.apiVersion = vk.VK_STRUCTURE_TYPE_APPLICATION_INFO, API_1_4
    names = [ffi.new("char[]", layer.encode()) for layer in layers]
    name_list = ffi.new("char *[]", names or [ffi.NULL])
    info = ffi.new("VkInstanceCreateInfo *")
    info.sType, info.pApplicationInfo = vk.VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, application
    info.enabledLayerCount, info.ppEnabledLayerNames = len(names), name_list
    extension = ffi.new("char[]", b"VK_EXT_debug_utils")
    extensions = ffi.new("char *[]", [extension])
    if messages:
        info.pNext, info.enabledExtensionCount, info.ppEnabledExtensionNames = messages.info, 1, extensions
    handle = ffi.new("VkInstance *")
    at("vkCreateInstance")
    result = vk.lib.vkCreateInstance(info, ffi.NULL, handle)
    if result == vk.VK_ERROR_INCOMPATIBLE_DRIVER:
        raise Unsupported(
            "the Vulkan loader found no usable driver",
            "install a driver: mesa-vulkan-drivers has one for every CPU, a GPU's own comes with its package",
            "VK_DRIVER_FILES, VK_ICD_FILENAMES or VK_LOADER_DRIVERS_SELECT may hide it",
            "VK_LOADER_DEBUG=error,warn tells what the loader tried",
        )
    check("vkCreateInstance", result)
    messenger = messages.listen(handle[0]) if messages else None
    try:
        yield handle[0]
    finally:
        if messages:
            messages.stop(handle[0], messenger)
        vk.lib.vkDestroyInstance(handle[0], ffi.NULL)


def physical_devices(handle: Any) -> list[Any]:
    """VkPhysicalDevice handles in the loader's order."""
    return _enumerate("vkEnumeratePhysicalDevices", "VkPhysicalDevice", handle)


def placed_natively() -> list[bool]:
    """For each device, in order, whether its driver has placed maps of its own, without any layer of ours."""
    with instance() as plain:
        return [MAP_PLACED in _extensions(physical) for physical in physical_devices(plain)]


def _extensions(physical: Any) -> dict[str, int]:
    """All device extensions and their spec versions."""
    found = _enumerate("vkEnumerateDeviceExtensionProperties", "VkExtensionProperties", physical, vk.ffi.NULL)
    return {vk.ffi.string(one.extensionName).decode(): one.specVersion for one in found}


def _placed(physical: Any, emulated: bool) -> tuple[Placed, bool]:
    """The extension's features and limit, and whether the driver filled the feature structure at all."""
    features = _PlacedFeatures(_PLACED_FEATURES, None, _UNFILLED, _UNFILLED, _UNFILLED)
    query = vk.ffi.new("VkPhysicalDeviceFeatures2 *")
    query.sType, query.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, _pointer(features)
    vk.lib.vkGetPhysicalDeviceFeatures2(physical, query)
    limits = _PlacedProperties(_PLACED_PROPERTIES, None, 0)
    properties = vk.ffi.new("VkPhysicalDeviceProperties2 *")
    properties.sType, properties.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, _pointer(limits)
    vk.lib.vkGetPhysicalDeviceProperties2(physical, properties)
    placed = Placed(
        memory_map_placed=features.memoryMapPlaced == 1,
        memory_map_range_placed=features.memoryMapRangePlaced == 1,
        memory_unmap_reserve=features.memoryUnmapReserve == 1,
        min_placed_memory_map_alignment=limits.minPlacedMemoryMapAlignment or None,
        emulated=emulated,
    )
    return placed, features.memoryMapPlaced != _UNFILLED


def _memory(physical: Any, budget_known: bool) -> tuple[tuple[MemoryHeap, ...], tuple[MemoryType, ...]]:
    budget = vk.ffi.new("VkPhysicalDeviceMemoryBudgetPropertiesEXT *")
    budget.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT
    query = vk.ffi.new("VkPhysicalDeviceMemoryProperties2 *")
    query.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2
    if budget_known:
        query.pNext = budget
    vk.lib.vkGetPhysicalDeviceMemoryProperties2(physical, query)
    memory = query.memoryProperties
    heaps = tuple(
        MemoryHeap(
            index=i,
            size=memory.memoryHeaps[i].size,
            device_local=bool(memory.memoryHeaps[i].flags & vk.VK_MEMORY_HEAP_DEVICE_LOCAL_BIT),
            budget=budget.heapBudget[i] if budget_known else None,
            usage=budget.heapUsage[i] if budget_known else None,
        )
        for i in range(memory.memoryHeapCount)
    )
    types = tuple(
        MemoryType(
            index=i,
            heap=memory.memoryTypes[i].heapIndex,
            flags=tuple(name for bit, name in enumerate(_FLAG_NAMES) if memory.memoryTypes[i].propertyFlags >> bit & 1),
        )
        for i in range(memory.memoryTypeCount)
    )
    return heaps, types


def describe(index: int, physical: Any, *, emulated: bool = False) -> tuple[Device, bool]:
    """A physical device as plain data, and whether its placed features were filled by the driver."""
    ffi = vk.ffi
    extensions = _extensions(physical)
    at("vkGetPhysicalDeviceProperties2")
    pci = ffi.new("VkPhysicalDevicePCIBusInfoPropertiesEXT *")
    pci.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT
    driver = ffi.new("VkPhysicalDeviceDriverProperties *")
    driver.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES
    driver.pNext = pci if PCI_BUS_INFO in extensions else ffi.NULL
    ids = ffi.new("VkPhysicalDeviceIDProperties *")
    ids.sType, ids.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES, driver
    sizes = ffi.new("VkPhysicalDeviceMaintenance3Properties *")
    sizes.sType, sizes.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES, ids
    query = ffi.new("VkPhysicalDeviceProperties2 *")
    query.sType, query.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, sizes
    vk.lib.vkGetPhysicalDeviceProperties2(physical, query)
    properties = query.properties
    placed, filled = _placed(physical, emulated) if MAP_PLACED in extensions else (Placed(), True)
    heaps, types = _memory(physical, MEMORY_BUDGET in extensions)
    route: Literal["core", "khr", "none"] = "khr" if MAP_MEMORY2 in extensions else "none"
    if properties.apiVersion >= API_1_4:
        route = "core"
    conformance = driver.conformanceVersion
    device = Device(
        index=index,
        name=ffi.string(properties.deviceName).decode(errors="replace"),
        type=_TYPE_NAMES[properties.deviceType] if properties.deviceType < len(_TYPE_NAMES) else "other",
        vendor_id=properties.vendorID,
        device_id=properties.deviceID,
        api_version=version_text(properties.apiVersion),
        driver_version=driver_version_text(properties.vendorID, properties.driverVersion),
        driver_id=_DRIVER_IDS.get(driver.driverID, str(driver.driverID)).removeprefix("VK_DRIVER_ID_"),
        driver_name=ffi.string(driver.driverName).decode(errors="replace"),
        driver_info=ffi.string(driver.driverInfo).decode(errors="replace"),
        conformance_version=f"{conformance.major}.{conformance.minor}.{conformance.subminor}.{conformance.patch}",
        device_uuid=bytes(ids.deviceUUID).hex(),
        driver_uuid=bytes(ids.driverUUID).hex(),
        heaps=heaps,
        memory_types=types,
        limits=Limits(
            min_memory_map_alignment=properties.limits.minMemoryMapAlignment,
            non_coherent_atom_size=properties.limits.nonCoherentAtomSize,
            max_memory_allocation_count=properties.limits.maxMemoryAllocationCount,
            max_memory_allocation_size=sizes.maxMemoryAllocationSize,
        ),
        extensions={name: extensions[name] for name in SHOWN_EXTENSIONS if name in extensions},
        route=route,
        placed=placed,
        pci_address=f"{pci.pciDomain:04x}:{pci.pciBus:02x}:{pci.pciDevice:02x}.{pci.pciFunction}"
        if PCI_BUS_INFO in extensions
        else None,
    )
    return device, filled


class OpenDevice:
    """A VkDevice with every mapping extension and feature that its driver has, enabled."""

    def __init__(self, physical: Any, facts: Device) -> None:
        ffi = vk.ffi
        self.facts = facts
        self.physical = physical
        self.queue_family = self._transfer_queue_family()
        enabled = [name for name in (MAP_MEMORY2, MAP_PLACED) if name in facts.extensions]
        names = [ffi.new("char[]", name.encode()) for name in enabled]
        name_list = ffi.new("char *[]", names or [ffi.NULL])
        queue = ffi.new("VkDeviceQueueCreateInfo *")
        priority = ffi.new("float *", 1.0)
        queue.sType = vk.VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO
        queue.queueFamilyIndex, queue.queueCount, queue.pQueuePriorities = self.queue_family, 1, priority
        placed = facts.placed
        features = _PlacedFeatures(
            _PLACED_FEATURES,
            None,
            placed.memory_map_placed,
            placed.memory_map_range_placed,
            placed.memory_unmap_reserve,
        )
        info = ffi.new("VkDeviceCreateInfo *")
        info.sType = vk.VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO
        info.queueCreateInfoCount, info.pQueueCreateInfos = 1, queue
        info.enabledExtensionCount, info.ppEnabledExtensionNames = len(names), name_list
        if MAP_PLACED in facts.extensions:
            info.pNext = _pointer(features)
        handle = ffi.new("VkDevice *")
        at("vkCreateDevice")
        check("vkCreateDevice", vk.lib.vkCreateDevice(physical, info, ffi.NULL, handle))
        self.handle = handle[0]

    def __enter__(self) -> "OpenDevice":
        return self

    def __exit__(self, *_: object) -> None:
        at("vkDestroyDevice")
        vk.lib.vkDestroyDevice(self.handle, vk.ffi.NULL)

    def _transfer_queue_family(self) -> int:
        """A family that copies: graphics and compute queues always do (Vulkan spec, VkQueueFlagBits)."""
        count = vk.ffi.new("uint32_t *")
        vk.lib.vkGetPhysicalDeviceQueueFamilyProperties(self.physical, count, vk.ffi.NULL)
        families = vk.ffi.new("VkQueueFamilyProperties[]", max(count[0], 1))
        vk.lib.vkGetPhysicalDeviceQueueFamilyProperties(self.physical, count, families)
        copies = vk.VK_QUEUE_TRANSFER_BIT | vk.VK_QUEUE_GRAPHICS_BIT | vk.VK_QUEUE_COMPUTE_BIT
        for i in range(count[0]):
            if families[i].queueFlags & copies:
                return i
        return 0

    @property
    def address(self) -> int:
        """The VkDevice as an integer."""
        return int(vk.ffi.cast("uintptr_t", self.handle))

    def function(self, name: str) -> int:
        """Address that vkGetDeviceProcAddr gives for the name, 0 for NULL."""
        pointer = vk.lib.vkGetDeviceProcAddr(self.handle, vk.ffi.new("char[]", name.encode()))
        return int(vk.ffi.cast("uintptr_t", pointer))

    def entry_points(self) -> tuple[EntryPoint, ...]:
        """The map2 names beside the rules of the vkGetDeviceProcAddr table (chapter Initialization).

        The instance asks for 1.4 here. A core name must then resolve on a 1.4 device; on an older one it may be
        anything and must not be called. A KHR name must resolve where its extension is enabled, else be NULL.
        """
        core_rule: Literal["pointer", "unspecified"] = "pointer" if self.facts.version() >= (1, 4) else "unspecified"
        khr_rule: Literal["pointer", "null"] = "pointer" if MAP_MEMORY2 in self.facts.extensions else "null"
        points = []
        for name, rule in [(n, core_rule) for n in MAP_CALLS["core"]] + [(n, khr_rule) for n in MAP_CALLS["khr"]]:
            found = self.function(name) != 0
            points.append(EntryPoint(name=name, found=found, rule=rule, callable=found and rule == "pointer"))
        return tuple(points)

    def map_functions(self, api: Api) -> tuple[int, int]:
        """Addresses of the map and the unmap function of `v1`, `khr` or `core`. Raises CallFailed on NULL."""
        found = tuple(self.function(name) for name in MAP_CALLS[api])
        for name, address in zip(MAP_CALLS[api], found, strict=True):
            if not address:
                raise CallFailed(f"vkGetDeviceProcAddr gives NULL for {name}, which this device must have")
        return found[0], found[1]

    def allocate(self, memory_type: int, size: int) -> int:
        """A VkDeviceMemory of `size` bytes as an integer. Raises CallFailed with the VkResult's name."""
        info = vk.ffi.new("VkMemoryAllocateInfo *")
        info.sType = vk.VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO
        info.allocationSize, info.memoryTypeIndex = size, memory_type
        memory = vk.ffi.new("VkDeviceMemory *")
        at("vkAllocateMemory")
        check("vkAllocateMemory", vk.lib.vkAllocateMemory(self.handle, info, vk.ffi.NULL, memory))
        return int(vk.ffi.cast("uintptr_t", memory[0]))

    def free(self, memory: int) -> None:
        """vkFreeMemory; a mapped object is unmapped by it."""
        at("vkFreeMemory")
        vk.lib.vkFreeMemory(self.handle, vk.ffi.cast("VkDeviceMemory", memory), vk.ffi.NULL)


def use_test_layer(layer: TestLayer) -> tuple[str, ...]:
    """Lets the loader find this project's layer, with its settings; returns the layers to enable.

    Only for a process of its own, before `instance`.
    """
    package = os.path.dirname(os.path.dirname(__file__))
    folder = os.path.join(package, "layer")
    if not os.path.exists(os.path.join(package, "_layer.abi3.so")):
        raise Unsupported("vkmapctl's test layer is not built", "install vkmapctl from its wheel or source")
    known = os.environ.get("VK_LAYER_PATH") or ":".join(_LAYER_FOLDERS)
    os.environ["VK_LAYER_PATH"] = f"{folder}:{known}"  # it replaces the loader's own list
    os.environ["VK_ADD_LAYER_PATH"] = folder
    os.environ["VKMAPCTL_LAYER_EMULATE"] = layer.emulate
    if layer.fault:
        os.environ["VKMAPCTL_LAYER_FAULT"] = layer.fault
    return (TEST_LAYER,)

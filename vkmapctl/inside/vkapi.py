"""The only module that imports `vulkan`: instances, and their devices described in builtin types.

The binding knows Vulkan 1.3.275. What it lacks is declared here: the 1.4 names, and the structures of
VK_EXT_map_memory_placed (vk.xml; layouts as on every LP64 system). Its wrappers are passed by in favour of the
raw functions, because they raise without the VkResult and cannot express VK_WHOLE_SIZE.
"""

import ctypes
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.machinery import PathFinder
from typing import Any, Self, TypeVar

from vkmapctl.errors import CallFailed, Unsupported
from vkmapctl.inside.current_call import at
from vkmapctl.inside.no_device import no_device, no_driver
from vkmapctl.inside.versions import driver_version_text, version_text
from vkmapctl.rules import (
    BUFFER_DEVICE_ADDRESS,
    EXTERNAL_MEMORY_FD,
    EXTERNAL_MEMORY_HOST,
    FLAGS,
    MAP_MEMORY2,
    MAP_PLACED,
    aligned_to,
    why_barred,
)
from vkmapctl.text import clean

T = TypeVar("T")

Facts = dict[str, Any]  # a device, in the shape of model.device.Device


class _Binding:
    """What this module uses of the package: `ffi`, `lib`, and the constants, which the library object knows too."""

    def __init__(self, ffi: Any) -> None:
        self.ffi = ffi
        self.lib = _opened(lambda: ffi.dlopen("libvulkan.so.1"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lib, name)


def _opened(open_loader: Callable[[], Any]) -> Any:
    """What open_loader gives. Raises Unsupported where there is no loader."""
    try:
        return open_loader()
    except OSError as error:
        raise Unsupported(
            "no Vulkan loader (libvulkan.so.1) on this machine",
            "Debian, Ubuntu: apt install libvulkan1, and mesa-vulkan-drivers or your GPU's driver",
            "Fedora: dnf install vulkan-loader; Arch: pacman -S vulkan-icd-loader",
        ) from error


def _binding() -> Any:
    """The package's declarations without its wrappers: 22,000 lines that no one here calls, and 20 ms of each start.

    Loaded under its own name, so that the package shares it; the package as a whole where it is laid out otherwise.
    """
    name = "vulkan._vulkancache"
    package = PathFinder.find_spec("vulkan")
    spec = PathFinder.find_spec(name, package.submodule_search_locations) if package else None
    if spec is None or spec.loader is None or name in sys.modules:
        return _opened(_whole_package)
    module = sys.modules[name] = type(sys)(name)
    module.__spec__ = spec
    spec.loader.exec_module(module)
    return _Binding(module.ffi)


def _whole_package() -> Any:
    import vulkan

    return vulkan


def _fitting(binding: Any) -> Any:
    """The binding, if its handles are as wide as Vulkan's. Raises Unsupported."""
    if binding.ffi.sizeof("VkDeviceMemory") != 8:
        raise Unsupported(
            "the vulkan package declares every handle as a pointer, and in this 32-bit process most have 64 bits",
            "docs/32-bit.md: scripts/mend-vulkan of vkmapctl's source puts its declarations right, once",
        )
    return binding


vk = _fitting(_binding())


def unload() -> None:
    """dlclose of the loader, which unloads the drivers; no function may be called afterwards."""
    at("dlclose of the Vulkan loader")
    vk.ffi.dlclose(vk.lib)


API_1_1, API_1_2, API_1_4 = (1 << 22 | minor << 12 for minor in (1, 2, 4))
MEMORY_BUDGET = "VK_EXT_memory_budget"
PCI_BUS_INFO = "VK_EXT_pci_bus_info"
DEVICE_COHERENT_MEMORY = "VK_AMD_device_coherent_memory"
SHOWN_EXTENSIONS = (
    MAP_MEMORY2, MAP_PLACED, MEMORY_BUDGET, PCI_BUS_INFO, EXTERNAL_MEMORY_HOST, DEVICE_COHERENT_MEMORY,
)  # fmt: skip

PLACED_FEATURES, _PLACED_PROPERTIES = 1000272000, 1000272001
_UNFILLED = 0xA5A5A5A5
_TRIES = 3
MOST_IMPORT_ALIGNMENT = 65536  # Vulkan spec, table of required limits
PLACED_FLAGS = ("memory_map_placed", "memory_map_range_placed", "memory_unmap_reserve")
_TYPE_NAMES = ("other", "integrated", "discrete", "virtual", "cpu")
_RESULTS: dict[int, str] = vk.ffi.typeof("VkResult").elements
_DRIVER_IDS: dict[int, str] = vk.ffi.typeof("VkDriverId").elements


class PlacedFeatures(ctypes.Structure):
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


def number_of(handle: Any) -> int:
    """A handle that is not dispatchable, as an integer; where pointers have 32 bits it is one already."""
    return int(vk.ffi.cast("uint64_t", handle))


def check(call: str, result: int) -> None:
    """Raises CallFailed unless result is VK_SUCCESS."""
    if result:
        name = result_name(result)
        raise CallFailed(f"{call} failed: {name}", call=call, result=name)


def pointer_to(structure: ctypes.Structure) -> Any:
    """For a pNext; the structure must outlive it."""
    return vk.ffi.cast("void *", ctypes.addressof(structure))


def _enumerate(call: str, item: str, read: Callable[[Any], T], *leading: Any) -> list[T]:
    """The two-call idiom of vkEnumerate…. read: what to keep of an item, which is gone afterwards."""
    at(call)
    function, count = getattr(vk.lib, call), vk.ffi.new("uint32_t *")
    result = vk.VK_INCOMPLETE
    for _ in range(_TRIES):
        if result == vk.VK_INCOMPLETE:  # there may be more now than there was when it was counted
            check(call, function(*leading, count, vk.ffi.NULL))
            items = vk.ffi.new(f"{item}[]", max(count[0], 1))
            result = function(*leading, count, items)
    check(call, result)
    return [read(items[i]) for i in range(count[0])]


def text(characters: Any) -> str:
    """A C string, also one without an end in its array, as it may be shown."""
    return clean(vk.ffi.string(characters).decode(errors="replace"))


def loader_version() -> str:
    """vkEnumerateInstanceVersion, such as `1.3.239`."""
    version = vk.ffi.new("uint32_t *")
    check("vkEnumerateInstanceVersion", vk.lib.vkEnumerateInstanceVersion(version))
    return version_text(version[0])


def layer_versions() -> dict[str, str]:
    """Layers that the loader offers, with the version of Vulkan each was written for."""

    def read(layer: Any) -> tuple[str, str]:
        return text(layer.layerName), version_text(layer.specVersion)

    return dict(_enumerate("vkEnumerateInstanceLayerProperties", "VkLayerProperties", read))


class Instance:
    """A VkInstance for Vulkan 1.4, whatever the loader's own version: devices then offer all they have.

    messages: a validation.Messages to which the validation layer's errors go. Raises Unsupported without any driver.
    """

    def __init__(self, layers: Sequence[str] = (), messages: Any = None) -> None:
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
            raise no_driver()
        check("vkCreateInstance", result)
        self.handle = handle[0]
        self._messages = messages
        self._messenger = messages.listen(self.handle) if messages else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """vkDestroyInstance."""
        if self._messages:
            self._messages.stop(self.handle, self._messenger)
        at("vkDestroyInstance")
        vk.lib.vkDestroyInstance(self.handle, vk.ffi.NULL)


def physical_devices(handle: Any) -> list[Any]:
    """VkPhysicalDevice handles in the loader's order. Raises Unsupported where there is none.

    A loader that got no device from any driver says VK_ERROR_INITIALIZATION_FAILED.
    """
    try:
        found = _enumerate("vkEnumeratePhysicalDevices", "VkPhysicalDevice", lambda physical: physical, handle)
    except CallFailed as error:
        if error.result != "VK_ERROR_INITIALIZATION_FAILED":
            raise
        found = []
    if not found:
        raise no_device()
    return found


def placed_natively() -> list[bool]:
    """For each device, in order, whether its driver has placed maps of its own, without any layer of ours."""
    with Instance() as plain:
        return [MAP_PLACED in _extensions(physical) for physical in physical_devices(plain.handle)]


def _extensions(physical: Any) -> dict[str, int]:
    """All device extensions and their spec versions."""

    def read(one: Any) -> tuple[str, int]:
        return text(one.extensionName), one.specVersion

    call = "vkEnumerateDeviceExtensionProperties"
    return dict(_enumerate(call, "VkExtensionProperties", read, physical, vk.ffi.NULL))


def _placed(physical: Any, *, advertised: bool, emulated: bool) -> tuple[Facts, bool]:
    """model.Placed, and whether the driver filled the feature structure at all."""
    if not advertised:
        none = {"min_placed_memory_map_alignment": None, "emulated": False}
        return {**dict.fromkeys(PLACED_FLAGS, False), **none}, True
    features = PlacedFeatures(PLACED_FEATURES, None, _UNFILLED, _UNFILLED, _UNFILLED)
    query = vk.ffi.new("VkPhysicalDeviceFeatures2 *")
    query.sType, query.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, pointer_to(features)
    vk.lib.vkGetPhysicalDeviceFeatures2(physical, query)
    limits = _PlacedProperties(_PLACED_PROPERTIES, None, 0)
    properties = vk.ffi.new("VkPhysicalDeviceProperties2 *")
    properties.sType, properties.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, pointer_to(limits)
    vk.lib.vkGetPhysicalDeviceProperties2(physical, properties)
    placed = {
        "memory_map_placed": features.memoryMapPlaced == 1,
        "memory_map_range_placed": features.memoryMapRangePlaced == 1,
        "memory_unmap_reserve": features.memoryUnmapReserve == 1,
        "min_placed_memory_map_alignment": limits.minPlacedMemoryMapAlignment or None,
        "emulated": emulated,
    }
    return placed, features.memoryMapPlaced != _UNFILLED


def _host_import(physical: Any, extensions: Mapping[str, int]) -> Facts | None:
    """model.HostImport, of a device that has the extension; which memory types take a pointer is not asked."""
    if EXTERNAL_MEMORY_HOST not in extensions:
        return None
    limits = vk.ffi.new("VkPhysicalDeviceExternalMemoryHostPropertiesEXT *")
    limits.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT
    query = vk.ffi.new("VkPhysicalDeviceProperties2 *")
    query.sType, query.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, limits
    vk.lib.vkGetPhysicalDeviceProperties2(physical, query)
    return {"min_imported_host_pointer_alignment": limits.minImportedHostPointerAlignment, "memory_types": None}


def _allocations(physical: Any, extensions: Mapping[str, int], version: int) -> list[str]:
    """The kinds of allocation that the device has, as in rules.Allocation."""
    found = ["plain"]
    if version >= API_1_1:
        found.append("dedicated")
        if EXTERNAL_MEMORY_FD in extensions and _exports_buffers(physical):
            found.append("export")
    if version >= API_1_2 or (version >= API_1_1 and BUFFER_DEVICE_ADDRESS in extensions):
        features = vk.ffi.new("VkPhysicalDeviceBufferDeviceAddressFeatures *")
        features.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES
        query = vk.ffi.new("VkPhysicalDeviceFeatures2 *")
        query.sType, query.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, features
        vk.lib.vkGetPhysicalDeviceFeatures2(physical, query)
        if features.bufferDeviceAddress:
            found.append("device-address")
    return found


def _exports_buffers(physical: Any) -> bool:
    """Whether memory can be exported as an opaque file descriptor (VUID-VkExportMemoryAllocateInfo-handleTypes-00656)
    without being dedicated to a buffer (VUID-VkMemoryAllocateInfo-pNext-00639).
    """
    info = vk.ffi.new("VkPhysicalDeviceExternalBufferInfo *")
    info.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_BUFFER_INFO
    info.usage = vk.VK_BUFFER_USAGE_TRANSFER_SRC_BIT | vk.VK_BUFFER_USAGE_TRANSFER_DST_BIT
    info.handleType = vk.VK_EXTERNAL_MEMORY_HANDLE_TYPE_OPAQUE_FD_BIT
    found = vk.ffi.new("VkExternalBufferProperties *")
    found.sType = vk.VK_STRUCTURE_TYPE_EXTERNAL_BUFFER_PROPERTIES
    vk.lib.vkGetPhysicalDeviceExternalBufferProperties(physical, info, found)
    features = found.externalMemoryProperties.externalMemoryFeatures
    exportable, dedicated = (
        vk.VK_EXTERNAL_MEMORY_FEATURE_EXPORTABLE_BIT,
        vk.VK_EXTERNAL_MEMORY_FEATURE_DEDICATED_ONLY_BIT,
    )
    return bool(features & exportable and not features & dedicated)


def _has_device_coherent_memory(physical: Any) -> bool:
    """The feature deviceCoherentMemory, without which its memory types must not be allocated from."""
    features = vk.ffi.new("VkPhysicalDeviceCoherentMemoryFeaturesAMD *")
    features.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COHERENT_MEMORY_FEATURES_AMD
    query = vk.ffi.new("VkPhysicalDeviceFeatures2 *")
    query.sType, query.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, features
    vk.lib.vkGetPhysicalDeviceFeatures2(physical, query)
    return bool(features.deviceCoherentMemory)


def heaps_now(physical: Any) -> list[tuple[int, int]]:
    """heapBudget and heapUsage of each heap, of a device with VK_EXT_memory_budget."""
    budget = vk.ffi.new("VkPhysicalDeviceMemoryBudgetPropertiesEXT *")
    budget.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT
    query = vk.ffi.new("VkPhysicalDeviceMemoryProperties2 *")
    query.sType, query.pNext = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2, budget
    vk.lib.vkGetPhysicalDeviceMemoryProperties2(physical, query)
    count = query.memoryProperties.memoryHeapCount
    return [(budget.heapBudget[i], _believed_usage(budget.heapUsage[i]) or 0) for i in range(count)]


def _believed_usage(usage: int) -> int | None:
    """heapUsage, unless it is a negative number that was made one without a sign."""
    return None if usage >> 63 else usage


def _memory(physical: Any, extensions: Mapping[str, int]) -> tuple[list[Facts], list[Facts]]:
    """The heaps as model.MemoryHeap, the types as model.MemoryType."""
    budget_known = MEMORY_BUDGET in extensions
    budget = vk.ffi.new("VkPhysicalDeviceMemoryBudgetPropertiesEXT *")
    budget.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT
    query = vk.ffi.new("VkPhysicalDeviceMemoryProperties2 *")
    query.sType = vk.VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2
    if budget_known:
        query.pNext = budget
    vk.lib.vkGetPhysicalDeviceMemoryProperties2(physical, query)
    device_coherent = DEVICE_COHERENT_MEMORY in extensions and _has_device_coherent_memory(physical)
    memory = query.memoryProperties
    heaps = [
        {
            "index": i,
            "size": memory.memoryHeaps[i].size,
            "device_local": bool(memory.memoryHeaps[i].flags & vk.VK_MEMORY_HEAP_DEVICE_LOCAL_BIT),
            "budget": budget.heapBudget[i] if budget_known else None,
            "usage": budget.heapUsage[i] if budget_known else None,
        }
        for i in range(memory.memoryHeapCount)
    ]
    types = []
    for i in range(memory.memoryTypeCount):
        flags = [name for bit, name in enumerate(FLAGS) if memory.memoryTypes[i].propertyFlags >> bit & 1]
        barred = why_barred(flags, device_coherent=device_coherent)
        types.append({"index": i, "heap": memory.memoryTypes[i].heapIndex, "flags": flags, "barred": barred})
    return heaps, types


def _believed(
    heaps: list[Facts], types: list[Facts], limits: Facts, host_import: Facts | None
) -> Iterator[tuple[str, str]]:
    """Corrects what cannot be, and says so: code and message."""
    for heap in heaps:
        budget, size = heap["budget"], heap["size"]
        if heap["usage"] is not None and _believed_usage(heap["usage"]) is None:
            yield "heap-usage", f"heap {heap['index']} has a heapUsage of {heap['usage']}; what is in use is unknown"
            heap["usage"] = None
        if budget is not None and not 0 < budget <= size:  # VK_EXT_memory_budget: non-zero, and at most the heap's size
            heap["budget"] = size if budget else None
            taken = f"{size} is taken" if budget else "how much is free is unknown"
            yield "heap-budget", f"heap {heap['index']} of {size} bytes has a heapBudget of {budget}; {taken}"
    if types and not heaps:
        heaps.append({"index": 0, "size": 0, "device_local": False, "budget": None, "usage": None})
        yield "no-such-heap", "there is no memory heap at all; one of 0 bytes is taken"
    for one in types:
        if one["heap"] >= len(heaps):
            yield (
                "no-such-heap",
                f"memory type {one['index']} is of heap {one['heap']}, which is not there; 0 is taken",
            )
            one["heap"] = 0
    alignment = limits["min_memory_map_alignment"]
    if alignment != aligned_to(alignment):
        yield "map-alignment", f"minMemoryMapAlignment is {alignment}, which is no power of two; 1 is taken"
    alignment = host_import["min_imported_host_pointer_alignment"] if host_import else 1
    if host_import and alignment != aligned_to(alignment):
        host_import["min_imported_host_pointer_alignment"] = MOST_IMPORT_ALIGNMENT
        told = f"minImportedHostPointerAlignment is {alignment}, which is no power of two"
        yield "import-alignment", f"{told}; {MOST_IMPORT_ALIGNMENT} is taken"
    if not limits["non_coherent_atom_size"]:
        limits["non_coherent_atom_size"] = 1
        yield "atom-size", "nonCoherentAtomSize is 0, which is no power of two; 1 is taken"


def describe(index: int, physical: Any, *, emulated: bool = False) -> tuple[Facts, list[tuple[str, str]]]:
    """A physical device, and what is wrong with what its driver says of it, as code and message."""
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
    placed, filled = _placed(physical, advertised=MAP_PLACED in extensions, emulated=emulated)
    heaps, types = _memory(physical, extensions)
    limits = {
        "min_memory_map_alignment": properties.limits.minMemoryMapAlignment,
        "non_coherent_atom_size": properties.limits.nonCoherentAtomSize,
        "max_memory_allocation_count": properties.limits.maxMemoryAllocationCount,
        "max_memory_allocation_size": sizes.maxMemoryAllocationSize,
    }
    host_import = _host_import(physical, extensions)
    wrong = [*_believed(heaps, types, limits, host_import)]
    if not filled:
        wrong.append(("features-unfilled", f"{MAP_PLACED} is there, but its features are left unfilled"))
    map2 = "khr" if MAP_MEMORY2 in extensions else "none"
    conformance = driver.conformanceVersion
    pci_address = f"{pci.pciDomain:04x}:{pci.pciBus:02x}:{pci.pciDevice:02x}.{pci.pciFunction}"
    driver_id = _DRIVER_IDS.get(driver.driverID, str(driver.driverID)).removeprefix("VK_DRIVER_ID_")
    device = {
        "index": index,
        "name": text(properties.deviceName),
        "type": _TYPE_NAMES[properties.deviceType] if properties.deviceType < len(_TYPE_NAMES) else "other",
        "vendor_id": properties.vendorID,
        "device_id": properties.deviceID,
        "api_version": version_text(properties.apiVersion),
        "driver_version": driver_version_text(driver_id, properties.driverVersion),
        "driver_id": driver_id,
        "driver_name": text(driver.driverName),
        "driver_info": text(driver.driverInfo),
        "conformance_version": f"{conformance.major}.{conformance.minor}.{conformance.subminor}.{conformance.patch}",
        "device_uuid": bytes(ids.deviceUUID).hex(),
        "driver_uuid": bytes(ids.driverUUID).hex(),
        "heaps": heaps,
        "memory_types": types,
        "limits": limits,
        "extensions": {name: extensions[name] for name in SHOWN_EXTENSIONS if name in extensions},
        "route": "core" if properties.apiVersion >= API_1_4 else map2,
        "placed": placed,
        "pci_address": pci_address if PCI_BUS_INFO in extensions else None,
        "host_import": host_import,
        "allocations": _allocations(physical, extensions, properties.apiVersion),
    }
    return device, [(code, f"{device['name']}: {message}") for code, message in wrong]

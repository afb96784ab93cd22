/* What the parts of the test layer share: instance and device records, and the commands of the next layer. */
#ifndef VKMAPCTL_LAYER_H
#define VKMAPCTL_LAYER_H

#include "layer_memory.h"
#include "vk_layer.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Stands first in an instance's and a device's record. The key is the loader's dispatch table, which a
 * dispatchable handle shares with its children: physical devices with their instance, queues with their
 * device. */
struct record {
    const void *key;
    struct record *next;
};

/* Pointers to the commands of the next layer or the driver. */
#define INSTANCE_COMMANDS(X) \
    X(DestroyInstance) \
    X(EnumeratePhysicalDevices) \
    X(EnumerateDeviceExtensionProperties) \
    X(GetPhysicalDeviceFeatures2) \
    X(GetPhysicalDeviceProperties2) \
    X(GetPhysicalDeviceMemoryProperties) \
    X(CreateDevice)

#define DEVICE_COMMANDS(X) \
    X(DestroyDevice) \
    X(DeviceWaitIdle) \
    X(QueueWaitIdle) \
    X(QueueSubmit) \
    X(QueueSubmit2) \
    X(WaitForFences) \
    X(GetFenceStatus) \
    X(AllocateMemory) \
    X(FreeMemory) \
    X(MapMemory) \
    X(UnmapMemory) \
    X(MapMemory2) \
    X(UnmapMemory2) \
    X(FlushMappedMemoryRanges) \
    X(InvalidateMappedMemoryRanges) \
    X(GetMemoryHostPointerPropertiesEXT)

#define COMMAND_POINTER(name) PFN_vk##name name;

struct instance {
    struct record record;
    VkInstance handle;
    PFN_vkGetInstanceProcAddr get_proc_addr;
    struct {
        INSTANCE_COMMANDS(COMMAND_POINTER)
    } next;
};

struct device {
    struct record record;
    VkDevice handle;
    PFN_vkGetDeviceProcAddr get_proc_addr;
    struct {
        DEVICE_COMMANDS(COMMAND_POINTER)
    } next;
    VkPhysicalDeviceMemoryProperties memory_types;
    bool emulated;           /* VK_EXT_map_memory_placed comes from this layer */
    bool range_placed;       /* memoryMapRangePlaced is enabled */
    size_t import_alignment; /* of the address and size of host memory, at least a page */
    atomic_bool lost;
    struct memory_table memory;
};

#undef COMMAND_POINTER

/* The record that a dispatchable handle belongs to, or NULL. */
void *find_record(const void *handle);

/* Asks whether the device-lost fault strikes now or has struck before. */
bool device_is_lost(struct device *device);

#endif

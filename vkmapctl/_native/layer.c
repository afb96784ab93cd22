/* VK_LAYER_VKMAPCTL_test: emulates VK_EXT_map_memory_placed over VK_EXT_external_memory_host, injects faults.
 *
 * Settings, read from the environment at vkCreateInstance:
 *   VKMAPCTL_LAYER_EMULATE   none (default) | placed | range (placed, and memoryMapRangePlaced)
 *   VKMAPCTL_LAYER_FAULT     NAME (in layer_faults.h) or NAME:PERIOD: strikes every PERIOD-th eligible call
 *   VKMAPCTL_LAYER_SLEEP_US  how long map-sleeps sleeps (default 2000) */
#define _GNU_SOURCE
#include "layer.h"

#include "layer_entry.h"
#include "layer_faults.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define LAYER_NAME "VK_LAYER_VKMAPCTL_test"

static enum { EMULATE_NONE, EMULATE_PLACED, EMULATE_RANGE } emulation;

/* Records of instances and devices */

static struct record *records;
static pthread_rwlock_t records_lock = PTHREAD_RWLOCK_INITIALIZER;

static const void *record_key(const void *handle)
{
    return *(const void *const *)handle;
}

void *find_record(const void *handle)
{
    const void *key = record_key(handle);
    pthread_rwlock_rdlock(&records_lock);
    struct record *record = records;
    while (record && record->key != key)
        record = record->next;
    pthread_rwlock_unlock(&records_lock);
    return record;
}

static void add_record(struct record *record, const void *handle)
{
    record->key = record_key(handle);
    pthread_rwlock_wrlock(&records_lock);
    record->next = records;
    records = record;
    pthread_rwlock_unlock(&records_lock);
}

static void remove_record(const struct record *record)
{
    pthread_rwlock_wrlock(&records_lock);
    struct record **link = &records;
    while (*link != record)
        link = &(*link)->next;
    *link = record->next;
    pthread_rwlock_unlock(&records_lock);
}

/* pNext chains */

struct chained {
    VkBaseOutStructure **link; /* what points to it */
    VkBaseOutStructure *structure;
};

static struct chained find_chained(void *head, VkStructureType type)
{
    VkBaseOutStructure **link = &((VkBaseOutStructure *)head)->pNext;
    while (*link && (*link)->sType != type)
        link = &(*link)->pNext;
    return (struct chained){link, *link};
}

static void take_out(struct chained chained)
{
    if (chained.structure)
        *chained.link = chained.structure->pNext;
}

static void put_back(struct chained chained)
{
    if (chained.structure)
        *chained.link = chained.structure;
}

/* Instance */

static bool emulation_configure(void)
{
    const char *setting = getenv("VKMAPCTL_LAYER_EMULATE");
    if (!setting || !*setting || strcmp(setting, "none") == 0)
        emulation = EMULATE_NONE;
    else if (strcmp(setting, "placed") == 0)
        emulation = EMULATE_PLACED;
    else if (strcmp(setting, "range") == 0)
        emulation = EMULATE_RANGE;
    else
        return refuse_setting("VKMAPCTL_LAYER_EMULATE", setting, "not one of none, placed, range");
    return true;
}

static void load_instance_commands(struct instance *instance)
{
#define LOAD(name) instance->next.name = (PFN_vk##name)instance->get_proc_addr(instance->handle, "vk" #name);
    INSTANCE_COMMANDS(LOAD)
#undef LOAD
    if (!instance->next.GetPhysicalDeviceFeatures2)
        instance->next.GetPhysicalDeviceFeatures2 = (PFN_vkGetPhysicalDeviceFeatures2)instance->get_proc_addr(
            instance->handle, "vkGetPhysicalDeviceFeatures2KHR");
    if (!instance->next.GetPhysicalDeviceProperties2)
        instance->next.GetPhysicalDeviceProperties2 = (PFN_vkGetPhysicalDeviceProperties2)instance->get_proc_addr(
            instance->handle, "vkGetPhysicalDeviceProperties2KHR");
}

static VkResult hook_CreateInstance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *allocator,
                                    VkInstance *handle)
{
    const VkLayerLink *link = next_link(info, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
    if (!link || !emulation_configure() || !faults_configure())
        return VK_ERROR_INITIALIZATION_FAILED;
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)link->pfnNextGetInstanceProcAddr(NULL, "vkCreateInstance");
    struct instance *instance = calloc(1, sizeof *instance);
    if (!instance)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    VkResult result = create(info, allocator, handle);
    if (result != VK_SUCCESS) {
        free(instance);
        return result;
    }
    instance->handle = *handle;
    instance->get_proc_addr = link->pfnNextGetInstanceProcAddr;
    load_instance_commands(instance);
    add_record(&instance->record, *handle);
    return VK_SUCCESS;
}

static void hook_DestroyInstance(VkInstance handle, const VkAllocationCallbacks *allocator)
{
    if (!handle)
        return;
    struct instance *instance = find_record(handle);
    remove_record(&instance->record);
    instance->next.DestroyInstance(handle, allocator);
    free(instance);
}

static VkResult hook_EnumeratePhysicalDevices(VkInstance handle, uint32_t *count, VkPhysicalDevice *devices)
{
    struct instance *instance = find_record(handle);
    if (fault_strikes(FAULT_ENUMERATE_CRASHES))
        crash();
    return instance->next.EnumeratePhysicalDevices(handle, count, devices);
}

/* Physical device: what is emulated, and how it is advertised */

static bool lists_extension(const VkExtensionProperties *extensions, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(extensions[i].extensionName, name) == 0)
            return true;
    return false;
}

static bool emulates(const struct instance *instance, VkPhysicalDevice physical)
{
    PFN_vkEnumerateDeviceExtensionProperties enumerate = instance->next.EnumerateDeviceExtensionProperties;
    uint32_t count = 0;
    if (emulation == EMULATE_NONE || !instance->next.GetPhysicalDeviceProperties2)
        return false;
    if (enumerate(physical, NULL, &count, NULL) != VK_SUCCESS)
        return false;
    VkExtensionProperties *extensions = calloc(count, sizeof *extensions);
    bool wanted = extensions && enumerate(physical, NULL, &count, extensions) == VK_SUCCESS &&
                  lists_extension(extensions, count, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME) &&
                  lists_extension(extensions, count, VK_KHR_MAP_MEMORY_2_EXTENSION_NAME) &&
                  !lists_extension(extensions, count, VK_EXT_MAP_MEMORY_PLACED_EXTENSION_NAME);
    free(extensions);
    return wanted;
}

static VkResult hook_EnumerateDeviceExtensionProperties(VkPhysicalDevice physical, const char *layer, uint32_t *count,
                                                        VkExtensionProperties *extensions)
{
    static const VkExtensionProperties placed = {VK_EXT_MAP_MEMORY_PLACED_EXTENSION_NAME,
                                                 VK_EXT_MAP_MEMORY_PLACED_SPEC_VERSION};
    if (layer && strcmp(layer, LAYER_NAME) == 0) {
        *count = 0;
        return VK_SUCCESS;
    }
    struct instance *instance = find_record(physical);
    uint32_t room = *count;
    VkResult result = instance->next.EnumerateDeviceExtensionProperties(physical, layer, count, extensions);
    if (result != VK_SUCCESS || (layer && *layer) || !emulates(instance, physical))
        return result;
    if (extensions && *count == room)
        return VK_INCOMPLETE;
    if (extensions)
        extensions[*count] = placed;
    ++*count;
    return VK_SUCCESS;
}

static void hook_GetPhysicalDeviceFeatures2(VkPhysicalDevice physical, VkPhysicalDeviceFeatures2 *features)
{
    struct instance *instance = find_record(physical);
    struct chained chained = find_chained(features, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAP_MEMORY_PLACED_FEATURES_EXT);
    bool emulated = chained.structure && emulates(instance, physical);
    bool unfilled = chained.structure && fault_strikes(FAULT_FEATURES_UNFILLED);
    if (emulated || unfilled)
        take_out(chained);
    instance->next.GetPhysicalDeviceFeatures2(physical, features);
    put_back(chained);
    if (emulated && !unfilled) {
        VkPhysicalDeviceMapMemoryPlacedFeaturesEXT *placed = (void *)chained.structure;
        placed->memoryMapPlaced = 1;
        placed->memoryMapRangePlaced = emulation == EMULATE_RANGE;
        placed->memoryUnmapReserve = 1;
    }
}

static void hook_GetPhysicalDeviceProperties2(VkPhysicalDevice physical, VkPhysicalDeviceProperties2 *properties)
{
    struct instance *instance = find_record(physical);
    struct chained chained = find_chained(properties,
                                          VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAP_MEMORY_PLACED_PROPERTIES_EXT);
    bool emulated = chained.structure && emulates(instance, physical);
    if (emulated)
        take_out(chained);
    instance->next.GetPhysicalDeviceProperties2(physical, properties);
    put_back(chained);
    if (emulated)
        ((VkPhysicalDeviceMapMemoryPlacedPropertiesEXT *)chained.structure)->minPlacedMemoryMapAlignment = page_size();
}

/* Device */

static void load_device_commands(struct device *device)
{
    PFN_vkVoidFunction khr;
#define LOAD(name) device->next.name = (PFN_vk##name)device->get_proc_addr(device->handle, "vk" #name);
#define PREFER_KHR(name) \
    if ((khr = device->get_proc_addr(device->handle, "vk" #name "KHR"))) \
        device->next.name = (PFN_vk##name)khr;
    DEVICE_COMMANDS(LOAD)
    /* A core name may be answered where it must not be called; the extension's is answered only where it may
     * be. */
    PREFER_KHR(MapMemory2)
    PREFER_KHR(UnmapMemory2)
    PREFER_KHR(QueueSubmit2)
#undef PREFER_KHR
#undef LOAD
}

static size_t import_alignment(const struct instance *instance, VkPhysicalDevice physical)
{
    VkPhysicalDeviceExternalMemoryHostPropertiesEXT host = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT,
    };
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
        .pNext = &host,
    };
    instance->next.GetPhysicalDeviceProperties2(physical, &properties);
    size_t alignment = host.minImportedHostPointerAlignment;
    return alignment > page_size() ? alignment : page_size();
}

/* The extension names for the driver: host memory import instead of placed maps. */
static const char **names_below(const VkDeviceCreateInfo *info, uint32_t *count)
{
    const char **names = calloc(info->enabledExtensionCount + 1, sizeof *names);
    bool has_import = false;
    *count = 0;
    for (uint32_t i = 0; names && i < info->enabledExtensionCount; i++) {
        const char *name = info->ppEnabledExtensionNames[i];
        if (strcmp(name, VK_EXT_MAP_MEMORY_PLACED_EXTENSION_NAME) == 0)
            continue;
        names[(*count)++] = name;
        has_import |= strcmp(name, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME) == 0;
    }
    if (names && !has_import)
        names[(*count)++] = VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME;
    return names;
}

static VkResult create_emulated(struct device *device, PFN_vkCreateDevice create, VkPhysicalDevice physical,
                                const VkDeviceCreateInfo *info, const VkAllocationCallbacks *allocator,
                                VkDevice *handle)
{
    VkDeviceCreateInfo below = *info;
    struct chained chained = find_chained(&below, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAP_MEMORY_PLACED_FEATURES_EXT);
    const VkPhysicalDeviceMapMemoryPlacedFeaturesEXT *features = (const void *)chained.structure;
    device->range_placed = features && features->memoryMapRangePlaced;
    if (device->range_placed && emulation != EMULATE_RANGE)
        return VK_ERROR_FEATURE_NOT_PRESENT;

    const char **names = names_below(info, &below.enabledExtensionCount);
    if (!names)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    below.ppEnabledExtensionNames = names;
    take_out(chained);
    VkResult result = create(physical, &below, allocator, handle);
    put_back(chained);
    free(names);
    return result;
}

/* The handle goes down as it came: the loader keeps its own device in it until the driver's replaces it. */
static VkResult create_device(struct device *device, const struct instance *instance, VkPhysicalDevice physical,
                              const VkDeviceCreateInfo *info, const VkAllocationCallbacks *allocator, VkDevice *handle)
{
    const VkLayerLink *link = next_link(info, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
    if (!link)
        return VK_ERROR_INITIALIZATION_FAILED;
    device->get_proc_addr = link->pfnNextGetDeviceProcAddr;
    device->emulated = emulates(instance, physical);
    if (device->emulated)
        device->import_alignment = import_alignment(instance, physical);
    instance->next.GetPhysicalDeviceMemoryProperties(physical, &device->memory_types);
    return device->emulated ? create_emulated(device, instance->next.CreateDevice, physical, info, allocator, handle)
                            : instance->next.CreateDevice(physical, info, allocator, handle);
}

static VkResult hook_CreateDevice(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                                  const VkAllocationCallbacks *allocator, VkDevice *handle)
{
    if (fault_strikes(FAULT_INIT_CRASHES))
        crash();
    struct device *device = calloc(1, sizeof *device);
    if (!device)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    VkResult result = create_device(device, find_record(physical), physical, info, allocator, handle);
    if (result != VK_SUCCESS) {
        free(device);
        return result;
    }
    device->handle = *handle;
    load_device_commands(device);
    pthread_mutex_init(&device->memory.lock, NULL);
    add_record(&device->record, *handle);
    return VK_SUCCESS;
}

static void hook_DestroyDevice(VkDevice handle, const VkAllocationCallbacks *allocator)
{
    if (!handle)
        return;
    struct device *device = find_record(handle);
    remove_record(&device->record);
    device->next.DestroyDevice(handle, allocator);
    pthread_mutex_destroy(&device->memory.lock);
    free(device);
}

/* Submit and wait: only to lose the device */

bool device_is_lost(struct device *device)
{
    if (fault_strikes(FAULT_DEVICE_LOST))
        device->lost = true;
    return device->lost;
}

static VkResult hook_DeviceWaitIdle(VkDevice handle)
{
    struct device *device = find_record(handle);
    return device_is_lost(device) ? VK_ERROR_DEVICE_LOST : device->next.DeviceWaitIdle(handle);
}

static VkResult hook_QueueWaitIdle(VkQueue queue)
{
    struct device *device = find_record(queue);
    return device_is_lost(device) ? VK_ERROR_DEVICE_LOST : device->next.QueueWaitIdle(queue);
}

static VkResult hook_QueueSubmit(VkQueue queue, uint32_t count, const VkSubmitInfo *submits, VkFence fence)
{
    struct device *device = find_record(queue);
    return device_is_lost(device) ? VK_ERROR_DEVICE_LOST : device->next.QueueSubmit(queue, count, submits, fence);
}

static VkResult hook_QueueSubmit2(VkQueue queue, uint32_t count, const VkSubmitInfo *submits, VkFence fence)
{
    struct device *device = find_record(queue);
    return device_is_lost(device) ? VK_ERROR_DEVICE_LOST : device->next.QueueSubmit2(queue, count, submits, fence);
}

static VkResult hook_WaitForFences(VkDevice handle, uint32_t count, const VkFence *fences, VkBool32 all,
                                   uint64_t timeout)
{
    struct device *device = find_record(handle);
    return device_is_lost(device) ? VK_ERROR_DEVICE_LOST
                                  : device->next.WaitForFences(handle, count, fences, all, timeout);
}

static VkResult hook_GetFenceStatus(VkDevice handle, VkFence fence)
{
    struct device *device = find_record(handle);
    return device_is_lost(device) ? VK_ERROR_DEVICE_LOST : device->next.GetFenceStatus(handle, fence);
}

/* Entry points */

static PFN_vkVoidFunction layer_GetInstanceProcAddr(VkInstance handle, const char *name);
static PFN_vkVoidFunction layer_GetDeviceProcAddr(VkDevice handle, const char *name);

#define HOOK(command, function) {"vk" #command, (PFN_vkVoidFunction)function}

static const struct hook instance_hooks[] = {
    HOOK(GetInstanceProcAddr, layer_GetInstanceProcAddr),
    HOOK(CreateInstance, hook_CreateInstance),
    HOOK(DestroyInstance, hook_DestroyInstance),
    HOOK(EnumeratePhysicalDevices, hook_EnumeratePhysicalDevices),
    HOOK(EnumerateDeviceExtensionProperties, hook_EnumerateDeviceExtensionProperties),
    HOOK(GetPhysicalDeviceFeatures2, hook_GetPhysicalDeviceFeatures2),
    HOOK(GetPhysicalDeviceFeatures2KHR, hook_GetPhysicalDeviceFeatures2),
    HOOK(GetPhysicalDeviceProperties2, hook_GetPhysicalDeviceProperties2),
    HOOK(GetPhysicalDeviceProperties2KHR, hook_GetPhysicalDeviceProperties2),
    HOOK(CreateDevice, hook_CreateDevice),
    {NULL, NULL},
};

static const struct hook device_hooks[] = {
    HOOK(GetDeviceProcAddr, layer_GetDeviceProcAddr),
    HOOK(DestroyDevice, hook_DestroyDevice),
    HOOK(DeviceWaitIdle, hook_DeviceWaitIdle),
    HOOK(QueueWaitIdle, hook_QueueWaitIdle),
    HOOK(QueueSubmit, hook_QueueSubmit),
    HOOK(QueueSubmit2, hook_QueueSubmit2),
    HOOK(QueueSubmit2KHR, hook_QueueSubmit2),
    HOOK(WaitForFences, hook_WaitForFences),
    HOOK(GetFenceStatus, hook_GetFenceStatus),
    HOOK(AllocateMemory, hook_AllocateMemory),
    HOOK(FreeMemory, hook_FreeMemory),
    HOOK(MapMemory, hook_MapMemory),
    HOOK(UnmapMemory, hook_UnmapMemory),
    HOOK(MapMemory2, hook_MapMemory2),
    HOOK(MapMemory2KHR, hook_MapMemory2),
    HOOK(UnmapMemory2, hook_UnmapMemory2),
    HOOK(UnmapMemory2KHR, hook_UnmapMemory2),
    HOOK(FlushMappedMemoryRanges, hook_FlushMappedMemoryRanges),
    HOOK(InvalidateMappedMemoryRanges, hook_InvalidateMappedMemoryRanges),
    {NULL, NULL},
};

static bool is_version2(PFN_vkVoidFunction hook)
{
    return hook == (PFN_vkVoidFunction)hook_MapMemory2 || hook == (PFN_vkVoidFunction)hook_UnmapMemory2;
}

static PFN_vkVoidFunction layer_GetDeviceProcAddr(VkDevice handle, const char *name)
{
    const struct device *device = find_record(handle);
    PFN_vkVoidFunction below = device ? device->get_proc_addr(handle, name) : NULL;
    PFN_vkVoidFunction hook = find_hook(device_hooks, name);
    if (is_version2(hook) && fault_strikes(FAULT_ENTRY_POINT_NULL))
        return NULL;
    return below && hook ? hook : below;
}

static PFN_vkVoidFunction layer_GetInstanceProcAddr(VkInstance handle, const char *name)
{
    PFN_vkVoidFunction hook = find_hook(instance_hooks, name);
    if (!hook)
        hook = find_hook(device_hooks, name);
    const struct instance *instance = handle ? find_record(handle) : NULL;
    if (!instance) /* not created yet: the loader looks for vkCreateInstance */
        return hook;
    PFN_vkVoidFunction below = instance->get_proc_addr(handle, name);
    return below && hook ? hook : below;
}

LAYER_EXPORT VkResult vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *negotiation)
{
    return negotiate(negotiation, layer_GetInstanceProcAddr, layer_GetDeviceProcAddr);
}

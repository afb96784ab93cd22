#include "layer_memory.h"

#include "layer.h"
#include "layer_backing.h"
#include "layer_faults.h"

#include <stdlib.h>

struct memory {
    struct memory *next; /* in its bucket */
    VkDeviceMemory handle;
    VkDeviceSize size;
    bool emulated;          /* lives in the backing; otherwise the driver maps it */
    bool was_mapped;
    struct backing backing;
    struct mapping mapping;
    struct mapping reserved; /* by the latest unmap with reserve */
    void *first_place;       /* where the first placed map went */
};

/* Table of memory objects. Its lock guards the links only: the application synchronizes each object. */

static struct memory **bucket_of(struct memory_table *table, VkDeviceMemory handle)
{
    uint64_t hash = handle * UINT64_C(0x9E3779B97F4A7C15);
    return &table->buckets[hash >> 52];
}

static struct memory **find_link(struct memory_table *table, VkDeviceMemory handle)
{
    struct memory **link = bucket_of(table, handle);
    while (*link && (*link)->handle != handle)
        link = &(*link)->next;
    return link;
}

static struct memory *find_memory(struct memory_table *table, VkDeviceMemory handle)
{
    pthread_mutex_lock(&table->lock);
    struct memory *memory = *find_link(table, handle);
    pthread_mutex_unlock(&table->lock);
    return memory;
}

static void add_memory(struct memory_table *table, struct memory *memory)
{
    pthread_mutex_lock(&table->lock);
    struct memory **bucket = bucket_of(table, memory->handle);
    memory->next = *bucket;
    *bucket = memory;
    pthread_mutex_unlock(&table->lock);
}

static struct memory *remove_memory(struct memory_table *table, VkDeviceMemory handle)
{
    pthread_mutex_lock(&table->lock);
    struct memory **link = find_link(table, handle);
    struct memory *memory = *link;
    if (memory) {
        *link = memory->next;
        if (table->lender == memory)
            table->lender = NULL;
    }
    pthread_mutex_unlock(&table->lock);
    return memory;
}

static void set_mapping(struct memory_table *table, struct memory *memory, struct mapping mapping)
{
    pthread_mutex_lock(&table->lock);
    memory->mapping = mapping;
    if (mapping.pointer && !table->lender)
        table->lender = memory;
    else if (!mapping.pointer && table->lender == memory)
        table->lender = NULL;
    pthread_mutex_unlock(&table->lock);
}

/* Allocate and free */

static bool is_host_visible(const struct device *device, uint32_t type)
{
    return device->memory_types.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT;
}

/* Imports and exports rule out a second import, and so may whatever is not known here. */
static bool chain_allows_import(const VkBaseOutStructure *chain)
{
    for (; chain; chain = chain->pNext) {
        switch (chain->sType) {
        case VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO:
        case VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO:
        case VK_STRUCTURE_TYPE_MEMORY_PRIORITY_ALLOCATE_INFO_EXT:
        case VK_STRUCTURE_TYPE_MEMORY_OPAQUE_CAPTURE_ADDRESS_ALLOCATE_INFO: break;
        default: return false;
        }
    }
    return true;
}

static bool driver_allows_import(const struct device *device, uint32_t type, const void *pointer)
{
    VkMemoryHostPointerPropertiesEXT properties = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT,
    };
    if ((uintptr_t)pointer % device->import_alignment != 0)
        return false;
    VkResult result = device->next.GetMemoryHostPointerPropertiesEXT(
        device->handle, VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT, pointer, &properties);
    return result == VK_SUCCESS && (properties.memoryTypeBits >> type & 1);
}

static VkResult import_backing(const struct device *device, const VkMemoryAllocateInfo *info,
                               const VkAllocationCallbacks *allocator, struct memory *memory)
{
    VkImportMemoryHostPointerInfoEXT import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT,
        .pNext = info->pNext,
        .handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT,
        .pHostPointer = memory->backing.view,
    };
    VkMemoryAllocateInfo importing = *info;
    importing.pNext = &import;
    importing.allocationSize = memory->backing.size;
    return device->next.AllocateMemory(device->handle, &importing, allocator, &memory->handle);
}

static VkResult allocate(const struct device *device, const VkMemoryAllocateInfo *info,
                         const VkAllocationCallbacks *allocator, struct memory *memory)
{
    if (!device->emulated || !chain_allows_import(info->pNext))
        return device->next.AllocateMemory(device->handle, info, allocator, &memory->handle);

    if (info->allocationSize > SIZE_MAX - device->import_alignment ||
        !backing_create(&memory->backing, round_up(info->allocationSize, device->import_alignment)))
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    memory->emulated = driver_allows_import(device, info->memoryTypeIndex, memory->backing.view);
    VkResult result = memory->emulated ? import_backing(device, info, allocator, memory)
                                       : device->next.AllocateMemory(device->handle, info, allocator, &memory->handle);
    if (!memory->emulated || result != VK_SUCCESS)
        backing_destroy(&memory->backing);
    return result;
}

VkResult hook_AllocateMemory(VkDevice handle, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *allocator,
                             VkDeviceMemory *memory_handle)
{
    struct device *device = find_record(handle);
    if (fault_strikes(FAULT_OUT_OF_MEMORY))
        return VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (!is_host_visible(device, info->memoryTypeIndex))
        return device->next.AllocateMemory(handle, info, allocator, memory_handle);

    struct memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    memory->size = info->allocationSize;
    VkResult result = allocate(device, info, allocator, memory);
    if (result != VK_SUCCESS) {
        free(memory);
        return result;
    }
    *memory_handle = memory->handle;
    add_memory(&device->memory, memory);
    return VK_SUCCESS;
}

void hook_FreeMemory(VkDevice handle, VkDeviceMemory memory_handle, const VkAllocationCallbacks *allocator)
{
    struct device *device = find_record(handle);
    struct memory *memory = remove_memory(&device->memory, memory_handle);
    device->next.FreeMemory(handle, memory_handle, allocator);
    if (memory && memory->emulated) {
        if (memory->mapping.pointer && !fault_strikes(FAULT_FREE_KEEPS))
            backing_unmap(&memory->mapping);
        backing_destroy(&memory->backing);
    }
    if (memory && memory->reserved.pointer && fault_strikes(FAULT_FREE_RELEASES))
        backing_unmap(&memory->reserved);
    free(memory);
}

/* Map */

#define LARGE (64 << 20)

static VkDeviceSize size_to_map(const struct memory *memory, const VkMemoryMapInfo *info)
{
    return info->size == VK_WHOLE_SIZE ? memory->size - info->offset : info->size;
}

static VkResult fault_before_map(struct device *device)
{
    if (fault_strikes(FAULT_MAP_SLEEPS))
        oversleep();
    if (fault_strikes(FAULT_MAP_HANGS))
        hang();
    if (fault_strikes(FAULT_MAP_CRASHES))
        crash();
    if (fault_strikes(FAULT_MAP_ABORTS))
        abort();
    if (device_is_lost(device))
        return VK_ERROR_DEVICE_LOST;
    if (fault_strikes(FAULT_MAP_FAILS) || (has_forked() && fault_strikes(FAULT_FORK_DISTURBS)))
        return VK_ERROR_MEMORY_MAP_FAILED;
    return VK_SUCCESS;
}

/* Faults of one object's map: changes what is asked for, or refuses it. */
static VkResult fault_in_request(const struct memory *memory, VkMemoryMapInfo *info, bool version2)
{
    bool placed = info->flags & VK_MEMORY_MAP_PLACED_BIT_EXT;
    if (placed && !memory->was_mapped && fault_strikes(FAULT_FIRST_PLACE_REFUSED))
        return VK_ERROR_MEMORY_MAP_FAILED;
    if (size_to_map(memory, info) > LARGE && fault_strikes(FAULT_LARGE_MAPS_FAIL))
        return VK_ERROR_MEMORY_MAP_FAILED;
    if (placed && fault_strikes(FAULT_PLACE_ELSEWHERE))
        info->flags &= ~(VkFlags)VK_MEMORY_MAP_PLACED_BIT_EXT;
    if (version2 && info->offset > 0 && fault_strikes(FAULT_MAP2_IGNORES_OFFSET))
        info->offset = 0;
    return VK_SUCCESS;
}

/* Returns the pointer that the application is told. */
static void *fault_after_map(struct memory_table *table, const struct memory *memory, const VkMemoryMapInfo *info,
                             bool collides)
{
    bool placed = info->flags & VK_MEMORY_MAP_PLACED_BIT_EXT;
    if (placed && fault_strikes(FAULT_TRAMPLES_NEIGHBOURS))
        trample_neighbours(&memory->mapping);
    if (placed && fault_strikes(FAULT_PLACE_REPLACES_64K))
        replace_rest_of_64k(&memory->mapping);
    if (memory->emulated && info->size == VK_WHOLE_SIZE && fault_strikes(FAULT_WHOLE_SIZE_SHORT))
        forbid_last_page(&memory->mapping);

    char *pointer = memory->mapping.pointer;
    if (!placed && (selected_fault == FAULT_SHARED_ADDRESS || collides)) {
        pthread_mutex_lock(&table->lock);
        const struct memory *lender = table->lender;
        if (lender && lender != memory && lender->mapping.size >= memory->mapping.size && fault_strikes(selected_fault))
            pointer = lender->mapping.pointer;
        pthread_mutex_unlock(&table->lock);
    }
    return fault_strikes(FAULT_MISALIGNED_POINTER) ? pointer + 8 : pointer;
}

static void *placed_address(const VkMemoryMapInfo *info)
{
    for (const VkBaseOutStructure *chain = info->pNext; chain; chain = chain->pNext)
        if (chain->sType == VK_STRUCTURE_TYPE_MEMORY_MAP_PLACED_INFO_EXT)
            return ((const VkMemoryMapPlacedInfoEXT *)chain)->pPlacedAddress;
    return NULL;
}

static VkResult map_backing(const struct device *device, const struct memory *memory, const VkMemoryMapInfo *info,
                            void **pointer)
{
    if (memory->mapping.pointer)
        return VK_ERROR_MEMORY_MAP_FAILED;
    VkDeviceSize size = size_to_map(memory, info);
    void *address = NULL;
    if (info->flags & VK_MEMORY_MAP_PLACED_BIT_EXT) {
        bool whole = info->offset == 0 && size == memory->size;
        address = placed_address(info);
        if (!address || (!whole && !device->range_placed))
            return VK_ERROR_MEMORY_MAP_FAILED;
        if (memory->first_place && fault_strikes(FAULT_PLACE_STICKS))
            address = memory->first_place;
    }
    *pointer = backing_map(&memory->backing, info->offset, size, address);
    return *pointer || fault_strikes(FAULT_REFUSED_MAP_NULL) ? VK_SUCCESS : VK_ERROR_MEMORY_MAP_FAILED;
}

static VkResult map_by_driver(const struct device *device, const VkMemoryMapInfo *info, bool version2, void **pointer)
{
    if (!version2)
        return device->next.MapMemory(device->handle, info->memory, info->offset, info->size, info->flags, pointer);
    if (device->emulated && info->flags & VK_MEMORY_MAP_PLACED_BIT_EXT)
        return VK_ERROR_MEMORY_MAP_FAILED;
    return device->next.MapMemory2(device->handle, info, pointer);
}

static VkResult map_memory(struct device *device, VkMemoryMapInfo info, bool version2, void **pointer)
{
    VkResult result = fault_before_map(device);
    if (result != VK_SUCCESS)
        return result;
    struct memory *memory = find_memory(&device->memory, info.memory);
    if (!memory)
        return VK_ERROR_MEMORY_MAP_FAILED;
    result = fault_in_request(memory, &info, version2);
    if (result != VK_SUCCESS)
        return result;

    bool races = selected_fault == FAULT_PARALLEL_MAPS_COLLIDE, collides = races && enter_map();
    result = memory->emulated ? map_backing(device, memory, &info, pointer)
                              : map_by_driver(device, &info, version2, pointer);
    if (result == VK_SUCCESS && *pointer) {
        memory->was_mapped = true;
        if (info.flags & VK_MEMORY_MAP_PLACED_BIT_EXT && !memory->first_place)
            memory->first_place = *pointer;
        set_mapping(&device->memory, memory, (struct mapping){*pointer, size_to_map(memory, &info)});
        *pointer = fault_after_map(&device->memory, memory, &info, collides);
    }
    if (races)
        leave_map();
    return result;
}

VkResult hook_MapMemory(VkDevice handle, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size, VkFlags flags,
                        void **pointer)
{
    VkMemoryMapInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_MAP_INFO,
        .flags = flags,
        .memory = memory,
        .offset = offset,
        .size = size,
    };
    return map_memory(find_record(handle), info, false, pointer);
}

VkResult hook_MapMemory2(VkDevice handle, const VkMemoryMapInfo *info, void **pointer)
{
    return map_memory(find_record(handle), *info, true, pointer);
}

/* Unmap */

static VkResult unmap_by_driver(const struct device *device, VkDeviceMemory memory, bool reserve, bool version2)
{
    if (!version2) {
        device->next.UnmapMemory(device->handle, memory);
        return VK_SUCCESS;
    }
    if (reserve && device->emulated)
        return VK_ERROR_MEMORY_MAP_FAILED;
    VkMemoryUnmapInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_UNMAP_INFO,
        .flags = reserve ? VK_MEMORY_UNMAP_RESERVE_BIT_EXT : 0,
        .memory = memory,
    };
    return device->next.UnmapMemory2(device->handle, &info);
}

static VkResult unmap_backing(const struct mapping *mapping, bool reserve)
{
    bool unmapped;
    if (!reserve)
        unmapped = fault_strikes(FAULT_UNMAP_KEEPS) || backing_unmap(mapping);
    else if (fault_strikes(FAULT_RESERVE_IGNORES_NONE))
        unmapped = backing_reserve_blindly(mapping);
    else
        unmapped = backing_reserve(mapping) || fault_strikes(FAULT_RESERVE_IGNORED);
    return unmapped ? VK_SUCCESS : VK_ERROR_MEMORY_MAP_FAILED;
}

static VkResult unmap(struct device *device, struct memory *memory, bool reserve, bool version2)
{
    VkResult result = memory->emulated ? unmap_backing(&memory->mapping, reserve)
                                       : unmap_by_driver(device, memory->handle, reserve, version2);
    if (result == VK_SUCCESS) {
        if (reserve)
            memory->reserved = memory->mapping;
        set_mapping(&device->memory, memory, (struct mapping){0});
    }
    return result;
}

static VkResult unmap_reserving(struct device *device, struct memory *memory)
{
    if (fault_strikes(FAULT_RESERVE_FAILS))
        return VK_ERROR_MEMORY_MAP_FAILED;
    if (fault_strikes(FAULT_RESERVE_LETS_GO))
        return unmap(device, memory, false, true);
    if (fault_strikes(FAULT_RESERVE_LIES)) {
        unmap(device, memory, false, true);
        return VK_ERROR_MEMORY_MAP_FAILED;
    }
    if (memory->emulated && fault_strikes(FAULT_RESERVE_KEEPS)) {
        set_mapping(&device->memory, memory, (struct mapping){0});
        return VK_SUCCESS;
    }
    return unmap(device, memory, true, true);
}

static void fault_before_unmap(const struct mapping *mapping)
{
    if (fault_strikes(FAULT_CONTENTS_LOST))
        lose_contents(mapping);
    if (fault_strikes(FAULT_BIT_FLIP))
        flip_bit(mapping);
    if (fault_strikes(FAULT_LEAK))
        leak_mapping();
}

static VkResult unmap_memory(struct device *device, VkDeviceMemory handle, bool reserve, bool version2)
{
    struct memory *memory = find_memory(&device->memory, handle);
    if (!memory || !memory->mapping.pointer)
        return VK_SUCCESS; /* reserve-lies brings the application here */
    fault_before_unmap(&memory->mapping);
    if (reserve)
        return unmap_reserving(device, memory);
    if (version2 && fault_strikes(FAULT_UNMAP2_FAILS))
        return VK_ERROR_MEMORY_MAP_FAILED;
    return unmap(device, memory, false, version2);
}

void hook_UnmapMemory(VkDevice handle, VkDeviceMemory memory)
{
    unmap_memory(find_record(handle), memory, false, false);
}

VkResult hook_UnmapMemory2(VkDevice handle, const VkMemoryUnmapInfo *info)
{
    return unmap_memory(find_record(handle), info->memory, info->flags & VK_MEMORY_UNMAP_RESERVE_BIT_EXT, true);
}

/* Flush and invalidate: the driver knows nothing of a mapped backing, which is coherent anyway. */

static VkResult pass_ranges(struct device *device, PFN_vkFlushMappedMemoryRanges command, uint32_t count,
                            const VkMappedMemoryRange *ranges)
{
    if (device_is_lost(device))
        return VK_ERROR_DEVICE_LOST;
    for (uint32_t i = 0; i < count; i++) {
        const struct memory *memory = find_memory(&device->memory, ranges[i].memory);
        if (memory && memory->emulated)
            continue;
        VkResult result = command(device->handle, 1, &ranges[i]);
        if (result != VK_SUCCESS)
            return result;
    }
    return VK_SUCCESS;
}

VkResult hook_FlushMappedMemoryRanges(VkDevice handle, uint32_t count, const VkMappedMemoryRange *ranges)
{
    struct device *device = find_record(handle);
    return pass_ranges(device, device->next.FlushMappedMemoryRanges, count, ranges);
}

VkResult hook_InvalidateMappedMemoryRanges(VkDevice handle, uint32_t count, const VkMappedMemoryRange *ranges)
{
    struct device *device = find_record(handle);
    return pass_ranges(device, device->next.InvalidateMappedMemoryRanges, count, ranges);
}

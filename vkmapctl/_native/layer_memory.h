/* Memory objects: the layer's side of allocating, mapping, unmapping and flushing. */
#ifndef VKMAPCTL_LAYER_MEMORY_H
#define VKMAPCTL_LAYER_MEMORY_H

#include "vk_layer.h"

#include <pthread.h>

struct memory;

/* A device's host-visible memory objects, by handle. */
struct memory_table {
    pthread_mutex_t lock;
    struct memory *buckets[4096];
    struct memory *lender; /* the mapped object whose address the shared-address fault hands out */
};

VkResult hook_AllocateMemory(VkDevice handle, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *allocator,
                             VkDeviceMemory *memory);
void hook_FreeMemory(VkDevice handle, VkDeviceMemory memory, const VkAllocationCallbacks *allocator);
VkResult hook_MapMemory(VkDevice handle, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size, VkFlags flags,
                        void **pointer);
VkResult hook_MapMemory2(VkDevice handle, const VkMemoryMapInfo *info, void **pointer);
void hook_UnmapMemory(VkDevice handle, VkDeviceMemory memory);
VkResult hook_UnmapMemory2(VkDevice handle, const VkMemoryUnmapInfo *info);
VkResult hook_FlushMappedMemoryRanges(VkDevice handle, uint32_t count, const VkMappedMemoryRange *ranges);
VkResult hook_InvalidateMappedMemoryRanges(VkDevice handle, uint32_t count, const VkMappedMemoryRange *ranges);

#endif

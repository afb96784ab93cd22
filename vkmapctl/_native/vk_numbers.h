/* What the loop passes to the driver, from the registry (VK_KHR_map_memory2, VK_EXT_map_memory_placed).
 *
 * Dispatchable handles (VkDevice, VkQueue) are pointers. All others are 64 bits wide on every system: pointers where
 * those are, integers elsewhere. */
#ifndef VKM_VK_NUMBERS_H
#define VKM_VK_NUMBERS_H

#include <stdint.h>

#define WHOLE_SIZE UINT64_MAX
#define MAP_PLACED 1u     /* VK_MEMORY_MAP_PLACED_BIT_EXT */
#define UNMAP_RESERVE 1u  /* VK_MEMORY_UNMAP_RESERVE_BIT_EXT */

#define EXTERNAL_MEMORY_HOST_ALLOCATION 0x80u /* VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT */

enum structure_type {
    MEMORY_ALLOCATE_INFO = 5,
    MAPPED_MEMORY_RANGE = 6,
    IMPORT_MEMORY_HOST_POINTER_INFO = 1000178000,
    MEMORY_MAP_INFO = 1000271000,
    MEMORY_UNMAP_INFO = 1000271001,
    MEMORY_MAP_PLACED_INFO = 1000272002
};

/* VkMemoryMapInfo, VkMemoryMapPlacedInfoEXT, VkMemoryUnmapInfo, VkMappedMemoryRange, VkMemoryAllocateInfo and
 * VkImportMemoryHostPointerInfoEXT. */
struct map_info {
    uint32_t type;
    const void *next;
    uint32_t flags;
    uint64_t memory, offset, size;
};
struct placed_info {
    uint32_t type;
    const void *next;
    void *address;
};
struct unmap_info {
    uint32_t type;
    const void *next;
    uint32_t flags;
    uint64_t memory;
};
struct memory_range {
    uint32_t type;
    const void *next;
    uint64_t memory, offset, size;
};
struct allocate_info {
    uint32_t type;
    const void *next;
    uint64_t size;
    uint32_t memory_type;
};
struct import_info {
    uint32_t type;
    const void *next;
    uint32_t handle_type;
    void *pointer;
};

#endif

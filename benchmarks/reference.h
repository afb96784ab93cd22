/* The mapping functions and structures as the Vulkan specification has them, handles as integers. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <stdint.h>

struct map_info { /* VkMemoryMapInfo */
    uint32_t type;
    const void *next;
    uint32_t flags;
    uint64_t memory, offset, size;
};

struct placed_info { /* VkMemoryMapPlacedInfoEXT */
    uint32_t type;
    const void *next;
    void *address;
};

struct unmap_info { /* VkMemoryUnmapInfo */
    uint32_t type;
    const void *next;
    uint32_t flags;
    uint64_t memory;
};

struct allocate_info { /* VkMemoryAllocateInfo */
    uint32_t type;
    const void *next;
    uint64_t size;
    uint32_t memory_type;
};

struct import_info { /* VkImportMemoryHostPointerInfoEXT */
    uint32_t type;
    const void *next;
    uint32_t handle_type;
    void *pointer;
};

struct range_info { /* VkMappedMemoryRange */
    uint32_t type;
    const void *next;
    uint64_t memory, offset, size;
};

typedef int32_t allocate_fn(uintptr_t device, const struct allocate_info *info, const void *allocator,
                            uint64_t *memory);
typedef void free_fn(uintptr_t device, uint64_t memory, const void *allocator);
typedef int32_t ranges_fn(uintptr_t device, uint32_t count, const struct range_info *ranges);
typedef int32_t map1_fn(uintptr_t device, uint64_t memory, uint64_t offset, uint64_t size, uint32_t flags, void **data);
typedef void unmap1_fn(uintptr_t device, uint64_t memory);
typedef int32_t map2_fn(uintptr_t device, const struct map_info *info, void **data);
typedef int32_t unmap2_fn(uintptr_t device, const struct unmap_info *info);

/* ns for `pairs` maps and unmaps of the whole allocation, 0 if a call failed. */
uint64_t reference_pairs1(map1_fn *map, unmap1_fn *unmap, uint64_t device, uint64_t memory, uint64_t pairs);
uint64_t reference_pairs2(map2_fn *map, unmap2_fn *unmap, uint64_t device, uint64_t memory, uint64_t pairs);

#endif

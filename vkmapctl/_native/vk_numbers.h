/* What the loop passes to the driver, from the registry (VK_KHR_map_memory2, VK_EXT_map_memory_placed). */
#ifndef VKM_VK_NUMBERS_H
#define VKM_VK_NUMBERS_H

#define WHOLE_SIZE UINT64_MAX
#define MAP_PLACED 1u     /* VK_MEMORY_MAP_PLACED_BIT_EXT */
#define UNMAP_RESERVE 1u  /* VK_MEMORY_UNMAP_RESERVE_BIT_EXT */

enum structure_type {
    MAPPED_MEMORY_RANGE = 6,
    MEMORY_MAP_INFO = 1000271000,
    MEMORY_UNMAP_INFO = 1000271001,
    MEMORY_MAP_PLACED_INFO = 1000272002
};

#endif

/* The calls that the loop and the replay make, by address: the ABI of Vulkan, whose handles of memory have 64 bits. */
#ifndef VKM_CALLS_H
#define VKM_CALLS_H

#include <stdint.h>

typedef int32_t map1_fn(uintptr_t device, uint64_t memory, uint64_t offset, uint64_t size, uint32_t flags, void **data);
typedef void unmap1_fn(uintptr_t device, uint64_t memory);
typedef int32_t map2_fn(uintptr_t device, const void *info, void **data);
typedef int32_t unmap2_fn(uintptr_t device, const void *info);
typedef int32_t allocate_fn(uintptr_t device, const void *info, const void *allocator, uint64_t *memory);
typedef void free_fn(uintptr_t device, uint64_t memory, const void *allocator);
typedef int32_t ranges_fn(uintptr_t device, uint32_t count, const void *ranges);

#endif

#define _GNU_SOURCE
#include "loop.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vk_numbers.h"

#define MAP_FAILED_RESULT (-5)  /* VK_ERROR_MEMORY_MAP_FAILED */
#define DEVICE_LOST (-4)        /* VK_ERROR_DEVICE_LOST */
#define OUT_OF_HOST_MEMORY (-1) /* VK_ERROR_OUT_OF_HOST_MEMORY */

static uint32_t injected_fault;
static uint64_t calls_until_fault;
static void *last_pointer;

void vkm_null_inject(uint32_t fault, uint64_t call)
{
    injected_fault = fault;
    calls_until_fault = call;
    last_pointer = NULL;
}

static uint32_t fault_now(void)
{
    if (!calls_until_fault || --calls_until_fault)
        return VKM_NULL_NONE;
    return injected_fault;
}

static int32_t faulty_map(uint32_t fault, uint64_t memory, uint64_t offset, void **data)
{
    unsigned char *pointer = (unsigned char *)(uintptr_t)(memory + offset);
    switch (fault) {
    case VKM_NULL_MAP_FAILS: return MAP_FAILED_RESULT;
    case VKM_NULL_BIT_FLIPS: *pointer ^= 0x10; break;
    case VKM_NULL_MOVES: pointer += 4096; break;
    case VKM_NULL_MISALIGNS: pointer += 1; break;
    case VKM_NULL_NO_POINTER: pointer = NULL; break;
    case VKM_NULL_SHARES: pointer = last_pointer; break;
    }
    *data = pointer;
    return 0;
}

static int32_t maybe_faulty_map(uint64_t memory, uint64_t offset, void **data)
{
    int others = injected_fault == VKM_NULL_UNMAP_FAILS || injected_fault >= VKM_NULL_SUBMIT_FAILS;
    uint32_t fault = others ? VKM_NULL_NONE : fault_now();
    int32_t result = faulty_map(fault, memory, offset, data);
    last_pointer = *data;
    return result;
}

static int32_t faulty_map1(uintptr_t device, uint64_t memory, uint64_t offset, uint64_t size, uint32_t flags,
                           void **data)
{
    (void)device, (void)size, (void)flags;
    return maybe_faulty_map(memory, offset, data);
}

static int32_t faulty_map2(uintptr_t device, const struct map_info *info, void **data)
{
    (void)device;
    return maybe_faulty_map(info->memory, info->offset, data);
}

static int32_t faulty_unmap2(uintptr_t device, const void *info)
{
    (void)device, (void)info;
    return injected_fault == VKM_NULL_UNMAP_FAILS && fault_now() ? MAP_FAILED_RESULT : 0;
}

static int32_t null_map(uintptr_t device, uint64_t memory, uint64_t offset, uint64_t size, uint32_t flags, void **data)
{
    (void)device, (void)size, (void)flags;
    *data = (void *)(uintptr_t)(memory + offset);
    return 0;
}

static void null_unmap(uintptr_t device, uint64_t memory)
{
    (void)device, (void)memory;
}

static int32_t null_map2(uintptr_t device, const struct map_info *info, void **data)
{
    (void)device;
    *data = (void *)(uintptr_t)(info->memory + info->offset);
    return 0;
}

static int32_t null_unmap2(uintptr_t device, const void *info)
{
    (void)device, (void)info;
    return 0;
}

static int32_t null_ranges(uintptr_t device, uint32_t count, const void *ranges)
{
    (void)device, (void)count, (void)ranges;
    return 0;
}

static int32_t malloc_allocate(uintptr_t device, const struct allocate_info *info, const void *allocator,
                               uint64_t *memory)
{
    (void)device, (void)allocator;
    void *bytes = NULL;
    if (info->size > SIZE_MAX || posix_memalign(&bytes, (size_t)sysconf(_SC_PAGESIZE), (size_t)info->size))
        return OUT_OF_HOST_MEMORY;
    *memory = (uint64_t)(uintptr_t)bytes;
    return 0;
}

static void malloc_free(uintptr_t device, uint64_t memory, const void *allocator)
{
    (void)device, (void)allocator;
    free((void *)(uintptr_t)memory);
}

static int32_t null_submit(uintptr_t queue, uint32_t count, const struct vkm_null_copy *copies, uint64_t fence)
{
    (void)queue, (void)fence;
    for (uint32_t i = 0; i < count; i++)
        memcpy((void *)(uintptr_t)copies[i].to, (const void *)(uintptr_t)copies[i].from, (size_t)copies[i].size);
    return 0;
}

static int32_t null_wait(uintptr_t device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout)
{
    (void)device, (void)count, (void)fences, (void)all, (void)timeout;
    return 0;
}

static int32_t null_reset(uintptr_t device, uint32_t count, const uint64_t *fences)
{
    (void)device, (void)count, (void)fences;
    return 0;
}

static int32_t faulty_submit(uintptr_t queue, uint32_t count, const struct vkm_null_copy *copies, uint64_t fence)
{
    int mine = injected_fault == VKM_NULL_SUBMIT_FAILS || injected_fault == VKM_NULL_COPIES_NOTHING;
    switch (mine ? fault_now() : VKM_NULL_NONE) {
    case VKM_NULL_SUBMIT_FAILS: return DEVICE_LOST;
    case VKM_NULL_COPIES_NOTHING: return 0;
    default: return null_submit(queue, count, copies, fence);
    }
}

static int32_t faulty_wait(uintptr_t device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout)
{
    if (injected_fault == VKM_NULL_WAIT_FAILS && fault_now())
        return DEVICE_LOST;
    return null_wait(device, count, fences, all, timeout);
}

#define ADDRESS(function) ((uint64_t)(uintptr_t)(function))

struct vkm_null_driver vkm_null_driver(void)
{
    return (struct vkm_null_driver){
        .map = ADDRESS(null_map),
        .unmap = ADDRESS(null_unmap),
        .map2 = ADDRESS(null_map2),
        .unmap2 = ADDRESS(null_unmap2),
        .ranges = ADDRESS(null_ranges),
        .allocate = ADDRESS(malloc_allocate),
        .free = ADDRESS(malloc_free),
        .submit = ADDRESS(null_submit),
        .wait = ADDRESS(null_wait),
        .reset = ADDRESS(null_reset),
    };
}

struct vkm_null_driver vkm_faulty_driver(void)
{
    struct vkm_null_driver driver = vkm_null_driver();
    driver.map = ADDRESS(faulty_map1);
    driver.map2 = ADDRESS(faulty_map2);
    driver.unmap2 = ADDRESS(faulty_unmap2);
    driver.submit = ADDRESS(faulty_submit);
    driver.wait = ADDRESS(faulty_wait);
    return driver;
}

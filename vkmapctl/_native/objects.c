/* The steps that make and end objects and address ranges: kept out of the loop. */
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>

#include "clock.h"
#include "loop.h"
#include "vk_numbers.h"

typedef int32_t allocate_fn(uint64_t device, const void *info, const void *allocator, uint64_t *memory);
typedef void free_fn(uint64_t device, uint64_t memory, const void *allocator);

struct allocate_info {
    uint64_t type;
    const void *next;
    uint64_t size;
    uint64_t memory_type;
};

/* VkImportMemoryHostPointerInfoEXT */
struct import_info {
    uint64_t type;
    const void *next;
    uint64_t handle_type;
    uint64_t pointer;
};

static int allocate(struct vkm_program *program, const struct vkm_step *step, const void *next, struct vkm_stats *stats,
                    const struct vkm_clock *timed)
{
    struct vkm_object *object = &program->objects[step->object];
    struct allocate_info info = {MEMORY_ALLOCATE_INFO, next, step->size, program->memory_type};
    allocate_fn *const function = (allocate_fn *)(uintptr_t)program->allocate;
    uint64_t memory = 0, t0 = timed ? vkm_ticks(timed) : 0;
    int32_t result = function(program->device, &info, 0, &memory);
    if (timed)
        vkm_record(&stats->calls[step->op == VKM_IMPORT ? VKM_TIMED_IMPORT : VKM_TIMED_ALLOCATE],
                   vkm_ticks_to_ns(timed, vkm_ticks(timed) - t0));
    if (result) {
        stats->result = result;
        return VKM_CALL_FAILED;
    }
    object->memory = memory;
    object->owned = 1;
    object->allocation_size = step->size;
    if (step->op == VKM_ALLOCATE) /* the host's own bytes stay what they are */
        object->written_begin = object->written_end = 0;
    vkm_prepare_object(program, step->object);
    return VKM_OK;
}

/* The object then is as if it were mapped at the host's own address. */
static int import(struct vkm_program *program, const struct vkm_step *step, struct vkm_stats *stats,
                  const struct vkm_clock *timed)
{
    struct vkm_object *object = &program->objects[step->object];
    struct import_info info = {IMPORT_MEMORY_HOST_POINTER_INFO, 0, EXTERNAL_MEMORY_HOST_ALLOCATION, step->address};
    int fault = allocate(program, step, &info, stats, timed);
    if (fault)
        return fault;
    object->imported = 1;
    object->pointer = step->address;
    object->mapped_offset = 0;
    object->mapped_size = step->size;
    return VKM_OK;
}

static void end_object(struct vkm_program *program, struct vkm_object *object, struct vkm_stats *stats,
                       const struct vkm_clock *timed)
{
    if (!object->owned)
        return;
    free_fn *const function = (free_fn *)(uintptr_t)program->free;
    const uint64_t device = program->device, memory = object->memory;
    uint64_t t0 = timed ? vkm_ticks(timed) : 0;
    function(device, memory, 0);
    if (timed)
        vkm_record(&stats->calls[VKM_TIMED_FREE], vkm_ticks_to_ns(timed, vkm_ticks(timed) - t0));
    if (object->imported)
        object->pointer = 0;
    object->owned = object->imported = 0;
    object->memory = 0;
}

void vkm_object_free(struct vkm_program *program, struct vkm_object *object)
{
    end_object(program, object, NULL, NULL);
}

static void pause_for(uint64_t ns)
{
    struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

int vkm_object_step(struct vkm_program *program, uint32_t i, struct vkm_stats *stats, const struct vkm_clock *timed)
{
    const struct vkm_step *step = &program->steps[i];
    struct vkm_object *object = &program->objects[step->object];
    switch (step->op) {
    case VKM_ALLOCATE: return allocate(program, step, (const void *)(uintptr_t)object->allocate_next, stats, timed);
    case VKM_IMPORT: return import(program, step, stats, timed);
    case VKM_FREE: end_object(program, object, stats, timed); return VKM_OK;
    case VKM_PAUSE: pause_for(step->size); return VKM_OK;
    case VKM_FORGET: object->kept_begin = object->kept_end = 0; return VKM_OK;
    default: return vkm_release_range(step->address, step->size) ? VKM_RELEASE_FAILED : VKM_OK;
    }
}

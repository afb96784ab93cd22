/* The steps that make and end objects and address ranges: kept out of the loop. */
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>

#include "clock.h"
#include "loop.h"
#include "vk_numbers.h"

typedef int32_t allocate_fn(uintptr_t device, const void *info, const void *allocator, uint64_t *memory);
typedef void free_fn(uintptr_t device, uint64_t memory, const void *allocator);

static int allocate(struct vkm_program *program, uint32_t i, struct vkm_stats *stats, const struct vkm_clock *timed)
{
    const struct vkm_step *step = &program->steps[i];
    struct vkm_object *object = &program->objects[step->object];
    allocate_fn *const function = (allocate_fn *)(uintptr_t)program->allocate;
    const uint64_t device = program->device;
    uint64_t memory = 0, t0 = timed ? vkm_ticks(timed) : 0;
    int32_t result = function(device, &program->calls[i], 0, &memory);
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
    if (step->op == VKM_IMPORT) { /* the object then is as if it were mapped at the host's own address */
        object->imported = 1;
        object->pointer = step->address;
        object->mapped_offset = 0;
        object->mapped_size = step->size;
    } else {
        object->written_begin = object->written_end = 0; /* the bytes of an import stay what they are */
    }
    vkm_prepare_object(program, step->object);
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
    case VKM_ALLOCATE:
    case VKM_IMPORT: return allocate(program, i, stats, timed);
    case VKM_FREE: end_object(program, object, stats, timed); return VKM_OK;
    case VKM_PAUSE: pause_for(step->size); return VKM_OK;
    case VKM_FORGET: object->kept_begin = object->kept_end = 0; return VKM_OK;
    default: return vkm_release_range(step->address, step->size) ? VKM_RELEASE_FAILED : VKM_OK;
    }
}

/* The steps of scripts that make and end objects and address ranges: rare, so kept out of the loop. */
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>

#include "loop.h"

#define MEMORY_ALLOCATE_INFO 5u /* VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO */

typedef int32_t allocate_fn(uint64_t device, const void *info, const void *allocator, uint64_t *memory);
typedef void free_fn(uint64_t device, uint64_t memory, const void *allocator);

struct allocate_info {
    uint64_t type;
    const void *next;
    uint64_t size;
    uint64_t memory_type;
};

static int allocate(struct vkm_program *program, const struct vkm_step *step, struct vkm_stats *stats)
{
    struct vkm_object *object = &program->objects[step->object];
    struct allocate_info info = {MEMORY_ALLOCATE_INFO, 0, step->size, program->memory_type};
    uint64_t memory = 0;
    int32_t result = ((allocate_fn *)(uintptr_t)program->allocate)(program->device, &info, 0, &memory);
    if (result) {
        stats->result = result;
        return VKM_CALL_FAILED;
    }
    object->memory = memory;
    object->owned = 1;
    object->allocation_size = step->size;
    object->written_begin = object->written_end = 0;
    vkm_prepare_object(program, step->object);
    return VKM_OK;
}

void vkm_object_free(struct vkm_program *program, struct vkm_object *object)
{
    if (!object->owned)
        return;
    ((free_fn *)(uintptr_t)program->free)(program->device, object->memory, 0);
    object->owned = 0;
    object->memory = 0;
}

static void pause_for(uint64_t ns)
{
    struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (nanosleep(&left, &left) && errno == EINTR)
        ;
}

int vkm_object_step(struct vkm_program *program, uint32_t i, struct vkm_stats *stats)
{
    const struct vkm_step *step = &program->steps[i];
    struct vkm_object *object = &program->objects[step->object];
    switch (step->op) {
    case VKM_ALLOCATE: return allocate(program, step, stats);
    case VKM_FREE: vkm_object_free(program, object); return VKM_OK;
    case VKM_PAUSE: pause_for(step->size); return VKM_OK;
    case VKM_FORGET: object->kept_begin = object->kept_end = 0; return VKM_OK;
    default: return vkm_release_range(step->address, step->size) ? VKM_RELEASE_FAILED : VKM_OK;
    }
}

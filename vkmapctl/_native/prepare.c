/* Before the loop: a program checked step by step, since the loop trusts it, and its structures laid out. */
#include "loop.h"

#include <stdlib.h>
#include <string.h>

#include "vk_numbers.h"

/* What the words of a struct vkm_call are, by its step. */
union prepared {
    struct {
        struct map_info info;
        struct placed_info placed;
    } map;
    struct unmap_info unmap;
    struct memory_range range;
    struct {
        struct allocate_info info;
        struct import_info import;
    } allocation;
};
_Static_assert(sizeof(union prepared) <= sizeof(struct vkm_call), "a call has no room for what it passes");

static union prepared *prepared(const struct vkm_program *program, uint32_t i)
{
    return (union prepared *)(void *)&program->calls[i];
}

static void prepare_map(const struct vkm_step *step, uint64_t memory, union prepared *call)
{
    call->map.info = (struct map_info){
        .type = MEMORY_MAP_INFO,
        .next = step->flags & MAP_PLACED ? &call->map.placed : NULL,
        .flags = step->flags,
        .memory = memory,
        .offset = step->offset,
        .size = step->whole ? WHOLE_SIZE : step->size,
    };
    call->map.placed = (struct placed_info){.type = MEMORY_MAP_PLACED_INFO,
                                            .address = (void *)(uintptr_t)step->address};
}

static void prepare_range(const struct vkm_step *step, uint64_t memory, union prepared *call)
{
    call->range = (struct memory_range){
        .type = MAPPED_MEMORY_RANGE,
        .memory = memory,
        .offset = step->offset,
        .size = step->whole ? WHOLE_SIZE : step->size,
    };
}

/* VkMemoryAllocateInfo, and for an import VkImportMemoryHostPointerInfoEXT behind it. */
static void prepare_allocation(const struct vkm_program *program, const struct vkm_step *step, union prepared *call)
{
    call->allocation.info = (struct allocate_info){
        .type = MEMORY_ALLOCATE_INFO,
        .next = (const void *)(uintptr_t)program->objects[step->object].allocate_next,
        .size = step->size,
        .memory_type = program->memory_type,
    };
    if (step->op != VKM_IMPORT)
        return;
    call->allocation.info.next = &call->allocation.import;
    call->allocation.import = (struct import_info){
        .type = IMPORT_MEMORY_HOST_POINTER_INFO,
        .handle_type = EXTERNAL_MEMORY_HOST_ALLOCATION,
        .pointer = (void *)(uintptr_t)step->address,
    };
}

static void prepare_step(struct vkm_program *program, uint32_t i)
{
    const struct vkm_step *step = &program->steps[i];
    uint64_t memory = program->objects[step->object].memory;
    union prepared *call = prepared(program, i);
    memset(&program->calls[i], 0, sizeof program->calls[i]);
    if (step->op == VKM_MAP)
        prepare_map(step, memory, call);
    else if (step->op == VKM_UNMAP)
        call->unmap = (struct unmap_info){.type = MEMORY_UNMAP_INFO, .flags = step->flags, .memory = memory};
    else if (step->op == VKM_FLUSH || step->op == VKM_INVALIDATE || step->op == VKM_TO_HOST ||
             step->op == VKM_TO_DEVICE)
        prepare_range(step, memory, call);
    else if (step->op == VKM_ALLOCATE || step->op == VKM_IMPORT)
        prepare_allocation(program, step, call);
}

/* Where a step's call names the object's memory, NULL where it does not. */
static uint64_t *memory_of(const struct vkm_program *program, uint32_t i)
{
    switch (program->steps[i].op) {
    case VKM_MAP: return &prepared(program, i)->map.info.memory;
    case VKM_UNMAP: return &prepared(program, i)->unmap.memory;
    case VKM_FLUSH:
    case VKM_INVALIDATE: return &prepared(program, i)->range.memory;
    default: return NULL;
    }
}

void vkm_prepare(struct vkm_program *program)
{
    for (uint32_t i = 0; i < program->step_count; i++) {
        struct vkm_object *object = &program->objects[program->steps[i].object];
        prepare_step(program, i);
        if (!memory_of(program, i))
            continue;
        if (!object->end_call)
            object->first_call = i;
        object->end_call = i + 1;
    }
}

void vkm_prepare_object(struct vkm_program *program, uint32_t object)
{
    const struct vkm_object *of = &program->objects[object];
    for (uint32_t i = of->first_call; i < of->end_call; i++)
        if (program->steps[i].object == object && memory_of(program, i))
            *memory_of(program, i) = of->memory;
}

/* What vkm_check knows of an object while it walks the program. */
struct known {
    int mapped, owned, imported;
    uint64_t begin, end; /* of the mapping */
    uint64_t allocation; /* bytes, where owned */
};

static int inside(uint64_t offset, uint64_t size, uint64_t begin, uint64_t end)
{
    return size > 0 && offset >= begin && offset <= end && size <= end - offset;
}

static int transfer_is_sound(const struct vkm_program *program, const struct vkm_step *step)
{
    if (step->address >= program->transfer_count || !program->submit || !program->wait || !program->reset)
        return 0;
    const struct vkm_transfer *transfer = &program->transfers[step->address];
    return transfer->submits[0] && transfer->submits[1] && (step->op == VKM_TO_HOST || transfer->back);
}

static int step_is_sound(const struct vkm_program *program, const struct vkm_step *step, struct known *known)
{
    const struct vkm_object *object = &program->objects[step->object];
    switch (step->op) {
    case VKM_MAP:
        if (known->mapped || (!object->memory && !known->owned) ||
            !inside(step->offset, step->size, 0, known->owned ? known->allocation : object->allocation_size))
            return 0;
        if (step->flags & MAP_PLACED && !step->address)
            return 0;
        known->mapped = 1;
        known->begin = step->offset;
        known->end = step->offset + step->size;
        return 1;
    case VKM_UNMAP: {
        int was_mapped = known->mapped && !known->imported;
        known->mapped = 0;
        return was_mapped;
    }
    case VKM_FIRST:
    case VKM_WRITE:
    case VKM_READ:
    case VKM_VERIFY:
    case VKM_FLUSH:
    case VKM_INVALIDATE: return known->mapped && inside(step->offset, step->size, known->begin, known->end);
    case VKM_TO_HOST:
    case VKM_TO_DEVICE: /* its buffer is bound to memory that stays */
        return known->mapped && !known->owned && inside(step->offset, step->size, known->begin, known->end) &&
               transfer_is_sound(program, step);
    case VKM_HOLD: return !known->mapped && step->address && step->size;
    case VKM_RELEASE: return step->address && step->size;
    case VKM_RELEASE_KEPT:
    case VKM_FORGET:
    case VKM_PAUSE: return 1;
    case VKM_ALLOCATE:
        if (known->owned || object->memory || !step->size)
            return 0;
        known->owned = 1;
        known->allocation = step->size;
        return 1;
    case VKM_IMPORT:
        if (known->owned || object->memory || !step->size || !step->address)
            return 0;
        known->owned = known->imported = known->mapped = 1;
        known->begin = 0;
        known->end = step->size;
        return 1;
    case VKM_FREE: {
        int can_be_freed = known->owned && (!known->mapped || known->imported);
        if (known->imported)
            known->mapped = known->imported = 0;
        known->owned = 0;
        return can_be_freed;
    }
    default: return 0;
    }
}

static int cycle_is_sound(const struct vkm_program *program, uint32_t first, struct known *known, uint32_t *bad)
{
    for (uint32_t i = first; i < first + program->cycle_steps; i++) {
        const struct vkm_step *step = &program->steps[i];
        *bad = i + 1;
        if (step->object >= program->object_count || !step_is_sound(program, step, &known[step->object]))
            return 0;
    }
    for (uint32_t i = 0; i < program->object_count; i++)
        if (known[i].mapped || known[i].owned)
            return 0;
    return 1;
}

uint32_t vkm_check(const struct vkm_program *program)
{
    if (!program->cycle_steps || !program->step_count || program->step_count % program->cycle_steps)
        return 1;
    struct known *known = calloc(program->object_count + 1u, sizeof *known);
    uint32_t bad = 0;
    int sound = known != NULL;
    for (uint32_t first = 0; sound && first < program->step_count; first += program->cycle_steps)
        sound = cycle_is_sound(program, first, known, &bad);
    free(known);
    return sound ? 0 : bad;
}

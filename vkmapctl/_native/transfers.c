/* Round trips: a copy by the device, from before it is asked for until its bytes are where they were to go. What is
 * submitted was recorded before; see vkm_transfer. */
#define _GNU_SOURCE
#include <sched.h>

#include "clock.h"
#include "loop.h"
#include "pattern.h"
#include "vk_numbers.h"

#define FOREVER UINT64_MAX /* a device that hangs is the parent's to notice, as in any other call */

typedef int32_t submit_fn(uintptr_t queue, uint32_t count, const void *infos, uint64_t fence);
typedef int32_t wait_fn(uintptr_t device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout);
typedef int32_t reset_fn(uintptr_t device, uint32_t count, const uint64_t *fences);
typedef int32_t ranges_fn(uintptr_t device, uint32_t count, const void *ranges);

/* Threads share one queue, which is theirs to guard (chapter Threading Behavior). */
static uint32_t queue_is_taken;

static int32_t submit(const struct vkm_program *p, uint64_t info)
{
    while (__atomic_exchange_n(&queue_is_taken, 1, __ATOMIC_ACQUIRE))
        sched_yield();
    int32_t result = ((submit_fn *)(uintptr_t)p->submit)(p->queue, 1, (const void *)(uintptr_t)info, p->fence);
    __atomic_store_n(&queue_is_taken, 0, __ATOMIC_RELEASE);
    return result;
}

static int32_t submit_and_wait(const struct vkm_program *p, uint64_t info)
{
    int32_t result = submit(p, info);
    return result ? result : ((wait_fn *)(uintptr_t)p->wait)(p->device, 1, &p->fence, 1, FOREVER);
}

static int32_t reset(const struct vkm_program *p)
{
    return ((reset_fn *)(uintptr_t)p->reset)(p->device, 1, &p->fence);
}

/* Flush or invalidate, where the memory needs it. */
static int32_t range_call(const struct vkm_program *p, uint32_t i, uint64_t function)
{
    if (!(p->steps[i].flags & VKM_NOT_COHERENT))
        return 0;
    return ((ranges_fn *)(uintptr_t)function)(p->device, 1, &p->calls[i]);
}

static int failed(struct vkm_stats *stats, int32_t result)
{
    stats->result = result;
    return VKM_CALL_FAILED;
}

/* first: the place of the first wrong byte in the pattern, of which the bytes begin at pattern_offset. */
static int mismatch(struct vkm_stats *stats, const struct vkm_step *step, const unsigned char *bytes, uint64_t key,
                    uint64_t pattern_offset, uint64_t mismatches, uint64_t first)
{
    if (!mismatches)
        return VKM_OK;
    uint64_t at = first - pattern_offset;
    stats->mismatches += mismatches;
    stats->bad_offset = step->offset + at;
    stats->bad_expected = vkm_pattern_byte(first, key);
    stats->bad_found = bytes[at];
    return VKM_MISMATCH;
}

/* The bytes differ from those of the trip before in every word, so that stale ones are seen. */
static int to_host(struct vkm_program *p, uint32_t i, struct vkm_stats *stats, const struct vkm_clock *clock,
                   int record)
{
    const struct vkm_step *step = &p->steps[i];
    struct vkm_object *object = &p->objects[step->object];
    struct vkm_transfer *transfer = &p->transfers[step->address];
    const unsigned char *bytes = (const unsigned char *)(uintptr_t)(object->pointer +
                                                                    (step->offset - object->mapped_offset));
    uint64_t turn = ++transfer->turns & 1, shift = turn * VKM_SHIFT, mismatches = 0, first = 0;
    uint64_t t0 = record ? vkm_ticks(clock) : 0;
    int32_t result = submit_and_wait(p, transfer->submits[turn]);
    if (!result)
        result = range_call(p, i, p->invalidate);
    if (!result)
        mismatches = vkm_pattern_mismatches(bytes, shift, step->size, transfer->key, &first);
    uint64_t ticks = record ? vkm_ticks(clock) - t0 : 0;
    if (!result)
        result = reset(p);
    if (result)
        return failed(stats, result);
    if (record)
        vkm_record(&stats->calls[VKM_TIMED_TO_HOST], vkm_ticks_to_ns(clock, ticks));
    stats->verified_bytes += step->size;
    object->written_begin = object->written_end = 0;
    return mismatch(stats, step, bytes, transfer->key, shift, mismatches, first);
}

/* What the device has is copied back and looked at behind the timed part. */
static int copied_back(const struct vkm_program *p, uint32_t i, struct vkm_stats *stats, uint64_t key)
{
    const struct vkm_step *step = &p->steps[i];
    const struct vkm_transfer *transfer = &p->transfers[step->address];
    const unsigned char *bytes = (const unsigned char *)(uintptr_t)transfer->back;
    uint64_t first = 0;
    int32_t result = submit_and_wait(p, transfer->submits[1]);
    if (!result)
        result = reset(p);
    if (result)
        return failed(stats, result);
    uint64_t mismatches = vkm_pattern_mismatches(bytes, step->offset, step->size, key, &first);
    stats->verified_bytes += step->size;
    return mismatch(stats, step, bytes, key, step->offset, mismatches, first);
}

static int to_device(struct vkm_program *p, uint32_t i, struct vkm_stats *stats, const struct vkm_clock *clock,
                     int record, int check)
{
    const struct vkm_step *step = &p->steps[i];
    struct vkm_object *object = &p->objects[step->object];
    unsigned char *bytes = (unsigned char *)(uintptr_t)(object->pointer + (step->offset - object->mapped_offset));
    uint64_t key = vkm_pattern_key(p->seed, step->object, ++object->round);
    uint32_t way = vkm_write_way(p, clock, bytes, step->offset, step->size, key);
    uint64_t t0 = record ? vkm_ticks(clock) : 0;
    vkm_pattern_write(bytes, step->offset, step->size, key, way);
    int32_t result = range_call(p, i, p->flush);
    if (!result)
        result = submit_and_wait(p, p->transfers[step->address].submits[0]);
    uint64_t ticks = record ? vkm_ticks(clock) - t0 : 0;
    object->written_begin = step->offset;
    object->written_end = step->offset + step->size;
    if (!result)
        result = reset(p);
    if (result)
        return failed(stats, result);
    if (record)
        vkm_record(&stats->calls[VKM_TIMED_TO_DEVICE], vkm_ticks_to_ns(clock, ticks));
    return check ? copied_back(p, i, stats, key) : VKM_OK;
}

int vkm_transfer_step(struct vkm_program *program, uint32_t i, struct vkm_stats *stats, const struct vkm_clock *clock,
                      int record, int check)
{
    if (program->steps[i].op == VKM_TO_HOST)
        return to_host(program, i, stats, clock, record);
    return to_device(program, i, stats, clock, record, check);
}

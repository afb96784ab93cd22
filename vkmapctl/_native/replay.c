#define _GNU_SOURCE
#include "replay.h"

#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "vk_calls.h"
#include "vk_numbers.h"

#define SPIN_NS 20000 /* less than a sleep and a wake take */
#define LONGEST_NAP_NS 10000000

#define FUNCTION(type, address) ((type *)(uintptr_t)(address))

/* One thread of a replay. */
struct replayer {
    struct vkm_replay *replay;
    struct vkm_replay_thread *thread;
    const struct vkm_clock *clock;
    struct vkm_control *control;
    struct vkm_stats *stats;
    uint64_t owed_ns; /* by which the pauses so far were too long */
};

static int stop_wanted(const struct replayer *r)
{
    return __atomic_load_n(&r->control->stop, __ATOMIC_RELAXED) != 0;
}

static uint64_t since(const struct replayer *r, uint64_t begin)
{
    return vkm_ticks_to_ns(r->clock, vkm_ticks(r->clock) - begin);
}

static void lock(uint32_t *busy)
{
    while (__atomic_exchange_n(busy, 1, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void unlock(uint32_t *busy)
{
    __atomic_store_n(busy, 0, __ATOMIC_RELEASE);
}

/* --- what becomes of a call --------------------------------------------------------------------- */

static void note_fault(struct replayer *r, const struct vkm_replay_step *step, int fault, int32_t result)
{
    struct vkm_stats *stats = r->stats;
    if (stats->fault)
        return;
    stats->fault = (uint32_t)fault;
    stats->fault_step = step->number;
    stats->result = result;
    stats->replayed.fault_op = step->op;
    stats->replayed.fault_object = step->object;
    stats->replayed.fault_api = 1 + step->api;
}

static void count_failure(struct vkm_replayed *replayed, int32_t result)
{
    uint32_t i = 0;
    while (i < VKM_RESULTS - 1 && replayed->results[i] && replayed->results[i] != result)
        i++;
    replayed->results[i] = result;
    replayed->failures[i]++;
}

static void skip(struct replayer *r)
{
    r->stats->replayed.skipped++;
}

/* Counts a call. Whether it is to stand: it succeeded, as in the recording. */
static int stands(struct replayer *r, const struct vkm_replay_step *step, enum vkm_timed kind, int32_t result,
                  uint64_t ticks)
{
    struct vkm_replayed *replayed = &r->stats->replayed;
    replayed->made[kind]++;
    if (step->flags & VKM_DID_FAIL) {
        replayed->differs += result == 0;
        return 0;
    }
    if (result) {
        count_failure(replayed, result);
        note_fault(r, step, VKM_CALL_FAILED, result);
        return 0;
    }
    vkm_record(&r->stats->calls[kind], vkm_ticks_to_ns(r->clock, ticks));
    return 1;
}

/* --- allocating and mapping --------------------------------------------------------------------- */

static void allocate_step(struct replayer *r, const struct vkm_replay_step *step, struct vkm_replay_object *object)
{
    if (object->memory) {
        skip(r);
        return;
    }
    void *const address = (void *)(uintptr_t)step->address;
    const int imports = step->op == VKM_IMPORT;
    const struct import_info import = {IMPORT_MEMORY_HOST_POINTER_INFO, NULL, EXTERNAL_MEMORY_HOST_ALLOCATION, address};
    const struct allocate_info info = {MEMORY_ALLOCATE_INFO, imports ? &import : address, step->size,
                                       step->memory_type};
    allocate_fn *const function = FUNCTION(allocate_fn, r->replay->allocate);
    const uint64_t device = r->replay->device;
    const uint32_t kind = r->clock->kind;
    uint64_t memory = 0, t0 = vkm_ticks_of(kind);
    int32_t result = function(device, &info, NULL, &memory);
    uint64_t ticks = vkm_ticks_of(kind) - t0;
    if (stands(r, step, imports ? VKM_TIMED_IMPORT : VKM_TIMED_ALLOCATE, result, ticks)) {
        object->memory = memory;
        object->size = step->size;
    } else if (!result) {
        FUNCTION(free_fn, r->replay->free)(device, memory, NULL);
    }
}

static uint64_t page_ceil(const struct vkm_replay *replay, uint64_t size)
{
    return (size + replay->page_size - 1) & ~(replay->page_size - 1);
}

/* Reserves pages of a place again that its mapping has let go of. Returns whether somebody else has them now.
 * step: that ended the mapping, NULL at the end of the replay. */
static int hold(struct replayer *r, const struct vkm_replay_step *step, uint64_t begin, uint64_t size)
{
    const uint64_t length = page_ceil(r->replay, size);
    if (vkm_reserve_range(begin, length) == begin)
        return 0;
    if (step)
        note_fault(r, step, vkm_range_shows_a_file(begin, length) ? VKM_STILL_MAPPED : VKM_HOLD_FAILED, 0);
    return 1;
}

/* Takes pages of a place for a mapping of so many bytes. */
static int take_place(struct vkm_replay *replay, struct vkm_replay_place *place, uint64_t at, uint64_t size)
{
    const uint64_t first = at / replay->page_size, count = page_ceil(replay, size) / replay->page_size;
    const uint64_t pages = place->length / replay->page_size;
    if (first >= pages || count > pages - first)
        return 0;
    lock(&place->busy);
    int takes = memchr(place->pages + first, 1, count) == NULL;
    if (takes)
        memset(place->pages + first, 1, count);
    unlock(&place->busy);
    return takes;
}

static void leave_place(struct vkm_replay *replay, struct vkm_replay_place *place, uint64_t at, uint64_t size, int lost)
{
    lock(&place->busy);
    if (lost)
        place->lost = 1;
    else
        memset(place->pages + at / replay->page_size, 0, page_ceil(replay, size) / replay->page_size);
    unlock(&place->busy);
}

static void release_kept(struct vkm_replay_object *object)
{
    if (object->kept_end > object->kept_begin)
        vkm_release_range(object->kept_begin, object->kept_end - object->kept_begin);
    object->kept_begin = object->kept_end = 0;
}

/* After an unmap with reserve, which keeps the pages; those of no place are released later. Returns whether the pages
 * of a place are somebody else's now. */
static int keep(struct replayer *r, const struct vkm_replay_step *step, struct vkm_replay_object *object, int placed)
{
    const uint64_t page = r->replay->page_size;
    uint64_t begin = object->pointer & ~(page - 1), end = page_ceil(r->replay, object->pointer + object->mapped_size);
    if (!vkm_range_is_reserved(begin, end - begin)) {
        note_fault(r, step, VKM_RESERVATION_LOST, 0);
        return placed && hold(r, step, object->pointer, object->mapped_size);
    }
    if (!placed) {
        release_kept(object);
        object->kept_begin = begin;
        object->kept_end = end;
    }
    return 0;
}

/* The object is not mapped any more. reserved: by an unmap with reserve. */
static void mapping_ended(struct replayer *r, const struct vkm_replay_step *step, struct vkm_replay_object *object,
                          int reserved)
{
    struct vkm_replay_place *place = object->place ? &r->replay->places[object->place - 1] : NULL;
    int lost = 0;
    if (reserved)
        lost = keep(r, step, object, place != NULL);
    else if (place)
        lost = hold(r, step, object->pointer, object->mapped_size);
    if (place)
        leave_place(r->replay, place, object->pointer - place->begin, object->mapped_size, lost);
    object->pointer = 0;
    object->place = 0;
}

static int32_t call_unmap(const struct vkm_replay *replay, uint32_t api, uint64_t memory, uint32_t flags)
{
    if (api == VKM_V1) {
        FUNCTION(unmap1_fn, replay->unmap[VKM_V1])(replay->device, memory);
        return 0;
    }
    const struct unmap_info info = {MEMORY_UNMAP_INFO, NULL, flags, memory};
    return FUNCTION(unmap2_fn, replay->unmap[api])(replay->device, &info);
}

/* After a placed map that failed, went elsewhere, or was undone since the recording's had failed. */
static void not_placed(struct replayer *r, const struct vkm_replay_step *step, struct vkm_replay_place *place,
                       uint64_t size)
{
    const uint64_t begin = place->begin + step->address;
    int reserved = vkm_range_is_reserved(begin, page_ceil(r->replay, size));
    leave_place(r->replay, place, step->address, size, !reserved && hold(r, step, begin, size));
}

/* A map that stands, by its pointer. place: where it was to go. */
static void mapped(struct replayer *r, const struct vkm_replay_step *step, struct vkm_replay_object *object,
                   struct vkm_replay_place *place, uint64_t pointer, uint64_t size)
{
    if (pointer) {
        object->pointer = pointer;
        object->mapped_offset = step->offset;
        object->mapped_size = size;
        object->api = step->api;
        object->place = step->other;
    } else {
        note_fault(r, step, VKM_NULL_POINTER, 0);
        call_unmap(r->replay, step->api, object->memory, 0);
    }
    if (!place || pointer == place->begin + step->address)
        return;
    if (pointer)
        note_fault(r, step, VKM_MOVED, 0);
    object->place = 0;
    not_placed(r, step, place, size);
}

static int can_be_mapped(const struct vkm_replay_step *step, const struct vkm_replay_object *object)
{
    return object->memory && !object->pointer && step->offset < object->size &&
           (step->size == WHOLE_SIZE || step->size <= object->size - step->offset);
}

static void map_step(struct replayer *r, const struct vkm_replay_step *step, struct vkm_replay_object *object)
{
    struct vkm_replay *replay = r->replay;
    struct vkm_replay_place *place = step->other ? &replay->places[step->other - 1] : NULL;
    const uint64_t size = step->size == WHOLE_SIZE ? object->size - step->offset : step->size;
    if (!can_be_mapped(step, object) || (place && !take_place(replay, place, step->address, size))) {
        skip(r);
        return;
    }
    const uint64_t device = replay->device, memory = object->memory, offset = step->offset, passed = step->size;
    const struct placed_info placed = {MEMORY_MAP_PLACED_INFO, NULL,
                                       place ? (void *)(uintptr_t)(place->begin + step->address) : NULL};
    const struct map_info info = {MEMORY_MAP_INFO, place ? &placed : NULL, place ? MAP_PLACED : 0, memory, offset,
                                  passed};
    const uint64_t function = replay->map[step->api];
    const uint32_t kind = r->clock->kind, api = step->api;
    void *data = NULL;
    int32_t result;
    uint64_t t0 = vkm_ticks_of(kind);
    if (api == VKM_V1)
        result = FUNCTION(map1_fn, function)(device, memory, offset, passed, 0, &data);
    else
        result = FUNCTION(map2_fn, function)(device, &info, &data);
    uint64_t ticks = vkm_ticks_of(kind) - t0;
    if (stands(r, step, VKM_TIMED_MAP, result, ticks)) {
        mapped(r, step, object, place, (uint64_t)(uintptr_t)data, size);
        return;
    }
    if (!result)
        call_unmap(replay, api, memory, 0);
    if (place)
        not_placed(r, step, place, size);
}

static void unmap_step(struct replayer *r, const struct vkm_replay_step *step, struct vkm_replay_object *object)
{
    if (!object->pointer) {
        skip(r);
        return;
    }
    const uint32_t flags = step->flags & VKM_RESERVE ? UNMAP_RESERVE : 0, kind = r->clock->kind, api = step->api;
    const uint64_t function = r->replay->unmap[api], device = r->replay->device, memory = object->memory;
    const struct unmap_info info = {MEMORY_UNMAP_INFO, NULL, flags, memory};
    int32_t result = 0;
    uint64_t t0 = vkm_ticks_of(kind);
    if (api == VKM_V1)
        FUNCTION(unmap1_fn, function)(device, memory);
    else
        result = FUNCTION(unmap2_fn, function)(device, &info);
    uint64_t ticks = vkm_ticks_of(kind) - t0;
    stands(r, step, VKM_TIMED_UNMAP, result, ticks);
    if (!result) /* one that failed in the recording cannot be undone: the object is mapped there, and not here */
        mapping_ended(r, step, object, flags != 0);
}

static void free_step(struct replayer *r, const struct vkm_replay_step *step, struct vkm_replay_object *object)
{
    const uint64_t memory = object ? object->memory : 0, device = r->replay->device;
    if (object && !memory) {
        skip(r);
        return;
    }
    free_fn *const function = FUNCTION(free_fn, r->replay->free);
    const uint32_t kind = r->clock->kind;
    uint64_t t0 = vkm_ticks_of(kind);
    function(device, memory, NULL);
    uint64_t ticks = vkm_ticks_of(kind) - t0;
    stands(r, step, VKM_TIMED_FREE, 0, ticks);
    if (!object)
        return;
    if (object->pointer)
        mapping_ended(r, step, object, 0);
    object->memory = object->size = 0;
}

/* --- bytes -------------------------------------------------------------------------------------- */

/* Fills the range as Vulkan has it; 0 where its object is not mapped. A trace in which another thread frees it before
 * the call is over breaks Vulkan's rules by itself. */
static int range_of(struct vkm_replay *replay, const struct vkm_replay_range *range, struct memory_range *to)
{
    struct vkm_replay_object *object = &replay->objects[range->object];
    lock(&object->busy);
    *to = (struct memory_range){MAPPED_MEMORY_RANGE, NULL, object->memory, range->offset, range->size};
    int is_mapped = object->pointer != 0;
    unlock(&object->busy);
    return is_mapped;
}

static void range_step(struct replayer *r, const struct vkm_replay_step *step)
{
    const int flush = step->op == VKM_FLUSH;
    struct memory_range *ranges = (struct memory_range *)(void *)r->thread->scratch;
    for (uint32_t i = 0; i < step->count; i++)
        if (!range_of(r->replay, &r->replay->ranges[step->other + i], ranges + i)) {
            skip(r);
            return;
        }
    ranges_fn *const function = FUNCTION(ranges_fn, flush ? r->replay->flush : r->replay->invalidate);
    const uint64_t device = r->replay->device;
    const uint32_t kind = r->clock->kind, count = step->count;
    uint64_t t0 = vkm_ticks_of(kind);
    int32_t result = function(device, count, ranges);
    uint64_t ticks = vkm_ticks_of(kind) - t0;
    stands(r, step, flush ? VKM_TIMED_FLUSH : VKM_TIMED_INVALIDATE, result, ticks);
}

static void touch_step(struct replayer *r, const struct vkm_replay_step *step, const struct vkm_replay_object *object)
{
    struct vkm_stats *stats = r->stats;
    if (!object->pointer || step->offset < object->mapped_offset ||
        step->offset - object->mapped_offset >= object->mapped_size ||
        step->size > object->mapped_size - (step->offset - object->mapped_offset)) {
        skip(r);
        return;
    }
    unsigned char *bytes = (unsigned char *)(uintptr_t)(object->pointer + (step->offset - object->mapped_offset));
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    uint64_t t0 = vkm_ticks(r->clock);
    stats->first_pages += vkm_touch_pages(bytes, step->size, r->replay->page_size, 1);
    stats->first_ns += since(r, t0);
    getrusage(RUSAGE_THREAD, &after);
    stats->first_minor_faults += (uint64_t)(after.ru_minflt - before.ru_minflt);
    stats->first_major_faults += (uint64_t)(after.ru_majflt - before.ru_majflt);
    stats->first_mappings++;
}

/* --- time and order ----------------------------------------------------------------------------- */

/* On the CPU, then asleep. What a pause takes too long, the next ones make up for. */
static void pause_step(struct replayer *r, const struct vkm_replay_step *step)
{
    if (r->owed_ns >= step->size) {
        r->owed_ns -= step->size;
        return;
    }
    const uint64_t wanted = step->size - r->owed_ns, begin = vkm_ticks(r->clock);
    uint64_t now = 0;
    while (now < wanted && !stop_wanted(r)) {
        if (now >= step->offset) {
            uint64_t left = wanted - now;
            struct timespec nap = {0, (long)(left < LONGEST_NAP_NS ? left : LONGEST_NAP_NS)};
            nanosleep(&nap, NULL);
        }
        r->stats->iterations++; /* it is no driver that takes so long */
        now = since(r, begin);
    }
    r->owed_ns = now > wanted ? now - wanted : 0;
}

static void signal_step(struct replayer *r, const struct vkm_replay_step *step)
{
    struct vkm_replay_channel *channel = &r->replay->channels[step->other];
    __atomic_fetch_add(&channel->count, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&channel->waiting, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &channel->count, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* One thread alone takes from a channel. */
static int take_signal(struct vkm_replay_channel *channel)
{
    if (!__atomic_load_n(&channel->count, __ATOMIC_SEQ_CST))
        return 0;
    __atomic_fetch_sub(&channel->count, 1, __ATOMIC_SEQ_CST);
    return 1;
}

static void wait_step(struct replayer *r, const struct vkm_replay_step *step)
{
    struct vkm_replay_channel *channel = &r->replay->channels[step->other];
    if (take_signal(channel))
        return;
    const uint64_t begin = vkm_ticks(r->clock);
    int taken = 0;
    while (!taken && since(r, begin) < SPIN_NS)
        taken = take_signal(channel);
    __atomic_store_n(&channel->waiting, 1, __ATOMIC_SEQ_CST);
    while (!taken && !(taken = take_signal(channel)) && !stop_wanted(r)) {
        struct timespec nap = {0, LONGEST_NAP_NS}; /* and then it looks whether it shall stop */
        syscall(SYS_futex, &channel->count, FUTEX_WAIT_PRIVATE, 0, &nap, NULL, 0);
    }
    __atomic_store_n(&channel->waiting, 0, __ATOMIC_SEQ_CST);
    r->stats->replayed.wait_ns += since(r, begin);
}

/* --- the whole ---------------------------------------------------------------------------------- */

static void object_step(struct replayer *r, const struct vkm_replay_step *step)
{
    struct vkm_replay_object *object = &r->replay->objects[step->object];
    lock(&object->busy);
    switch (step->op) {
    case VKM_ALLOCATE:
    case VKM_IMPORT: allocate_step(r, step, object); break;
    case VKM_FREE: free_step(r, step, object); break;
    case VKM_MAP: map_step(r, step, object); break;
    case VKM_UNMAP: unmap_step(r, step, object); break;
    default: touch_step(r, step, object); break;
    }
    unlock(&object->busy);
}

/* Returns the index of the next step. */
static uint32_t run_step(struct replayer *r, uint32_t i)
{
    const struct vkm_replay_step *step = &r->thread->steps[i];
    switch (step->op) {
    case VKM_REPEAT: r->thread->left[i] = step->size; return i + 1;
    case VKM_END: return --r->thread->left[step->other] ? step->other + 1 : i + 1;
    case VKM_SIGNAL: signal_step(r, step); return i + 1;
    default: break;
    }
    volatile struct vkm_stats *at = r->stats;
    at->at_step = step->number;
    at->at_object = step->object;
    at->at_api = 1 + step->api;
    at->at_op = step->op;
    at->iterations++;
    switch (step->op) {
    case VKM_PAUSE: pause_step(r, step); break;
    case VKM_WAIT: wait_step(r, step); break;
    case VKM_FLUSH:
    case VKM_INVALIDATE: range_step(r, step); break;
    case VKM_FREE:
        if (step->flags & VKM_NOTHING) {
            free_step(r, step, NULL);
            break;
        } /* fall through */
    default: object_step(r, step);
    }
    return i + 1;
}

int vkm_replay_run(struct vkm_replay *replay, uint32_t thread, const struct vkm_clock *clock,
                   struct vkm_control *control, struct vkm_stats *stats)
{
    struct replayer r = {replay, &replay->threads[thread], clock, control, stats, 0};
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    stats->replayed.replaying = 1;
    vkm_wait_for_start(control);
    stats->running = 1;
    const uint64_t begin = vkm_ticks(clock);
    for (uint32_t i = 0; i < r.thread->step_count && !stop_wanted(&r);)
        i = run_step(&r, i);
    stats->rate_ns += since(&r, begin);
    stats->running = 0;
    getrusage(RUSAGE_THREAD, &after);
    stats->minor_faults += (uint64_t)(after.ru_minflt - before.ru_minflt);
    stats->major_faults += (uint64_t)(after.ru_majflt - before.ru_majflt);
    return (int)stats->fault;
}

void vkm_replay_end(struct vkm_replay *replay)
{
    struct replayer r = {.replay = replay};
    for (uint32_t i = 0; i < replay->object_count; i++) {
        struct vkm_replay_object *object = &replay->objects[i];
        if (object->pointer && !call_unmap(replay, object->api, object->memory, 0))
            mapping_ended(&r, NULL, object, 0);
        if (object->memory)
            FUNCTION(free_fn, replay->free)(replay->device, object->memory, NULL);
        if (object->pointer) /* no unmap would have it */
            mapping_ended(&r, NULL, object, 0);
        release_kept(object);
        memset(object, 0, sizeof *object);
    }
    for (uint32_t i = 0; i < replay->channel_count; i++)
        replay->channels[i].count = 0;
}

/* --- before the first step ---------------------------------------------------------------------- */

static int needs_object(uint32_t op)
{
    return op == VKM_ALLOCATE || op == VKM_IMPORT || op == VKM_MAP || op == VKM_UNMAP || op == VKM_FIRST;
}

static int ranges_are_sound(const struct vkm_replay *replay, const struct vkm_replay_thread *thread,
                            const struct vkm_replay_step *step)
{
    if (!step->count || step->count > thread->scratch_ranges || step->other > replay->range_count ||
        step->count > replay->range_count - step->other)
        return 0;
    for (uint32_t i = step->other; i < step->other + step->count; i++)
        if (replay->ranges[i].object >= replay->object_count)
            return 0;
    return step->op == VKM_FLUSH ? replay->flush != 0 : replay->invalidate != 0;
}

/* open: the innermost repeat that is open before step i, by its index + 1; `left` holds those around it meanwhile. */
static int repeat_is_sound(const struct vkm_replay_thread *thread, uint32_t i, uint32_t *open)
{
    const struct vkm_replay_step *step = &thread->steps[i], *other = &thread->steps[step->other];
    if (step->op == VKM_REPEAT) {
        if (!step->size || step->other <= i || step->other >= thread->step_count || other->op != VKM_END ||
            other->other != i || (*open && step->other >= thread->steps[*open - 1].other))
            return 0;
        thread->left[i] = *open;
        *open = i + 1;
        return 1;
    }
    if (!*open || step->other != *open - 1 || other->other != i)
        return 0;
    *open = (uint32_t)thread->left[*open - 1];
    return 1;
}

static int step_is_sound(const struct vkm_replay *replay, const struct vkm_replay_thread *thread,
                         const struct vkm_replay_step *step)
{
    if (needs_object(step->op) && step->object >= replay->object_count)
        return 0;
    if ((step->op == VKM_MAP || step->op == VKM_UNMAP) && step->api >= VKM_APIS)
        return 0;
    switch (step->op) {
    case VKM_IMPORT:
    case VKM_ALLOCATE:
        return replay->allocate && replay->free && step->size && (step->op != VKM_IMPORT || step->address);
    case VKM_FREE: return replay->free && (step->flags & VKM_NOTHING || step->object < replay->object_count);
    case VKM_MAP: /* what is mapped here is unmapped by the same api, where nothing else does */
        return replay->map[step->api] && replay->unmap[step->api] && step->size && step->other <= replay->place_count &&
               !(step->other && (step->api == VKM_V1 || step->address % replay->page_size));
    case VKM_UNMAP: return replay->unmap[step->api] && !(step->flags & VKM_RESERVE && step->api == VKM_V1);
    case VKM_FLUSH:
    case VKM_INVALIDATE: return ranges_are_sound(replay, thread, step);
    case VKM_FIRST: return step->size != 0;
    case VKM_PAUSE: return 1;
    case VKM_SIGNAL:
    case VKM_WAIT: return step->other < replay->channel_count;
    default: return 0;
    }
}

uint32_t vkm_replay_check(const struct vkm_replay *replay, uint32_t thread)
{
    const struct vkm_replay_thread *one = &replay->threads[thread];
    uint32_t open = 0;
    for (uint32_t i = 0; i < one->step_count; i++) {
        const struct vkm_replay_step *step = &one->steps[i];
        const int of_repeat = step->op == VKM_REPEAT || step->op == VKM_END;
        if (of_repeat && step->other >= one->step_count)
            return i + 1;
        if (of_repeat ? !repeat_is_sound(one, i, &open) : !step_is_sound(replay, one, step))
            return i + 1;
    }
    return open;
}

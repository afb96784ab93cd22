#define _GNU_SOURCE
#include "loop.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "access.h"
#include "clock.h"
#include "pattern.h"
#include "vk_calls.h"
#include "vk_numbers.h"

#define SPIN_NS 80000
#define LONGEST_NAP_NS 10000000
#define CHUNK_NS 200000   /* the rate pass looks at the clock about this often */
#define PIECE_BYTES 262144 /* accesses of one width look at it after so many bytes, then after twice as many, … */
#define LONGEST_ACCESS_NS 100000000

/* One vkm_run: what its steps share. */
struct runner {
    struct vkm_program *program;
    const struct vkm_clock *clock;
    struct vkm_stats *stats;
    struct mapped_range *live; /* scratch of the check pass */
    int record;                /* latency pass: fill the histograms */
};

struct mapped_range {
    uint64_t begin, end;
};

/* --- single steps: each returns enum vkm_fault -------------------------------------------------- */

static int call_failed(struct vkm_stats *stats, int32_t result)
{
    stats->result = result;
    return VKM_CALL_FAILED;
}

/* What a call is made with, in one place: a timed call reads all of it before the clock. */
struct prepared {
    uint64_t function, device, memory, offset, size;
    const struct vkm_call *info;
    uint32_t flags, version;
};

static inline struct prepared prepared_map(const struct vkm_program *p, uint32_t i)
{
    const struct vkm_step *step = &p->steps[i];
    return (struct prepared){
        .function = p->map,
        .device = p->device,
        .memory = p->objects[step->object].memory,
        .offset = step->offset,
        .size = step->whole ? WHOLE_SIZE : step->size,
        .info = &p->calls[i],
        .flags = step->flags,
        .version = p->version,
    };
}

static inline struct prepared prepared_unmap(const struct vkm_program *p, uint32_t i)
{
    return (struct prepared){
        .function = p->unmap,
        .device = p->device,
        .memory = p->objects[p->steps[i].object].memory,
        .info = &p->calls[i],
        .version = p->version,
    };
}

static inline int32_t call_map(struct prepared c, void **data)
{
    if (c.version == 1)
        return ((map1_fn *)(uintptr_t)c.function)(c.device, c.memory, c.offset, c.size, c.flags, data);
    return ((map2_fn *)(uintptr_t)c.function)(c.device, c.info, data);
}

static inline int32_t call_unmap(struct prepared c)
{
    if (c.version != 1)
        return ((unmap2_fn *)(uintptr_t)c.function)(c.device, c.info);
    ((unmap1_fn *)(uintptr_t)c.function)(c.device, c.memory);
    return 0;
}

static inline int pointer_fault(const struct vkm_program *p, const struct vkm_step *step, uint64_t pointer)
{
    if (!pointer)
        return VKM_NULL_POINTER;
    if (step->flags & MAP_PLACED)
        return pointer == step->address ? VKM_OK : VKM_MOVED;
    return (pointer - step->offset) & (p->map_alignment - 1) ? VKM_MISALIGNED : VKM_OK;
}

static inline int map_step(struct runner *r, uint32_t i, const int timed)
{
    const struct vkm_step *step = &r->program->steps[i];
    struct vkm_object *object = &r->program->objects[step->object];
    const struct prepared call = prepared_map(r->program, i);
    const uint32_t kind = r->clock->kind;
    void *data = NULL;
    uint64_t t0 = timed ? vkm_ticks_of(kind) : 0;
    int32_t result = call_map(call, &data);
    uint64_t ticks = timed ? vkm_ticks_of(kind) - t0 : 0;
    if (result)
        return call_failed(r->stats, result);
    if (timed && r->record)
        vkm_record(&r->stats->calls[VKM_TIMED_MAP], vkm_ticks_to_ns(r->clock, ticks));
    object->pointer = (uint64_t)(uintptr_t)data;
    object->mapped_offset = step->offset;
    object->mapped_size = step->size;
    if (!(step->flags & MAP_PLACED) && object->pointer < object->kept_end &&
        object->pointer + object->mapped_size > object->kept_begin) {
        object->kept_begin = object->kept_end = 0; /* it is the driver's mapping: not ours to release */
        return VKM_RESERVATION_REUSED;
    }
    if (timed && object->pointer == step->offset && !(step->flags & MAP_PLACED))
        return VKM_NULL_POINTER; /* NULL + offset: a driver that did not look whether its own mmap failed */
    return pointer_fault(r->program, step, object->pointer);
}

static int compare_ranges(const void *a, const void *b)
{
    uint64_t x = ((const struct mapped_range *)a)->begin, y = ((const struct mapped_range *)b)->begin;
    return (x > y) - (x < y);
}

/* No two objects that are mapped at this moment may share an address. */
static int live_overlap(struct runner *r)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->program->object_count; i++) {
        const struct vkm_object *object = &r->program->objects[i];
        if (object->pointer && !object->imported)
            r->live[count++] = (struct mapped_range){object->pointer, object->pointer + object->mapped_size};
    }
    qsort(r->live, count, sizeof *r->live, compare_ranges);
    for (uint32_t i = 1; i < count; i++)
        if (r->live[i].begin < r->live[i - 1].end)
            return VKM_OVERLAP;
    return VKM_OK;
}

/* Remembers the pages of the mapping that an unmap with reserve has just ended. */
static void keep_pages(const struct vkm_program *p, struct vkm_object *object)
{
    object->kept_begin = object->pointer & ~(p->page_size - 1);
    object->kept_end = (object->pointer + object->mapped_size + p->page_size - 1) & ~(p->page_size - 1);
}

static inline int unmap_step(struct runner *r, uint32_t i, const int timed)
{
    const struct vkm_step *step = &r->program->steps[i];
    struct vkm_object *object = &r->program->objects[step->object];
    if (timed && r->live && i && r->program->steps[i - 1].op != VKM_UNMAP) {
        int fault = live_overlap(r);
        if (fault)
            return fault;
    }
    const struct prepared call = prepared_unmap(r->program, i);
    const uint32_t kind = r->clock->kind;
    uint64_t t0 = timed ? vkm_ticks_of(kind) : 0;
    int32_t result = call_unmap(call);
    uint64_t ticks = timed ? vkm_ticks_of(kind) - t0 : 0;
    if (result)
        return call_failed(r->stats, result); /* the object stays mapped (VUID-VkMemoryUnmapInfo, return codes) */
    if (timed && r->record)
        vkm_record(&r->stats->calls[VKM_TIMED_UNMAP], vkm_ticks_to_ns(r->clock, ticks));
    if (step->flags & UNMAP_RESERVE)
        keep_pages(r->program, object);
    object->pointer = 0;
    if (timed && step->flags & UNMAP_RESERVE &&
        !vkm_range_is_reserved(object->kept_begin, object->kept_end - object->kept_begin))
        return VKM_RESERVATION_LOST;
    return VKM_OK;
}

uint64_t vkm_touch_pages(unsigned char *bytes, uint64_t size, uint64_t page, unsigned char value)
{
    uint64_t to_next_page = page - ((uint64_t)(uintptr_t)bytes & (page - 1)), pages = 1;
    *(volatile unsigned char *)bytes = value;
    for (uint64_t at = to_next_page; at < size; at += page, pages++)
        ((volatile unsigned char *)bytes)[at] = value;
    return pages;
}

static void write_range(struct runner *r, const struct vkm_step *step, unsigned char *bytes, uint64_t key, uint32_t way)
{
    struct vkm_object *object = &r->program->objects[step->object];
    vkm_pattern_write(bytes, step->offset, step->size, key, way);
    r->stats->write_ways |= way;
    object->written_begin = step->offset;
    object->written_end = step->offset + step->size;
}

/* The range by accesses of the program's width; returns the bytes accessed. Memory that is slow to read one by one
 * would take minutes: a step ends after LONGEST_ACCESS_NS with what it has reached. */
static uint64_t access_range(struct runner *r, const struct vkm_step *step, unsigned char *bytes)
{
    const struct vkm_program *p = r->program;
    struct vkm_object *object = &p->objects[step->object];
    const uint64_t key = vkm_pattern_key(p->seed, step->object, ++object->round), begin = vkm_ticks(r->clock);
    const unsigned char value = (unsigned char)(object->round | 1); /* some CPUs write zeros at twice the speed */
    const int writes = step->op == VKM_WRITE;
    uint64_t accessed = 0, piece = PIECE_BYTES;
    if (writes)
        object->written_begin = object->written_end = 0; /* nothing that a verify could look for */
    for (uint64_t at = 0, length; at < step->size; at += length, piece *= 2) {
        length = piece - ((uint64_t)(uintptr_t)(bytes + at) & (PIECE_BYTES - 1));
        length = length < step->size - at && p->access != VKM_RANDOM ? length : step->size - at;
        accessed += writes ? vkm_access_store(bytes + at, length, p->width, p->access, key, value)
                           : vkm_access_load(bytes + at, length, p->width, p->access, key);
        if (vkm_ticks_to_ns(r->clock, vkm_ticks(r->clock) - begin) > LONGEST_ACCESS_NS)
            break;
    }
    return accessed;
}

/* Returns the bytes compared, which is nothing before the first write. */
static uint64_t verify_range(struct runner *r, const struct vkm_step *step, const unsigned char *bytes, int *fault)
{
    const struct vkm_object *object = &r->program->objects[step->object];
    uint64_t begin = step->offset, end = step->offset + step->size, first = 0;
    begin = begin > object->written_begin ? begin : object->written_begin;
    end = end < object->written_end ? end : object->written_end;
    if (begin >= end)
        return 0;
    uint64_t key = vkm_pattern_key(r->program->seed, step->object, object->round);
    uint64_t mismatches = vkm_pattern_mismatches(bytes + (begin - step->offset), begin, end - begin, key, &first);
    r->stats->verified_bytes += end - begin;
    if (mismatches) {
        r->stats->mismatches += mismatches;
        r->stats->bad_offset = first;
        r->stats->bad_expected = vkm_pattern_byte(first, key);
        r->stats->bad_found = bytes[first - step->offset];
        *fault = VKM_MISMATCH;
    }
    return end - begin;
}

/* Keeps the loads that made the value. */
static inline void keep(uint64_t value)
{
    __asm__ volatile("" : : "r"(value));
}

/* Page faults of this thread so far. */
static void faults_so_far(struct vkm_stats *stats, int sign)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    stats->first_minor_faults += (uint64_t)(sign * usage.ru_minflt);
    stats->first_major_faults += (uint64_t)(sign * usage.ru_majflt);
}

/* One byte of each page, timed, the faults of these stores counted. */
static void timed_first_step(struct runner *r, const struct vkm_step *step, unsigned char *bytes, unsigned char value)
{
    struct vkm_stats *stats = r->stats;
    faults_so_far(stats, -1);
    uint64_t t0 = vkm_ticks(r->clock);
    stats->first_pages += vkm_touch_pages(bytes, step->size, r->program->page_size, value);
    stats->first_ns += vkm_ticks_to_ns(r->clock, vkm_ticks(r->clock) - t0);
    faults_so_far(stats, 1);
    if (!stats->first_mappings++) {
        stats->huge_bytes += vkm_huge_bytes((uint64_t)(uintptr_t)bytes, step->size);
        stats->looked_bytes += step->size;
    }
}

static int first_step(struct runner *r, const struct vkm_step *step, const int timed)
{
    struct vkm_object *object = &r->program->objects[step->object];
    unsigned char *bytes = (unsigned char *)(uintptr_t)(object->pointer + (step->offset - object->mapped_offset));
    unsigned char value = (unsigned char)++object->round;
    if (timed && r->record)
        timed_first_step(r, step, bytes, value);
    else
        vkm_touch_pages(bytes, step->size, r->program->page_size, value);
    return VKM_OK;
}

static inline int touch_step(struct runner *r, const struct vkm_step *step, const int timed)
{
    struct vkm_stats *stats = r->stats;
    struct vkm_program *p = r->program;
    struct vkm_object *object = &p->objects[step->object];
    unsigned char *bytes = (unsigned char *)(uintptr_t)(object->pointer + (step->offset - object->mapped_offset));
    int fault = VKM_OK;
    const int of_width = p->width != VKM_AUTO && step->op != VKM_VERIFY, writes = step->op == VKM_WRITE;
    uint64_t key = 0;
    uint32_t way = 0;
    if (writes && !of_width) {
        key = vkm_pattern_key(p->seed, step->object, ++object->round);
        way = vkm_write_way(p, r->clock, bytes, step->offset, step->size, key);
    }
    uint64_t touched = step->size, t0 = timed ? vkm_ticks(r->clock) : 0;
    if (of_width)
        touched = access_range(r, step, bytes);
    else if (writes)
        write_range(r, step, bytes, key, way);
    else if (step->op == VKM_READ)
        keep(vkm_read_range(bytes, step->size));
    else
        touched = verify_range(r, step, bytes, &fault);
    if (timed && r->record) {
        uint64_t ns = vkm_ticks_to_ns(r->clock, vkm_ticks(r->clock) - t0);
        *(writes ? &stats->write_ns : &stats->read_ns) += ns;
        *(writes ? &stats->write_bytes : &stats->read_bytes) += touched;
    }
    return fault;
}

static int range_step(struct runner *r, uint32_t i, const int timed)
{
    const struct vkm_program *p = r->program;
    const int flush = p->steps[i].op == VKM_FLUSH;
    ranges_fn *const function = (ranges_fn *)(uintptr_t)(flush ? p->flush : p->invalidate);
    const uint64_t device = p->device;
    const struct vkm_call *call = &p->calls[i];
    const uint32_t kind = r->clock->kind;
    uint64_t t0 = timed ? vkm_ticks_of(kind) : 0;
    int32_t result = function(device, 1, call);
    uint64_t ticks = timed ? vkm_ticks_of(kind) - t0 : 0;
    if (timed && r->record)
        vkm_record(&r->stats->calls[flush ? VKM_TIMED_FLUSH : VKM_TIMED_INVALIDATE], vkm_ticks_to_ns(r->clock, ticks));
    return result ? call_failed(r->stats, result) : VKM_OK;
}

static int hold_step(const struct vkm_step *step)
{
    if (vkm_reserve_range(step->address, step->size) == step->address)
        return VKM_OK;
    return vkm_range_shows_a_file(step->address, step->size) ? VKM_STILL_MAPPED : VKM_HOLD_FAILED;
}

static int release_step(struct vkm_object *object)
{
    uint64_t begin = object->kept_begin, length = object->kept_end - begin;
    object->kept_begin = object->kept_end = 0;
    return length && vkm_release_range(begin, length) ? VKM_RELEASE_FAILED : VKM_OK;
}

/* --- passes ------------------------------------------------------------------------------------ */

static inline __attribute__((always_inline)) int run_step(struct runner *r, uint32_t i, const int timed)
{
    const struct vkm_step *step = &r->program->steps[i];
    volatile struct vkm_stats *at = r->stats;
    at->at_step = i;
    at->at_op = step->op;
    at->at_object = step->object;
    switch (step->op) {
    case VKM_MAP: return map_step(r, i, timed);
    case VKM_UNMAP: return unmap_step(r, i, timed);
    case VKM_FLUSH:
    case VKM_INVALIDATE: return range_step(r, i, timed);
    case VKM_FIRST: return first_step(r, step, timed);
    case VKM_HOLD: return hold_step(step);
    case VKM_RELEASE_KEPT: return release_step(&r->program->objects[step->object]);
    case VKM_RELEASE:
    case VKM_FORGET:
    case VKM_ALLOCATE:
    case VKM_FREE:
    case VKM_IMPORT:
    case VKM_PAUSE: return vkm_object_step(r->program, i, r->stats, timed && r->record ? r->clock : NULL);
    case VKM_TO_HOST:
    case VKM_TO_DEVICE: return vkm_transfer_step(r->program, i, r->stats, r->clock, timed && r->record, timed);
    default: return touch_step(r, step, timed);
    }
}

/* The next `iterations` cycles. Returns the fault; *done counts completed ones. */
static inline __attribute__((always_inline)) int run_cycles(struct runner *r, uint64_t iterations, const int timed,
                                                            uint64_t *done)
{
    struct vkm_program *p = r->program;
    for (uint64_t n = 0; n < iterations; n++) {
        uint32_t first = p->next_step, end = first + p->cycle_steps;
        for (uint32_t i = first; i < end; i++) {
            int fault = run_step(r, i, timed);
            if (fault)
                return fault;
        }
        p->next_step = end < p->step_count ? end : 0;
        ++*done;
    }
    return VKM_OK;
}

/* Leaves the pair's object to vkm_unwind. */
static int stopped_mapped(struct runner *r, void *data, int fault)
{
    r->program->objects[r->program->steps[0].object].pointer = (uint64_t)(uintptr_t)data;
    return fault;
}

/* No pointer is this one: the first of a plain pair is always looked at. */
static void *const UNSEEN = (void *)UINTPTR_MAX;

/* A plain pair's map that failed, or whose pointer is not the one before: why the pair stops, if it must. */
static __attribute__((noinline)) int pair_fault(struct runner *r, int32_t result, void *data)
{
    if (result)
        return call_failed(r->stats, result);
    int fault = pointer_fault(r->program, &r->program->steps[0], (uint64_t)(uintptr_t)data);
    return fault ? stopped_mapped(r, data, fault) : VKM_OK;
}

/* One map and one unmap of one object, nothing else: no dispatch, the calls straight after each other. */
static int run_pair1(struct runner *r, uint64_t iterations, uint64_t *done)
{
    const struct vkm_program *p = r->program;
    const struct vkm_step *step = &p->steps[0];
    map1_fn *map = (map1_fn *)(uintptr_t)p->map;
    unmap1_fn *unmap = (unmap1_fn *)(uintptr_t)p->unmap;
    struct vkm_stats *stats = r->stats;
    const uint64_t device = p->device, memory = p->objects[step->object].memory, offset = step->offset;
    const uint64_t size = step->whole ? WHOLE_SIZE : step->size;
    void *seen = UNSEEN;
    uint64_t left;
    int fault = VKM_OK;
    for (left = iterations; left; left--) {
        void *data = NULL;
        stats->at_step = 0;
        stats->at_op = VKM_MAP;
        int32_t result = map(device, memory, offset, size, 0, &data);
        if (__builtin_expect(result || data != seen, 0)) {
            fault = pair_fault(r, result, data);
            if (fault)
                break;
            seen = data;
        }
        stats->at_step = 1;
        stats->at_op = VKM_UNMAP;
        unmap(device, memory);
    }
    *done = iterations - left;
    return fault;
}

static int run_pair2(struct runner *r, uint64_t iterations, uint64_t *done)
{
    const struct vkm_program *p = r->program;
    map2_fn *map = (map2_fn *)(uintptr_t)p->map;
    unmap2_fn *unmap = (unmap2_fn *)(uintptr_t)p->unmap;
    struct vkm_stats *stats = r->stats;
    const struct vkm_call *calls = p->calls;
    const uint64_t device = p->device;
    void *seen = UNSEEN;
    uint64_t left;
    int fault = VKM_OK;
    for (left = iterations; left; left--) {
        void *data = NULL;
        stats->at_step = 0;
        stats->at_op = VKM_MAP;
        int32_t result = map(device, &calls[0], &data);
        if (__builtin_expect(result || data != seen, 0)) {
            fault = pair_fault(r, result, data);
            if (fault)
                break;
            seen = data;
        }
        stats->at_step = 1;
        stats->at_op = VKM_UNMAP;
        result = unmap(device, &calls[1]);
        if (__builtin_expect(result != 0, 0)) {
            fault = stopped_mapped(r, data, call_failed(stats, result));
            break;
        }
    }
    *done = iterations - left;
    return fault;
}

/* One object that comes and goes, untouched: no dispatch either. */
static int run_life(struct runner *r, uint64_t iterations, uint64_t *done)
{
    const struct vkm_program *p = r->program;
    allocate_fn *const allocate = (allocate_fn *)(uintptr_t)p->allocate;
    free_fn *const release = (free_fn *)(uintptr_t)p->free;
    struct vkm_stats *stats = r->stats;
    const struct vkm_call *call = &p->calls[0];
    const uint64_t device = p->device;
    const uint32_t op = p->steps[0].op;
    uint64_t left;
    int fault = VKM_OK;
    for (left = iterations; left; left--) {
        uint64_t memory = 0;
        stats->at_step = 0;
        stats->at_op = op;
        int32_t result = allocate(device, call, 0, &memory);
        if (__builtin_expect(result != 0, 0)) {
            fault = call_failed(stats, result);
            break;
        }
        stats->at_step = 1;
        stats->at_op = VKM_FREE;
        release(device, memory, 0);
    }
    *done = iterations - left;
    return fault;
}

static int is_life(const struct vkm_program *p)
{
    return p->step_count == 2 && (p->steps[0].op == VKM_ALLOCATE || p->steps[0].op == VKM_IMPORT) &&
           p->steps[1].op == VKM_FREE;
}

static int is_plain_pair(const struct vkm_program *p)
{
    return p->step_count == 2 && p->steps[0].op == VKM_MAP && p->steps[1].op == VKM_UNMAP; /* nothing else */
}

static uint64_t maps_per_cycle(const struct vkm_program *p)
{
    uint64_t maps = 0;
    for (uint32_t i = 0; i < p->cycle_steps; i++)
        maps += p->steps[i].op == VKM_MAP || p->steps[i].op == VKM_IMPORT;
    return maps;
}

/* A driver's stores to its stack and its loads of its own objects cost it several times their time where the two lie
 * alike modulo 4 KiB, which is decided anew in each process by where its stack and its heap begin. So cycles run at
 * several depths of the stack. */
enum { DEPTHS = 8, DEPTH_BYTES = 528, CYCLES_AT_A_DEPTH = 256 };

static inline __attribute__((always_inline)) void deepen(volatile char *room)
{
    __asm__ volatile("" : : "r"(room) : "memory");
}

static __attribute__((noinline)) int rate_cycles(struct runner *r, uint32_t depth, int plain, uint64_t wanted,
                                                 uint64_t *done)
{
    deepen(__builtin_alloca(16 + depth * DEPTH_BYTES));
    if (is_life(r->program))
        return run_life(r, wanted, done);
    if (!plain)
        return run_cycles(r, wanted, 0, done);
    return r->program->version == 1 ? run_pair1(r, wanted, done) : run_pair2(r, wanted, done);
}

/* One cycle, the n-th of its pass. */
static __attribute__((noinline)) int timed_cycle(struct runner *r, uint64_t n, uint64_t *done)
{
    deepen(__builtin_alloca(16 + n / CYCLES_AT_A_DEPTH % DEPTHS * DEPTH_BYTES));
    return run_cycles(r, 1, 1, done);
}

/* Which depth the next chunk of a rate pass has: each once, then the one that was fastest. */
struct depths {
    uint32_t now, tried, best;
    double best_ns;
};

static void judge_depth(struct depths *depths, double ns_per_cycle)
{
    if (depths->tried == DEPTHS)
        return;
    if (!depths->tried || ns_per_cycle < depths->best_ns) {
        depths->best = depths->now;
        depths->best_ns = ns_per_cycle;
    }
    depths->now = ++depths->tried < DEPTHS ? depths->tried : depths->best;
}

static int stop_wanted(const struct vkm_control *control)
{
    return __atomic_load_n(&control->stop, __ATOMIC_RELAXED) != 0;
}

static int rate_pass(struct runner *r, const struct vkm_control *control, uint64_t max_iterations, uint64_t max_ns)
{
    struct vkm_stats *stats = r->stats;
    uint64_t maps = maps_per_cycle(r->program), chunk = 1, total = 0;
    int plain = is_plain_pair(r->program), fault = VKM_OK;
    struct depths depths = {0};
    uint64_t begin = vkm_ticks(r->clock), last_ns = 0;
    stats->slice_pairs = stats->slice_ns = 0;
    stats->at_object = r->program->steps[0].object; /* a plain pair says no more than its step and op */
    while (!fault && total < max_iterations && last_ns < max_ns && !stop_wanted(control)) {
        uint64_t done = 0, wanted = chunk < max_iterations - total ? chunk : max_iterations - total;
        fault = rate_cycles(r, depths.now, plain, wanted, &done);
        uint64_t now_ns = vkm_ticks_to_ns(r->clock, vkm_ticks(r->clock) - begin), spent = now_ns - last_ns;
        if (spent < CHUNK_NS / 2)
            chunk *= 2;
        else if (spent > CHUNK_NS * 2 && chunk > 1)
            chunk /= 2;
        else if (done)
            judge_depth(&depths, (double)spent / (double)done);
        total += done;
        stats->rate_pairs += done * maps;
        stats->rate_ns += spent;
        stats->slice_pairs += done * maps;
        stats->slice_ns += spent;
        stats->iterations += done;
        last_ns = now_ns;
    }
    return fault;
}

static int timed_pass(struct runner *r, const struct vkm_control *control, uint64_t max_iterations, uint64_t max_ns)
{
    uint64_t begin = vkm_ticks(r->clock);
    int fault = VKM_OK;
    for (uint64_t n = 0; !fault && n < max_iterations && !stop_wanted(control); n++) {
        if (vkm_ticks_to_ns(r->clock, vkm_ticks(r->clock) - begin) >= max_ns)
            break;
        fault = timed_cycle(r, n, &r->stats->iterations);
    }
    return fault;
}

static uint64_t since(const struct runner *r, uint64_t begin)
{
    return vkm_ticks_to_ns(r->clock, vkm_ticks(r->clock) - begin);
}

/* Sleeps while there is time, then spins: the scheduler wakes a thread some 60 us late. */
static void wait_until_due(const struct runner *r, const struct vkm_control *control, uint64_t begin, uint64_t due)
{
    for (uint64_t now = since(r, begin); now < due && !stop_wanted(control); now = since(r, begin)) {
        uint64_t left = due - now;
        if (left > 2 * SPIN_NS) {
            struct timespec nap = {0, (long)(left - SPIN_NS < LONGEST_NAP_NS ? left - SPIN_NS : LONGEST_NAP_NS)};
            nanosleep(&nap, NULL);
        }
    }
}

/* A cycle every interval_ns. A late cycle starts at once and its lateness counts, so a stall is seen by every cycle
 * that was due meanwhile. Cycles still due when twice the time is over are given up, and counted. */
static int paced_pass(struct runner *r, const struct vkm_control *control, uint64_t max_iterations, uint64_t max_ns)
{
    struct vkm_stats *stats = r->stats;
    double interval = r->program->interval_ns;
    uint64_t begin = vkm_ticks(r->clock), now = 0, n = 0, wanted = max_iterations;
    int fault = VKM_OK;
    if ((double)max_ns / interval < (double)wanted)
        wanted = (uint64_t)((double)max_ns / interval) + 1;
    while (!fault && n < wanted && now / 2 < max_ns && !stop_wanted(control)) {
        uint64_t due = (uint64_t)((double)n * interval), done = 0;
        wait_until_due(r, control, begin, due);
        fault = timed_cycle(r, n, &done);
        now = since(r, begin);
        n += done;
        if (!fault)
            vkm_record(&stats->cycle_ns, now > due ? now - due : 0);
        stats->iterations += done;
    }
    uint64_t scheduled = (uint64_t)((double)n * interval);
    stats->rate_pairs += n * maps_per_cycle(r->program);
    stats->rate_ns += now > scheduled ? now : scheduled;
    if (!fault && !stop_wanted(control))
        stats->missed_cycles += wanted - n;
    return fault;
}

void vkm_wait_for_start(struct vkm_control *control)
{
    __atomic_fetch_add(&control->arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(&control->arrived, __ATOMIC_ACQUIRE) < control->threads && !stop_wanted(control))
        sched_yield();
}

int vkm_run(struct vkm_program *program, const struct vkm_clock *clock, struct vkm_control *control,
            struct vkm_stats *stats, uint32_t pass, uint64_t max_iterations, uint64_t max_ns)
{
    struct runner runner = {program, clock, stats, NULL, pass == VKM_LATENCY};
    struct rusage before, after;
    if (pass == VKM_CHECK)
        runner.live = calloc(program->object_count + 1u, sizeof *runner.live);
    getrusage(RUSAGE_THREAD, &before);
    vkm_wait_for_start(control);
    stats->running = 1;
    int fault;
    if (pass == VKM_RATE)
        fault = rate_pass(&runner, control, max_iterations, max_ns);
    else if (pass == VKM_LATENCY && program->interval_ns > 0)
        fault = paced_pass(&runner, control, max_iterations, max_ns);
    else
        fault = timed_pass(&runner, control, max_iterations, max_ns);
    stats->running = 0;
    getrusage(RUSAGE_THREAD, &after);
    stats->minor_faults += (uint64_t)(after.ru_minflt - before.ru_minflt);
    stats->major_faults += (uint64_t)(after.ru_majflt - before.ru_majflt);
    if (fault) {
        stats->fault = (uint32_t)fault;
        stats->fault_step = stats->at_step;
    }
    free(runner.live);
    return fault;
}

void vkm_unwind(struct vkm_program *program)
{
    for (uint32_t i = 0; i < program->object_count; i++) {
        struct vkm_object *object = &program->objects[i];
        if (object->pointer && !object->imported) {
            struct unmap_info unmap_info = {.type = MEMORY_UNMAP_INFO, .memory = object->memory};
            if (program->version == 1)
                ((unmap1_fn *)(uintptr_t)program->unmap)(program->device, object->memory);
            else
                ((unmap2_fn *)(uintptr_t)program->unmap)(program->device, &unmap_info);
            object->pointer = 0;
        }
        vkm_object_free(program, object);
    }
}

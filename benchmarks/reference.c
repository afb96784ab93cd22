/* What a programmer would write by hand to time vkMapMemory: the reference that vkmapctl's loop is held against.
 *
 * Compiled on the spot by run.py, once as a library (the loops over functions and memory of the caller's) and once,
 * with -DPROGRAM, as a program of its own (reference_main.c), so that the `stress` command as a whole has a rival
 * that shares nothing with it. Times are ns of CLOCK_MONOTONIC around the whole loop.
 */
#define _GNU_SOURCE
#include "reference.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

typedef uint64_t deep_fn(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g);

typedef int32_t submit_fn(uint64_t queue, uint32_t count, const void *infos, uint64_t fence);
typedef int32_t wait_fn(uint64_t device, uint32_t count, const uint64_t *fences, uint32_t all, uint64_t timeout);
typedef int32_t reset_fn(uint64_t device, uint32_t count, const uint64_t *fences);

enum { HOLD = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* kind as in vkmapctl's own clock: 1 the time-stamp counter, 2 the generic timer, else clock_gettime. */
static inline uint64_t ticks(uint32_t kind)
{
#if defined(__x86_64__)
    if (kind == 1) {
        _mm_lfence();
        return __rdtsc();
    }
#elif defined(__aarch64__)
    if (kind == 2) {
        uint64_t count;
        __asm__ volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(count)::"memory");
        return count;
    }
#endif
    (void)kind;
    return now_ns();
}

uint64_t reference_pairs1(map1_fn *map, unmap1_fn *unmap, uint64_t device, uint64_t memory, uint64_t pairs)
{
    uint64_t begin = now_ns();
    for (uint64_t i = 0; i < pairs; i++) {
        void *data = NULL;
        if (map(device, memory, 0, UINT64_MAX, 0, &data) || !data)
            return 0;
        unmap(device, memory);
    }
    return now_ns() - begin;
}

uint64_t reference_pairs2(map2_fn *map, unmap2_fn *unmap, uint64_t device, uint64_t memory, uint64_t pairs)
{
    const struct map_info map_info = {1000271000, NULL, 0, memory, 0, UINT64_MAX};
    const struct unmap_info unmap_info = {1000271001, NULL, 0, memory};
    uint64_t begin = now_ns();
    for (uint64_t i = 0; i < pairs; i++) {
        void *data = NULL;
        if (map(device, &map_info, &data) || !data || unmap(device, &unmap_info))
            return 0;
    }
    return now_ns() - begin;
}

/* The ticks of each map, into samples. Returns the pairs, 0 if a call failed. */
uint64_t reference_clocked1(map1_fn *map, unmap1_fn *unmap, uint64_t device, uint64_t memory, uint32_t kind,
                            uint64_t *samples, uint64_t pairs)
{
    for (uint64_t i = 0; i < pairs; i++) {
        void *data = NULL;
        uint64_t begin = ticks(kind);
        int32_t result = map(device, memory, 0, UINT64_MAX, 0, &data);
        samples[i] = ticks(kind) - begin;
        if (result)
            return 0;
        unmap(device, memory);
    }
    return pairs;
}

uint64_t reference_clocked2(map2_fn *map, unmap2_fn *unmap, uint64_t device, uint64_t memory, uint32_t kind,
                            uint64_t *samples, uint64_t pairs)
{
    const struct map_info map_info = {1000271000, NULL, 0, memory, 0, UINT64_MAX};
    const struct unmap_info unmap_info = {1000271001, NULL, 0, memory};
    for (uint64_t i = 0; i < pairs; i++) {
        void *data = NULL;
        uint64_t begin = ticks(kind);
        int32_t result = map(device, &map_info, &data);
        samples[i] = ticks(kind) - begin;
        if (result || unmap(device, &unmap_info))
            return 0;
    }
    return pairs;
}

/* The ticks of each allocation and each free. With a pointer, the host's memory there is imported.
 * Returns the pairs, 0 if a call failed.
 */
uint64_t reference_lives(allocate_fn *allocate, free_fn *release, uint64_t device, uint64_t size, uint32_t memory_type,
                         void *pointer, uint32_t kind, uint64_t *allocations, uint64_t *frees, uint64_t pairs)
{
    const struct import_info import_info = {1000178000, NULL, 0x80, pointer};
    const struct allocate_info info = {5, pointer ? &import_info : NULL, size, memory_type};
    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t memory = 0;
        uint64_t begin = ticks(kind);
        int32_t result = allocate(device, &info, NULL, &memory);
        allocations[i] = ticks(kind) - begin;
        if (result)
            return 0;
        begin = ticks(kind);
        release(device, memory, NULL);
        frees[i] = ticks(kind) - begin;
    }
    return pairs;
}

/* ns for `pairs` allocations, each freed at once, 0 if a call failed. pointer as above. */
uint64_t reference_life_pairs(allocate_fn *allocate, free_fn *release, uint64_t device, uint64_t size,
                              uint32_t memory_type, void *pointer, uint64_t pairs)
{
    const struct import_info import_info = {1000178000, NULL, 0x80, pointer};
    const struct allocate_info info = {5, pointer ? &import_info : NULL, size, memory_type};
    uint64_t begin = now_ns();
    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t memory = 0;
        if (allocate(device, &info, NULL, &memory))
            return 0;
        release(device, memory, NULL);
    }
    return now_ns() - begin;
}

/* The ticks of each flush of a mapped allocation's first bytes. Returns the flushes, 0 if a call failed. */
uint64_t reference_flushes(ranges_fn *flush, map1_fn *map, unmap1_fn *unmap, uint64_t device, uint64_t memory,
                           uint64_t size, uint32_t kind, uint64_t *samples, uint64_t times)
{
    const struct range_info info = {6, NULL, memory, 0, size};
    void *data = NULL;
    if (map(device, memory, 0, UINT64_MAX, 0, &data))
        return 0;
    int32_t result = 0;
    for (uint64_t i = 0; i < times && !result; i++) {
        uint64_t begin = ticks(kind);
        result = flush(device, 1, &info);
        samples[i] = ticks(kind) - begin;
    }
    unmap(device, memory);
    return result ? 0 : times;
}

/* The ticks of each map and each unmap. With an address, placed there: an unmap then keeps the range reserved, or the
 * range is taken back outside the clock. Returns the pairs, 0 if a call failed.
 */
uint64_t reference_ways(map2_fn *map, unmap2_fn *unmap, uint64_t device, uint64_t memory, void *address, uint64_t size,
                        uint32_t reserve, uint32_t kind, uint64_t *maps, uint64_t *unmaps, uint64_t pairs)
{
    const struct placed_info placed_info = {1000272002, NULL, address};
    const struct map_info map_info = {1000271000, address ? &placed_info : NULL, address ? 1 : 0, memory, 0,
                                      UINT64_MAX};
    const struct unmap_info unmap_info = {1000271001, NULL, reserve, memory};
    for (uint64_t i = 0; i < pairs; i++) {
        void *data = NULL;
        uint64_t begin = ticks(kind);
        int32_t result = map(device, &map_info, &data);
        maps[i] = ticks(kind) - begin;
        if (result || (address && data != address))
            return 0;
        begin = ticks(kind);
        result = unmap(device, &unmap_info);
        unmaps[i] = ticks(kind) - begin;
        if (result)
            return 0;
        if (address && !reserve && mmap(address, size, PROT_NONE, HOLD, -1, 0) != address)
            return 0;
    }
    return pairs;
}

/* The ticks of each copy to the host: submitted, waited for, compared with `expected`, of which the second info brings
 * the bytes from 64 on. Returns the trips, fewer if a call failed or bytes were wrong.
 */
uint64_t reference_to_host(submit_fn *submit, wait_fn *wait, reset_fn *reset, uint64_t device, uint64_t queue,
                           const uint64_t *infos, uint64_t fence, const unsigned char *bytes,
                           const unsigned char *expected, uint64_t size, uint32_t kind, uint64_t *samples,
                           uint64_t trips)
{
    for (uint64_t i = 0; i < trips; i++) {
        uint64_t turn = i & 1, begin = ticks(kind);
        if (submit(queue, 1, (const void *)(uintptr_t)infos[turn], fence) || wait(device, 1, &fence, 1, UINT64_MAX) ||
            memcmp(bytes, expected + 64 * turn, size))
            return i;
        samples[i] = ticks(kind) - begin;
        if (reset(device, 1, &fence))
            return i;
    }
    return trips;
}

/* Waits until as many threads are here. */
uint64_t reference_together(uint32_t *arrived, uint64_t threads)
{
    __atomic_fetch_add(arrived, 1, __ATOMIC_ACQ_REL);
    while (__atomic_load_n(arrived, __ATOMIC_ACQUIRE) < threads)
        sched_yield();
    return 1;
}

/* What `call` returns where the stack begins `depth` bytes deeper. */
uint64_t reference_deep(uint64_t depth, deep_fn *call, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                        uint64_t f, uint64_t g)
{
    volatile char *room = __builtin_alloca(depth + 16);
    __asm__ volatile("" : : "r"(room) : "memory");
    uint64_t result = call(a, b, c, d, e, f, g);
    __asm__ volatile("" : : "r"(room) : "memory");
    return result;
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t reference_median(uint64_t *samples, uint64_t count)
{
    qsort(samples, count, sizeof *samples, ascending);
    return samples[(count - 1) / 2]; /* of an even count the lower one, as vkmapctl has it */
}

/* Keeps the compiler from proving that a copy or a comparison is not needed. */
static void used(const void *bytes)
{
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

/* Never of zeros, which some CPUs write at twice the speed. */
uint64_t reference_memset(void *bytes, uint64_t size, uint64_t times)
{
    uint64_t begin = now_ns();
    for (uint64_t i = 0; i < times; i++) {
        memset(bytes, (int)i | 1, size);
        used(bytes);
    }
    return now_ns() - begin;
}

uint64_t reference_memcpy(void *to, const void *from, uint64_t size, uint64_t times)
{
    uint64_t begin = now_ns();
    for (uint64_t i = 0; i < times; i++) {
        memcpy(to, from, size);
        used(to);
    }
    return now_ns() - begin;
}

/* Each comparison finds `bytes` just written, as a verify does; the writing is not counted. 0 if the two differ. */
uint64_t reference_memcmp(void *bytes, void *copy, uint64_t size, uint64_t times)
{
    uint64_t spent = 0;
    int differ = 0;
    memset(copy, 0x5a, size);
    for (uint64_t i = 0; i < times; i++) {
        memset(bytes, 0x5a, size);
        used(bytes);
        uint64_t begin = now_ns();
        differ |= memcmp(bytes, copy, size);
        used(bytes);
        spent += now_ns() - begin;
    }
    return differ ? 0 : spent;
}

/* The range by loads, or by stores of `value`, each of so many bytes; size is a multiple of 64, and bytes lie at one.
 */
#define BY_WIDTH(NAME, TARGET, BYTES, ACCESS, PREPARE) \
    TARGET uint64_t reference_##NAME(unsigned char *bytes, uint64_t size, uint64_t times) \
    { \
        PREPARE; \
        uint64_t begin = now_ns(); \
        for (uint64_t t = 0; t < times; t++) \
            for (uint64_t i = 0; i < size; i += 64) \
                _Pragma("GCC unroll 64") for (uint64_t j = 0; j < 64; j += (BYTES)) \
                { \
                    unsigned char *at = bytes + i + j; \
                    ACCESS; \
                } \
        return now_ns() - begin; \
    }

#define NUMBERS(BITS) \
    BY_WIDTH(load##BITS, , BITS / 8, (void)*(volatile uint##BITS##_t *)at, (void)0) \
    BY_WIDTH(store##BITS, , BITS / 8, *(volatile uint##BITS##_t *)at = value, \
             const uint##BITS##_t value = (uint##BITS##_t)0x5b5b5b5b5b5b5b5b)

NUMBERS(8)
NUMBERS(16)
NUMBERS(32)
NUMBERS(64)

#if defined(__x86_64__)
#define KEPT(TYPE, LOADED) \
    do { \
        TYPE found = LOADED; \
        __asm__ volatile("" : : "x"(found)); \
    } while (0)
#define STORED(STORE) \
    do { \
        STORE; \
        used(at); \
    } while (0)
#define SSE41 __attribute__((target("sse4.1")))
#define AVX2 __attribute__((target("avx2")))
#define BYTES16 const __m128i value = _mm_set1_epi8(0x5b)
#define BYTES32 const __m256i value = _mm256_set1_epi8(0x5b)
BY_WIDTH(load128, , 16, KEPT(__m128i, _mm_load_si128((__m128i *)at)), (void)0)
BY_WIDTH(load256, AVX2, 32, KEPT(__m256i, _mm256_load_si256((__m256i *)at)), (void)0)
BY_WIDTH(store128, , 16, STORED(_mm_store_si128((__m128i *)at, value)), BYTES16)
BY_WIDTH(store256, AVX2, 32, STORED(_mm256_store_si256((__m256i *)at, value)), BYTES32)
BY_WIDTH(stream_load128, SSE41, 16, KEPT(__m128i, _mm_stream_load_si128((__m128i *)at)), (void)0)
BY_WIDTH(stream_load256, AVX2, 32, KEPT(__m256i, _mm256_stream_load_si256((__m256i *)at)), (void)0)
BY_WIDTH(stream_store128, , 16, STORED(_mm_stream_si128((__m128i *)at, value)), BYTES16)
BY_WIDTH(stream_store256, AVX2, 32, STORED(_mm256_stream_si256((__m256i *)at, value)), BYTES32)
#endif
